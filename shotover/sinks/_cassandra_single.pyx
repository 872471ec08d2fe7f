"""See _cassandra_single.pxd."""

from libc.errno cimport EACCES
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from shotover._codec.cql.compression cimport (
    COMPRESSION_LZ4,
    COMPRESSION_NONE,
    COMPRESSION_SNAPPY,
    frame_unpack,
)
from shotover._codec.cql.frame cimport (
    FLAG_COMPRESSED,
    FLAG_PAYLOAD,
    HEADER_SIZE,
    IS_REPLY,
    OP_AUTH_CHALLENGE,
    OP_AUTH_RESPONSE,
    OP_AUTH_SUCCESS,
    OP_AUTHENTICATE,
    OP_OPTIONS,
    OP_PREPARE,
    OP_QUERY,
    OP_READY,
    OP_REGISTER,
    OP_STARTUP,
    OP_SUPPORTED,
    SEGMENTS_FROM,
    frame_head,
    read_short,
    read_string,
    slice_is,
)
from shotover._codec.cql.peek cimport (
    NAME_SIZE_MAX,
    peek_option,
    peek_plain,
    peek_set_keyspace,
    peek_use_frame,
    peek_use_keyspace,
    startup_for_all,
)
from shotover._codec.cql.supported cimport supported_trim
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport WATCHED_BY_SINK, batch_clear, batch_pop, batch_push
from shotover._core.slice cimport slice_t
from shotover._core.status cimport BAD, OK, status_t
from shotover._net.loop cimport CLOSE_LOCAL, stream_close
from shotover._proxy.session cimport session_slots
from shotover.sinks._cassandra_pool cimport (
    FIELD_AUTH,
    FIELD_COUNT,
    FIELD_KEYSPACE,
    FIELD_SIZE_MAX,
    FIELD_STARTUP,
    ROLE_ALONE,
    ROLE_ASK,
    ROLE_EVENTS,
    ROLE_HAND,
    ROLE_LEAVING,
    ROLE_SHARED,
    ROLE_SWITCH,
    S_AUTH,
    S_BEAT,
    S_EVENTS,
    S_GREETING,
    S_OPTIONS,
    S_STARTUP,
    S_USE,
    S_USE_THERE,
    SHARED_MAX,
    state_fields,
)

cdef enum:
    PLAIN_SIZE_MAX = 16777216   # of a compressed statement, decompressed

cdef enum:                      # what _use_in finds
    NO_USE = 0
    IS_USE = 1
    TOO_LONG = 2

# Body of a REGISTER for all of them.
cdef const char *ALL_EVENTS = b"\0\3\0\x0fTOPOLOGY_CHANGE\0\x0dSTATUS_CHANGE\0\x0dSCHEMA_CHANGE"
cdef enum:
    ALL_EVENTS_SIZE = 49


cdef uint8_t _event_bit(const slice_t *name) noexcept nogil:
    if slice_is(name, b"TOPOLOGY_CHANGE"):
        return EVENT_TOPOLOGY
    if slice_is(name, b"STATUS_CHANGE"):
        return EVENT_STATUS
    if slice_is(name, b"SCHEMA_CHANGE"):
        return EVENT_SCHEMA
    return 0


