"""See _cassandra_control.pxd."""

from libc.errno cimport EACCES, ETIMEDOUT, EUSERS
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from shotover._codec.cql.frame cimport (
    ERROR_PROTOCOL,
    HEADER_SIZE,
    IS_REPLY,
    OP_AUTHENTICATE,
    OP_ERROR,
    OP_EVENT,
    OP_QUERY,
    OP_READY,
    OP_RESULT,
    frame_head,
    read_int,
    slice_is,
)
from shotover._codec.cql.messages cimport cql_prefix_read, cql_prefix_t
from shotover._codec.cql.results cimport cql_event_read, cql_event_t
from shotover._codec.cql.ring cimport NO_SERVER, Ring
from shotover._core.request cimport (
    WATCHED_BY_SINK,
    batch_append,
    batch_clear,
    batch_pop,
    batch_push,
    request_own,
)
from shotover._core.slice cimport slice_t
from shotover._net.address import resolve
from shotover._net.loop cimport CLOSE_LOCAL, stream_close
from shotover._proxy.session cimport session_slots, session_t
from shotover._proxy.step cimport LOG_INFO, LOG_TEXT, LOG_WARNING, list_item, list_size
from shotover.sinks._cassandra_pool cimport (
    FIELD_AUTH,
    FIELD_COUNT,
    FIELD_STARTUP,
    ROLE_CONTROL,
    S_BEAT,
    S_GREETING,
    S_OPTIONS,
    S_STARTUP,
    cql_state_t,
    state_fields,
)
from shotover.sinks._cassandra_single cimport (
    EVENT_SCHEMA,
    EVENT_STATUS,
    EVENT_TOPOLOGY,
    VERSIONS,
    CassandraSinkSingle,
)
from shotover.sinks import cassandra_view

cdef enum:
    HOPS_MAX = 32               # servers that one handshake is tried at
    S_QUESTION = 15             # request_t.sink_state: the sink's own, about the cluster; `made` says which
    TICK_NS = 500000000
    TICK_SOON_NS = 50000000     # ... while a request waits for the servers to agree
    AGREE_NS = 1500000000       # so long that one waits; drivers ask again, but not for ever
    CHANGING_NS = 10000000000   # after that a disagreement is not that of a change
    AGAIN_NS = 100000000        # between two tries to have a control connection, and as much again by chance
    TOLD_NS = 10000000000
    HELD_NS = 10000000000       # so long a request waits for what the cluster says of itself
    SETTLED_NS = 1000000000     # servers tell of a change before all of them know it: they are asked again after that
    PAGE_SIZE = 2000
    LOCAL_ONE = 10
    EVENT_ROOM = 128

cdef const char *STARTUP = b"\0\2\0\x0bCQL_VERSION\0\x053.0.0\0\x0bDRIVER_NAME\0\x08shotover"
cdef enum:
    STARTUP_SIZE = 45


cdef void _on_tick(timer_t *timer) noexcept nogil:
    (<CassandraControl>timer.owner).on_tick()


cdef int _rank_as_home(CassandraNode node) noexcept nogil:
    """The more, the better; below 0: not at all."""
    if node.down:
        return -1
    return 1 + 2 * node.in_center + 4 * node.in_rack if node.member else 0


