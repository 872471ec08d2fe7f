"""See ordered.pxd."""

from libc.errno cimport ECONNRESET, ENOMEM, EPIPE, EPROTO, ETIMEDOUT
from libc.string cimport memset

from shotover._codec.codec cimport SCAN_BAD, SCAN_DONE, SCAN_PUSH, scan_t
from shotover._core.counters cimport histogram_add
from shotover._core.debug cimport invariant, likely, unlikely
from shotover._core.request cimport (
    TOOK_LONG_NS,
    WATCHED_BY_PIECES,
    WATCHED_FOR_ERROR,
    batch_clear,
    batch_pop,
    batch_push,
    batch_t,
    request_drop_reply,
    request_own,
    took_pack,
)
from shotover._net.loop cimport CLOSE_EOF, stash_drop, stash_join, stash_keep, stream_close
from shotover._proxy.retry cimport budget_take
from shotover._proxy.upload cimport upload_lost


cdef class OrderedSink(Sink):

    cdef void upstream_ready(self, upstream_t *upstream) noexcept nogil:
        """Greeting done: what was queued goes out."""
        cdef request_t *request = upstream.head
        self.loop.cancel_timer(&upstream.timer)
        upstream.ready = 1
        while request is not NULL:
            self._write(upstream, request)
            request = request.next
        while upstream.head is not NULL and upstream.head.left == 0 and not upstream.stream.closed:
            self._finish_head(upstream)         # sent, and no reply will come
        if upstream.head is not NULL:
            self._arm_timeout(upstream)

    cdef inline void _arm_timeout(self, upstream_t *upstream) noexcept nogil:
        if self.read_timeout_ns and upstream.ready and upstream.timer.home is NULL:
            self.loop.set_timer(&upstream.timer, self.read_timeout_ns)

    cdef void upstream_send(self, upstream_t *upstream, request_t *request) noexcept nogil:
        """Takes over a request: its bytes are queued, its reply awaited. A lease may have died in this turn: then it is
        answered with the others, at the turn's end (_lost)."""
        invariant(request.next is NULL)
        request.sent_ns = self.loop.now
        if upstream.tail is NULL:
            upstream.head = request
            upstream.progress_ns = self.loop.now
        else:
            upstream.tail.next = request
        upstream.tail = request
        upstream.pending += request.left
        if likely(upstream.ready):
            self._write(upstream, request)
            if unlikely(self.read_timeout_ns):
                self._arm_timeout(upstream)
        elif not request_own(&self.loop.pool, request):
            stream_close(&upstream.stream, ENOMEM)

    cdef void upstream_greet(self, upstream_t *upstream, request_t *greeting) noexcept nogil:
        """Takes over a request of the proxy's own, which goes out before anything else that waits."""
        greeting.sent_ns = self.loop.now
        greeting.next = upstream.head
        upstream.head = greeting
        if upstream.tail is NULL:
            upstream.tail = greeting
        upstream.pending += greeting.left
        self._write(upstream, greeting)
        if self.connect_timeout_ns:
            self.loop.set_timer(&upstream.timer, self.connect_timeout_ns)

    cdef request_t *upstream_pop(self, upstream_t *upstream) noexcept nogil:
        """The oldest request leaves the pipeline."""
        cdef request_t *request = upstream.head
        upstream.head = request.next
        if upstream.head is NULL:
            upstream.tail = NULL
        request.next = NULL
        return request

    cdef void read(self, upstream_t *upstream, uint8_t *data, size_t size) noexcept nogil:
        if upstream.framed:
            self._read_framed(upstream, data, size)
        else:
            self._read_streaming(upstream, data, size)

    cdef void _read_streaming(self, upstream_t *upstream, uint8_t *data, size_t size) noexcept nogil:
        cdef:
            uint8_t   *end = data + size
            uint8_t   *start
            request_t *request
            uint32_t   before
            int        result
        while data < end and not upstream.stream.closed:
            if unlikely(upstream.frame_soon and upstream.scan.pending == 0):
                upstream.framed = 1
                upstream.frame_soon = 0
                self._read_framed(upstream, data, <size_t>(end - data))
                return
            request = upstream.head
            if unlikely(request is NULL):
                self.on_stray(upstream, data, <size_t>(end - data))
                return
            start = data
            before = request.left
            result = self.codec.scan(&upstream.scan, &data, end, &request.left)
            if unlikely(upstream.scan.error_at is not NULL):
                start = self._from_error(upstream, request, start, data)
            if likely(data > start):
                self._deliver(request, start, <size_t>(data - start))
            upstream.pending -= before - request.left
            if request.left == 0:
                self._finish_head(upstream)
                while unlikely(upstream.head is not NULL and upstream.head.left == 0):
                    self._finish_head(upstream)         # a marker: it only waited for what was before it
            elif unlikely(result == SCAN_BAD or result == SCAN_PUSH):
                self.garbage_total += 1
                stream_close(&upstream.stream, EPROTO)
                return

    cdef uint8_t *_from_error(self, upstream_t *upstream, request_t *request, uint8_t *start, uint8_t *end) noexcept nogil:
        """The first error among replies of this request has begun in [start, end). Returns what is left to deliver."""
        cdef uint8_t *error_at = upstream.scan.error_at
        upstream.scan.error_at = NULL
        if error_at is start:
            self.on_error_reply(upstream, request, start, <size_t>(end - start))
        if self.chain.errors:
            if error_at > start:
                self._deliver(request, start, <size_t>(error_at - start))
            request.watched |= WATCHED_FOR_ERROR
            return error_at
        return start

    cdef void _read_framed(self, upstream_t *upstream, uint8_t *data, size_t size) noexcept nogil:
        """Gathers one frame after the other for on_frame."""
        cdef:
            uint8_t *end
            uint8_t *frame = stash_join(&upstream.stream, data, size, &end)
            uint8_t *at
            uint32_t left
            int      result
            bint     push
        if frame is NULL:
            stream_close(&upstream.stream, EPROTO)
            return
        while frame < end and not upstream.stream.closed:
            at = frame + upstream.scanned
            left = 1
            result = self.codec.scan_frame(&upstream.scan, &at, end, &left)
            upstream.scan.error_at = NULL       # on_frame sees it anyway
            if result == SCAN_BAD:
                self.garbage_total += 1
                stream_close(&upstream.stream, EPROTO)
                return
            if result != SCAN_DONE:
                upstream.scanned = <size_t>(at - frame)
                break
            push = upstream.scan.first == b'>'
            upstream.scanned = 0
            self.on_frame(upstream, frame, <size_t>(at - frame), push)
            frame = at
            if not upstream.framed and frame < end and not upstream.stream.closed:
                # on_frame has ended the mode: the rest is streamed from where it lies, then forgotten
                self._read_streaming(upstream, frame, <size_t>(end - frame))
                stash_drop(&upstream.stream)
                return
        if not upstream.stream.closed and not stash_keep(&upstream.stream, frame, end, 0):
            stream_close(&upstream.stream, EPROTO)

    cdef void _finish_head(self, upstream_t *upstream) noexcept nogil:
        """All replies of the oldest request are in."""
        cdef request_t *request = self.upstream_pop(upstream)
        if unlikely(request.upload is not NULL and not request.mute):
            self._cut_upload(upstream)
        histogram_add(self.wait, self.loop.now - request.sent_ns, request.count)
        histogram_add(self.held, request.sent_ns - request.arrived_ns, request.count)
        if unlikely(self.loop.now - request.arrived_ns >= TOOK_LONG_NS):
            request.took = took_pack(self.loop.now - request.sent_ns)
        request.sent_ns = self.loop.now         # from here on: when its reply was whole
        if unlikely(upstream.scan.errors):
            self.error_replies_total += upstream.scan.errors
            upstream.scan.errors = 0
        if unlikely(request.sink_state):
            self.on_finished(upstream, request)
        else:
            self.complete(request)

    cdef void _cut_upload(self, upstream_t *upstream) noexcept nogil:
        """Answered before it was whole: nothing else can follow half a request."""
        if upstream.upload is not NULL:
            upload_lost(upstream.upload)
        stream_close(&upstream.stream, EPROTO)

    cdef void abandon(self, upstream_t *upstream, int error) noexcept nogil:
        cdef:
            request_t *request
            batch_t    again
            bint       midway = upstream.scan.midway
            bint       hung_up = error == CLOSE_EOF or error == ECONNRESET or error == EPIPE
        batch_clear(&again)
        batch_clear(&again)
        while upstream.head is not NULL:
            request = self.upstream_pop(upstream)
            if request.sink_state and self.on_request_lost(request):
                midway = False                  # it was a reply of the proxy's own that was cut
                continue
            if unlikely(hung_up and upstream.ready and self.retry_percent) and self.may_retry(request) \
                    and not (midway and request.watched == WATCHED_BY_PIECES) \
                    and budget_take(&self.retry_budget, self.requests_total, self.retry_percent, request.count):
                midway = False
                request_drop_reply(&self.loop.pool, request)
                batch_push(&again, request)
                continue
            if midway and ((request.watched and request.watched != WATCHED_BY_PIECES) or not request.queued):
                midway = False
                self._cut_reply(request)        # nothing of it has gone out yet: an error can take its place
            if midway:
                midway = False
                request.failed = 1
                request.left = 0
                request_drop_reply(&self.loop.pool, request)    # the client has half a reply: it must be closed
                self.complete(request)
            elif upstream.ready:
                self.fail_errno(request, b"upstream connection lost", error)
            else:
                self.unreachable(request, error)
        upstream.pending = 0
        while again.head is not NULL:
            request = batch_pop(&again)
            self.retries_total += request.count
            self.retry(request)

    cdef void _cut_reply(self, request_t *request) noexcept nogil:
        """Leaves the whole replies of a run and drops the one that was cut."""
        cdef:
            scan_t   scan
            uint8_t *at = request.reply.data
            uint8_t *end = at + request.reply.size
            size_t   whole = 0
            uint32_t left = 1
        memset(&scan, 0, sizeof(scan))
        while at < end and self.codec.scan(&scan, &at, end, &left) == SCAN_DONE:
            whole = <size_t>(at - request.reply.data)
            left = 1
        request.reply.size = whole

    cdef void check_timeout(self, upstream_t *upstream) noexcept nogil:
        """One timer an upstream: of its connect, then of its oldest request; set again when that had progress."""
        cdef uint64_t due
        if not upstream.ready:
            self.timeouts_total += 1
            if upstream.connected:
                self.timed_out()                # its greeting was not answered
            stream_close(&upstream.stream, ETIMEDOUT)
            return
        if upstream.head is NULL or self.may_wait(upstream):
            return
        if upstream.upload is not NULL and upstream.upload.request is upstream.head and upstream.stream.out_size == 0:
            self.loop.set_timer(&upstream.timer, self.read_timeout_ns)      # it is the client that is slow
            return
        due = max(upstream.head.sent_ns, upstream.progress_ns) + self.read_timeout_ns
        if due > self.loop.now:
            self.loop.set_timer(&upstream.timer, due - self.loop.now)
        else:
            self.timeouts_total += 1
            self.timed_out()
            stream_close(&upstream.stream, ETIMEDOUT)

    # ---- for subclasses -----------------------------------------------------------------------------------------

    cdef void on_connected(self, upstream_t *upstream) noexcept nogil:
        self.upstream_ready(upstream)

    cdef void on_frame(self, upstream_t *upstream, uint8_t *frame, size_t size, bint push) noexcept nogil:
        """Framed mode: one whole reply or push."""
        pass

    cdef void on_finished(self, upstream_t *upstream, request_t *request) noexcept nogil:
        """A request with sink_state != 0 has all its replies. Takes it over."""
        self.complete(request)

    cdef void on_error_reply(self, upstream_t *upstream, request_t *request, const uint8_t *reply, size_t size) noexcept nogil:
        """The bytes that will be delivered for this request begin with an error."""
        pass

    cdef bint on_request_lost(self, request_t *request) noexcept nogil:
        """A request with sink_state != 0 was on a lost connection. True: it was the sink's own, and is dealt with."""
        return False

    cdef void on_stray(self, upstream_t *upstream, uint8_t *data, size_t size) noexcept nogil:
        """Bytes that nobody asked for."""
        self.garbage_total += 1
        stream_close(&upstream.stream, EPROTO)

    cdef bint may_retry(self, request_t *request) noexcept nogil:
        """The server hung up before this one was answered. True: sending it again cannot do harm or come out of order."""
        return False

    cdef void retry(self, request_t *request) noexcept nogil:
        """Takes over a request that may_retry let pass, for a second and last attempt."""
        self.fail(request, b"upstream connection lost")

    cdef bint may_wait(self, upstream_t *upstream) noexcept nogil:
        """The oldest request may take as long as it likes."""
        return False
