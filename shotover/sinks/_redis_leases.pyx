"""See _redis_leases.pxd."""

from libc.errno cimport EACCES, EHOSTDOWN
from libc.stdlib cimport free
from libc.string cimport memset

from shotover._codec.commands cimport CONDUCT_ALONE, CONDUCT_BLOCK, CONDUCT_PLAIN, KIND_READ, command_t
from shotover._codec.resp cimport resp_frame_size
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport WATCHED_BY_SINK, batch_pop, batch_unshift
from shotover._net.loop cimport CLOSE_LOCAL, stream_close, stream_finish
from shotover._net.timers cimport timer_t
from shotover._proxy.retry cimport keeper_init, keeper_keep
from shotover._proxy.session cimport PAUSE_SINK, PAUSE_UPLOAD, session_resume, session_slots
from shotover.sinks._redis_learn cimport QUESTION_SIZE_MAX
from shotover.sinks._redis_state cimport FIELD_AUTH, FIELD_COUNT, state_hash, state_is, state_new

cdef enum:
    IDLE_MAX = 256          # connections kept for the next lease, per state
    IDLE_CHECK_NS = 5000000000
    IDLE_KEEP_NS = 20000000000  # one that was not leased for so long is closed
    KEPT_MAX = 4096         # beyond so many requests on a connection, bytes are not kept for a retry


cdef void _on_trim(timer_t *timer) noexcept nogil:
    (<LeasingSink>timer.owner).trim_idle()


