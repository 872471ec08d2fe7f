"""See _cassandra_pool.pxd."""

from libc.errno cimport EACCES, EHOSTDOWN, ETIMEDOUT
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset, strlen

from shotover._codec.cql.codec cimport startup_framing
from shotover._codec.cql.frame cimport (
    FLAG_COMPRESSED,
    HEADER_SIZE,
    OP_AUTH_RESPONSE,
    OP_AUTH_SUCCESS,
    OP_AUTHENTICATE,
    OP_ERROR,
    OP_OPTIONS,
    OP_QUERY,
    OP_READY,
    OP_RESULT,
    OP_STARTUP,
    SEGMENTS_FROM,
    frame_head,
    put_int,
    put_short,
    read_short,
)
from shotover._core.debug cimport likely, unlikely
from shotover._core.request cimport WATCHED_BY_SINK
from shotover._net.loop cimport CLOSE_LOCAL, stream_close

cdef enum:
    TRIM_NS = 5000000000
    IDLE_KEEP_NS = 20000000000  # connections of a state that nobody is in are kept for so long
    USE_SIZE_MAX = 256
    TRIAL_VERSION = 4           # any answer to it will do
    CONSISTENCY_ONE = 1


cdef void state_fields(cql_state_t *state, slice_t *fields) noexcept nogil:
    """Views of the fields, to be changed one by one and given to _state_for."""
    cdef int index
    for index in range(FIELD_COUNT):
        fields[index].data = state.fields[index]
        fields[index].size = state.sizes[index]


cdef uint64_t _hash(uint8_t version, slice_t *fields) noexcept nogil:
    """FNV-1a over sizes and bytes; states are few, and are compared in full."""
    cdef:
        uint64_t hash = 14695981039346656037ULL ^ version
        int      index
        size_t   at
    for index in range(FIELD_COUNT):
        hash = (hash ^ fields[index].size) * 1099511628211ULL
        for at in range(fields[index].size):
            hash = (hash ^ fields[index].data[at]) * 1099511628211ULL
    return hash


cdef bint _is(cql_state_t *state, uint8_t version, slice_t *fields, uint64_t hash) noexcept nogil:
    cdef int index
    if state.hash != hash or state.version != version:
        return False
    for index in range(FIELD_COUNT):
        if state.sizes[index] != fields[index].size:
            return False
        if fields[index].size and memcmp(state.fields[index], fields[index].data, fields[index].size) != 0:
            return False
    return True


cdef void _on_trim(timer_t *timer) noexcept nogil:
    (<CassandraPool>timer.owner).trim_idle()


