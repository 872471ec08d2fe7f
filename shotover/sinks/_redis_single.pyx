"""See _redis_single.pxd. Order is the theme: a session's requests never overtake each other.

  shared -> lease   The session's requests on the shared connection must have their replies first. If the request that
                    needs the lease is not the oldest one pending, a *barrier* (a request of no bytes) is put behind them
                    in the shared pipeline; what comes after waits for it, and the client is not read meanwhile.
  lease -> shared   Only when the lease has no replies outstanding and no reason is left.
  on a lease        Everything of the session goes there, plain commands too.
"""

from libc.errno cimport EACCES
from libc.string cimport memcmp, strlen

from shotover._codec.commands cimport (
    CONDUCT_ALONE,
    CONDUCT_BLOCK,
    CONDUCT_DISCARD,
    CONDUCT_EXEC,
    CONDUCT_MONITOR,
    CONDUCT_MULTI,
    CONDUCT_PIN,
    CONDUCT_PLAIN,
    CONDUCT_QUIT,
    CONDUCT_REPLICATION,
    CONDUCT_REPLY_MODE,
    CONDUCT_RESET,
    CONDUCT_STATE,
    CONDUCT_SUBSCRIBE,
    CONDUCT_UNSUBSCRIBE,
    CONDUCT_UNWATCH,
    CONDUCT_WAIT,
    CONDUCT_WATCH,
    KIND_READ,
    command_blocks,
    command_t,
    word_is,
)
from shotover._codec.resp cimport resp_bulk, resp_integer, resp_words
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport slab_give
from shotover._core.request cimport (
    ABANDONED,
    WATCHED_BY_SINK,
    WATCHED_FOR_ERROR,
    batch_pop,
    batch_push,
    batch_t,
    request_own,
)
from shotover._core.slice cimport slice_t
from shotover._net.loop cimport CLOSE_LOCAL, stream_close, stream_finish
from shotover._proxy.session cimport (
    PAUSE_PENDING,
    PAUSE_SINK,
    UPLOAD_SWALLOWED,
    session_pause,
    session_resume,
    session_slots,
)
from shotover.sinks._redis_leases cimport (
    IN_MULTI,
    IN_WATCH,
    MONITORING,
    PER_CLIENT,
    PINNED,
    QUITTING,
    ROLE_IDLE,
    ROLE_LEAVING,
    ROLE_SHARED,
    SILENT,
    SKIP_NEXT,
    STATE_IN_MULTI,
    SUBSCRIBED,
    S_BARRIER,
    S_BLOCK,
    S_EXEC,
    S_GREETING,
    S_LEARN,
    S_LEASED,
    S_MONITOR,
    S_MULTI,
    S_NONE,
    S_PIN,
    S_PING,
    S_RESET,
    S_RETRIED,
    S_STATE,
    S_SUBSCRIBE,
    S_TRIAL,
    S_UNKNOWN,
    S_UNSUBSCRIBE,
    S_UNSUBSCRIBE_ALL,
    UNPROVEN,
    LeasingSink,
    redis_session_t,
)
from shotover.sinks._redis_state cimport (
    FIELD_COUNT,
    FIELD_SIZE_MAX,
    SHARED_MAX,
    redis_state_t,
    state_apply,
    state_fields,
)

cdef enum:
    WORDS_LOOKED_AT = 64
    LOOKED_AHEAD_MAX = 32   # requests of a client behind the one that may be retried

cdef const char *REFUSED_REPLICATION = \
    b"shotover: replication (PSYNC, SYNC, REPLCONF) cannot pass the proxy; let the replica connect to the server"

LEASE_REASONS = {
    CONDUCT_STATE: "state", CONDUCT_PIN: "pin", CONDUCT_REPLY_MODE: "reply_mode", CONDUCT_ALONE: "alone",
    CONDUCT_BLOCK: "block", CONDUCT_WAIT: "wait", CONDUCT_MULTI: "multi", CONDUCT_WATCH: "watch",
    CONDUCT_SUBSCRIBE: "subscribe", CONDUCT_UNSUBSCRIBE: "unsubscribe", CONDUCT_MONITOR: "monitor",
    CONDUCT_RESET: "reset", <int>PER_CLIENT: "per_client",
}


