"""See _redis_sentinel.pxd. Order is the theme here, too: while requests are held, those that come go behind them.

What is said of the master counts in this order: its own word on what it is (ROLE), then the sentinels' with the highest
epoch. When all sentinels are gone, the last master stays the master for as long as it says so.
"""

from libc.errno cimport EACCES, ECONNRESET, EMFILE, ENFILE, ENOBUFS, ENOMEM, EUSERS
from libc.stdio cimport snprintf
from libc.string cimport memcmp, memcpy, strcmp, strlen

from shotover._codec.commands cimport CONDUCT_PLAIN, CONDUCT_QUIT, CONDUCT_REPLY_MODE
from shotover._codec.resp cimport resp_bulk, resp_frame_size
from shotover._core.debug cimport likely, unlikely
from shotover._core.request cimport WATCHED_BY_SINK, batch_append, batch_clear, batch_pop, batch_push, request_own
from shotover._net.address import resolve

from shotover._net.address cimport socket_literal
from shotover._net.loop cimport CLOSE_LOCAL, stream_close
from shotover._proxy.session cimport session_slots, session_t
from shotover._proxy.step cimport LOG_INFO, LOG_WARNING, list_item, list_size
from shotover.sinks._redis_leases cimport QUITTING, ROLE_IDLE, S_NONE, S_RETRIED, redis_session_t
from shotover.sinks._redis_sentinel_watch cimport SentinelWatch
from shotover.sinks._redis_sentinel_watch import encode

cdef enum:
    TICK_NS = 10000000              # while it is not sure
    CHECK_AGAIN_NS = 50000000       # after an answer that was no
    FORGET_EPOCH_NS = 10000000000   # an epoch that no sentinel has named for so long may be one of the past
    LOOK_AGAIN_NS = 1000000000      # the name of a master that is not to be reached may have got another address
    ROLE_CHECK = 8                  # upstream_t.role, beside those of _redis_leases
    S_ROLE = 48                     # request_t.sink_state, beside those of _redis_leases


cdef void _on_tick(timer_t *timer) noexcept nogil:
    (<RedisSinkSentinel>timer.owner).on_tick()


cdef void _on_wake(waker_t *waker) noexcept nogil:
    (<RedisSinkSentinel>waker.owner).looked_up()


cdef void _on_heard(void *owner) noexcept nogil:
    (<RedisSinkSentinel>owner).heard()