cdef uint8_t _events_in(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """What the body of a REGISTER asks for; EVENT_UNKNOWN: something that there is not."""
    cdef:
        slice_t  name
        uint32_t left
        uint8_t  wanted = 0, bit
    if end - at < 2:
        return EVENT_UNKNOWN
    left = read_short(at)
    at += 2
    while left:
        at = read_string(at, end, &name)
        bit = _event_bit(&name) if at is not NULL else 0
        if bit == 0:
            return EVENT_UNKNOWN
        wanted |= bit
        left -= 1
    return wanted


cdef class CassandraSinkSingle(CassandraPool):

    def __init__(self, context, *, str name, remote_address, int connect_timeout_ms, read_timeout, int connection_count,
                 int max_pending_requests, tls=None, breaker_timeouts=None):
        self.set_tls(tls)
        self.set_address(remote_address)
        self.connect_timeout_ns = <uint64_t>connect_timeout_ms * 1000000
        self.read_timeout_ns = int((read_timeout or 0) * 1e9)
        self.connection_count = min(connection_count, <int>SHARED_MAX)
        self.numbers_max = max_pending_requests
        self.breaker_timeouts = breaker_timeouts or 0
        self.wants_slot = True
        self.wants_end = True
        slab_init(&self.sessions, sizeof(cql_session_t))

    def __dealloc__(self):
        self._forget_supported()
        slab_close(&self.sessions)

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t     *request
            session_t     *session
            cql_session_t *cs
        while batch.head is not NULL:
            request = batch_pop(batch)
            session = <session_t *>request.session
            cs = NULL if session is NULL else <cql_session_t *>session_slots(session)[self.slot]
            if likely(cs is not NULL and cs.phase == PHASE_OPEN and request.opcode != OP_STARTUP
                      and request.opcode != OP_AUTH_RESPONSE and request.opcode != OP_REGISTER
                      and request.version == cs.version):
                self._plain(request, cs)
            else:
                self._other(request, session, cs)

    cdef void _plain(self, request_t *request, cql_session_t *cs) noexcept nogil:
        """A request of a client that is through its handshake."""
        cdef int use = NO_USE
        if unlikely(request.opcode == OP_QUERY or request.opcode == OP_PREPARE):
            use = self._use_in(request, cs)
        if unlikely(use != NO_USE):
            if use == TOO_LONG:
                self._refuse(request, b"INVALID", b"shotover: what this statement decompresses to is too long")
                return
            if request.opcode == OP_PREPARE:
                self._refuse(request, b"INVALID", b"shotover: USE cannot be prepared here; send it as a query")
                return
            if not cs.alone:
                self._use(request, cs)
                return
        if unlikely(cs.alone):
            self._pass(cs.hand, request)
        else:
            self._pass(self._shared(cs.session.id, cs.state), request)

    cdef int _use_in(self, request_t *request, cql_session_t *cs) noexcept nogil:
        """Whether a QUERY or PREPARE is USE: IS_USE, NO_USE or TOO_LONG."""
        cdef:
            size_t   size
            chunk_t *chunk
            bint     use
        if likely(not request.wire.data[1] & FLAG_COMPRESSED):
            return IS_USE if unlikely(peek_use_frame(request.wire.data, request.wire.size)) else NO_USE
        chunk = self._unpacked(request.wire.data, request.wire.size, cs.compression, &size)
        if chunk is NULL:
            return TOO_LONG if size else NO_USE         # what cannot be read is for the server to refuse
        use = peek_use_frame(chunk_data(chunk), size)
        chunk_put(&self.loop.pool, chunk)
        return IS_USE if use else NO_USE

    cdef chunk_t *_unpacked(self, const uint8_t *frame, size_t size, int compression, size_t *plain_size) noexcept nogil:
        """A compressed frame with its body as it was; *plain_size: of all. NULL: it cannot be read (*plain_size 0), or there
        is no room for it."""
        cdef chunk_t *chunk
        cdef status_t status = frame_unpack(&self.loop.pool, compression, frame, size, PLAIN_SIZE_MAX, &chunk, plain_size)
        if status != OK:
            plain_size[0] = status != BAD
        return chunk

    cdef void _other(self, request_t *request, session_t *session, cql_session_t *cs) noexcept nogil:
        """What belongs to the handshake, or is not in its place."""
        if session is NULL:
            self._refuse(request, b"ERR", b"shotover: the client is gone")
            return
        if cs is NULL:
            cs = self._session_of(session)
            if cs is NULL:
                self._refuse(request, b"OOM", b"shotover: no memory")
                return
        if cs.version and cs.version != request.version:
            self._refuse(request, b"PROTO", b"Invalid message version: it differs from that of the messages before it")
        elif request.opcode == OP_OPTIONS:
            self._options(request)
        elif request.opcode == OP_STARTUP and cs.phase == PHASE_NEW:
            self._startup(request, cs)
        elif request.opcode == OP_AUTH_RESPONSE and cs.phase == PHASE_LOGIN:
            self._login(request, cs)
        elif request.opcode == OP_REGISTER and cs.phase == PHASE_OPEN:
            self._register(request, cs)
        elif cs.phase == PHASE_NEW:
            self._refuse(request, b"PROTO", b"Unexpected message, expecting STARTUP or OPTIONS")
        elif cs.phase == PHASE_LOGIN:
            self._refuse(request, b"PROTO", b"Unexpected message, expecting AUTH_RESPONSE")
        else:
            self._refuse(request, b"PROTO", b"Unexpected message, the connection is past its handshake or not through it yet")

    cdef cql_session_t *_session_of(self, session_t *session) noexcept nogil:
        cdef cql_session_t *cs = <cql_session_t *>slab_take(&self.sessions)
        if cs is not NULL:
            memset(cs, 0, sizeof(cql_session_t))
            cs.session = session
            session_slots(session)[self.slot] = cs
        return cs

    cdef void _let_through(self, request_t *request) noexcept nogil:
        """The client's request has its reply, which was looked at here."""
        request.watched &= ~<uint8_t>WATCHED_BY_SINK
        request.sink_state = 0
        self.complete(request)

    cdef void _answer_ready(self, request_t *request) noexcept nogil:
        cdef uint8_t out[HEADER_SIZE]
        request.watched &= ~<uint8_t>WATCHED_BY_SINK
        self.answer_take(request, out, frame_head(out, request.version | IS_REPLY, request.stream, OP_READY, 0))

    # ---- OPTIONS ------------------------------------------------------------------------------------------------

    cdef void _options(self, request_t *request) noexcept nogil:
        """Before STARTUP. What the server can do is asked once, and again when a connection to it was lost."""
        cdef:
            upstream_t *upstream
            uint8_t     head[HEADER_SIZE]
            uint8_t    *body = self.supported[request.version]
            size_t      size = self.supported_sizes[request.version]
            uint8_t    *out
        if body is not NULL:
            out = <uint8_t *>malloc(HEADER_SIZE + size)
            if out is NULL:
                self._refuse(request, b"OOM", b"shotover: no memory")
                return
            memcpy(out, head, frame_head(head, request.version | IS_REPLY, request.stream, OP_SUPPORTED, size))
            memcpy(out + HEADER_SIZE, body, size)
            self.answer_take(request, out, HEADER_SIZE + size)
            free(out)
            return
        upstream = self.upstream_open()
        if upstream is not NULL:
            upstream.role = ROLE_ASK
        request.sink_state = S_OPTIONS
        request.watched |= WATCHED_BY_SINK
        self._pass(upstream, request)

    cdef void _asked(self, upstream_t *upstream, request_t *request) noexcept nogil:
        cdef:
            uint8_t *reply = request.reply.data
            size_t   size
            uint8_t *kept
        if request.reply.size > HEADER_SIZE and reply[4] == OP_SUPPORTED:
            size = supported_trim(reply + HEADER_SIZE, request.reply.size - HEADER_SIZE)
            frame_head(reply, request.version | IS_REPLY, request.stream, OP_SUPPORTED, size)
            request.reply.size = HEADER_SIZE + size
            kept = <uint8_t *>malloc(size)
            if kept is not NULL:
                memcpy(kept, reply + HEADER_SIZE, size)
                free(self.supported[request.version])
                self.supported[request.version] = kept
                self.supported_sizes[request.version] = size
        self._let_through(request)
        self.numbered_retire(upstream)

    cdef void _forget_supported(self) noexcept nogil:
        cdef int version
        for version in range(VERSIONS):
            free(self.supported[version])
            self.supported[version] = NULL

    # ---- handshake ----------------------------------------------------------------------------------------------

    cdef void _startup(self, request_t *request, cql_session_t *cs) noexcept nogil:
        cdef:
            uint8_t  *body = request.wire.data + HEADER_SIZE
            size_t    size = request.wire.size - HEADER_SIZE
            uint8_t   kept[FIELD_SIZE_MAX]
            slice_t   value
            slice_t   fields[FIELD_COUNT]
            int       found = peek_option(body, size, b"COMPRESSION", &value)
        if found < 0 or request.wire.data[1] & FLAG_COMPRESSED:
            self._refuse(request, b"PROTO", b"STARTUP that cannot be read")
            return
        if size > FIELD_SIZE_MAX:
            self._refuse(request, b"PROTO", b"shotover: STARTUP has too many options")
            return
        cs.compression = COMPRESSION_NONE
        if found and slice_is(&value, b"LZ4"):
            cs.compression = COMPRESSION_LZ4
        elif found and slice_is(&value, b"SNAPPY") and request.version < SEGMENTS_FROM:
            cs.compression = COMPRESSION_SNAPPY
        elif found and value.size and not slice_is(&value, b"NONE"):
            self._refuse(request, b"PROTO", b"Unknown compression algorithm: expected lz4 or snappy")
            return
        memset(fields, 0, sizeof(fields))
        fields[FIELD_STARTUP].data = kept
        fields[FIELD_STARTUP].size = startup_for_all(body, size, kept, True)
        cs.state = self._state_for(request.version, fields)
        if cs.state is NULL:
            self._refuse(request, b"OOM", b"shotover: no memory")
            return
        cs.version = request.version
        if self._peek_shared(cs.session.id, cs.state) is not NULL:     # the server has let in such a one, without credentials
            cs.phase = PHASE_OPEN
            self._answer_ready(request)
            return
        self.handshakes_total += 1
        cs.hand = self.upstream_open()
        if cs.hand is NULL:
            self._begin_anew(cs)
            self.unreachable(request, self.connect_error)
            return
        cs.hand.role = ROLE_HAND
        cs.hand.tenant = cs.session
        cs.phase = PHASE_STARTING
        request.sink_state = S_STARTUP
        request.watched |= WATCHED_BY_SINK
        self._pass(cs.hand, request)

    cdef void _begin_anew(self, cql_session_t *cs) noexcept nogil:
        """Back to before STARTUP: it has failed."""
        if cs.hand is not NULL:
            cs.hand.tenant = NULL
            cs.hand.role = ROLE_LEAVING
            self.numbered_retire(cs.hand)
            cs.hand = NULL
        if cs.state is not NULL:
            self._leave_state(cs.state)
            cs.state = NULL
        free(cs.auth)
        cs.auth = NULL
        cs.phase = PHASE_NEW
        cs.version = 0
        cs.rounds = 0
        cs.alone = 0

    cdef void _started(self, upstream_t *upstream, request_t *request) noexcept nogil:
        """The server has answered a client's STARTUP."""
        cdef:
            uint8_t        answer = request.reply.data[4] if request.reply.size >= HEADER_SIZE else 0
            session_t     *session = upstream.tenant
            cql_session_t *cs
        self.numbered_frame(upstream, self.codec.framed_after(request))
        if session is not NULL:
            cs = <cql_session_t *>session_slots(session)[self.slot]
            if answer == OP_READY:
                self._come_in(upstream, cs)
            elif answer == OP_AUTHENTICATE:
                cs.phase = PHASE_LOGIN
            else:
                self._begin_anew(cs)
        self._let_through(request)

    cdef void _login(self, request_t *request, cql_session_t *cs) noexcept nogil:
        cdef:
            const uint8_t *frame = request.wire.data
            size_t         size = request.wire.size
            chunk_t       *chunk = NULL
        free(cs.auth)
        cs.auth = NULL
        cs.rounds += cs.rounds < 255
        if frame[1] == FLAG_COMPRESSED:
            chunk = self._unpacked(frame, size, cs.compression, &size)
            frame = chunk_data(chunk) if chunk is not NULL else frame
        size -= HEADER_SIZE
        if cs.rounds == 1 and size <= FIELD_SIZE_MAX and (not frame[1] or chunk is not NULL) and \
                peek_plain(frame + HEADER_SIZE, size):
            cs.auth = <uint8_t *>malloc(size)
            if cs.auth is not NULL:
                memcpy(cs.auth, frame + HEADER_SIZE, size)
                cs.auth_size = size
        if chunk is not NULL:
            chunk_put(&self.loop.pool, chunk)
        request.sink_state = S_AUTH
        request.watched |= WATCHED_BY_SINK
        self._pass(cs.hand, request)

    cdef void _logged_in(self, upstream_t *upstream, request_t *request) noexcept nogil:
        """The server has answered a client's AUTH_RESPONSE."""
        cdef:
            uint8_t        answer = request.reply.data[4] if request.reply.size >= HEADER_SIZE else 0
            session_t     *session = upstream.tenant
            cql_session_t *cs
            cql_state_t   *state
            slice_t        fields[FIELD_COUNT]
        if session is not NULL:
            cs = <cql_session_t *>session_slots(session)[self.slot]
            if answer == OP_AUTH_SUCCESS:
                state = NULL
                if cs.auth is not NULL:
                    state_fields(cs.state, fields)
                    fields[FIELD_AUTH].data = cs.auth
                    fields[FIELD_AUTH].size = cs.auth_size
                    state = self._state_for(cs.version, fields)
                if state is not NULL:
                    self._leave_state(cs.state)
                    cs.state = state
                    self._come_in(upstream, cs)
                else:                               # what has let it in cannot be said again
                    cs.alone = 1
                    upstream.role = ROLE_ALONE
                    cs.phase = PHASE_OPEN
            elif answer != OP_AUTH_CHALLENGE:
                self._begin_anew(cs)
        self._let_through(request)

    cdef void _come_in(self, upstream_t *upstream, cql_session_t *cs) noexcept nogil:
        """The connection with which it has shaken hands is one of its state."""
        cs.hand = NULL
        cs.phase = PHASE_OPEN
        free(cs.auth)
        cs.auth = NULL
        self._adopt(upstream, cs.state, cs.session.id)

    # ---- USE ----------------------------------------------------------------------------------------------------

    cdef void _use(self, request_t *request, cql_session_t *cs) noexcept nogil:
        """The server says whether it may, and what the keyspace is called: on a connection of clients that are in it already, for
        whom it changes nothing, or else on a fresh one, for all others are shared."""
        cdef:
            slice_t      fields[FIELD_COUNT]
            cql_state_t *state
            uint8_t      room[NAME_SIZE_MAX]
            upstream_t  *there
        cs.uses += 1
        request.argc = cs.uses
        if cs.switching is NULL:
            state_fields(cs.state, fields)
            if peek_use_keyspace(request.wire.data, request.wire.size, room, &fields[FIELD_KEYSPACE]):
                there = self._known_shared(cs.session.id, cs.version, fields)
                if there is not NULL:
                    request.sink_state = S_USE_THERE
                    request.watched |= WATCHED_BY_SINK
                    self._pass(there, request)
                    return
            state_fields(cs.state, fields)
            fields[FIELD_KEYSPACE].size = 0
            state = self._state_for(cs.version, fields)
            if state is NULL:
                self._refuse(request, b"OOM", b"shotover: no memory")
                return
            cs.switching = self.upstream_open()
            if cs.switching is NULL:
                self._leave_state(state)
                self.unreachable(request, self.connect_error)
                return
            cs.switching.role = ROLE_SWITCH
            cs.switching.state = state
            cs.switching.tenant = cs.session
            self.switches_total += 1
        request.sink_state = S_USE
        request.watched |= WATCHED_BY_SINK
        self._pass(cs.switching, request)

    cdef void _used(self, upstream_t *upstream, request_t *request) noexcept nogil:
        """USE has been answered, on a connection of its own (`switching`) or of those who are there."""
        cdef:
            session_t     *session = upstream.tenant
            cql_session_t *cs
            bint           fresh = request.sink_state == S_USE
            bint           entered
        if not fresh:
            session = <session_t *>request.session if request.queued else NULL
        cs = <cql_session_t *>session_slots(session)[self.slot] if session is not NULL else NULL
        if cs is not NULL:
            entered = self._enter(request, cs)
            if fresh and upstream.pending == 0:
                cs.switching = NULL
                if entered:
                    self._leave_state(<cql_state_t *>upstream.state)
                    upstream.state = NULL
                    self._adopt(upstream, cs.state, session.id)
                else:
                    upstream.tenant = NULL
                    self.numbered_retire(upstream)
        self._let_through(request)

    cdef bint _enter(self, request_t *request, cql_session_t *cs) noexcept nogil:
        """The client is in the keyspace that the server has named, unless it has been told of a later USE of its already. False:
        it is not."""
        cdef:
            cql_state_t *state
            slice_t      fields[FIELD_COUNT]
            slice_t      name
            uint8_t     *reply = request.reply.data
            size_t       size = request.reply.size
            chunk_t     *chunk = NULL
            bint         entered = False
        if size >= HEADER_SIZE and reply[1] & FLAG_COMPRESSED:
            chunk = self._unpacked(reply, size, cs.compression, &size)
            reply = chunk_data(chunk) if chunk is not NULL else NULL
            size = size if chunk is not NULL else 0
        if peek_set_keyspace(reply, size, &name) and request.argc > cs.used:
            state_fields(cs.state, fields)
            fields[FIELD_KEYSPACE] = name
            state = self._state_for(cs.version, fields)
            if state is NULL:
                stream_close(&cs.session.stream, CLOSE_LOCAL)       # it would go on in the wrong one
            else:
                self._leave_state(cs.state)
                cs.state = state
                cs.used = request.argc
                entered = True
        if chunk is not NULL:
            chunk_put(&self.loop.pool, chunk)
        return entered

    # ---- events -------------------------------------------------------------------------------------------------

    cdef void _register(self, request_t *request, cql_session_t *cs) noexcept nogil:
        cdef:
            uint8_t  flags = request.wire.data[1]
            size_t   size
            chunk_t *chunk
            uint8_t  wanted = EVENT_UNKNOWN
        if flags & FLAG_COMPRESSED and not flags & FLAG_PAYLOAD:
            chunk = self._unpacked(request.wire.data, request.wire.size, cs.compression, &size)
            if chunk is not NULL:
                wanted = _events_in(chunk_data(chunk) + HEADER_SIZE, chunk_data(chunk) + size)
                chunk_put(&self.loop.pool, chunk)
        elif not flags & FLAG_PAYLOAD:
            wanted = _events_in(request.wire.data + HEADER_SIZE, request.wire.data + request.wire.size)
        if wanted == EVENT_UNKNOWN:
            self._refuse(request, b"PROTO", b"REGISTER for something that is no type of event")
            return
        request.conduct = wanted                # kept there until the connection for events is there
        self._watch_events(request, cs)

    cdef void _watch_events(self, request_t *request, cql_session_t *cs) noexcept nogil:
        cdef events_t *events = &self.events[cs.version]
        if events.upstream is NULL and not self._open_events(cs):
            self.unreachable(request, self.connect_error)
        elif events.ready:
            self._want(request, cs)
        else:
            batch_push(&events.waiting, request)

    cdef bint _open_events(self, cql_session_t *cs) noexcept nogil:
        """The connection on which events come, in the version and with the credentials of the first who wants some."""
        cdef:
            slice_t      fields[FIELD_COUNT]
            uint8_t      startup[FIELD_SIZE_MAX]
            cql_state_t *state
            upstream_t  *upstream
        state_fields(cs.state, fields)
        fields[FIELD_KEYSPACE].size = 0
        fields[FIELD_STARTUP].size = startup_for_all(fields[FIELD_STARTUP].data, fields[FIELD_STARTUP].size, startup, False)
        fields[FIELD_STARTUP].data = startup
        state = self._state_for(cs.version, fields)
        if state is NULL:
            return False
        upstream = self.upstream_open()
        if upstream is NULL:
            self._leave_state(state)
            return False
        upstream.role = ROLE_EVENTS
        upstream.state = state
        self.events[cs.version].upstream = upstream
        self.events[cs.version].ready = 0
        return True

    cdef void _opened(self, upstream_t *upstream) noexcept nogil:
        self.numbered_ready(upstream)
        if upstream.role == ROLE_EVENTS:
            self._ask_events(upstream)

    cdef void _ask_events(self, upstream_t *upstream) noexcept nogil:
        """Registers for all there are."""
        cdef:
            request_t   *register
            cql_state_t *state = <cql_state_t *>upstream.state
        register = self._own_request(b"", HEADER_SIZE + ALL_EVENTS_SIZE)
        if register is NULL:
            stream_close(&upstream.stream, CLOSE_LOCAL)
            return
        frame_head(register.wire.data, state.version, 0, OP_REGISTER, ALL_EVENTS_SIZE)
        memcpy(register.wire.data + HEADER_SIZE, ALL_EVENTS, ALL_EVENTS_SIZE)
        register.version = state.version
        register.watched = WATCHED_BY_SINK
        register.sink_state = S_EVENTS
        self.numbered_greet(upstream, register)

    cdef void _registered(self, upstream_t *upstream, request_t *request) noexcept nogil:
        cdef:
            events_t  *events = &self.events[request.version]
            request_t *waiting
            batch_t    batch
            bint       good = request.reply.size >= HEADER_SIZE and request.reply.data[4] == OP_READY
        self.loop.cancel_timer(&upstream.timer)
        self.hub.request_free(request)
        if not good or events.upstream is not upstream:
            stream_close(&upstream.stream, EACCES)
            return
        events.ready = 1
        batch = events.waiting
        batch_clear(&events.waiting)
        while batch.head is not NULL:
            waiting = batch_pop(&batch)
            self._want(waiting, <cql_session_t *>session_slots(<session_t *>waiting.session)[self.slot]
                       if waiting.queued else NULL)

    cdef void _want(self, request_t *request, cql_session_t *cs) noexcept nogil:
        """From now on this client gets events."""
        cdef events_t *events
        if cs is not NULL:
            events = &self.events[cs.version]
            if cs.events == 0 and request.conduct:
                cs.previous = NULL
                cs.next = events.sessions
                if cs.next is not NULL:
                    cs.next.previous = cs
                events.sessions = cs
            cs.events |= request.conduct
        self._answer_ready(request)

    cdef void _want_no_more(self, cql_session_t *cs) noexcept nogil:
        cdef events_t *events = &self.events[cs.version]
        if cs.events == 0:
            return
        cs.events = 0
        if cs.previous is not NULL:
            cs.previous.next = cs.next
        else:
            events.sessions = cs.next
        if cs.next is not NULL:
            cs.next.previous = cs.previous
        cs.next = NULL
        cs.previous = NULL

    cdef void on_event(self, upstream_t *upstream, uint8_t *frame, size_t size) noexcept nogil:
        cdef:
            slice_t        name
            cql_session_t *cs
            cql_session_t *following
            uint8_t        bit = 0
        if upstream.role == ROLE_ALONE and upstream.tenant is not NULL:
            self.up.on_push(upstream.tenant, frame, size)
            return
        if upstream.role != ROLE_EVENTS or read_string(frame + HEADER_SIZE, frame + size, &name) is NULL:
            return
        bit = _event_bit(&name)
        self.events_total += 1
        cs = self.events[frame[0] & 0x7f & (VERSIONS - 1)].sessions
        while cs is not NULL:
            following = cs.next
            if cs.events & bit:
                self.up.on_push(cs.session, frame, size)
            cs = following

    # ---- up, and ends -------------------------------------------------------------------------------------------

    cdef void on_finished(self, upstream_t *upstream, request_t *request) noexcept nogil:
        if request.sink_state == S_GREETING:
            self._greeted(upstream, request)
        elif request.sink_state == S_STARTUP:
            self._started(upstream, request)
        elif request.sink_state == S_AUTH:
            self._logged_in(upstream, request)
        elif request.sink_state == S_USE or request.sink_state == S_USE_THERE:
            self._used(upstream, request)
        elif request.sink_state == S_OPTIONS:
            self._asked(upstream, request)
        elif request.sink_state == S_BEAT:
            self.hub.request_free(request)
        else:
            self._registered(upstream, request)

    cdef bint on_request_lost(self, upstream_t *upstream, request_t *request, int error) noexcept nogil:
        if request.sink_state == S_GREETING or request.sink_state == S_EVENTS:
            self.hub.request_free(request)
            return True
        if request.sink_state == S_BEAT:
            self.hub.request_free(request)
            self.try_later()
            return True
        request.sink_state = 0
        request.watched &= ~<uint8_t>WATCHED_BY_SINK
        return False

    cdef void on_retired(self, upstream_t *upstream) noexcept nogil:
        cdef cql_state_t *state = <cql_state_t *>upstream.state
        cdef uint32_t     index
        if upstream.role == ROLE_SHARED and state is not NULL:
            for index in range(self.connection_count):
                if state.shared[index] is upstream:
                    state.shared[index] = NULL
            upstream.role = ROLE_LEAVING
            upstream.state = NULL

    cdef void on_lost(self, upstream_t *upstream, int error) noexcept nogil:
        cdef:
            cql_session_t *cs = NULL
            events_t      *events
            request_t     *waiting
            batch_t        batch
            uint8_t        role = upstream.role
            session_t     *session = upstream.tenant
            int            version
        if error != CLOSE_LOCAL:
            self._forget_supported()                # it may be another one that comes back
        if session is not NULL:
            cs = <cql_session_t *>session_slots(session)[self.slot]
        self.on_retired(upstream)
        if role == ROLE_HAND and cs is not NULL:
            cs.hand = NULL
            upstream.tenant = NULL
            self._begin_anew(cs)
        elif role == ROLE_ALONE and cs is not NULL:
            cs.hand = NULL
            upstream.tenant = NULL
            self._begin_anew(cs)
            self.up.on_leave(session)               # what has let it in is known to it alone
        elif role == ROLE_SWITCH:
            if cs is not NULL:
                cs.switching = NULL
                upstream.tenant = NULL
            if upstream.state is not NULL:
                self._leave_state(<cql_state_t *>upstream.state)
                upstream.state = NULL
        elif role == ROLE_EVENTS:
            version = (<cql_state_t *>upstream.state).version
            events = &self.events[version]
            self._leave_state(<cql_state_t *>upstream.state)
            upstream.state = NULL
            if events.upstream is upstream:
                events.upstream = NULL
                events.ready = 0
                while events.sessions is not NULL:  # they cannot know what they have missed: they begin anew
                    session = events.sessions.session
                    self._want_no_more(events.sessions)
                    self.up.on_leave(session)
                batch = events.waiting
                batch_clear(&events.waiting)
                while batch.head is not NULL:
                    waiting = batch_pop(&batch)
                    self.unreachable(waiting, error)

    cdef void on_session_end(self, void *session) noexcept nogil:
        cdef cql_session_t *cs = <cql_session_t *>session_slots(<session_t *>session)[self.slot]
        if cs is NULL:
            return
        self._want_no_more(cs)
        if cs.switching is not NULL:
            cs.switching.tenant = NULL
            self.numbered_retire(cs.switching)
        self._begin_anew(cs)
        session_slots(<session_t *>session)[self.slot] = NULL
        slab_give(&self.sessions, cs)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return CassandraPool.samples(self) + [
            ("shotover_upstream_handshakes_count", labels, "counter", self.handshakes_total),
            ("shotover_upstream_events_count", labels, "counter", self.events_total),
            ("shotover_upstream_keyspace_switches_count", labels, "counter", self.switches_total),
            ("shotover_limits_hit_count", {"source": self.chain.name, "limit": "upstream_pending"}, "counter", self.over_pending),
        ]
