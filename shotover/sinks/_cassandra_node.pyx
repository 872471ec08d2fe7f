"""See _cassandra_node.pxd."""

from libc.errno cimport EACCES, ETIMEDOUT
from libc.stdio cimport snprintf
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from shotover._codec.cql.frame cimport HEADER_SIZE, OP_ERROR
from shotover._core.debug cimport likely, unlikely
from shotover._proxy.step cimport LOG_TEXT, LOG_WARNING, put_text
from shotover._core.slice cimport slice_t
from shotover._net.loop cimport CLOSE_LOCAL, stream_close
from shotover.sinks._cassandra_pool cimport (
    FIELD_COUNT,
    ROLE_ASK,
    ROLE_LEAVING,
    ROLE_SHARED,
    S_FIRST_FREE,
    S_GREETING,
    SHARED_MAX,
    state_fields,
)

cdef enum:
    PROBE_FIRST_NS = 50000000   # after that long a node that was lost is tried; then the back-off of connects counts
    PROBE_VERSION = 3           # every server knows it, and OPTIONS is the same in all


cdef void _on_probe(timer_t *timer) noexcept nogil:
    (<CassandraNode>timer.owner).try_again()


cdef void _on_beat(timer_t *timer) noexcept nogil:
    (<CassandraNode>timer.owner).look()


cdef class NodesOwner(CassandraSinkSingle):

    def __dealloc__(self):
        free(self.nodes)

    cdef cql_state_t *twin_of(self, cql_state_t *state, CassandraNode node) noexcept nogil:
        """The state at that node that is the same as this one of ours; NULL: no memory."""
        cdef:
            slice_t       fields[FIELD_COUNT]
            cql_state_t **twins
        if likely(node.number < state.twin_count and state.twins[node.number] is not NULL):
            return state.twins[node.number]
        if node.number >= state.twin_count:
            twins = <cql_state_t **>realloc(state.twins, self.node_count * sizeof(void *))
            if twins is NULL:
                return NULL
            memset(twins + state.twin_count, 0, (self.node_count - state.twin_count) * sizeof(void *))
            state.twins = twins
            state.twin_count = self.node_count
        state_fields(state, fields)
        state.twins[node.number] = node._state_for(state.version, fields)
        if state.twins[node.number] is not NULL:
            state.twins[node.number].home = state
        return state.twins[node.number]

    cdef void _forgotten(self, cql_state_t *state) noexcept nogil:
        cdef uint32_t number
        for number in range(state.twin_count):
            if state.twins[number] is not NULL:
                state.twins[number].home = NULL
                (<CassandraNode>self.nodes[number])._leave_state(state.twins[number])
        state.twin_count = 0

    cdef void answered(self, CassandraNode node, upstream_t *upstream, request_t *request) noexcept nogil:
        """A request that `take` was given has its reply. Takes it over."""
        pass

    cdef bint not_answered(self, CassandraNode node, upstream_t *upstream, request_t *request, int error) noexcept nogil:
        """... will not have one. True: it has been taken over."""
        return False

    cdef request_t *overdue(self, CassandraNode node, upstream_t *upstream, request_t *request) noexcept nogil:
        """... has not had its reply for a while: see NumberedSink.on_overdue."""
        return NULL

    cdef void node_changed(self, CassandraNode node) noexcept nogil:
        """It is down, or no longer."""
        pass