cdef class RedisSinkSentinel(RedisSinkSingle):

    def __init__(self, context, *, list sentinels, str master_name, list sentinel_login, list login,
                 double failover_timeout, int max_held_requests, int connect_timeout_ms, sentinel_tls, **options):
        cdef SentinelWatch watch
        RedisSinkSingle.__init__(self, context, remote_address=None, connect_timeout_ms=connect_timeout_ms, **options)
        self.master_name = master_name
        self.hold_ns = <uint64_t>(failover_timeout * 1e9)
        self.held_max = max_held_requests
        self.kept = (encode(b"AUTH", *login) if login else b"") + encode(b"ROLE")
        self.question.data = <uint8_t *><const char *>self.kept
        self.question.size = len(self.kept)
        self.question_count = 2 if login else 1
        self.tick.fire = _on_tick
        self.tick.owner = <void *>self
        self.waker.run = _on_wake
        self.waker.owner = <void *>self
        self.watches = []
        for address in sentinels:
            watch = SentinelWatch(context, address, master_name=master_name.encode(), login=sentinel_login,
                                  connect_timeout_ms=connect_timeout_ms, tls=sentinel_tls)
            watch.heard = _on_heard
            watch.owner = <void *>self
            self.watches.append(watch)
        self.hub.add_waker(&self.waker)         # the last thing: who cannot be made is not to be woken

    def on_linked(self):
        RedisSinkSingle.on_linked(self)
        for watch in self.watches:
            watch.link(self.chain, self.index, None, self)
        self._hurry(True)
        self.loop.set_timer(&self.tick, 1)

    def close(self):
        self.hub.remove_waker(&self.waker)

    cdef bint on_retire(self, bint force) noexcept nogil:
        cdef Py_ssize_t index
        cdef bint done = RedisSinkSingle.on_retire(self, force) and self.held.head is NULL
        for index in range(list_size(self.watches)):
            done = (<SentinelWatch>list_item(self.watches, index)).on_retire(force) and done
        self.loop.cancel_timer(&self.tick)
        return done

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef request_t *request
        while batch.head is not NULL:
            request = batch_pop(batch)
            if unlikely(self.flushing):
                self._hold(request, &self.late)
            else:
                self._go(request)

    cdef void _go(self, request_t *request) noexcept nogil:
        """Sends it, or holds it. One whose session has a lease, or waits for a barrier, stays behind what it sent before:
        it shares the fate of that. (A session that has something held has neither.)"""
        cdef:
            session_t       *session = <session_t *>request.session
            redis_session_t *rs = NULL if session is NULL else <redis_session_t *>session_slots(session)[self.slot]
        if unlikely(not self.sure) and (rs is NULL or (rs.lease is NULL and rs.waiting.head is NULL)):
            self._hold(request, &self.held)
        elif likely(rs is NULL and request.conduct == CONDUCT_PLAIN and request.command is not NULL and not self.per_client):
            self._send_shared(request, session, self.fresh)
        else:
            self.route(request, session, rs)

    cdef bint _advance(self, request_t *request, session_t *session, redis_session_t *rs) noexcept nogil:
        """Also of requests that have waited for a barrier while the master was lost."""
        if self.sure or rs.lease is not NULL:
            return RedisSinkSingle._advance(self, request, session, rs)
        self._hold(request, &self.held)
        return True

    cdef void unreachable(self, request_t *request, int error) noexcept nogil:
        if self.sure:
            if error == CLOSE_LOCAL or error == EACCES or _is_ours(error):
                RedisSinkSingle.unreachable(self, request, error)
                return
            self._doubt()
        if self._quitting(request):
            request.sink_state = S_RETRIED          # it was sent before QUIT: that must not mute it
        self._hold(request, &self.held)

    cdef void retry(self, request_t *request) noexcept nogil:
        if self.sure:
            RedisSinkSingle.retry(self, request)
        else:
            request.sink_state = S_RETRIED
            self._hold(request, &self.held)

    # ---- held requests ------------------------------------------------------------------------------------------

    cdef void _hold(self, request_t *request, batch_t *queue) noexcept nogil:
        """Takes over a request that waits for a master; as new, for it may have been on a connection that did not come about."""
        if self.doubt_ns == 0:
            self.doubt_ns = self.loop.now
        if request.mute or request.left != request.count:       # CLIENT REPLY: what it has said is lost with the connection
            if request.session is not NULL:
                self.up.on_leave(request.session)
            self._refuse_held(request)
        elif request.session is NULL or self.draining or self.loop.now - self.doubt_ns >= self.hold_ns:
            self._refuse_held(request)
        elif self.held_count + request.count > self.held_max:
            self.over_held += 1
            self.up.on_leave(request.session)       # it may be a part of a transaction that is refused here
            self.fail(request, b"too many requests wait for a master (max_held_requests)")
        elif not request_own(&self.loop.pool, request):
            self.fail(request, b"no memory")
        else:
            if request.sink_state != S_RETRIED:
                request.sink_state = S_NONE
            request.watched &= ~<uint8_t>WATCHED_BY_SINK
            request.left = request.count
            batch_push(queue, request)
            self.held_count += request.count
            self.held_total += request.count

    cdef void _flush_held(self) noexcept nogil:
        """There is a master: all that was held goes to it, in the order in which it came. What comes meanwhile (an answer may
        bring the next request here) goes behind that, and behind what must be held once more."""
        cdef:
            request_t *request
            batch_t    batch
        if self.flushing:
            return
        self.flushing = True
        while self.held.head is not NULL and self.sure:
            batch = self.held
            batch_clear(&self.held)
            while batch.head is not NULL:
                request = batch_pop(&batch)
                self.held_count -= request.count
                if request.session is NULL:
                    self.fail(request, b"the client is gone")
                elif request.sink_state == S_RETRIED and self._quitting(request):
                    self._go_late(request)
                else:
                    self._go(request)
            batch_append(&self.held, &self.late)
        self.flushing = False

    cdef inline bint _quitting(self, request_t *request) noexcept nogil:
        """Its client has said QUIT, and that has been dealt with."""
        cdef redis_session_t *rs
        if request.session is NULL:
            return False
        rs = <redis_session_t *>session_slots(<session_t *>request.session)[self.slot]
        return rs is not NULL and rs.reasons & QUITTING != 0

    cdef void _go_late(self, request_t *request) noexcept nogil:
        """One that came before QUIT, and has come back from a connection since."""
        cdef session_t *session = <session_t *>request.session
        if self.sure and request.conduct == CONDUCT_PLAIN and request.command is not NULL and not self.per_client:
            self._send_shared(request, session, (<redis_session_t *>session_slots(session)[self.slot]).state)
        elif self.sure:
            self.fail(request, b"upstream connection lost")
        else:
            self._hold(request, &self.held)

    cdef void _expire_held(self) noexcept nogil:
        cdef request_t *request
        while self.held.head is not NULL:
            request = batch_pop(&self.held)
            self.held_count -= request.count
            self.expired_total += request.count
            self._refuse_held(request)

    cdef void _refuse_held(self, request_t *request) noexcept nogil:
        cdef:
            session_t       *session = <session_t *>request.session
            redis_session_t *rs = NULL
        if session is not NULL:
            rs = <redis_session_t *>session_slots(session)[self.slot]
            if request.conduct == CONDUCT_QUIT and rs is NULL:
                rs = self._session_of(session)
            if rs is not NULL and request.sink_state != S_RETRIED and (request.conduct == CONDUCT_QUIT or rs.reasons & QUITTING):
                RedisSinkSingle._advance(self, request, session, rs)        # for that it needs no server
                return
            if request.conduct == CONDUCT_REPLY_MODE:
                self.up.on_leave(session)           # which replies it now counts on, it alone knows
        if self.draining:
            self.fail(request, b"the proxy is being stopped")
        elif not self.known:
            self.fail(request, b"no master is known: no sentinel has named one")
        elif self.connect_error > 0:
            self.fail_errno(request, b"the master cannot be reached", self.connect_error)
        else:
            self.fail(request, b"there is no master: no server says that it is one")

    cdef void on_session_end(self, void *session) noexcept nogil:
        cdef request_t *request = self.held.head
        while request is not NULL:
            if request.session is session:
                request.session = NULL
            request = request.next
        RedisSinkSingle.on_session_end(self, session)

    cdef void on_drain(self) noexcept nogil:
        self.draining = True
        self._expire_held()

    cdef void on_probe(self) noexcept nogil:
        if self.sure:
            RedisSinkSingle.on_probe(self)

    # ---- what sentinels say -------------------------------------------------------------------------------------

    cdef void *_word(self) noexcept nogil:
        """The sentinel whose word counts; NULL: none says anything."""
        cdef:
            void      *best = NULL
            void      *watch
            Py_ssize_t index
        for index in range(list_size(self.watches)):
            watch = list_item(self.watches, index)
            if (<SentinelWatch>watch).answered and (
                best is NULL or (<SentinelWatch>watch).epoch > (<SentinelWatch>best).epoch
                or ((<SentinelWatch>watch).epoch == (<SentinelWatch>best).epoch
                    and (<SentinelWatch>watch).answered_ns > (<SentinelWatch>best).answered_ns)
            ):
                best = watch
        return best

    cdef void heard(self) noexcept nogil:
        """A sentinel has answered."""
        cdef:
            void    *word = self._word()
            uint8_t  address[128]
            int      size, family = 0
        if word is NULL or self.draining or not self._may_follow(word):
            return
        self.epoch = (<SentinelWatch>word).epoch
        if (<SentinelWatch>word).port == self.port and strcmp((<SentinelWatch>word).host, self.host) == 0:
            if self.check_at_ns and not self.sure:
                self._check()
            return
        self.port = (<SentinelWatch>word).port
        memcpy(self.host, (<SentinelWatch>word).host, sizeof(self.host))
        size = socket_literal(self.host, self.port, address, sizeof(address), &family)
        if size > 0:
            self._aim(address, <uint32_t>size, family)
        else:
            self._look_up()

    cdef bint _may_follow(self, void *word) noexcept nogil:
        """Not where it is older than what was followed last: those that know better may just be away. But sentinels can be
        set up anew, and then count from the beginning: if most of them say so, and for a while."""
        cdef:
            Py_ssize_t index, answering = 0
        if (<SentinelWatch>word).epoch >= self.epoch:
            self.confirmed_ns = self.loop.now
            return True
        for index in range(list_size(self.watches)):
            answering += (<SentinelWatch>list_item(self.watches, index)).answered
        return 2 * answering > list_size(self.watches) and self.loop.now - self.confirmed_ns > FORGET_EPOCH_NS

    cdef bint _word_is_fresh(self) noexcept nogil:
        """The sentinels have been asked since there was doubt, or none of them answers that knows as much as was known."""
        cdef void *word = self._word()
        return word is NULL or (<SentinelWatch>word).epoch < self.epoch or (<SentinelWatch>word).answered_ns >= self.doubt_ns

    cdef void _aim(self, const uint8_t *address, uint32_t size, int family) noexcept nogil:
        """The master is said to be there. Connections to another one are closed."""
        cdef char text[400]
        if self.known and size == self.address_size and memcmp(address, self.address_bytes, size) == 0:
            return
        if self.known:
            self.switches_total += 1
            snprintf(text, sizeof(text), b"%s: the sentinels name another master: %s:%d", self.label, self.host, self.port)
            self.hub.log(LOG_INFO, text)
        self.known = True
        memcpy(self.address_bytes, address, size)
        self.address_size = size
        self.family = family
        if self.tls is not None:
            self.tls.name_server(self.host)
        self.backoff_ns = 0
        self.retry_at_ns = 0
        self.connect_error = 0
        self._doubt()
        self._retire_all()
        self.check_at_ns = self.loop.now
        self._check()

    cdef void _retire_all(self) noexcept nogil:
        """Closes all connections. What was under way gets an error, or is sent again as after a server that hung up."""
        cdef upstream_t *upstream = self.alive
        while upstream is not NULL:
            upstream.listed = 1                     # its loss says nothing of the new one
            stream_close(&upstream.stream, ECONNRESET if upstream.ready else CLOSE_LOCAL)
            upstream = upstream.alive_next
        self.check = NULL

    cdef void _hurry(self, bint on) noexcept nogil:
        cdef Py_ssize_t index
        for index in range(list_size(self.watches)):
            (<SentinelWatch>list_item(self.watches, index)).hurry(on)

    # ---- names, which are rare ----------------------------------------------------------------------------------

    cdef void _look_up(self) noexcept nogil:
        """Asks for the address of `host`, where the worker need not wait for it."""
        self.look_again_ns = self.loop.now + LOOK_AGAIN_NS
        if self.looking != LOOKUP_NONE:
            return                                  # looked_up sees that it is for another
        self.looking = LOOKUP_RUNS
        memcpy(self.found_host, self.host, sizeof(self.host))
        self.found_port = self.port
        with gil:
            self._start_lookup()

    def _start_lookup(self):
        from threading import Thread

        Thread(target=self._resolve, name="look up", daemon=True).start()

    def _resolve(self):
        """In a thread of its own."""
        self.found_size = 0
        try:
            family, address = resolve((<bytes>self.found_host).decode(), self.found_port, "")
        except (OSError, UnicodeError) as error:
            self.hub.note(LOG_WARNING, "the address of a master cannot be found", {"error": str(error), "sink": self.name})
        else:
            memcpy(self.found, <const char *>address, len(address))
            self.found_family = family
            self.found_size = len(address)
        self.looking = LOOKUP_DONE
        self.loop.wake()

    cdef void looked_up(self) noexcept nogil:
        """Somebody has woken the loop: perhaps that thread."""
        if self.looking != LOOKUP_DONE:
            return
        self.looking = LOOKUP_NONE
        if self.found_port != self.port or strcmp(self.found_host, self.host) != 0:
            self._look_up()
        elif self.found_size:
            self._aim(self.found, self.found_size, self.found_family)

    # ---- what the master says -----------------------------------------------------------------------------------

    cdef void _doubt(self) noexcept nogil:
        if not self.sure:
            return
        self.sure = False
        self.doubt_ns = self.loop.now
        self.check_at_ns = self.loop.now
        self._hurry(True)
        self.loop.set_timer(&self.tick, 1)

    cdef void on_tick(self) noexcept nogil:
        cdef:
            uint8_t address[128]
            int     family = 0
        if self.sure:
            return
        if self.doubt_ns == 0:
            self.doubt_ns = self.loop.now
        if self.held.head is not NULL and self.loop.now - self.doubt_ns >= self.hold_ns:
            self._expire_held()
        if self.port and self.loop.now >= self.look_again_ns \
                and socket_literal(self.host, self.port, address, sizeof(address), &family) < 0:
            self._look_up()
        self._check()
        self.loop.set_timer(&self.tick, TICK_NS)

    cdef void _check(self) noexcept nogil:
        """Asks the one that is said to be the master, unless it is being asked."""
        cdef upstream_t *upstream
        if self.sure or not self.known or self.check is not NULL or self.loop.now < self.check_at_ns or self.draining:
            return
        upstream = self.upstream_open()
        if upstream is not NULL:
            upstream.role = ROLE_CHECK
            upstream.state = self.fresh
            self.check = upstream

    cdef void on_connected(self, upstream_t *upstream) noexcept nogil:
        if upstream is self.check:
            self._ask_role(upstream)
        else:
            RedisSinkSingle.on_connected(self, upstream)

    cdef void _ask_role(self, upstream_t *upstream) noexcept nogil:
        cdef request_t *request = self._own_request(<const char *>self.question.data, self.question.size)
        if request is NULL:
            stream_close(&upstream.stream, CLOSE_LOCAL)
            return
        request.count = self.question_count
        request.left = self.question_count
        request.watched = WATCHED_BY_SINK
        request.sink_state = S_ROLE
        self.upstream_greet(upstream, request)

    cdef void _role_answered(self, upstream_t *upstream, request_t *answer) noexcept nogil:
        """Yes; no; or it does not say, because it wants a login: then the sentinels' word is enough."""
        cdef:
            uint8_t *at = answer.reply.data
            uint8_t *end = at + answer.reply.size
            size_t   size
            slice_t  word
            bint     good = False
        if self.question_count == 2 and answer.reply.size:
            size = resp_frame_size(at, end)
            if size and at[0] != b'-':
                at += size                          # the login was good: what follows is the answer
        if at < end and at[0] == b'*':
            while at < end and at[0] != b'\n':
                at += 1
            good = at < end and resp_bulk(at + 1, end, &word) is not NULL and word.size == 6 \
                and memcmp(word.data, b"master", 6) == 0
        elif at < end and at[0] == b'-' and not _begins(at, end, b"-LOADING") and not _begins(at, end, b"-BUSY"):
            good = self._word_is_fresh()
        self.hub.request_free(answer)
        self.check = NULL
        if not good:
            self.check_at_ns = self.loop.now + CHECK_AGAIN_NS
            stream_close(&upstream.stream, CLOSE_LOCAL)
            return
        self.sure = True
        if self.question_count == 1:
            self.upstream_ready(upstream)
            self._give_back(upstream)
        else:
            stream_close(&upstream.stream, CLOSE_LOCAL)
        self._make_sure()

    cdef void _make_sure(self) noexcept nogil:
        cdef char text[400]
        snprintf(text, sizeof(text), b"%s: the master is %s:%d", self.label, self.host, self.port)
        self.hub.log(LOG_INFO, text)
        self._hurry(False)
        self._flush_held()

    cdef void on_finished(self, upstream_t *upstream, request_t *request) noexcept nogil:
        if request.sink_state == S_ROLE:
            self._role_answered(upstream, request)
        else:
            RedisSinkSingle.on_finished(self, upstream, request)

    cdef bint on_request_lost(self, request_t *request) noexcept nogil:
        if request.sink_state == S_ROLE:
            self.hub.request_free(request)
            return True
        return RedisSinkSingle.on_request_lost(self, request)

    cdef void on_error_reply(self, upstream_t *upstream, request_t *request, const uint8_t *reply, size_t size) noexcept nogil:
        if unlikely(size >= 9 and memcmp(reply, b"-READONLY", 9) == 0) and not upstream.listed:
            self._doubt()
        RedisSinkSingle.on_error_reply(self, upstream, request, reply, size)

    cdef void on_lost(self, upstream_t *upstream, int error) noexcept nogil:
        RedisSinkSingle.on_lost(self, upstream, error)
        if upstream is self.check:
            self.check = NULL
        elif error != CLOSE_LOCAL and error != EACCES and not upstream.listed and not _is_ours(error) \
                and not (upstream.connected and upstream.role == ROLE_IDLE):
            self._doubt()

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        gathered = [
            (name, given, kind, int(self.sure) if name == "shotover_upstream_up" else value)
            for name, given, kind, value in RedisSinkSingle.samples(self)
        ] + [
            ("shotover_held_requests", labels, "gauge", self.held_count),
            ("shotover_held_requests_count", labels, "counter", self.held_total),
            ("shotover_held_requests_given_up_count", labels, "counter", self.expired_total),
            ("shotover_limits_hit_count", labels | {"limit": "max_held_requests"}, "counter", self.over_held),
            ("shotover_failovers_count", labels, "counter", self.switches_total),
        ]
        for watch in self.watches:
            gathered.extend(watch.samples())
        return gathered


cdef inline bint _is_ours(int error) noexcept nogil:
    """A lack on this side says nothing of the server."""
    return error == EMFILE or error == ENFILE or error == ENOMEM or error == ENOBUFS or error == EUSERS


cdef inline bint _begins(const uint8_t *at, const uint8_t *end, const char *text) noexcept nogil:
    cdef size_t size = strlen(text)
    return <size_t>(end - at) >= size and memcmp(at, text, size) == 0