cdef class CassandraPool(NumberedSink):

    def __cinit__(self, context, *args, **kwargs):
        self.trim.fire = _on_trim
        self.trim.owner = <void *>self

    def __dealloc__(self):
        cdef cql_state_t *state
        while self.states is not NULL:
            state = self.states
            self.states = state.next
            free(state.twins)
            free(state)

    # ---- states -------------------------------------------------------------------------------------------------

    cdef cql_state_t *_state_for(self, uint8_t version, slice_t *fields) noexcept nogil:
        """The state with these fields, with one user more; NULL: no memory, or they are too large."""
        cdef:
            uint64_t     hash = _hash(version, fields)
            cql_state_t *state = self.states
            uint8_t     *at
            size_t       size = 0
            int          index
        while state is not NULL:
            if _is(state, version, fields, hash):
                state.users += 1
                return state
            state = state.next
        for index in range(FIELD_COUNT):
            if fields[index].size > FIELD_SIZE_MAX:
                return NULL
            size += fields[index].size
        state = <cql_state_t *>malloc(sizeof(cql_state_t) + size)
        if state is NULL:
            return NULL
        memset(state, 0, sizeof(cql_state_t))
        at = <uint8_t *>(state + 1)
        for index in range(FIELD_COUNT):
            state.fields[index] = at
            state.sizes[index] = <uint16_t>fields[index].size
            if fields[index].size:
                memcpy(at, fields[index].data, fields[index].size)
            at += fields[index].size
        state.version = version
        state.hash = hash
        state.users = 1
        state.next = self.states
        self.states = state
        return state

    cdef void _leave_state(self, cql_state_t *state) noexcept nogil:
        """One user less. Its connections stay for a while: the next client of that kind may be near."""
        state.users -= 1
        if state.users == 0:
            state.idle_ns = self.loop.now
            if self.trim.home is NULL:
                self.loop.set_timer(&self.trim, TRIM_NS)

    cdef void trim_idle(self) noexcept nogil:
        """Forgets states that nobody has been in for a while, and closes their connections."""
        cdef:
            cql_state_t **link = &self.states
            cql_state_t  *state
            upstream_t   *upstream
            uint32_t      index
            bint          left = False
        while link[0] is not NULL:
            state = link[0]
            if state.users or self.loop.now - state.idle_ns < IDLE_KEEP_NS:
                left = left or state.users == 0
                link = &state.next
                continue
            link[0] = state.next
            for index in range(self.connection_count):
                upstream = state.shared[index]
                if upstream is not NULL:
                    upstream.role = ROLE_LEAVING
                    upstream.state = NULL
                    self.numbered_retire(upstream)
            self._forgotten(state)
            free(state.twins)
            free(state)
        if left:
            self.loop.set_timer(&self.trim, TRIM_NS)

    cdef void _forgotten(self, cql_state_t *state) noexcept nogil:
        """Nobody is in that state any more, and it is about to be freed."""
        pass

    # ---- shared connections -------------------------------------------------------------------------------------

    cdef upstream_t *_peek_shared(self, uint64_t number, cql_state_t *state) noexcept nogil:
        """The connection that the session of this number shares with others of its state, if there is one and it has been
        greeted."""
        cdef upstream_t *upstream = state.shared[number % self.connection_count]
        if upstream is NULL or upstream.stream.closed or not upstream.ready:
            return NULL
        return upstream

    cdef upstream_t *_known_shared(self, uint64_t number, uint8_t version, slice_t *fields) noexcept nogil:
        """A greeted connection of the state with these fields: that of the session of this number, or another. NULL: there is
        none."""
        cdef:
            uint64_t     hash = _hash(version, fields)
            cql_state_t *state = self.states
            upstream_t  *upstream = NULL
            uint32_t     index
        while state is not NULL and not _is(state, version, fields, hash):
            state = state.next
        if state is not NULL:
            for index in range(self.connection_count):
                upstream = self._peek_shared(number + index, state)
                if upstream is not NULL:
                    return upstream
        return NULL

    cdef upstream_t *_shared(self, uint64_t number, cql_state_t *state) noexcept nogil:
        """The same, opened when there is none; NULL: none can be had, connect_error says why."""
        cdef:
            upstream_t **place = &state.shared[number % self.connection_count]
            upstream_t  *upstream = place[0]
        if unlikely(self.tripped):
            self.connect_error = EHOSTDOWN
            return NULL
        if likely(upstream is not NULL and not upstream.stream.closed):
            return upstream
        upstream = self.upstream_open()
        if upstream is not NULL:
            if place[0] is not NULL:                # dead, and not yet buried
                place[0].state = NULL
                place[0].role = ROLE_LEAVING
            upstream.role = ROLE_SHARED
            upstream.state = state
            place[0] = upstream
        return upstream

    cdef void _pass(self, upstream_t *upstream, request_t *request) noexcept nogil:
        """Takes over a request."""
        if unlikely(upstream is NULL):
            request.sink_state = 0
            self.unreachable(request, self.connect_error)
        elif unlikely(not self.numbered_send(upstream, request)):
            request.sink_state = 0
            self.over_pending += 1
            self._refuse(request, b"BUSY", b"shotover: too many requests wait for the server (max_pending_requests)")

    cdef void _refuse(self, request_t *request, const char *code, const char *text) noexcept nogil:
        """Takes over a request; it has not been sent."""
        request.watched &= ~<uint8_t>WATCHED_BY_SINK
        self.refuse_take(request, code, text, strlen(text))

    cdef void _adopt(self, upstream_t *upstream, cql_state_t *state, uint64_t number) noexcept nogil:
        """A connection that has come into `state` by somebody's doing is shared from now on, if there is none in its place."""
        cdef upstream_t **place = &state.shared[number % self.connection_count]
        upstream.tenant = NULL
        if place[0] is NULL and not upstream.stream.closed:
            upstream.role = ROLE_SHARED
            upstream.state = state
            place[0] = upstream
        else:
            upstream.role = ROLE_LEAVING
            upstream.state = NULL
            self.numbered_retire(upstream)

    # ---- greeting -----------------------------------------------------------------------------------------------

    cdef void on_connected(self, upstream_t *upstream) noexcept nogil:
        if upstream.state is NULL:
            self.numbered_ready(upstream)       # whoever has asked for it says what there is to say
        else:
            self._greet(upstream, <cql_state_t *>upstream.state, OP_STARTUP)

    cdef void _greet(self, upstream_t *upstream, cql_state_t *state, uint8_t opcode) noexcept nogil:
        """One step of the greeting: STARTUP, AUTH_RESPONSE or QUERY, which is USE."""
        cdef:
            uint8_t    use[USE_SIZE_MAX]
            uint8_t   *body = state.fields[FIELD_STARTUP]
            size_t     size = state.sizes[FIELD_STARTUP]
            size_t     at
            request_t *greeting
        if opcode == OP_AUTH_RESPONSE:
            body = state.fields[FIELD_AUTH]
            size = state.sizes[FIELD_AUTH]
        elif opcode == OP_QUERY:
            body = use
            memcpy(use + 4, b'USE "', 5)
            size = 9
            for at in range(state.sizes[FIELD_KEYSPACE]):
                if size > USE_SIZE_MAX - 16:
                    break
                use[size] = state.fields[FIELD_KEYSPACE][at]
                size += 1
                if use[size - 1] == b'"':
                    use[size] = b'"'
                    size += 1
            use[size] = b'"'
            size += 1
            put_int(use, <uint32_t>size - 4)
            put_short(use + size, CONSISTENCY_ONE)
            memset(use + size + 2, 0, 4)
            size += 6 if state.version >= 5 else 3      # flags: four bytes, or one
        greeting = self._own_request(b"", HEADER_SIZE + size)
        if greeting is NULL:
            stream_close(&upstream.stream, CLOSE_LOCAL)
            return
        frame_head(greeting.wire.data, state.version, 0, opcode, size)
        if size:
            memcpy(greeting.wire.data + HEADER_SIZE, body, size)
        greeting.version = state.version
        greeting.opcode = opcode
        greeting.watched = WATCHED_BY_SINK
        greeting.sink_state = S_GREETING
        self.numbered_greet(upstream, greeting)

    cdef void _greeted(self, upstream_t *upstream, request_t *greeting) noexcept nogil:
        """A step of the greeting has been answered. Takes over that request."""
        cdef:
            cql_state_t *state = <cql_state_t *>upstream.state
            uint8_t      answer = OP_ERROR
            uint8_t     *reply = greeting.reply.data
            size_t       size
        if greeting.reply.size >= HEADER_SIZE:
            answer = reply[4]
        if greeting.opcode == OP_STARTUP and greeting.version >= SEGMENTS_FROM and answer != OP_ERROR:
            self.numbered_frame(upstream, startup_framing(greeting.wire.data + HEADER_SIZE, greeting.wire.size - HEADER_SIZE))
        if state is NULL:
            stream_close(&upstream.stream, CLOSE_LOCAL)
        elif greeting.opcode == OP_STARTUP and answer == OP_AUTHENTICATE and state.sizes[FIELD_AUTH]:
            self._greet(upstream, state, OP_AUTH_RESPONSE)
        elif (answer == OP_READY or answer == OP_AUTH_SUCCESS) and state.sizes[FIELD_KEYSPACE]:
            self._greet(upstream, state, OP_QUERY)
        elif answer == OP_READY or answer == OP_AUTH_SUCCESS or answer == OP_RESULT:
            self._opened(upstream)
        else:
            size = 0
            if answer == OP_ERROR and greeting.reply.size >= HEADER_SIZE + 6 and not reply[1] & FLAG_COMPRESSED:
                size = min(<size_t>read_short(reply + HEADER_SIZE + 4), greeting.reply.size - HEADER_SIZE - 6, <size_t>200)
            if size:
                snprintf(self.refusal, sizeof(self.refusal), b"%.*s", <int>size, <const char *>reply + HEADER_SIZE + 6)
            else:
                snprintf(self.refusal, sizeof(self.refusal), b"it refused the greeting")
            self.connect_error = EACCES
            stream_close(&upstream.stream, EACCES)
        self.hub.request_free(greeting)

    cdef void _opened(self, upstream_t *upstream) noexcept nogil:
        """The greeting is done."""
        self.numbered_ready(upstream)

    cdef bint on_retire(self, bint force) noexcept nogil:
        self.loop.cancel_timer(&self.trim)
        return NumberedSink.on_retire(self, force)

    # ---- is it still there? -------------------------------------------------------------------------------------

    cdef bint _ask_options(self, upstream_t *upstream, uint8_t version) noexcept nogil:
        """Sends OPTIONS, which any server answers at once, however busy. False: no memory, or no number."""
        cdef request_t *request = self._own_request(b"", HEADER_SIZE)
        if request is NULL:
            return False
        frame_head(request.wire.data, version, 0, OP_OPTIONS, 0)
        request.version = version
        request.watched = WATCHED_BY_SINK
        request.sink_state = S_BEAT
        if not self.numbered_send(upstream, request):
            self.hub.request_free(request)
            return False
        upstream.listed = 1                     # until it is answered
        return True

    cdef bint try_server(self) noexcept nogil:
        """OPTIONS on a connection of its own, which needs no login and closes when that has been answered."""
        cdef upstream_t *upstream = self.upstream_open()
        if upstream is NULL:
            return False
        upstream.role = ROLE_LEAVING
        if not self._ask_options(upstream, TRIAL_VERSION):
            stream_close(&upstream.stream, CLOSE_LOCAL)
            return False
        self.numbered_retire(upstream)
        return True

    cdef void _beat(self, uint64_t silence_ns, uint8_t version) noexcept nogil:
        """Called from time to time: asks connections from which nothing has come for so long whether they are alive, and
        closes those that did not say so since they were last asked. `version`: that of connections without a state; 0: these
        are not asked."""
        cdef:
            upstream_t *upstream = self.alive
            upstream_t *following
        while upstream is not NULL:
            following = upstream.alive_next
            if not upstream.ready or upstream.stream.closed or (upstream.state is NULL and not version):
                pass
            elif self.loop.now - upstream.progress_ns < silence_ns:
                upstream.listed = 0
            elif upstream.listed:
                self.timeouts_total += 1
                stream_close(&upstream.stream, ETIMEDOUT)
            else:
                self._ask_options(upstream, (<cql_state_t *>upstream.state).version if upstream.state is not NULL else version)
            upstream = following

    cdef void unreachable(self, request_t *request, int error) noexcept nogil:
        cdef char text[400]
        if error == EACCES and self.refusal[0]:
            snprintf(text, sizeof(text), b"the server would not have it: %s", self.refusal)
            self.fail(request, text)
        else:
            self.fail_errno(request, b"upstream unavailable", error)