cdef class CassandraNode(CassandraPool):

    def __init__(self, context, NodesOwner owner, int number, address, *, int connect_timeout_ms, read_timeout,
                 int connection_count, int max_pending_requests, float heartbeat_interval, tls):
        self.set_tls(tls)
        self.set_address(address)
        self.connect_timeout_ns = <uint64_t>connect_timeout_ms * 1000000
        self.read_timeout_ns = int((read_timeout or 0) * 1e9)
        self.heartbeat_ns = int(heartbeat_interval * 1e9)
        self.connection_count = min(connection_count, <int>SHARED_MAX)
        self.numbers_max = max_pending_requests
        self.owner = owner
        self.number = number
        self.address = str(address)
        put_text(self.text, sizeof(self.text), self.address)
        self.untold = True
        self.probe.fire = _on_probe
        self.probe.owner = <void *>self
        self.beat.fire = _on_beat
        self.beat.owner = <void *>self

    def watch(self):
        """It is a proxy, and only watched: node_changed tells when it goes and comes."""
        self.watching = True
        self.untold = False

    def on_linked(self):
        CassandraPool.on_linked(self)
        if self.heartbeat_ns:
            self.loop.set_timer(&self.beat, self.heartbeat_ns)
        if self.watching:
            self.try_again()

    cdef bint on_retire(self, bint force) noexcept nogil:
        self.loop.cancel_timer(&self.probe)
        self.loop.cancel_timer(&self.beat)
        return CassandraPool.on_retire(self, force)

    def settle(self, id, bint member, bint in_center, bint in_rack):
        """What the cluster says of it. One that is no member any more gets nothing new, and is let go."""
        cdef upstream_t *upstream = self.alive
        cdef upstream_t *following
        was = self.member
        self.id = id
        self.member = member
        self.in_center = in_center
        self.in_rack = in_rack
        self.gone = not member and not self.is_contact
        if self.gone:
            self.loop.cancel_timer(&self.probe)
        if was and not member:
            while upstream is not NULL:
                following = upstream.alive_next
                self.on_retired(upstream)
                upstream.role = ROLE_LEAVING
                self.numbered_retire(upstream)
                upstream = following

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef bint can(self) noexcept nogil:
        """Whether it may be sent something."""
        return self.member and not self.down

    cdef bint is_ready_for(self, cql_state_t *home, uint64_t number) noexcept nogil:
        """Whether a request could go at once. If not, a connection is on its way from now on."""
        cdef cql_state_t *state = self.owner.twin_of(home, self)
        cdef upstream_t  *upstream
        if state is NULL:
            return False
        upstream = self._shared(number, state)
        return upstream is not NULL and upstream.ready

    cdef bint take(self, request_t *request, cql_state_t *home, uint64_t number, uint8_t sink_state) noexcept nogil:
        """Takes over a request. False: there is no connection, or no room on it; it is still the caller's."""
        cdef cql_state_t *state = self.owner.twin_of(home, self)
        cdef upstream_t  *upstream
        if unlikely(state is NULL):
            return False
        upstream = self._shared(number, state)
        if unlikely(upstream is NULL):
            self.fall()
            return False
        request.sink_state = sink_state
        if unlikely(not self.numbered_send(upstream, request)):
            request.sink_state = 0
            self.over_pending += 1
            return False
        self.under_way += 1
        return True

    cdef void look_for_overdue(self, uint64_t before_ns) noexcept nogil:
        cdef upstream_t *upstream = self.alive
        while upstream is not NULL:
            if upstream.ready and upstream.pending and upstream.role == ROLE_SHARED and not upstream.stream.closed:
                self.numbered_overdue(upstream, before_ns)
            upstream = upstream.alive_next

    cdef request_t *on_overdue(self, upstream_t *upstream, request_t *request) noexcept nogil:
        return self.owner.overdue(self, upstream, request) if request.sink_state >= S_FIRST_FREE else NULL

    # ---- up -----------------------------------------------------------------------------------------------------

    cdef void on_finished(self, upstream_t *upstream, request_t *request) noexcept nogil:
        if likely(request.sink_state >= S_FIRST_FREE):
            self.under_way -= 1
            self.owner.answered(self, upstream, request)
        elif request.sink_state == S_GREETING:
            self._greeted(upstream, request)
        else:                                   # S_BEAT
            upstream.listed = 0
            if upstream.role == ROLE_ASK:
                self.loop.cancel_timer(&upstream.timer)
                if request.reply.size >= HEADER_SIZE and request.reply.data[4] != OP_ERROR:
                    self.talks = True
                    self.rise()
                if not self.watching:
                    self.numbered_retire(upstream)
            self.hub.request_free(request)

    cdef void complete(self, request_t *request) noexcept nogil:
        if unlikely(request.sink_state >= S_FIRST_FREE):    # half of its reply came, and no more will
            self.under_way -= 1
            request.sink_state = 0
        CassandraPool.complete(self, request)

    cdef bint on_request_lost(self, upstream_t *upstream, request_t *request, int error) noexcept nogil:
        if request.sink_state < S_FIRST_FREE:
            self.hub.request_free(request)
            return True
        self.under_way -= 1
        return self.owner.not_answered(self, upstream, request, error)

    cdef void on_retired(self, upstream_t *upstream) noexcept nogil:
        cdef cql_state_t *state = <cql_state_t *>upstream.state
        cdef uint32_t     index
        if upstream.role != ROLE_SHARED or state is NULL:
            return
        for index in range(self.connection_count):
            if state.shared[index] is upstream:
                state.shared[index] = NULL

    cdef void on_lost(self, upstream_t *upstream, int error) noexcept nogil:
        self.on_retired(upstream)
        if self.watching and upstream.connected and error != ETIMEDOUT:
            if not self.talks:
                self.rise()                     # it does not understand OPTIONS, but it is there
            self._probe_later()
        elif error == CLOSE_LOCAL or error == EACCES:
            pass                                # EACCES: a client is not welcome, but the server is there
        elif not upstream.connected or upstream.role == ROLE_ASK or not self._has_connection():
            self.fall()

    cdef bint _has_connection(self) noexcept nogil:
        cdef upstream_t *upstream = self.alive
        while upstream is not NULL:
            if upstream.ready and not upstream.stream.closed:
                return True
            upstream = upstream.alive_next
        return False

    cdef void tell_connect_failed(self, int error) noexcept nogil:
        """Once, until it is back or the reason is another one."""
        cdef char text[LOG_TEXT]
        if self.watching or (self.down and error == self.told_error):
            return
        self.told_error = error
        snprintf(text, sizeof(text), b"cannot connect to the node %s of %s: %.80s", self.text, self.label, self.reason(error))
        self.hub.log(LOG_WARNING, text)

    # ---- down and up again --------------------------------------------------------------------------------------

    cdef void fall(self) noexcept nogil:
        """It cannot be reached, or is silent."""
        cdef bint was = self.down
        self.down = True
        self.untold = False
        self._probe_later()
        if not was:
            self.owner.node_changed(self)

    cdef void rise(self) noexcept nogil:
        cdef bint was = self.down or self.untold
        self.down = False
        self.untold = False
        self.loop.cancel_timer(&self.probe)
        if was:
            self.owner.node_changed(self)

    cdef void _probe_later(self) noexcept nogil:
        cdef uint64_t pause_ns = self.retry_at_ns - self.loop.now if self.retry_at_ns > self.loop.now else PROBE_FIRST_NS
        if self.watching and not self.talks and not self.down:
            pause_ns = self.heartbeat_ns
        if self.probe.home is NULL and not self.gone:
            self.loop.set_timer(&self.probe, pause_ns)

    cdef void try_again(self) noexcept nogil:
        """A connection of its own, on which it is asked OPTIONS."""
        cdef upstream_t *upstream
        if not self.down and not (self.watching and not self._has_connection()):
            return
        upstream = self.upstream_open()
        if upstream is NULL:
            self._probe_later()
            return
        upstream.role = ROLE_ASK

    cdef void on_connected(self, upstream_t *upstream) noexcept nogil:
        CassandraPool.on_connected(self, upstream)
        if upstream.role == ROLE_ASK:
            if not self._ask_options(upstream, PROBE_VERSION):
                stream_close(&upstream.stream, CLOSE_LOCAL)
                self._probe_later()
            else:
                self.loop.cancel_timer(&upstream.timer)
                self.loop.set_timer(&upstream.timer, self.connect_timeout_ns)

    cdef void check_timeout(self, upstream_t *upstream) noexcept nogil:
        if upstream.role == ROLE_ASK:           # connected, and silent
            upstream.ready = 0
        CassandraPool.check_timeout(self, upstream)

    cdef void look(self) noexcept nogil:
        """The heart beats: connections that have fallen silent are closed."""
        self._beat(self.heartbeat_ns, PROBE_VERSION if self.watching else 0)
        self.loop.set_timer(&self.beat, self.heartbeat_ns)

    def samples(self):
        return [
            (name, labels | {"node": self.address} if "transform" in labels else labels, kind, value)
            for name, labels, kind, value in CassandraPool.samples(self)
            if name not in ("shotover_transform_total_count", "shotover_transform_latency_seconds",
                            "shotover_source_to_sink_latency_seconds")
        ] + [
            ("shotover_upstream_requests", {"chain": self.chain.name, "transform": self.type_name, "name": self.name,
                                            "node": self.address}, "gauge", self.under_way),
        ]