cdef class LeasingSink(LearningSink):

    def __cinit__(self, context, *args, **kwargs):
        cdef slice_t fields[FIELD_COUNT]
        slab_init(&self.sessions, sizeof(redis_session_t))
        keeper_init(&self.keeper, self.loop)
        self.trim.fire = _on_trim
        self.trim.owner = <void *>self
        memset(fields, 0, sizeof(fields))
        self.fresh = self._state_for(fields)
        if self.fresh is NULL:
            raise MemoryError()
        self.fresh.users = 1            # never forgotten

    def log_in(self, username, str password not None):
        """Connections are logged in so before anything else. To be called before the first request, and only where no client
        can change the state of one: it is the default state from now on, which RESET would not lead back to."""
        cdef:
            slice_t        fields[FIELD_COUNT]
            redis_state_t *state
            bytes          words = b""
        for word in (password,) if username is None else (username, password):
            raw = word.encode()
            words += len(raw).to_bytes(2, "little") + raw
        memset(fields, 0, sizeof(fields))
        fields[FIELD_AUTH].data = <uint8_t *><const char *>words
        fields[FIELD_AUTH].size = len(words)
        state = self._state_for(fields)
        if state is NULL:
            raise MemoryError()
        state.users = 1
        self.fresh = state

    def __dealloc__(self):
        cdef redis_state_t *state
        while self.states is not NULL:
            state = self.states
            self.states = state.next
            free(state)
        slab_close(&self.sessions)

    def on_linked(self):
        LearningSink.on_linked(self)
        self._count_room()

    # ---- shared connections -------------------------------------------------------------------------------------

    cdef inline upstream_t **_shared_place(self, session_t *session, redis_state_t *state) noexcept nogil:
        if self.connection_count == 1 or session is NULL:
            return &state.shared[0]
        return &state.shared[session.id % self.connection_count]

    cdef upstream_t *_peek_shared(self, session_t *session, redis_state_t *state) noexcept nogil:
        cdef upstream_t *upstream = self._shared_place(session, state)[0]
        if upstream is not NULL and upstream.stream.closed:
            return NULL
        return upstream

    cdef upstream_t *_shared(self, session_t *session, redis_state_t *state) noexcept nogil:
        """The connection that this session shares with others of its state; opened when there is none."""
        cdef:
            upstream_t **place = self._shared_place(session, state)
            upstream_t  *upstream = place[0]
        if likely(upstream is not NULL and not upstream.stream.closed):
            return upstream
        upstream = self.upstream_open()
        if upstream is not NULL:
            upstream.role = ROLE_SHARED
            upstream.state = state
            place[0] = upstream
        return upstream

    cdef void _send_shared(self, request_t *request, session_t *session, redis_state_t *state) noexcept nogil:
        cdef upstream_t *upstream
        if unlikely(self.tripped):
            self.unreachable(request, EHOSTDOWN)
            return
        upstream = self._shared(session, state)
        if unlikely(upstream is NULL):
            self.unreachable(request, self.connect_error)
        elif unlikely(upstream.pending >= self.pending_max):
            self.over_pending += 1
            self.fail(request, b"too many requests wait for the server (max_pending_requests)")
        else:
            if likely(request.kind == KIND_READ and self.retry_percent) and upstream.pending < KEPT_MAX:
                keeper_keep(&self.keeper, request)
            self.upstream_send(upstream, request)

    # ---- leases -----------------------------------------------------------------------------------------------------

    cdef bint _take_lease(self, redis_session_t *rs, uint8_t conduct) noexcept nogil:
        """Gives the session a connection in its state: an idle one, or a new one. False: none to be had."""
        cdef upstream_t *upstream = rs.state.idle
        if self.leases >= self.lease_max:
            return False
        if unlikely(self.tripped):
            self.connect_error = EHOSTDOWN
            return False
        if unlikely(self.proxy_version):
            upstream = NULL             # of those that are idle, none was opened for this client
        while upstream is not NULL and upstream.stream.closed:
            upstream = upstream.next
        if upstream is not NULL:
            self._unlist_idle(upstream)
        else:
            self.speaks_for = rs.session
            upstream = self.upstream_open()
            self.speaks_for = NULL
            if upstream is NULL:
                return False
            upstream.state = rs.state
        rs.state.users += 1
        upstream.role = ROLE_LEASE
        upstream.tenant = rs.session
        rs.lease = upstream
        if self.per_client:
            rs.reasons |= PINNED
        self.leases += 1
        self.leases_by[PER_CLIENT if self.per_client else conduct] += 1
        self._count_room()
        return True

    cdef inline void _count_room(self) noexcept nogil:
        """How many big requests may be streamed, each over a lease: never over those left to who cannot do without."""
        cdef uint32_t most = self.lease_max - (self.lease_max + 7) // 8
        if self.chain.streams:
            self.chain.upload_room = most - self.leases if self.leases < most else 0

    cdef void _try_release(self, redis_session_t *rs) noexcept nogil:
        """Ends the lease if nothing keeps it."""
        cdef upstream_t *upstream = rs.lease
        if upstream is NULL or rs.reasons or upstream.head is not NULL or upstream.upload is not NULL or not upstream.ready:
            return
        rs.lease = NULL
        self._leave_lease(upstream)
        if upstream.stream.closed:
            return
        self._give_back(upstream)
        self._forget(rs.session)

    cdef void _leave_lease(self, upstream_t *upstream) noexcept nogil:
        if upstream.tenant is not NULL:
            session_resume(upstream.tenant, PAUSE_UPLOAD)
        upstream.tenant = NULL
        self.leases -= 1
        self._count_room()
        self._drop_state_user(<redis_state_t *>upstream.state)

    cdef void _give_back(self, upstream_t *upstream) noexcept nogil:
        """A clean connection: shared if its state has none in that place, else kept for the next lease, else closed."""
        cdef:
            redis_state_t *state = <redis_state_t *>upstream.state
            uint32_t       index
        upstream.framed = 0
        upstream.frame_soon = 0
        self._wake(upstream)
        if upstream.stream.stash is not NULL or upstream.introduced or (state.users == 0 and state is not self.fresh):
            upstream.role = ROLE_LEASE
            stream_close(&upstream.stream, CLOSE_LOCAL)
            return
        for index in range(self.connection_count):
            if state.shared[index] is NULL and not self.per_client:
                upstream.role = ROLE_SHARED
                state.shared[index] = upstream
                return
        if state.idle_count >= IDLE_MAX:
            stream_close(&upstream.stream, CLOSE_LOCAL)
            return
        upstream.role = ROLE_IDLE
        upstream.previous = NULL
        upstream.next = state.idle
        if state.idle is not NULL:
            state.idle.previous = upstream
        state.idle = upstream
        state.idle_count += 1
        upstream.progress_ns = self.loop.now
        if self.trim.home is NULL:
            self.loop.set_timer(&self.trim, IDLE_CHECK_NS)

    cdef void _unlist_idle(self, upstream_t *upstream) noexcept nogil:
        cdef redis_state_t *state = <redis_state_t *>upstream.state
        if upstream.previous is not NULL:
            upstream.previous.next = upstream.next
        else:
            state.idle = upstream.next
        if upstream.next is not NULL:
            upstream.next.previous = upstream.previous
        upstream.next = NULL
        upstream.previous = NULL
        state.idle_count -= 1

    cdef void _wake(self, upstream_t *upstream) noexcept nogil:
        """Reads again from a lease that rested for its slow tenant."""
        if upstream.resting:
            upstream.resting = 0
            if not upstream.stream.closed:
                self.loop.want(&upstream.stream.handle, True)

    cdef void _pin(self, redis_session_t *rs) noexcept nogil:
        if not rs.reasons & PINNED or rs.reasons & UNPROVEN:
            rs.reasons = (rs.reasons | PINNED) & ~<uint32_t>UNPROVEN
            self.pins_total += 1

    cdef void on_session_drained(self, void *session) noexcept nogil:
        cdef redis_session_t *rs = self._find(<session_t *>session)
        if rs is not NULL and rs.lease is not NULL:
            self._wake(rs.lease)

    cdef void on_probe(self) noexcept nogil:
        cdef upstream_t *upstream
        if (self.connections and self.backoff_ns == 0) or self.fresh.idle is not NULL \
                or self._peek_shared(NULL, self.fresh) is not NULL:
            return                          # it is known, or about to be
        upstream = self.upstream_open()
        if upstream is not NULL:
            upstream.state = self.fresh
            self._give_back(upstream)

    cdef bint try_server(self) noexcept nogil:
        """A PING on the connection that clients in the default state share. Even NOAUTH would be an answer."""
        cdef:
            upstream_t *upstream = self._shared(NULL, self.fresh)
            request_t  *ping = self._own_request(b"*1\r\n$4\r\nPING\r\n", 14) if upstream is not NULL else NULL
        if ping is NULL:
            return False
        ping.sink_state = S_TRIAL
        ping.discard = 1
        self.upstream_send(upstream, ping)
        return True

    cdef void trim_idle(self) noexcept nogil:
        """Closes connections that no lease has needed for a while."""
        cdef:
            redis_state_t *state = self.states
            upstream_t    *upstream
            upstream_t    *following
            bint           left = False
        while state is not NULL:
            upstream = state.idle
            while upstream is not NULL:
                following = upstream.next
                if self.loop.now - upstream.progress_ns > IDLE_KEEP_NS:
                    stream_close(&upstream.stream, CLOSE_LOCAL)     # on_lost takes it off the list
                else:
                    left = True
                upstream = following
            state = state.next
        if left:
            self.loop.set_timer(&self.trim, IDLE_CHECK_NS)

    cdef bint on_retire(self, bint force) noexcept nogil:
        self.loop.cancel_timer(&self.trim)
        return LearningSink.on_retire(self, force)

    # ---- the barrier ------------------------------------------------------------------------------------------------

    cdef bint _barrier(self, request_t *request, session_t *session, redis_session_t *rs) noexcept nogil:
        """True: nothing of this session is outstanding on a shared connection."""
        cdef:
            upstream_t *upstream
            request_t  *marker
        if (request.queued and session.order_head is request) or self.through is session:
            return True
        if rs.barrier is not NULL:
            return False
        upstream = self._peek_shared(session, rs.state)
        if upstream is NULL or upstream.head is NULL:
            return True
        marker = self._own_request(b"", 0)
        if marker is NULL:
            return True
        self.barriers_total += 1
        marker.left = 0
        marker.sink_state = S_BARRIER
        marker.tags[0] = rs
        rs.barrier = marker
        self.upstream_send(upstream, marker)
        return False

    cdef void _barrier_through(self, redis_session_t *rs) noexcept nogil:
        """The shared connection has answered all that the session had on it: what waits may go.

        It stays in `waiting` until its turn: a request that is refused may bring the next one here (Tee), which must not
        overtake those.
        """
        cdef:
            request_t *request
            session_t *session = rs.session
        rs.barrier = NULL
        self.through = session          # though replies that a step wants to see may not have left the order yet
        while rs is not NULL and rs.waiting.head is not NULL and rs.barrier is NULL:
            request = batch_pop(&rs.waiting)
            if not self._advance(request, session, rs):
                batch_unshift(&rs.waiting, request)
            self.through = NULL
            rs = self._find(session)        # _advance may have forgotten it
        self.through = NULL
        if rs is NULL or rs.waiting.head is NULL:
            session_resume(session, PAUSE_SINK)

    # ---- commands that no table has ---------------------------------------------------------------------------------

    cdef void _ask(self, request_t *request, redis_session_t *rs) noexcept nogil:
        """The server knows a command that we do not: asks it what that is, on a connection made for the question.

        It may have been MULTI under another name: then a question on the client's own lease would become a part of its
        transaction. The client keeps the lease until the answer is there, and for good if there is none.
        """
        cdef:
            char        wire[QUESTION_SIZE_MAX]
            request_t  *ask = NULL
            upstream_t *upstream = NULL
            size_t      size
        rs.reasons |= UNSURE
        if rs.asking is not NULL:
            return
        size = self.question(request, wire) if self.leases < self.lease_max else 0
        if size:
            ask = self._own_request(wire, size)
        if ask is not NULL:
            upstream = self.upstream_open()
        if upstream is NULL:
            if ask is not NULL:
                self.hub.request_free(ask)
            self.not_learned()
            self._pin(rs)
            return
        upstream.state = rs.state
        upstream.role = ROLE_LEAVING        # closed when it has answered
        rs.state.users += 1
        self.leases += 1
        ask.sink_state = S_LEARN
        ask.watched = WATCHED_BY_SINK
        ask.tags[0] = rs
        rs.asking = ask
        self.upstream_send(upstream, ask)

    cdef void _settle(self, request_t *asked, const command_t *command) noexcept nogil:
        """What becomes of the client for whose sake it was asked. NULL: nothing was learned."""
        cdef redis_session_t *rs = <redis_session_t *>asked.tags[0]
        if rs is NULL:
            return
        rs.asking = NULL
        rs.reasons &= ~<uint32_t>UNSURE
        if rs.lease is NULL:
            self._forget(rs.session)
        elif command is not NULL and (command.conduct == CONDUCT_PLAIN or command.conduct == CONDUCT_ALONE
                                      or command.conduct == CONDUCT_BLOCK):
            self._try_release(rs)
        else:
            self._pin(rs)
            rs.lease.frame_soon = 1

    # ---- session state ----------------------------------------------------------------------------------------------

    cdef redis_session_t *_session_of(self, session_t *session) noexcept nogil:
        cdef:
            void           **place = self._place(session)
            redis_session_t *rs
            redis_state_t   *state
        if place is NULL:
            return NULL
        rs = <redis_session_t *>place[0]
        if rs is not NULL:
            return rs
        rs = <redis_session_t *>slab_take(&self.sessions)
        state = self._state_at_first(session)
        if rs is NULL or state is NULL:
            if rs is not NULL:
                slab_give(&self.sessions, rs)
            return NULL
        memset(rs, 0, sizeof(redis_session_t))
        rs.session = session
        rs.state = state
        state.users += 1
        place[0] = rs
        return rs

    cdef void _forget(self, session_t *session) noexcept nogil:
        """A session back in the default state with no lease needs no memory here. It may have been forgotten already: an
        answer can bring the next request here (Tee) before its caller goes on."""
        cdef redis_session_t *rs = self._find(session)
        if rs is NULL or rs.lease is not NULL or rs.waiting.head is not NULL or rs.barrier is not NULL \
                or rs.asking is not NULL or rs.state is not self.fresh:
            return
        self._place(session)[0] = NULL
        self._drop_state_user(rs.state)
        slab_give(&self.sessions, rs)

    cdef redis_session_t *_find(self, session_t *session) noexcept nogil:
        """What is known of the session here, or NULL."""
        return <redis_session_t *>session_slots(session)[self.slot]

    cdef void **_place(self, session_t *session) noexcept nogil:
        """Where _find looks: made if need be, NULL when there is no memory."""
        return &session_slots(session)[self.slot]

    cdef redis_state_t *_state_at_first(self, session_t *session) noexcept nogil:
        """The state of a session that was not known here before; NULL: no memory."""
        return self.fresh

    cdef redis_state_t *_state_for(self, slice_t *fields) noexcept nogil:
        """The state with these fields; NULL: no memory."""
        cdef:
            uint64_t       hash = state_hash(fields)
            redis_state_t *state = self.states
        while state is not NULL:
            if state_is(state, fields, hash):
                return state
            state = state.next
        state = state_new(fields)
        if state is not NULL:
            state.next = self.states
            self.states = state
        return state

    cdef void _set_state(self, redis_session_t *rs, redis_state_t *state) noexcept nogil:
        """The session, and the connection that it has on lease, are in `state` now."""
        cdef redis_state_t *old = rs.state
        state.users += 2
        rs.state = state
        self._drop_state_user(old)
        old = <redis_state_t *>rs.lease.state
        rs.lease.state = state
        self._drop_state_user(old)

    cdef void _drop_state_user(self, redis_state_t *state) noexcept nogil:
        """With its last user a state's connections close and it is forgotten."""
        cdef:
            redis_state_t **link
            upstream_t     *upstream
            uint32_t        index
        state.users -= 1
        if state.users or state is self.fresh:
            return
        for index in range(self.connection_count):
            upstream = state.shared[index]
            if upstream is not NULL:
                upstream.state = NULL
                stream_finish(&upstream.stream)         # what was written last, for a client that has gone, still goes out
        while state.idle is not NULL:
            upstream = state.idle
            self._unlist_idle(upstream)
            upstream.role = ROLE_LEASE
            upstream.state = NULL
            stream_close(&upstream.stream, CLOSE_LOCAL)
        link = &self.states
        while link[0] is not state:
            link = &link[0].next
        link[0] = state.next
        free(state)

    cdef void on_connected(self, upstream_t *upstream) noexcept nogil:
        cdef:
            redis_state_t *state = <redis_state_t *>upstream.state
            request_t     *greeting
        if state.greeting_size == 0:
            self.upstream_ready(upstream)
            return
        greeting = self._own_request(<const char *>state.greeting, state.greeting_size)
        if greeting is NULL:
            stream_close(&upstream.stream, CLOSE_LOCAL)
            return
        greeting.count = state.greeting_count
        greeting.left = state.greeting_count
        greeting.watched = WATCHED_BY_SINK
        greeting.sink_state = S_GREETING
        self.upstream_greet(upstream, greeting)

    cdef void _greeted(self, upstream_t *upstream, request_t *greeting) noexcept nogil:
        """Every reply must be good: a connection that is not in its state may serve nobody."""
        cdef:
            uint8_t *at = greeting.reply.data
            uint8_t *end = at + greeting.reply.size
            size_t   size
            bint     good = True
        while at < end:
            if at[0] == b'-':
                good = False
            size = resp_frame_size(at, end)
            if size == 0:
                break
            at += size
        self.hub.request_free(greeting)
        if good:
            self.upstream_ready(upstream)
            if upstream.tenant is not NULL and upstream.head is NULL:
                self._try_release(self._find(upstream.tenant))
        else:
            self.connect_error = EACCES
            stream_close(&upstream.stream, EACCES)

    # ---- for subclasses -----------------------------------------------------------------------------------------

    cdef bint _advance(self, request_t *request, session_t *session, redis_session_t *rs) noexcept nogil:
        """Sends the request where it belongs. False: it must wait for the barrier, and is still the caller's."""
        self.fail(request, b"nothing sends this")
        return True