cdef class RedisSinkSingle(LeasingSink):

    def __init__(self, context, *, str name, remote_address, int connect_timeout_ms, read_timeout, str connection,
                 int connection_count, int max_pending_requests, int max_leases, int retries, tls=None, proxy_protocol=None,
                 breaker_timeouts=None):
        self.set_tls(tls)
        if remote_address is not None:
            self.set_address(remote_address)
        self.connect_timeout_ns = <uint64_t>connect_timeout_ms * 1000000
        self.read_timeout_ns = int((read_timeout or 0) * 1e9)
        self.connection_count = min(connection_count, <int>SHARED_MAX)
        self.per_client = connection == "per_client"
        self.pending_max = max_pending_requests
        self.lease_max = max_leases
        self.wants_slot = True
        self.wants_end = True
        self.reads_bodies = False
        self.retry_percent = 0 if self.per_client else retries
        self.proxy_version = int((proxy_protocol or "v0")[1])
        self.proxy_checksum = proxy_protocol == "v2-crc32c"
        self.breaker_timeouts = breaker_timeouts or 0

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t       *request
            session_t       *session
            redis_session_t *rs
        while batch.head is not NULL:
            request = batch_pop(batch)
            session = <session_t *>request.session
            rs = NULL if session is NULL else <redis_session_t *>session_slots(session)[self.slot]
            if likely(rs is NULL and request.conduct == CONDUCT_PLAIN and request.command is not NULL and not self.per_client):
                self._send_shared(request, session, self.fresh)
            else:
                self.route(request, session, rs)

    cdef void route(self, request_t *request, session_t *session, redis_session_t *rs) noexcept nogil:
        """Everything that is not a plain command of a session in the default state."""
        if session is NULL:
            if request.conduct == CONDUCT_PLAIN:
                self._send_shared(request, NULL, self.fresh)
            else:
                request.failed = ABANDONED
                self.fail(request, b"the client is gone")
            return
        if rs is NULL:
            rs = self._session_of(session)
            if rs is NULL:
                self.fail(request, b"no memory")
                return
        if rs.waiting.head is not NULL or not self._advance(request, session, rs):
            if not request_own(&self.loop.pool, request):
                self.fail(request, b"no memory")
                return
            batch_push(&rs.waiting, request)
            if request.queued:
                session_pause(session, PAUSE_SINK)

    cdef bint _advance(self, request_t *request, session_t *session, redis_session_t *rs) noexcept nogil:
        """Sends the request where it belongs. False: it must wait for the barrier, and is still the caller's."""
        cdef:
            slice_t words[WORDS_LOOKED_AT]
            uint32_t count
            uint8_t conduct = request.conduct
        if rs.reasons & QUITTING:
            request.mute = 1
            request.left = 0
            self.complete(request)
            return True
        if conduct == CONDUCT_PLAIN and request.command is NULL:
            conduct = CONDUCT_ALONE         # unknown: it may be anything, so it gets a connection for itself
        elif conduct == CONDUCT_BLOCK:
            count = resp_words(request.wire.data, request.wire.data + request.wire.size, words, WORDS_LOOKED_AT)
            if not command_blocks(<const command_t *>request.command, words, min(count, <uint32_t>WORDS_LOOKED_AT)):
                conduct = CONDUCT_PLAIN
        elif conduct == CONDUCT_REPLICATION:
            self.refuse_take(request, b"ERR", REFUSED_REPLICATION, strlen(REFUSED_REPLICATION))
            return True
        elif conduct == CONDUCT_QUIT:
            if request.queued:
                session.leaving = 1
            rs.reasons |= QUITTING
            self.answer_take(request, b"+OK\r\n", 5)
            return True
        request.conduct = conduct
        if rs.lease is NULL:
            if not self.per_client and (conduct == CONDUCT_PLAIN or conduct == CONDUCT_UNWATCH or conduct == CONDUCT_EXEC
                                        or conduct == CONDUCT_DISCARD):
                self._send_shared(request, session, rs.state)
                self._forget(session)
                return True
            if not self._barrier(request, session, rs):
                return False
            if not self._take_lease(rs, conduct):
                if self.leases >= self.lease_max:
                    self.over_leases += 1
                    self.fail(request, b"too many leased connections (max_leases)")
                else:
                    self.unreachable(request, self.connect_error)
                if conduct == CONDUCT_REPLY_MODE:
                    self.up.on_leave(session)       # which replies it now counts on, it alone knows
                self._forget(session)
                return True
            if conduct == CONDUCT_WAIT:
                self._ping(rs)
        self._special(request, rs)
        return True

    cdef void _special(self, request_t *request, redis_session_t *rs) noexcept nogil:
        """A request on a lease: notes what it does to the connection and what its reply will mean.

        Reasons are kept as they will be once everything sent has been answered, since more may follow in the pipeline;
        the lease is released only when nothing is outstanding. Replies that contradict correct them (on_error_reply).
        """
        cdef:
            uint8_t conduct = request.conduct
            uint8_t after = S_LEASED
        if rs.reasons & IN_MULTI and conduct != CONDUCT_EXEC and conduct != CONDUCT_DISCARD and conduct != CONDUCT_RESET \
                and conduct != CONDUCT_SUBSCRIBE and conduct != CONDUCT_UNSUBSCRIBE:
            if conduct == CONDUCT_STATE or conduct == CONDUCT_PIN or conduct == CONDUCT_MONITOR \
                    or conduct == CONDUCT_REPLY_MODE:
                rs.reasons |= STATE_IN_MULTI
        elif conduct == CONDUCT_STATE:
            after = S_STATE
            request.watched |= WATCHED_BY_SINK
            if not request_own(&self.loop.pool, request):
                self.fail(request, b"no memory")
                return
        elif conduct == CONDUCT_MULTI:
            after = S_MULTI
            rs.reasons |= IN_MULTI
        elif conduct == CONDUCT_EXEC or conduct == CONDUCT_DISCARD:
            after = S_EXEC
            if rs.reasons & STATE_IN_MULTI:
                self._pin(rs)               # its state changes where nobody sees it
            rs.reasons &= ~<uint32_t>(IN_MULTI | IN_WATCH | STATE_IN_MULTI)
        elif conduct == CONDUCT_WATCH:
            rs.reasons |= IN_WATCH
        elif conduct == CONDUCT_UNWATCH:
            after = S_EXEC
            rs.reasons &= ~<uint32_t>IN_WATCH
        elif conduct == CONDUCT_BLOCK or conduct == CONDUCT_WAIT:
            after = S_BLOCK
            if request.queued:
                rs.session.blocking += 1
                session_resume(rs.session, PAUSE_PENDING)       # or nobody would hear that it leaves
        elif conduct == CONDUCT_PIN:
            after = S_PIN
            if not rs.reasons & PINNED:
                rs.reasons |= PINNED | UNPROVEN
            rs.lease.frame_soon = 1
        elif conduct == CONDUCT_SUBSCRIBE:
            after = S_SUBSCRIBE
            rs.reasons |= SUBSCRIBED
            if rs.reasons & IN_MULTI:
                rs.reasons |= STATE_IN_MULTI    # queued, or refused: its reply tells which
            rs.lease.frame_soon = 1
            if request.argc > 2:
                request.left = request.argc - 1
        elif conduct == CONDUCT_UNSUBSCRIBE:
            rs.reasons |= SUBSCRIBED        # until its confirmation has been counted
            rs.lease.frame_soon = 1
            after = S_UNSUBSCRIBE
            if request.argc > 2:
                request.left = request.argc - 1
            elif request.argc == 1:
                after = S_UNSUBSCRIBE_ALL
        elif conduct == CONDUCT_MONITOR:
            after = S_MONITOR
            rs.reasons |= MONITORING
            rs.lease.frame_soon = 1
        elif conduct == CONDUCT_RESET:
            after = S_RESET
            rs.reasons &= SUBSCRIBED | MONITORING       # until the reply says that they have ended
            if self.per_client:
                rs.reasons |= PINNED
        elif conduct == CONDUCT_REPLY_MODE:
            self._reply_mode(request, rs)
            return
        elif request.command is NULL and request_own(&self.loop.pool, request):
            after = S_UNKNOWN
        self._send_lease(request, rs, after)
        if after == S_BLOCK and rs.session.stream.ended:        # it has left in the same moment
            self._cancel_wait(rs.session, rs.lease)

    cdef void _reply_mode(self, request_t *request, redis_session_t *rs) noexcept nogil:
        """CLIENT REPLY ON|OFF|SKIP: the only command that changes how many replies there are."""
        cdef slice_t words[3]
        self._pin(rs)
        if resp_words(request.wire.data, request.wire.data + request.wire.size, words, 3) == 3:
            if word_is(&words[2], b"ON", 2):
                rs.reasons &= ~<uint32_t>(SILENT | SKIP_NEXT)
            elif word_is(&words[2], b"OFF", 3):
                rs.reasons |= SILENT
            elif word_is(&words[2], b"SKIP", 4):
                if not rs.reasons & SILENT:
                    self._send_mute(request, rs)
                    rs.reasons |= SKIP_NEXT
                    return
        self._send_lease(request, rs, S_LEASED)

    cdef void _send_mute(self, request_t *request, redis_session_t *rs) noexcept nogil:
        """A request that the server will not answer: it is done as soon as it is queued."""
        if rs.lease.ready:
            self._write(rs.lease, request)
            request.mute = 1
            request.left = 0
            self.complete(request)
        else:
            request.mute = 1            # rides in the pipeline as a marker, so that it goes out in its turn
            request.left = 0
            request.sink_state = S_LEASED
            self.upstream_send(rs.lease, request)

    cdef void _send_lease(self, request_t *request, redis_session_t *rs, uint8_t sink_state) noexcept nogil:
        if unlikely(rs.reasons & (SILENT | SKIP_NEXT)):
            if rs.reasons & SILENT or request.left <= 1:
                rs.reasons &= ~<uint32_t>SKIP_NEXT
                self._send_mute(request, rs)
                return
            rs.reasons &= ~<uint32_t>SKIP_NEXT
            request.left -= 1
        request.sink_state = sink_state
        self.upstream_send(rs.lease, request)

    cdef void _ping(self, redis_session_t *rs) noexcept nogil:
        """WAIT waits for the replication offset of its own connection's last command: any command brings it up to date,
        so that writes made on the shared connection are waited for too."""
        cdef request_t *ping = self._own_request(b"*1\r\n$4\r\nPING\r\n", 14)
        if ping is not NULL:
            ping.sink_state = S_PING
            ping.discard = 1
            self.upstream_send(rs.lease, ping)

    cdef bint may_retry(self, request_t *request) noexcept nogil:
        """Reads alone, and only when nothing that its client sent later may have been carried out before it."""
        cdef:
            session_t       *session = <session_t *>request.session
            redis_session_t *rs
            int              looked = 0
        if not _repeatable(request):
            return False
        rs = self._find(session)
        if rs is not NULL and (rs.lease is not NULL or rs.barrier is not NULL):
            return False
        request = request.after
        while request is not NULL:
            if looked == LOOKED_AHEAD_MAX or not (request.done or _repeatable(request)):
                return False
            looked += 1
            request = request.after
        return True

    cdef void retry(self, request_t *request) noexcept nogil:
        cdef:
            session_t       *session = <session_t *>request.session
            redis_session_t *rs = self._find(session)
        request.sink_state = S_RETRIED
        self._send_shared(request, session, self.fresh if rs is NULL else rs.state)

    # ---- clients that go --------------------------------------------------------------------------------------

    cdef void on_session_end(self, void *session_ended) noexcept nogil:
        cdef:
            session_t       *session = <session_t *>session_ended
            redis_session_t *rs = self._find(session)
            upstream_t      *upstream
            request_t       *request
        if rs is NULL:
            return
        if rs.barrier is not NULL:
            rs.barrier.tags[0] = NULL
            rs.barrier = NULL
        if rs.asking is not NULL:
            rs.asking.tags[0] = NULL
        upstream = rs.lease
        rs.lease = NULL
        if upstream is not NULL and self._may_finish(upstream, rs):
            upstream.tenant = NULL
            upstream.role = ROLE_LEAVING
            self._wake(upstream)
        elif upstream is not NULL:
            self._leave_lease(upstream)
            if rs.reasons or upstream.head is not NULL or upstream.upload is not NULL or not upstream.ready \
                    or upstream.stream.closed:
                stream_close(&upstream.stream, CLOSE_LOCAL)     # also what cancels a blocked command
            else:
                self._give_back(upstream)
        while rs.waiting.head is not NULL:
            request = batch_pop(&rs.waiting)
            request.session = NULL
            request.failed = ABANDONED
            self.fail(request, b"the client is gone")
        self._place(session)[0] = NULL
        self._drop_state_user(rs.state)
        slab_give(&self.sessions, rs)

    cdef void on_session_eof(self, void *session) noexcept nogil:
        cdef redis_session_t *rs = self._find(<session_t *>session)
        if rs is not NULL and rs.lease is not NULL:
            self._cancel_wait(<session_t *>session, rs.lease)

    cdef void _cancel_wait(self, session_t *session, upstream_t *lease) noexcept nogil:
        """A client that sends no more is closed when the oldest thing it waits for may never come: that ends the wait
        on the server, too. What it had asked before has been answered by then, and is still sent."""
        cdef request_t *oldest = session.order_head
        cdef request_t *request = lease.head
        while request is not NULL and (request.sink_state == S_GREETING or request.sink_state == S_PING):
            request = request.next          # the proxy's own
        if oldest is NULL or request is NULL or request.sink_state != S_BLOCK or oldest.begun:
            return
        if request is not oldest and request.parent is not oldest:      # or a copy of it, which its client waits for, too
            return
        while oldest is not NULL:
            oldest.discard = 1
            oldest = oldest.after
        stream_finish(&session.stream)

    cdef bint _may_finish(self, upstream_t *upstream, redis_session_t *rs) noexcept nogil:
        """Requests that a client leaves behind are carried out, as the server does it; one that blocks is cancelled."""
        cdef request_t *request = upstream.head
        if upstream.stream.closed or request is NULL or upstream.framed or upstream.frame_soon:
            return False
        if rs.session.upload is not NULL and rs.session.upload.state != UPLOAD_SWALLOWED:
            return False                    # half a request is among them, sent or not
        while request is not NULL:
            if request.sink_state == S_BLOCK:
                return False
            request = request.next
        return True

    # ---- up -----------------------------------------------------------------------------------------------------

    cdef void on_finished(self, upstream_t *upstream, request_t *request) noexcept nogil:
        cdef:
            redis_session_t *rs = NULL
            uint8_t          state = request.sink_state
            bint             error = request.reply.size > 0 and request.reply.data[0] == b'-'
        request.sink_state = S_NONE
        if state == S_GREETING:
            self._greeted(upstream, request)
            return
        if state == S_LEARN:
            self._settle(request, self.learn(request))
            self.hub.request_free(request)
            stream_close(&upstream.stream, CLOSE_LOCAL)
            return
        if state == S_BARRIER:
            rs = <redis_session_t *>request.tags[0]
            self.hub.request_free(request)
            if rs is not NULL:
                self._barrier_through(rs)
            return
        if upstream.tenant is not NULL:
            rs = self._find(upstream.tenant)
        if rs is NULL:
            if state == S_PING or state == S_TRIAL:
                self.hub.request_free(request)
            else:
                self.complete(request)
            if upstream.role == ROLE_LEAVING and upstream.head is NULL:
                stream_close(&upstream.stream, CLOSE_LOCAL)
            return
        if state == S_STATE:
            request.watched &= ~<uint8_t>WATCHED_BY_SINK
            if not error:
                self._state_changed(request, rs)
        elif state == S_BLOCK:
            if request.queued:
                rs.session.blocking -= 1
        elif state == S_RESET:
            self._was_reset(rs, upstream)
        elif state == S_UNKNOWN:
            self._ask(request, rs)
        elif state == S_PIN and rs.reasons & UNPROVEN:
            rs.reasons &= ~<uint32_t>UNPROVEN
            self.pins_total += 1
        if state == S_PING:
            self.hub.request_free(request)
        else:
            self.complete(request)
        if upstream.tenant is not NULL:     # completing may have closed things, but frees nothing before the turn ends
            self._try_release(rs)

    cdef void _was_reset(self, redis_session_t *rs, upstream_t *upstream) noexcept nogil:
        if not _later(upstream.head, S_SUBSCRIBE, S_UNSUBSCRIBE_ALL):
            rs.reasons &= ~<uint32_t>SUBSCRIBED
        if not _later(upstream.head, S_MONITOR, S_MONITOR):
            rs.reasons &= ~<uint32_t>MONITORING
        rs.channels = 0
        rs.patterns = 0
        rs.shard_channels = 0
        self._set_state(rs, self.fresh)

    cdef void _state_changed(self, request_t *request, redis_session_t *rs) noexcept nogil:
        """SELECT, AUTH, HELLO, CLIENT SETNAME or SETINFO has succeeded on the lease."""
        cdef:
            slice_t        words[10]
            slice_t        fields[FIELD_COUNT]
            uint8_t        auth[FIELD_SIZE_MAX]
            uint32_t       count = resp_words(request.wire.data, request.wire.data + request.wire.size, words, 10)
            int            index
            redis_state_t *state
        state_fields(rs.state, fields)
        if count < 1 or count > 10 or not state_apply(words, count, fields, auth):
            self._pin(rs)
            return
        for index in range(FIELD_COUNT):
            if fields[index].size > FIELD_SIZE_MAX:
                self._pin(rs)
                return
        state = self._state_for(fields)
        if state is NULL:
            self._pin(rs)
        else:
            self._set_state(rs, state)

    cdef void on_frame(self, upstream_t *upstream, uint8_t *frame, size_t size, bint push) noexcept nogil:
        """Pub/sub, MONITOR and RESP3 pushes: which frame answers a request, and which answers none."""
        cdef:
            redis_session_t *rs = NULL
            bint             listed = push or frame[0] == b'*'
        if upstream.tenant is not NULL:
            rs = self._find(upstream.tenant)
        if rs is NULL:
            stream_close(&upstream.stream, CLOSE_LOCAL)
            return
        if listed and (push or rs.reasons & SUBSCRIBED) and self._confirm(rs, frame, size):
            return
        if push or upstream.head is NULL or (
            rs.reasons & MONITORING and frame[0] == b'+' and size > 2 and 48 <= frame[1] <= 57
        ):
            self._push(upstream.tenant, frame, size)
            return
        self._head_frame(upstream, frame, size)

    cdef void _push(self, session_t *session, uint8_t *frame, size_t size) noexcept nogil:
        self.pushes_total += 1
        self.up.on_push(session, frame, size)

    cdef void _head_frame(self, upstream_t *upstream, uint8_t *frame, size_t size) noexcept nogil:
        """One reply of the oldest request."""
        cdef request_t *head = upstream.head
        cdef uint32_t done = 1
        if frame[0] == b'-':
            self.error_replies_total += 1
            self.on_error_reply(upstream, head, frame, size)
            if self.chain.errors:
                head.watched |= WATCHED_FOR_ERROR
        if head.sink_state >= S_SUBSCRIBE and head.sink_state <= S_UNSUBSCRIBE_ALL and frame[0] != b'*' and frame[0] != b'>':
            done = head.left            # an error, or QUEUED: one for all its channels
        self._deliver(head, frame, size)
        head.left -= done
        upstream.pending -= done
        while upstream.head is not NULL and upstream.head.left == 0:
            self._finish_head(upstream)

    cdef bint _confirm(self, redis_session_t *rs, uint8_t *frame, size_t size) noexcept nogil:
        """Messages and confirmations of pub/sub. True: the frame was one, and is dealt with."""
        cdef:
            slice_t     word, channel
            int64_t     count = 0
            uint8_t    *end = frame + size
            uint8_t    *at = frame
            upstream_t *upstream = rs.lease
            request_t  *head = upstream.head
            uint32_t   *kind
            bint        adds
            bint        gone
        while at[0] != b'\n':
            at += 1
        at = resp_bulk(at + 1, end, &word)
        if at is NULL or word.data is NULL:
            return False
        if _is(&word, b"message", 7) or _is(&word, b"pmessage", 8) or _is(&word, b"smessage", 8):
            self._push(rs.session, frame, size)
            return True
        kind = &rs.channels
        adds = True
        if _is(&word, b"subscribe", 9):
            pass
        elif _is(&word, b"unsubscribe", 11):
            adds = False
        elif _is(&word, b"psubscribe", 10):
            kind = &rs.patterns
        elif _is(&word, b"punsubscribe", 12):
            kind = &rs.patterns
            adds = False
        elif _is(&word, b"ssubscribe", 10):
            kind = &rs.shard_channels
        elif _is(&word, b"sunsubscribe", 12):
            kind = &rs.shard_channels
            adds = False
        else:
            return False
        at = resp_bulk(at, end, &channel)
        if at is NULL or not resp_integer(at, end, &count):
            return False
        if head is not NULL and head.sink_state == S_UNSUBSCRIBE_ALL and not adds:
            head.sink_state = S_UNSUBSCRIBE
            if kind[0] > 1:
                head.left += kind[0] - 1
                upstream.pending += kind[0] - 1
        if self._count(rs, kind, adds, count) and not self.subscription_changed(
            rs, 2 if kind is &rs.shard_channels else 1 if kind is &rs.patterns else 0, adds, &channel,
            head is not NULL and (head.sink_state == S_SUBSCRIBE if adds else head.sink_state == S_UNSUBSCRIBE)
        ):
            if rs.channels + rs.patterns + rs.shard_channels == 0 and head is NULL:
                rs.reasons &= ~<uint32_t>SUBSCRIBED
                self._try_release(rs)
            return True
        gone = rs.channels + rs.patterns + rs.shard_channels == 0
        if gone and (head is NULL or (head.left <= 1 and not _later(head.next, S_SUBSCRIBE, S_UNSUBSCRIBE_ALL))):
            rs.reasons &= ~<uint32_t>SUBSCRIBED
        if head is not NULL and (head.sink_state == S_SUBSCRIBE if adds else head.sink_state == S_UNSUBSCRIBE):
            self._deliver(head, frame, size)
            head.left -= 1
            upstream.pending -= 1
            while upstream.head is not NULL and upstream.head.left == 0:
                self._finish_head(upstream)
        else:
            self._push(rs.session, frame, size)
        return True

    cdef bint _count(self, redis_session_t *rs, uint32_t *kind, bint adds, int64_t total) noexcept nogil:
        """The server tells how many subscriptions there are now (channels and patterns together, shards apart): from the
        difference follows whether this one was new, without remembering names. True: it was, or is gone."""
        cdef int64_t before = rs.shard_channels if kind is &rs.shard_channels else <int64_t>rs.channels + rs.patterns
        if adds and total > before:
            kind[0] += 1
        elif not adds and total < before and kind[0] > 0:
            kind[0] -= 1
        else:
            return False
        return True

    cdef bint subscription_changed(self, redis_session_t *rs, uint8_t kind, bint adds, const slice_t *name,
                                   bint asked) noexcept nogil:
        """A subscription has begun or ended (`kind` 0: channel, 1: pattern, 2: sharded). False: its client need not know."""
        return True

    cdef void on_lost(self, upstream_t *upstream, int error) noexcept nogil:
        cdef:
            redis_state_t   *state = <redis_state_t *>upstream.state
            redis_session_t *rs
            session_t       *session = upstream.tenant
            uint32_t         index
        if error == EACCES and not upstream.ready:
            self._turn_away(upstream)
        if upstream.connected and error != CLOSE_LOCAL:
            self.forget_learned()
        if session is not NULL:
            rs = self._find(session)
            rs.lease = NULL
            self._leave_lease(upstream)
            if rs.reasons & (SILENT | SKIP_NEXT) or (
                upstream.ready and (self.per_client or rs.reasons & ~<uint32_t>QUITTING or error == CLOSE_LOCAL)
            ):
                self.up.on_leave(session)   # what the connection knew is lost: the client must begin anew
            rs.reasons &= QUITTING
        elif upstream.role == ROLE_LEAVING:
            self._leave_lease(upstream)
        elif state is not NULL:
            if upstream.role == ROLE_SHARED:
                for index in range(self.connection_count):
                    if state.shared[index] is upstream:
                        state.shared[index] = NULL
            elif upstream.role == ROLE_IDLE:
                self._unlist_idle(upstream)

    cdef void _turn_away(self, upstream_t *upstream) noexcept nogil:
        """The server takes the state of these clients no more (a user or a password is gone): they must log in again."""
        cdef request_t *request = upstream.head
        while request is not NULL:
            if request.queued:
                (<session_t *>request.session).leaving = 1
            request = request.next

    cdef void on_error_reply(self, upstream_t *upstream, request_t *request, const uint8_t *reply, size_t size) noexcept nogil:
        """Where the server did not do what was taken for granted when the request was sent."""
        cdef redis_session_t *rs
        if request.queued and _begins(reply, size, b"-ERR Protocol error"):
            (<session_t *>request.session).leaving = 1      # the server hangs up on such a client; so does the proxy
        if request.sink_state == S_UNKNOWN and _begins(reply, size, b"-ERR unknown command"):
            request.sink_state = S_LEASED
        if upstream.tenant is NULL or request.sink_state < S_MULTI:
            return
        rs = self._find(upstream.tenant)
        if request.sink_state == S_MULTI:
            if upstream.tail is request and not _begins(reply, size, b"-ERR MULTI calls can"):
                rs.reasons &= ~<uint32_t>IN_MULTI           # it has not begun, and nobody has counted on it
        elif request.sink_state == S_EXEC:
            if not (_begins(reply, size, b"-EXECABORT") or _begins(reply, size, b"-ERR EXEC without")
                    or _begins(reply, size, b"-ERR DISCARD without")):
                self._pin(rs)                               # a transaction may still be open
        elif request.sink_state == S_RESET:
            self._pin(rs)
        elif request.sink_state == S_PIN:
            request.sink_state = S_LEASED
            if rs.reasons & UNPROVEN and not _later(request.next, S_PIN, S_PIN):
                rs.reasons &= ~<uint32_t>(PINNED | UNPROVEN)

    cdef bint on_request_lost(self, request_t *request) noexcept nogil:
        cdef:
            uint8_t          state = request.sink_state
            redis_session_t *rs
        if state == S_BLOCK and request.queued:
            (<session_t *>request.session).blocking -= 1
        elif S_SUBSCRIBE <= state <= S_UNSUBSCRIBE_ALL and request.left > 1:
            request.left = 1                # an error stands for all its channels
        if state != S_BARRIER and state != S_PING and state != S_GREETING and state != S_LEARN and state != S_TRIAL:
            return False
        if state == S_TRIAL:
            self.try_later()
        if state == S_LEARN:
            self.not_learned()
            self._settle(request, NULL)
        rs = <redis_session_t *>request.tags[0] if state == S_BARRIER else NULL
        self.hub.request_free(request)
        if rs is not NULL:
            self._barrier_through(rs)
        return True

    cdef bint may_wait(self, upstream_t *upstream) noexcept nogil:
        return upstream.head.sink_state == S_BLOCK

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return LeasingSink.samples(self) + [
            ("shotover_leases", labels, "gauge", self.leases),
            ("shotover_limits_hit_count", labels | {"limit": "max_pending_requests"}, "counter", self.over_pending),
            ("shotover_limits_hit_count", labels | {"limit": "max_leases"}, "counter", self.over_leases),
            ("shotover_refusals_count", labels | {"reason": "max_pending_requests"}, "counter", self.over_pending),
            ("shotover_refusals_count", labels | {"reason": "max_leases"}, "counter", self.over_leases),
            ("shotover_transform_pushed_total", labels, "counter", self.pushes_total),
            ("shotover_pinned_sessions_count", labels, "counter", self.pins_total),
        ] + [
            ("shotover_leases_count", labels | {"reason": reason}, "counter", self.leases_by[conduct])
            for conduct, reason in LEASE_REASONS.items()
        ]


cdef inline bint _is(slice_t *word, const char *text, size_t size) noexcept nogil:
    return word.size == size and memcmp(word.data, text, size) == 0


cdef inline bint _begins(const uint8_t *reply, size_t size, const char *text) noexcept nogil:
    cdef size_t text_size = strlen(text)
    return size >= text_size and memcmp(reply, text, text_size) == 0


cdef inline bint _repeatable(request_t *request) noexcept nogil:
    """It changes nothing, its bytes are still there, and nothing of its reply has gone out."""
    return (
        request.kind == KIND_READ and request.conduct == CONDUCT_PLAIN and request.sink_state == S_NONE
        and request.queued and request.owner is not NULL and not request.begun and request.left == request.count
    )


cdef bint _later(request_t *request, uint8_t first, uint8_t last) noexcept nogil:
    """Whether a request of that kind is still outstanding, from `request` on."""
    while request is not NULL:
        if first <= request.sink_state <= last:
            return True
        request = request.next
    return False
