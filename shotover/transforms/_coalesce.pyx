"""See _coalesce.pxd. One buffer for all clients, so their order among each other is kept as well.

Sent early, whatever the triggers say: when the buffer is full, when a client whose requests it holds may send no more
until it gets replies, when a client leaves (its state on the server goes with it), and when the worker drains.
"""

cimport cython

from shotover._codec.commands cimport CONDUCT_PLAIN
from shotover._core.request cimport batch_clear, batch_pop, batch_push, request_own
from shotover._proxy.session cimport session_t

cdef enum:
    HELD_BYTES_MAX = 16777216       # of requests; beyond that it sends
    HELD_REQUESTS_MAX = 1048576


cdef bint _will_send_no_more(session_t *session) noexcept nogil:
    return session.pauses != 0 or session.leaving or session.blocking != 0


cdef void _on_timer(timer_t *timer) noexcept nogil:
    (<Coalesce>timer.owner).flush()


@cython.final
cdef class Coalesce(Step):

    def __init__(self, context, *, str name, flush_when_buffered_message_count, flush_when_millis_since_last_flush):
        self.count_max = flush_when_buffered_message_count or 0
        self.interval_ns = (flush_when_millis_since_last_flush or 0) * 1000000
        self.tag = 0
        self.wants_end = True
        self.timer.fire = _on_timer
        self.timer.owner = <void *>self

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            bint       now = self.draining
            batch_t    rest
        if now and self.held.head is NULL:
            self.pass_down(batch)
            return
        batch_clear(&rest)
        while batch.head is not NULL:
            request = batch_pop(batch)
            if request.version and request.conduct != CONDUCT_PLAIN:    # a handshake of CQL, whose replies have no order
                batch_push(&rest, request)
            else:
                now = self._hold(request) or now
        self.pass_down(&rest)
        if now or (self.count_max and self.held_count >= self.count_max):
            self.flush()
        elif self.interval_ns and self.timer.home is NULL:
            if self.loop.now - self.flushed_ns >= self.interval_ns:
                self.flushed_ns = self.loop.now         # it came round with nothing held
            self.loop.set_timer(&self.timer, self.flushed_ns + self.interval_ns - self.loop.now)

    cdef bint _hold(self, request_t *request) noexcept nogil:
        """Takes a request into the buffer. True: it must be sent now."""
        cdef bint now = not request_own(&self.loop.pool, request)
        request.tags[self.tag] = request.session        # still known when `session` is forgotten, see on_session_end
        batch_push(&self.held, request)
        self.held_count += request.count
        self.held_bytes += request.wire.size
        if self.held_bytes >= HELD_BYTES_MAX or self.held_count >= HELD_REQUESTS_MAX:
            return True
        return now or (request.queued and _will_send_no_more(<session_t *>request.session))

    cdef void flush(self) noexcept nogil:
        cdef batch_t batch = self.held
        batch_clear(&self.held)
        self.held_count = 0
        self.held_bytes = 0
        self.flushed_ns = self.loop.now
        self.loop.cancel_timer(&self.timer)
        if batch.head is not NULL:
            self.flushes_total += 1
            self.pass_down(&batch)

    cdef void on_session_end(self, void *session) noexcept nogil:
        """The rest of the chain still knows the session, and must have its last requests while it does: they belong
        to its database and its user. So they are given their session back for this once."""
        if self._holds(session):
            self.flush()

    cdef void on_session_eof(self, void *session) noexcept nogil:
        if self._holds(session):
            self.flush()

    cdef bint _holds(self, void *session) noexcept nogil:
        """Whether something of this session is held; gives it its session (back)."""
        cdef:
            request_t *request = self.held.head
            bint       found = False
        while request is not NULL:
            if request.tags[self.tag] is session:
                request.session = session
                found = True
            request = request.next
        return found

    cdef void on_drain(self) noexcept nogil:
        self.draining = True
        self.flush()

    cdef bint on_retire(self, bint force) noexcept nogil:
        self.flush()                            # on_drain has seen to it that nothing is held from then on
        return True

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return Step.samples(self) + [
            ("shotover_coalesce_held_requests", labels, "gauge", self.held_count),
            ("shotover_coalesce_flushes_count", labels, "counter", self.flushes_total),
        ]