cdef class CassandraControl(NodesOwner):

    def __init__(self, context, *, list contact_points, list proxies, int own, username, password, float refresh_interval,
                 float heartbeat_interval, float peers_interval, bint remote, dict options):
        self.context = context
        self.options = {**options, "heartbeat_interval": heartbeat_interval}
        self.node_list = []
        self.numbers = {}
        self.proxies = proxies
        self.own = own
        self.remote = remote
        self.control_version = 4
        self.refresh_ns = int(refresh_interval * 1e9)
        self.heartbeat_ns = int(heartbeat_interval * 1e9)
        self.keyspaces = {}
        self.tables = {}
        self.answers = []
        if password is not None:
            token = b"\0" + (username or "").encode() + b"\0" + password.encode()
            self._log_in(len(token).to_bytes(4, "big") + token)
            self.auth_is_own = True
        refused = None
        for address in contact_points:
            try:
                (<CassandraNode>self.node_list[self.number_of(address)]).is_contact = True
            except OSError as error:
                refused = error
        if not self.node_list:
            raise refused
        CassandraSinkSingle.__init__(self, context, name=self.name, remote_address=self.node_list[0].endpoint, **options)
        self._go_home(0)
        self.watched = []
        for index, proxy in enumerate(proxies):
            if index != own and str(proxy.endpoint) != str(proxies[own].endpoint):
                node = CassandraNode(context, self, index, proxy.endpoint,
                                     **{**self.options, "heartbeat_interval": peers_interval, "tls": None})
                node.watch()
                self.watched.append(node)
        self.tick.fire = _on_tick
        self.tick.owner = <void *>self

    def _log_in(self, bytes body):
        if len(body) > FIELD_SIZE_MAX:
            raise ValueError("username and password are too long")
        memcpy(self.auth, <const char *>body, len(body))
        self.auth_size = len(body)

    def on_linked(self):
        CassandraSinkSingle.on_linked(self)
        for node in self.node_list + self.watched:
            node.link(self.chain, self.index, None, self)
        self.loop.set_timer(&self.tick, 1)

    cdef bint on_retire(self, bint force) noexcept nogil:
        cdef Py_ssize_t index
        cdef bint done
        self.loop.cancel_timer(&self.tick)
        done = NodesOwner.on_retire(self, force)
        for index in range(list_size(self.node_list)):
            done = (<CassandraNode>list_item(self.node_list, index)).on_retire(force) and done
        for index in range(list_size(self.watched)):
            done = (<CassandraNode>list_item(self.watched, index)).on_retire(force) and done
        return done

    def number_of(self, endpoint):
        """The number of the node there, made if need be. OSError: its name cannot be resolved."""
        cdef:
            CassandraNode node
            void        **nodes
        key = resolve(endpoint.host, endpoint.port, endpoint.path)
        number = self.numbers.get(key)
        if number is not None:
            return number
        if self.node_count >= NO_SERVER:
            raise OSError(0, "too many servers")
        node = CassandraNode(self.context, self, self.node_count, endpoint, **self.options)
        node.endpoint = endpoint
        nodes = <void **>realloc(self.nodes, (self.node_count + 1) * sizeof(void *))
        if nodes is NULL:
            raise MemoryError()
        self.nodes = nodes
        nodes[self.node_count] = <void *>node
        self.node_count += 1
        self.node_list.append(node)
        self.numbers[key] = node.number
        if self.chain is not None:
            node.link(self.chain, self.index, None, self)
        return node.number

    # ---- home ---------------------------------------------------------------------------------------------------

    cdef void _go_home(self, uint32_t number) noexcept nogil:
        self.home = number
        self._lead_to(<CassandraNode>self.nodes[number])

    cdef void _lead_to(self, CassandraNode node) noexcept nogil:
        self.family = node.family
        self.address_size = node.address_size
        memcpy(self.address_bytes, node.address_bytes, node.address_size)
        if self.tls is not None:
            self.tls.name_server(node.tls.server_name)
        self.retry_at_ns = 0
        self.backoff_ns = 0

    cdef void _hop(self) noexcept nogil:
        """Home is lost: the best of those that are not is the next. If there is none it stays, and the pauses between tries
        grow as before one server."""
        cdef:
            uint32_t step, number
            uint32_t best = self.home
            int      rank, best_rank = -1
        for step in range(1, self.node_count):
            number = (self.home + step) % self.node_count
            rank = _rank_as_home(<CassandraNode>self.nodes[number])
            if rank > best_rank:
                best = number
                best_rank = rank
        if best_rank >= 0:
            self._go_home(best)

    cdef void _move_home(self) noexcept nogil:
        """To a server of this rack, should home be none and one be there."""
        cdef:
            uint32_t number
            int      rank = _rank_as_home(<CassandraNode>self.nodes[self.home])
        for number in range(self.node_count if self.known else 0):
            if _rank_as_home(<CassandraNode>self.nodes[number]) > rank:
                self._go_home(number)
                return

    cdef void tell_connect_failed(self, int error) noexcept nogil:
        pass                                    # the node that it is does so

    cdef upstream_t *upstream_open(self) noexcept nogil:
        """A connection to home, wherever that is now."""
        cdef:
            upstream_t *upstream = NULL
            uint32_t    _
        for _ in range(self.node_count):
            upstream = CassandraSinkSingle.upstream_open(self)
            if upstream is not NULL or self.connect_error == EUSERS:
                break
            (<CassandraNode>self.nodes[self.home]).fall()
            self._hop()
        if upstream is not NULL:
            upstream.place = self.home
        return upstream

    # ---- the control connection ---------------------------------------------------------------------------------

    cdef bint _open_control(self) noexcept nogil:
        cdef:
            slice_t      fields[FIELD_COUNT]
            cql_state_t *state
        memset(fields, 0, sizeof(fields))
        fields[FIELD_STARTUP].data = <uint8_t *>STARTUP
        fields[FIELD_STARTUP].size = STARTUP_SIZE
        fields[FIELD_AUTH].data = self.auth
        fields[FIELD_AUTH].size = self.auth_size
        self.control_due_ns = self.loop.now + AGAIN_NS + self.random % <uint64_t>AGAIN_NS
        state = self._state_for(self.control_version, fields)
        if state is NULL:
            return False
        self.control = self.upstream_open()
        if self.control is NULL:
            self._leave_state(state)
            return False
        self.control.role = ROLE_CONTROL
        self.control.state = state
        return True

    cdef void _opened(self, upstream_t *upstream) noexcept nogil:
        CassandraSinkSingle._opened(self, upstream)
        if upstream.role == ROLE_CONTROL:
            self._ask_events(upstream)

    cdef void _registered(self, upstream_t *upstream, request_t *request) noexcept nogil:
        cdef bint good = request.reply.size >= HEADER_SIZE and request.reply.data[4] == OP_READY
        if upstream.role != ROLE_CONTROL:
            CassandraSinkSingle._registered(self, upstream, request)
            return
        self.loop.cancel_timer(&upstream.timer)
        self.hub.request_free(request)
        if not good:
            stream_close(&upstream.stream, EACCES)
            return
        self.control_ready = True
        (<CassandraNode>self.nodes[self.home]).rise()
        self.want(ASK_RING | ASK_SCHEMA)

    cdef void _come_in(self, upstream_t *upstream, cql_session_t *cs) noexcept nogil:
        """A client is through its handshake: where the servers ask for logins and the sink has none, its own may be used to
        ask what the ring is."""
        cdef slice_t fields[FIELD_COUNT]
        if self.locked and not self.auth_size:
            state_fields(cs.state, fields)
            if fields[FIELD_AUTH].size:
                memcpy(self.auth, fields[FIELD_AUTH].data, fields[FIELD_AUTH].size)
                self.auth_size = fields[FIELD_AUTH].size
                self.locked = False
                if self.control is NULL:
                    self._open_control()
        CassandraSinkSingle._come_in(self, upstream, cs)

    cdef void _startup(self, request_t *request, cql_session_t *cs) noexcept nogil:
        request_own(&self.loop.pool, request)       # it may have to be said to another server
        CassandraSinkSingle._startup(self, request, cs)

    cdef void _options(self, request_t *request) noexcept nogil:
        if self.supported[request.version] is NULL:
            request_own(&self.loop.pool, request)
        CassandraSinkSingle._options(self, request)

    cdef void on_finished(self, upstream_t *upstream, request_t *request) noexcept nogil:
        if request.sink_state == S_BEAT:
            upstream.listed = 0
            self.hub.request_free(request)
            return
        if request.sink_state == S_QUESTION:
            self._told(upstream, request)
            return
        if request.sink_state == S_GREETING and upstream is self.control and request.reply.size >= HEADER_SIZE + 4:
            if request.reply.data[4] == OP_AUTHENTICATE and self.auth_size == 0:
                self.locked = True
            elif request.reply.data[4] == OP_ERROR and read_int(request.reply.data + HEADER_SIZE) == ERROR_PROTOCOL \
                    and self.control_version > 3:
                self.control_version -= 1       # an old one
                self.control_due_ns = 0
        CassandraSinkSingle.on_finished(self, upstream, request)

    cdef bint on_request_lost(self, upstream_t *upstream, request_t *request, int error) noexcept nogil:
        cdef session_t *session
        if request.sink_state == S_BEAT or request.sink_state == S_QUESTION:
            self.hub.request_free(request)
            return True
        if (request.sink_state == S_STARTUP or request.sink_state == S_OPTIONS) and request.queued \
                and request.owner is not NULL \
                and request.attempts < min(self.node_count, <uint32_t>HOPS_MAX):
            session = <session_t *>request.session      # home is lost, and is another one now
            request.attempts += 1
            request.sink_state = 0
            request.watched &= ~<uint8_t>WATCHED_BY_SINK
            self._other(request, session, <cql_session_t *>session_slots(session)[self.slot])
            return True
        return CassandraSinkSingle.on_request_lost(self, upstream, request, error)

    cdef void on_lost(self, upstream_t *upstream, int error) noexcept nogil:
        cdef cql_state_t *state
        cdef bint         control = upstream is self.control
        if control:
            state = <cql_state_t *>upstream.state
            self.control = NULL
            self.control_ready = False
            self.events_missed = self.known
            upstream.state = NULL
            if state is not NULL:
                self._leave_state(state)
            self._not_told()
            if error == EACCES and not self.locked:
                self._refused()
        if error != CLOSE_LOCAL and error != EACCES and upstream.place == self.home and (control or not upstream.connected):
            (<CassandraNode>self.nodes[self.home]).fall()
            self._hop()
        if control and error == ETIMEDOUT:
            self._close_silent(upstream.place)
        if control and not self.locked:
            self.control_due_ns = min(self.control_due_ns, self.loop.now + self.random % <uint64_t>AGAIN_NS)
        CassandraSinkSingle.on_lost(self, upstream, error)

    cdef void _close_silent(self, uint32_t place) noexcept nogil:
        """A server says nothing: who shakes hands with it, or says USE, shall not wait."""
        cdef upstream_t *upstream = self.alive
        while upstream is not NULL:
            if upstream.place == place and not upstream.stream.closed:
                stream_close(&upstream.stream, ETIMEDOUT)
            upstream = upstream.alive_next

    cdef void _refused(self) noexcept nogil:
        """The servers will not have the control connection's login."""
        cdef char text[LOG_TEXT]
        if not self.auth_is_own:
            self.auth_size = 0                  # the next client's may be better
            self.locked = True
        elif self.loop.now >= self.told_ns:
            self.told_ns = self.loop.now + TOLD_NS
            snprintf(text, sizeof(text), b"%s: the cluster cannot be asked who is in it: %.100s", self.label, self.refusal)
            self.hub.log(LOG_WARNING, text)

    cdef void on_tick(self) noexcept nogil:
        cdef:
            batch_t    batch
            request_t *request
        if self.control is NULL and not self.locked and self.loop.now >= self.control_due_ns:
            self._open_control()
        if self.loop.now >= self.refresh_due_ns and self.control_ready:
            self.want(ASK_RING | ASK_SCHEMA)
        if self.heartbeat_ns and self.loop.now >= self.beat_due_ns:
            self.beat_due_ns = self.loop.now + self.heartbeat_ns
            self._beat(self.heartbeat_ns, 0)
        self._move_home()
        batch = self.held_next
        batch_clear(&self.held_next)
        while batch.head is not NULL:
            request = batch_pop(&batch)
            if self.loop.now - request.arrived_ns < HELD_NS:
                batch_push(&self.held_next, request)
            else:
                self._refuse(request, b"ERR", b"shotover: the cluster has not said who is in it; if it asks for a login, the "
                                              b"sink needs username and password, or a client that logs in by PLAIN")
        if self.held_next.head is not NULL:
            self.want(ASK_RING)
        self.loop.set_timer(&self.tick, TICK_NS)

    # ---- questions ----------------------------------------------------------------------------------------------

    cdef void want(self, uint8_t what) noexcept nogil:
        """Has the cluster asked, now or when what is under way has been answered."""
        self.wanted |= what
        self._ask()

    cdef void hold(self, request_t *request) noexcept nogil:
        """Takes over a request that is answered by a look at the ring that begins now."""
        if not request_own(&self.loop.pool, request):
            self._refuse(request, b"OOM", b"shotover: no memory")
            return
        batch_push(&self.held_next, request)
        self.want(ASK_RING)

    cdef bint hold_on(self, request_t *request) noexcept nogil:
        """While a change of the schema spreads, one who asks for its version waits: a driver that sees but one proxy could
        not know of the others. True: the request is held once more."""
        if self.agreed or self.loop.now - self.changed_ns > CHANGING_NS or self.loop.now - request.arrived_ns > AGREE_NS:
            return False
        batch_push(&self.held_next, request)
        self.loop.cancel_timer(&self.tick)
        self.loop.set_timer(&self.tick, TICK_SOON_NS)
        return True

    cdef void _ask(self) noexcept nogil:
        if not self.control_ready or self.asking or not self.wanted:
            return
        self.asking = self.wanted
        self.wanted = 0
        self.unanswered = 0
        batch_append(&self.held, &self.held_next)
        with gil:
            self._questions()
        if self.unanswered == 0 and self.control is not NULL:
            stream_close(&self.control.stream, CLOSE_LOCAL)     # no memory

    def _questions(self):
        self.answers = [[] for _ in cassandra_view.QUESTIONS]
        for index in range(len(self.answers)):
            if self.asking & (ASK_RING if index < cassandra_view.KEYSPACES else ASK_SCHEMA):
                self._question(index, None)

    def _question(self, int index, state):
        """Sends one of QUESTIONS, or asks for its next page."""
        cdef:
            request_t *request
            bytes      text = cassandra_view.QUESTIONS[index].encode()
            bytes      body = len(text).to_bytes(4, "big") + text + LOCAL_ONE.to_bytes(2, "big")
        body += (0x04 if state is None else 0x0c).to_bytes(1, "big") + PAGE_SIZE.to_bytes(4, "big")
        if state is not None:
            body += len(state).to_bytes(4, "big") + state
        if self.control is NULL:
            return
        request = self._own_request(b"", HEADER_SIZE + len(body))
        if request is NULL:
            return
        frame_head(request.wire.data, self.control_version, 0, OP_QUERY, len(body))
        memcpy(request.wire.data + HEADER_SIZE, <const char *>body, len(body))
        request.version = self.control_version
        request.opcode = OP_QUERY
        request.watched = WATCHED_BY_SINK
        request.sink_state = S_QUESTION
        request.made = <uint8_t>index
        if self.numbered_send(self.control, request):
            self.unanswered += 1
        else:
            self.hub.request_free(request)

    cdef void _told(self, upstream_t *upstream, request_t *request) noexcept nogil:
        """A question has its answer. Takes over that request."""
        cdef:
            cql_prefix_t prefix
            bint         good = False
        if upstream is not self.control:
            self.hub.request_free(request)
            return
        if not request.failed and request.reply.size >= HEADER_SIZE and request.reply.data[4] == OP_RESULT:
            good = cql_prefix_read(request.reply.data + HEADER_SIZE, request.reply.size - HEADER_SIZE, request.reply.data[1],
                                   True, &prefix)
        self.unanswered -= 1
        with gil:
            self._note_answer(request.made, prefix.body.data[:prefix.body.size] if good else None)
        self.hub.request_free(request)
        if self.unanswered == 0:
            self._learned()

    def _note_answer(self, index, body):
        self.answers[index].append(body)
        if body is None or index < cassandra_view.KEYSPACES:
            return
        try:
            state = cassandra_view.read_rows(body, self.control_version)[2]
        except ValueError:
            return
        if state is not None:
            self._question(index, state)

    cdef void _not_told(self) noexcept nogil:
        """What was asked will not be answered; it is asked again when somebody can be."""
        self.wanted |= self.asking
        self.asking = 0
        batch_append(&self.held, &self.held_next)
        self.held_next = self.held
        batch_clear(&self.held)

    cdef void _learned(self) noexcept nogil:
        """Everything that was asked has been answered."""
        cdef:
            uint8_t    asked = self.asking
            batch_t    batch = self.held
            bint       good
        self.asking = 0
        with gil:
            good = self._take(asked & ASK_RING, asked & ASK_SCHEMA)
        if not good:
            self.asking = asked
            self._not_told()
            self.control_ready = False
            stream_close(&self.control.stream, EACCES)
            return
        batch_clear(&self.held)
        self.refreshes_total += 1
        if self.refresh_due_ns <= self.loop.now:
            self.refresh_due_ns = self.loop.now + self.refresh_ns
        while batch.head is not NULL:
            self.answer_held(batch_pop(&batch))
        if self.wanted:
            self._ask()

    def _take(self, bint ring, bint schema):
        """Takes over what was answered. False: it cannot be used; the log says why."""
        changed = schema
        try:
            if ring:
                changed = self._take_ring() or changed
                self._take_versions()
            if schema:
                self._take_schema()
            if changed and self.view is not None:
                self.schema = Schema(
                    Ring(self.view.partitioner, [
                        (self.number_of(cassandra_view.Endpoint(*server.address)), server.data_center, server.rack, server.tokens)
                        for server in self.view.servers
                    ]), self.keyspaces, self.tables)
                self.generation += 1
                self.known = True
                self.topology_changed()
        except (ValueError, OSError) as error:
            if self.loop.now >= self.told_ns:
                self.told_ns = self.loop.now + TOLD_NS
                self.hub.note(LOG_WARNING, "what a server says of its cluster cannot be used",
                              {"node": self.node_list[self.home].address, "error": str(error), "sink": self.name})
            return False
        return self.known

    def _take_ring(self):
        """True: the ring is another one."""
        cdef CassandraNode node
        said = [answers[0] if answers else None for answers in self.answers[:cassandra_view.KEYSPACES]]
        if said == self.seen:
            self.events_missed = False
            return False
        home = self.node_list[self.home].endpoint
        view = cassandra_view.read_view((home.host, home.port), said, self.control_version)
        before, self.view, self.seen = self.view, view, said
        if before is not None and self.events_missed and before.servers[0].schema_version != view.servers[0].schema_version:
            self._leave_schema_watchers()       # they cannot know what they have missed: they begin anew
        self.events_missed = False
        if before is not None and before.ring() == view.ring():
            return False
        center, rack = self.proxies[self.own].data_center, self.proxies[self.own].rack
        centers = {server.data_center for server in view.servers}
        if center not in centers:
            self.hub.note(LOG_WARNING, "no server is in the data center of this proxy; those of all others serve it",
                          {"data_center": center, "found": ", ".join(sorted(centers)), "sink": self.name})
        members = set()
        for server in view.servers:
            node = self.node_list[self.number_of(cassandra_view.Endpoint(*server.address))]
            near = server.data_center == center or center not in centers
            fresh = not node.member
            node.settle(server.id, True, near, near and server.rack == rack)
            members.add(node.number)
            if fresh and node.untold:
                node.down = True                # until it has answered
                node.try_again()
        for node in self.node_list:
            if node.number not in members:
                node.settle(None, False, False, False)
        self.hub.note(LOG_INFO, "the cluster has changed" if before else "the cluster is known",
                      {"nodes": len(members), "sink": self.name})
        if before is not None:
            for proxy in self.proxies:          # drivers ask for tokens anew when a node is new
                self._tell(EVENT_TOPOLOGY, "TOPOLOGY_CHANGE", "NEW_NODE", proxy)
        return True

    def _take_versions(self):
        """A server that is down has no say."""
        cdef CassandraNode node
        self.versions = []
        for server in self.view.servers:
            node = self.node_list[self.number_of(cassandra_view.Endpoint(*server.address))]
            if not node.down or node.untold:
                self.versions.append(server.schema_version)
        self.agreed = len(set(self.versions)) <= 1

    def _take_schema(self):
        names, columns = self.answers[cassandra_view.KEYSPACES], self.answers[cassandra_view.COLUMNS]
        if None in names or None in columns:
            return                              # an old server, or no permission: nothing is known of keys
        self.keyspaces = cassandra_view.read_keyspaces(self._rows(names))
        self.tables = cassandra_view.read_tables(self._rows(columns))

    def _rows(self, bodies):
        return [row for body in bodies for row in cassandra_view.read_rows(body, self.control_version)[1]]

    # ---- events -------------------------------------------------------------------------------------------------

    cdef void _watch_events(self, request_t *request, cql_session_t *cs) noexcept nogil:
        self._want(request, cs)                 # they all come on the control connection

    cdef void on_event(self, upstream_t *upstream, uint8_t *frame, size_t size) noexcept nogil:
        cdef cql_event_t event
        if upstream is not self.control:
            CassandraSinkSingle.on_event(self, upstream, frame, size)
            return
        self.events_total += 1
        if not cql_event_read(frame + HEADER_SIZE, size - HEADER_SIZE, self.control_version, &event):
            return
        if slice_is(&event.type, b"SCHEMA_CHANGE"):
            self.changed_ns = self.loop.now
            self._push_event(EVENT_SCHEMA, frame + HEADER_SIZE, size - HEADER_SIZE)
            self.want(ASK_SCHEMA | ASK_RING)
            return
        self.refresh_due_ns = min(self.refresh_due_ns, self.loop.now + SETTLED_NS)
        self.want(ASK_RING)
        if slice_is(&event.change, b"UP"):
            with gil:
                self._hears_up(event.address.data[:event.address.size])

    def _hears_up(self, bytes address):
        """A server is up, says another: it is tried at once, and drivers hear it of the proxy that stands for it."""
        cdef CassandraNode node
        if self.view is None:
            return
        for server in self.view.servers:
            if cassandra_view.Endpoint(*server.address).raw != address:
                continue
            node = self.node_list[self.number_of(cassandra_view.Endpoint(*server.address))]
            node.retry_at_ns = 0
            node.try_again()
            tokens = cassandra_view.shares(self.proxies, self.view.servers)
            for index, proxy in enumerate(self.proxies):
                if proxy.up and server.tokens and server.tokens[0] in tokens[index]:
                    self._tell(EVENT_STATUS, "STATUS_CHANGE", "UP", proxy)

    cdef void node_changed(self, CassandraNode node) noexcept nogil:
        if node.watching:
            with gil:
                self._proxy_changed(node)

    def _proxy_changed(self, CassandraNode node):
        """Another proxy of the ring that drivers see is away, or back."""
        proxy = self.proxies[node.number]
        if proxy.up != node.down:
            return
        proxy.up = not node.down
        self.hub.note(LOG_INFO if proxy.up or not node.reached else LOG_WARNING,
                      "another proxy is back" if proxy.up else "another proxy cannot be reached: drivers are told so",
                      {"address": str(proxy.endpoint), "sink": self.name})
        if proxy.up:
            self._tell(EVENT_TOPOLOGY, "TOPOLOGY_CHANGE", "NEW_NODE", proxy)
            self._tell(EVENT_STATUS, "STATUS_CHANGE", "UP", proxy)
        else:
            self._tell(EVENT_STATUS, "STATUS_CHANGE", "DOWN", proxy)
            self._tell(EVENT_TOPOLOGY, "TOPOLOGY_CHANGE", "REMOVED_NODE", proxy)

    def _tell(self, uint8_t bit, str type, str change, proxy):
        raw = proxy.endpoint.raw
        body = b"".join(len(text).to_bytes(2, "big") + text.encode() for text in (type, change))
        body += len(raw).to_bytes(1, "big") + raw + proxy.endpoint.port.to_bytes(4, "big")
        self._push_event(bit, <const uint8_t *><const char *>body, len(body))

    cdef void _push_event(self, uint8_t bit, const uint8_t *body, size_t size) noexcept nogil:
        """To every client that has registered for such, once."""
        cdef:
            uint8_t       *frame = NULL
            int            version
            cql_session_t *cs
            cql_session_t *following
        for version in range(VERSIONS):
            cs = self.events[version].sessions
            if cs is not NULL and frame is NULL:
                frame = <uint8_t *>malloc(HEADER_SIZE + size)
                if frame is NULL:
                    return
                memcpy(frame + HEADER_SIZE, body, size)
            if cs is not NULL:
                frame_head(frame, <uint8_t>version | IS_REPLY, 0xffff, OP_EVENT, size)
            while cs is not NULL:
                following = cs.next
                if cs.events & bit:
                    self.up.on_push(cs.session, frame, HEADER_SIZE + size)
                cs = following
        free(frame)

    def _leave_schema_watchers(self):
        cdef:
            int            version
            cql_session_t *cs
            cql_session_t *following
        for version in range(VERSIONS):
            cs = self.events[version].sessions
            while cs is not NULL:
                following = cs.next
                if cs.events & EVENT_SCHEMA:
                    self.up.on_leave(cs.session)
                cs = following

    # ---- for subclasses -----------------------------------------------------------------------------------------

    cdef void answer_held(self, request_t *request) noexcept nogil:
        """What `hold` was given; the ring has been looked at since. Takes it over."""
        pass

    cdef void topology_changed(self) noexcept nogil:
        """There is a new schema."""
        pass
