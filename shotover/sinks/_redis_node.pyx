"""See _redis_node.pxd.

The breaker: a node that did not answer in time, or cannot be reached, is *down*. Then requests for it go back to the owner
at once, and only the node itself tries, with a PING after growing pauses, whether it is back. So a client's request is
never the probe.
"""

from libc.errno cimport ECONNREFUSED, ETIMEDOUT
from libc.string cimport memcmp, memcpy, memset, strlen

from shotover._codec.commands cimport CONDUCT_PLAIN, CONDUCT_SUBSCRIBE, CONDUCT_WATCH, ID_HELLO, command_t
from shotover._codec.resp cimport resp_frame_size
from shotover._core.debug cimport likely, unlikely
from shotover._core.request cimport WATCHED_BY_SINK, batch_clear, batch_pop, batch_t, request_own
from shotover._net.loop cimport CLOSE_LOCAL, stream_close
from shotover._proxy.retry cimport keeper_keep
from shotover._proxy.session cimport PAUSE_SINK, session_resume, session_slots
from shotover._proxy.step cimport put_text
from shotover._proxy.upstream cimport Sink
from shotover.sinks._redis_leases cimport (
    IN_WATCH,
    ROLE_LEAVING,
    SUBSCRIBED,
    S_BARRIER,
    S_GREETING,
    S_LEASED,
    S_NONE,
    S_PING,
    S_STATE,
    S_SUBSCRIBE,
    S_UNSUBSCRIBE_ALL,
)
from shotover.sinks._redis_state cimport FIELD_COUNT, state_fields
from shotover.sinks._redis_transaction cimport transaction_trim, transaction_void

cdef enum:
    PROBE_NS = 100000000        # after that long a node that was lost is tried again; then the back-off of connects counts


cdef const char *READONLY_WIRE = b"*1\r\n$8\r\nREADONLY\r\n"
cdef enum:
    READONLY_SIZE = 18


cdef void _on_probe(timer_t *timer) noexcept nogil:
    (<RedisNode>timer.owner).try_again()


cdef class NodesOwner(Step):

    cdef client_t *client_of(self, session_t *session) noexcept nogil:
        """What is known of the session, made if need be; NULL: no memory."""
        return NULL

    cdef bint make_room(self, client_t *client, uint32_t number) noexcept nogil:
        """Makes `places` reach to that node. False: no memory."""
        return False

    cdef bint refused(self, RedisNode node, request_t *request) noexcept nogil:
        """A request of a client has been answered by an error, which is in its reply. True: that is not the end of it,
        and it has been taken over."""
        return False

    cdef void returned(self, RedisNode node, request_t *request, int error) noexcept nogil:
        """It could not be sent. Takes it over."""
        pass

    cdef void before(self, RedisNode node, request_t *request, client_t *client) noexcept nogil:
        """The reply of a busy client's request is about to go up."""
        pass

    cdef void after(self, client_t *client) noexcept nogil:
        """... and has."""
        pass

    cdef void child_answered(self, RedisNode node, request_t *child) noexcept nogil:
        """A request whose tag is odd has its reply. Takes it over."""
        pass

    cdef void edit_reply(self, RedisNode node, request_t *request) noexcept nogil:
        """A request of which the owner had made another has its reply."""
        pass

    cdef void edit_hello(self, request_t *request) noexcept nogil:
        """HELLO has been answered."""
        pass

    cdef bint is_split(self, request_t *request) noexcept nogil:
        """It stands for several requests, whose replies are looked at one by one."""
        return False

    cdef void make_void(self, request_t *request) noexcept nogil:
        """Its reply becomes that to an EXEC whose watched keys have changed."""
        pass

    cdef void state_changed(self, RedisNode node, session_t *session, redis_state_t *state) noexcept nogil:
        pass

    cdef bint subscription_changed(self, RedisNode node, session_t *session, uint8_t kind, bint adds, const slice_t *name,
                                   bint asked) noexcept nogil:
        """A node says that a client has a subscription, or has it no more; `asked`: as the client wished. False: the client
        need not know."""
        return True

    cdef bint lost_subscriptions(self, RedisNode node, session_t *session) noexcept nogil:
        return False

    cdef void subscribing_failed(self, RedisNode node, session_t *session) noexcept nogil:
        """What `subscribe` has sent was refused."""
        pass

    cdef void free_subscriptions(self, client_t *client) noexcept nogil:
        pass

    cdef void node_lost(self, RedisNode node, int error) noexcept nogil:
        pass

    cdef void node_back(self, RedisNode node) noexcept nogil:
        pass

    cdef void on_topology(self, RedisNode node, request_t *answer) noexcept nogil:
        """The answer to a question of its own; it stays the node's."""
        pass

    cdef void no_topology(self, RedisNode node) noexcept nogil:
        """... which will not be answered."""
        pass


cdef class RedisNode(RedisSinkSingle):

    def __init__(self, context, NodesOwner owner, int number, address, *, bint readonly=False, **options):
        RedisSinkSingle.__init__(self, context, remote_address=address, **options)
        self.owner = owner
        self.number = number
        self.readonly = readonly
        self.address = str(address)
        self.probe.fire = _on_probe
        self.probe.owner = <void *>self

    def on_linked(self):
        RedisSinkSingle.on_linked(self)
        put_text(self.place, sizeof(self.place), f"chain {self.chain.name}, {self.type_name}, node {self.number + 1}")

    cdef bint on_retire(self, bint force) noexcept nogil:
        self.loop.cancel_timer(&self.probe)
        return RedisSinkSingle.on_retire(self, force)

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef void take(self, request_t *request, client_t *client) noexcept nogil:
        """Takes over a request of the client: sends it, or gives it back to the owner. The client has a place here."""
        cdef:
            place_t         *place = &client.places[self.number]
            redis_session_t *rs = place.rs
        place.sent += 1
        client.under_way += 1
        if likely(request.tags[self.owner.tag] is NULL):        # else it is a child, and that tells whose
            request.tags[self.owner.tag] = client
        if unlikely(self.down):
            self.unreachable(request, self.connect_error)
            return
        keeper_keep(&self.keeper, request)
        if unlikely(request.owner is NULL) and not request_own(&self.loop.pool, request):
            self.fail(request, b"no memory")
        elif likely(rs is NULL and client.state is NULL and request.conduct == CONDUCT_PLAIN
                    and request.command is not NULL):
            self._send_shared(request, client.session, self.fresh)
        else:
            self.route(request, client.session, rs)

    cdef void unreachable(self, request_t *request, int error) noexcept nogil:
        if request.tags[self.owner.tag] is NULL:
            RedisSinkSingle.unreachable(self, request, error)
        else:
            self.owner.returned(self, request, error if error else ECONNREFUSED)

    cdef void retry(self, request_t *request) noexcept nogil:
        """A read on a connection that was lost: by now it may belong elsewhere."""
        if request.tags[self.owner.tag] is NULL:
            RedisSinkSingle.retry(self, request)
        else:
            self.owner.returned(self, request, 0)

    cdef void take_asking(self, request_t *request, client_t *client) noexcept nogil:
        """As `take`, for a plain request whose key is on its way here: ASKING goes before it on the same connection."""
        cdef:
            place_t         *place = &client.places[self.number]
            redis_session_t *rs = place.rs
            upstream_t      *upstream
            request_t       *asking
        place.sent += 1
        client.under_way += 1
        if request.tags[self.owner.tag] is NULL:
            request.tags[self.owner.tag] = client
        if client.session is not NULL and client.state is not NULL:
            rs = self._session_of(client.session)
            if rs is NULL:
                self.fail(request, b"no memory")
                return
        if rs is not NULL and rs.lease is not NULL:
            upstream = rs.lease
        else:
            upstream = self._shared(client.session, self.fresh if rs is NULL else rs.state)
        asking = self._own_request(b"*1\r\n$6\r\nASKING\r\n", 16) if upstream is not NULL and not self.down else NULL
        if asking is NULL:
            self.unreachable(request, self.connect_error)
            return
        asking.sink_state = S_PING
        asking.discard = 1
        self.upstream_send(upstream, asking)
        if rs is not NULL and rs.lease is not NULL:
            request.sink_state = S_LEASED
        self.upstream_send(upstream, request)

    cdef void unwatch(self, session_t *session) noexcept nogil:
        """The session's transaction is over without a node having heard of it: its watch ends with it."""
        cdef:
            redis_session_t *rs = self._find(session)
            request_t       *request
        if rs is NULL or rs.lease is NULL or not rs.reasons & IN_WATCH:
            return
        request = self._own_request(b"*1\r\n$7\r\nUNWATCH\r\n", 17)
        if request is NULL:
            return                              # the next EXEC may be void for it
        rs.reasons &= ~<uint32_t>IN_WATCH
        request.sink_state = S_PING
        request.discard = 1
        self.upstream_send(rs.lease, request)

    # ---- up -----------------------------------------------------------------------------------------------------

    cdef void complete(self, request_t *request) noexcept nogil:
        cdef:
            void     *tag = request.tags[self.owner.tag]
            client_t *client
        if tag is NULL:
            Sink.complete(self, request)
            return
        if unlikely(request.watched & WATCHED_BY_SINK):
            request.watched &= ~<uint8_t>WATCHED_BY_SINK
            if self._looked_at(request):
                return
        if <size_t>tag & 1:
            self.owner.child_answered(self, request)
            return
        client = <client_t *>tag
        request.tags[self.owner.tag] = NULL
        client.places[self.number].done += 1
        client.under_way -= 1
        if likely(client.busy == 0):
            Sink.complete(self, request)
        else:
            if request.conduct == CONDUCT_WATCH and not request.failed and request.reply.size == 0:
                client.watching += 1
            self.owner.before(self, request, client)
            Sink.complete(self, request)
            self.owner.after(client)

    cdef bint _looked_at(self, request_t *request) noexcept nogil:
        """A whole transaction, or one that was answered by an error. True: the owner has taken it over."""
        cdef:
            redis_session_t *rs
            bint             void = False
        if request.made == MADE_WHOLE:
            void = transaction_trim(request)
        elif request.made:
            self.owner.edit_reply(self, request)
        if request.reply.size == 0 or request.reply.data[0] != b'-':
            return False
        if request.conduct == CONDUCT_WATCH and request.queued:
            rs = self._find(<session_t *>request.session)
            if rs is not NULL and (<client_t *>request.tags[self.owner.tag]).watching == 0:
                rs.reasons &= ~<uint32_t>IN_WATCH       # it watches nothing
        if request.attempts == BOUND:
            if _is_elsewhere(&request.reply):
                self.owner.make_void(request)           # the watch ends here, and elsewhere there is none
                return False
        elif not self.owner.is_split(request) and self.owner.refused(self, request):
            return True
        if void:
            transaction_void(&self.loop.pool, request)
        return False

    cdef void on_error_reply(self, upstream_t *upstream, request_t *request, const uint8_t *reply, size_t size) noexcept nogil:
        cdef redis_session_t *rs
        if _is_own_subscribe(request, self.owner.tag):
            request.failed = 1
        elif request.tags[self.owner.tag] is not NULL and request.sink_state != S_STATE:
            request.watched |= WATCHED_BY_SINK
            if request.sink_state == S_NONE:
                request.sink_state = S_CHECK        # else the node's own business comes first; `complete` looks again
        if request.made == MADE_WHOLE:
            return                                  # MULTI and EXEC are both in it: nothing can be left open
        RedisSinkSingle.on_error_reply(self, upstream, request, reply, size)
        if S_SUBSCRIBE <= request.sink_state <= S_UNSUBSCRIBE_ALL and upstream.tenant is not NULL:
            rs = self._find(upstream.tenant)
            if rs.channels + rs.patterns + rs.shard_channels == 0:
                rs.reasons &= ~<uint32_t>SUBSCRIBED     # it was the only one that this connection had

    cdef void on_finished(self, upstream_t *upstream, request_t *request) noexcept nogil:
        if request.sink_state == S_CHECK:
            request.sink_state = S_NONE
            self.complete(request)
        elif _is_own_subscribe(request, self.owner.tag):
            self._subscribed(upstream, request)
        elif request.sink_state == S_STATE and (<const command_t *>request.command).id == ID_HELLO:
            self.owner.edit_hello(request)
            RedisSinkSingle.on_finished(self, upstream, request)
        elif request.sink_state == S_TOPOLOGY:
            self.owner.on_topology(self, request)
            self.hub.request_free(request)
        elif request.sink_state == S_PROBE:
            self._answered_probe(request)
        elif request.sink_state == S_TIMING:
            self._note_time(self.loop.now - request.arrived_ns)
            self.hub.request_free(request)
        else:
            RedisSinkSingle.on_finished(self, upstream, request)

    cdef bint on_request_lost(self, request_t *request) noexcept nogil:
        if request.sink_state == S_TOPOLOGY:
            self.hub.request_free(request)
            self.owner.no_topology(self)
            return True
        if request.sink_state == S_PROBE:
            self.hub.request_free(request)
            self._probe_later()
            return True
        if request.sink_state == S_TIMING or _is_own_subscribe(request, self.owner.tag):
            self.hub.request_free(request)
            return True
        if request.sink_state == S_CHECK:
            request.sink_state = S_NONE             # cut in the middle of an error
        if request.sink_state == S_BARRIER:
            self._barrier_lost(<redis_session_t *>request.tags[0])
            self.hub.request_free(request)
            return True
        return RedisSinkSingle.on_request_lost(self, request)

    cdef void _barrier_lost(self, redis_session_t *rs) noexcept nogil:
        """What the client had sent ahead may be sent again: what waits for that goes back to the owner, behind it."""
        cdef:
            request_t *request
            batch_t    waiting
        if rs is NULL:
            return
        rs.barrier = NULL
        waiting = rs.waiting
        batch_clear(&rs.waiting)
        session_resume(rs.session, PAUSE_SINK)
        while waiting.head is not NULL:
            request = batch_pop(&waiting)
            self.owner.returned(self, request, 0)

    cdef void fail(self, request_t *request, const char *text) noexcept nogil:
        if request.made == MADE_WHOLE and request.left > 1:
            request.left = 1                        # a whole transaction: one answer is owed
        RedisSinkSingle.fail(self, request, text)

    # ---- state --------------------------------------------------------------------------------------------------

    cdef redis_session_t *_find(self, session_t *session) noexcept nogil:
        cdef client_t *client = <client_t *>session_slots(session)[self.owner.slot]
        if client is NULL or self.number >= client.place_count:
            return NULL
        return client.places[self.number].rs

    cdef void **_place(self, session_t *session) noexcept nogil:
        cdef client_t *client = self.owner.client_of(session)
        if client is NULL or not self.owner.make_room(client, self.number):
            return NULL
        return <void **>&client.places[self.number].rs

    cdef redis_state_t *_state_at_first(self, session_t *session) noexcept nogil:
        cdef:
            client_t *client = self.owner.client_of(session)
            slice_t   fields[FIELD_COUNT]
        if client is NULL or client.state is NULL:
            return self.fresh
        state_fields(client.state, fields)
        return self._state_for(fields)

    cdef void _set_state(self, redis_session_t *rs, redis_state_t *state) noexcept nogil:
        RedisSinkSingle._set_state(self, rs, state)
        self.owner.state_changed(self, rs.session, state)

    cdef void follow_state(self, redis_session_t *rs, slice_t *fields) noexcept nogil:
        """Another node has accepted a new state of this session; nothing of it is under way here."""
        cdef:
            redis_state_t *state
            redis_state_t *old = rs.state
        state = self._state_for(fields)
        if state is NULL:
            self.up.on_leave(rs.session)    # no memory
            return
        if rs.lease is not NULL:
            self._part(rs, state is self.fresh)
        if state is old:
            return
        state.users += 1
        rs.state = state
        self._drop_state_user(old)
        self._forget(rs.session)

    # ---- subscriptions ------------------------------------------------------------------------------------------

    cdef bint subscription_changed(self, redis_session_t *rs, uint8_t kind, bint adds, const slice_t *name,
                                   bint asked) noexcept nogil:
        return self.owner.subscription_changed(self, rs.session, kind, adds, name, asked)

    cdef bint subscribe(self, session_t *session, request_t *request) noexcept nogil:
        """Takes over a SUBSCRIBE of the proxy's own, on a lease of the session, and keeps the answers to itself. False: there
        is no lease to be had; the request is gone."""
        cdef redis_session_t *rs = self._session_of(session)
        if rs is NULL or (rs.lease is NULL and not self._take_lease(rs, CONDUCT_SUBSCRIBE)):
            self.hub.request_free(request)
            return False
        rs.reasons |= SUBSCRIBED
        rs.lease.frame_soon = 1
        request.sink_state = S_SUBSCRIBE
        request.discard = 1
        self.upstream_send(rs.lease, request)
        return True

    cdef bint _lost_subscriber(self, upstream_t *upstream, int error) noexcept nogil:
        """Whether the tenant of a lease that is lost had nothing there but subscriptions, which are now had elsewhere.

        What else waited for a connection that never came about has not been sent, and goes back to the owner.
        """
        cdef:
            redis_session_t *rs
            request_t       *request = upstream.head
        if upstream.tenant is NULL or error == CLOSE_LOCAL:
            return False
        rs = self._find(upstream.tenant)
        if rs is NULL or rs.reasons != SUBSCRIBED:
            return False
        while request is not NULL and upstream.ready:
            if request.sink_state != S_GREETING and not _is_own_subscribe(request, self.owner.tag):
                return False
            request = request.next
        if not self.owner.lost_subscriptions(self, upstream.tenant):
            return False
        rs.reasons = 0
        rs.channels = 0
        rs.patterns = 0
        rs.shard_channels = 0
        return True

    cdef void _subscribed(self, upstream_t *upstream, request_t *request) noexcept nogil:
        cdef:
            redis_session_t *rs = NULL if upstream.tenant is NULL else self._find(upstream.tenant)
            bint             failed = request.failed
        self.hub.request_free(request)
        if rs is NULL:
            return
        if failed:
            if rs.channels + rs.patterns + rs.shard_channels == 0:
                rs.reasons &= ~<uint32_t>SUBSCRIBED
            self.owner.subscribing_failed(self, rs.session)
        self._try_release(rs)

    # ---- scripts ------------------------------------------------------------------------------------------------

    cdef bint knows_script(self, const slice_t *sha) noexcept nogil:
        """Whether EVALSHA of it has been seen to work here, since the node was last lost."""
        cdef uint64_t mark = _mark(sha)
        return mark != 0 and self.scripts[mark % SCRIPTS_KNOWN] == mark

    cdef void note_script(self, const slice_t *sha) noexcept nogil:
        cdef uint64_t mark = _mark(sha)
        self.scripts[mark % SCRIPTS_KNOWN] = mark

    cdef void forget_scripts(self) noexcept nogil:
        memset(self.scripts, 0, sizeof(self.scripts))

    cdef void _part(self, redis_session_t *rs, bint was_reset) noexcept nogil:
        """Its lease is in a state that the session has left."""
        cdef upstream_t *upstream = rs.lease
        if rs.reasons and not was_reset:
            stream_close(&upstream.stream, CLOSE_LOCAL)     # what it is kept for cannot be had any more: on_lost tells the client
            return
        rs.lease = NULL
        upstream.tenant = NULL
        upstream.role = ROLE_LEAVING
        self._wake(upstream)
        if rs.reasons or upstream.head is NULL:
            stream_close(&upstream.stream, CLOSE_LOCAL)     # else when it has answered what is under way (UNWATCH)
        rs.reasons = 0
        rs.channels = 0
        rs.patterns = 0
        rs.shard_channels = 0

    # ---- the breaker --------------------------------------------------------------------------------------------

    cdef void on_lost(self, upstream_t *upstream, int error) noexcept nogil:
        self._lost_subscriber(upstream, error)
        RedisSinkSingle.on_lost(self, upstream, error)
        if error == CLOSE_LOCAL:
            return
        self.forget_scripts()
        if not self.down and (error == ETIMEDOUT or not upstream.connected):
            self.down = True
            self.down_ns = self.loop.now
            self.connect_error = error
            self._probe_later()
        self.owner.node_lost(self, error)

    cdef void _probe_later(self) noexcept nogil:
        cdef uint64_t delay = PROBE_NS
        if self.retry_at_ns > self.loop.now + delay:
            delay = self.retry_at_ns - self.loop.now
        if self.down and self.probe.home is NULL:
            self.loop.set_timer(&self.probe, delay)

    cdef void try_again(self) noexcept nogil:
        if not self.ask(self.fresh, b"*1\r\n$4\r\nPING\r\n", 14, S_PROBE):
            self._probe_later()

    cdef void _answered_probe(self, request_t *request) noexcept nogil:
        cdef bint loading = request.reply.size > 8 and request.reply.data[0] == b'-' and request.reply.data[1] == b'L'
        self.hub.request_free(request)
        if loading:
            self._probe_later()
        else:
            self.down = False
            self.connect_error = 0
            self.owner.node_back(self)

    cdef void time(self) noexcept nogil:
        self.ask(self.fresh, b"*1\r\n$4\r\nPING\r\n", 14, S_TIMING)

    cdef void _note_time(self, uint64_t taken_ns) noexcept nogil:
        self.round_trip_ns = taken_ns if self.round_trip_ns == 0 else (3 * self.round_trip_ns + taken_ns) // 4

    cdef void on_connected(self, upstream_t *upstream) noexcept nogil:
        """With READONLY behind what else there is to say, in the same write; masters do not mind."""
        cdef:
            redis_state_t *state = <redis_state_t *>upstream.state
            request_t     *greeting
        if not self.readonly:
            RedisSinkSingle.on_connected(self, upstream)
            return
        greeting = self._own_request(b"", state.greeting_size + READONLY_SIZE)
        if greeting is NULL:
            stream_close(&upstream.stream, CLOSE_LOCAL)
            return
        memcpy(greeting.wire.data, state.greeting, state.greeting_size)
        memcpy(greeting.wire.data + state.greeting_size, READONLY_WIRE, READONLY_SIZE)
        greeting.count = state.greeting_count + 1
        greeting.left = greeting.count
        greeting.watched = WATCHED_BY_SINK
        greeting.sink_state = S_GREETING
        self.upstream_greet(upstream, greeting)

    cdef void _greeted(self, upstream_t *upstream, request_t *greeting) noexcept nogil:
        """What is said to READONLY does not matter: before a login it is refused, and so is all else."""
        cdef:
            uint8_t *at = greeting.reply.data
            uint8_t *end = at + greeting.reply.size
            uint8_t *last = at
            size_t   size
        while self.readonly and at < end:
            size = resp_frame_size(at, end)
            if size == 0:
                break
            last = at
            at += size
        if self.readonly:
            greeting.reply.size = <size_t>(last - greeting.reply.data)
        RedisSinkSingle._greeted(self, upstream, greeting)

    cdef bint ask(self, redis_state_t *state, const char *wire, size_t size, uint8_t sink_state) noexcept nogil:
        """A question of the proxy's own on the shared connection of `state`. False: it cannot be sent now."""
        cdef:
            upstream_t *upstream = self._shared(NULL, state)
            request_t  *request = self._own_request(wire, size) if upstream is not NULL else NULL
        if request is NULL:
            return False
        request.sink_state = sink_state
        request.watched = WATCHED_BY_SINK
        self.upstream_send(upstream, request)
        return True

    def samples(self):
        return [
            (name, labels | {"node": self.address} if "transform" in labels else labels, kind, value)
            for name, labels, kind, value in RedisSinkSingle.samples(self)
            if name not in ("shotover_transform_total_count", "shotover_transform_latency_seconds",
                            "shotover_source_to_sink_latency_seconds")
        ]


cdef inline uint64_t _mark(const slice_t *sha) noexcept nogil:
    """The first eight bytes of its hex digits, in either case."""
    cdef uint64_t mark = 0
    if sha.size == 40:
        memcpy(&mark, sha.data, 8)
    return mark | 0x2020202020202020u if mark else 0


cdef inline bint _is_own_subscribe(request_t *request, int tag) noexcept nogil:
    """Not a client's that has left: such a one has a client in its tag."""
    return request.sink_state == S_SUBSCRIBE and request.discard and request.tags[tag] is NULL


cdef bint _is_elsewhere(slice_t *reply) noexcept nogil:
    """A refusal that says nothing about the request but where, or when, it could be carried out."""
    cdef:
        const char *words[7]
        size_t      size
        int         index
    words[:] = [b"-MOVED ", b"-ASK ", b"-TRYAGAIN", b"-CLUSTERDOWN", b"-LOADING", b"-MASTERDOWN", b"-READONLY"]
    for index in range(7):
        size = strlen(words[index])
        if reply.size >= size and memcmp(reply.data, words[index], size) == 0:
            return True
    return False
