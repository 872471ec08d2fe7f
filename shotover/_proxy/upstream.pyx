"""See upstream.pxd."""

from libc.errno cimport ECONNRESET, ENOMEM, EPIPE, EPROTO, ETIMEDOUT, EUSERS
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strerror, strlen

from shotover._codec.codec cimport SCAN_BAD, SCAN_DONE, SCAN_PUSH
from shotover._core.counters cimport histogram_add, histogram_value
from shotover._core.debug cimport invariant, likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t, pool_take, slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport (
    ABANDONED,
    LOST,
    WATCHED_BY_PIECES,
    WATCHED_BY_SINK,
    WATCHED_FOR_ERROR,
    batch_clear,
    batch_pop,
    batch_push,
    request_add_reply,
    request_drop_reply,
    request_own,
)
from shotover._net.address import resolve
from shotover._net.tls import tls_samples

from shotover._net.loop cimport (
    CLOSE_EOF,
    CLOSE_LAYER,
    CLOSE_LOCAL,
    stash_drop,
    stash_join,
    stash_keep,
    stream_close,
    stream_ops_t,
    stream_write,
    stream_write_chunk,
)
from shotover._proxy.retry cimport BUDGET_FIRST, budget_take
from shotover._proxy.session cimport PAUSE_UPLOAD, session_complete, session_resume, session_stream, upload_lost, upload_open
from shotover._proxy.step cimport LOG_WARNING, put_text


cdef enum:
    BACKOFF_MIN_NS = 20000000       # after a failed connect: at least 20 ms of failing fast,
    BACKOFF_MAX_NS = 1000000000     # doubling up to a second; half of it is jitter
    OWN_REPLY_MAX = 4194304         # bytes of a reply to a request of the proxy's own


# ---- what the loop tells an upstream ----------------------------------------------------------------------------

cdef inline void _count_received(Sink sink, size_t size) noexcept nogil:
    sink.received_bytes += size


cdef void _on_data(stream_t *stream, uint8_t *data, size_t size) noexcept nogil:
    cdef upstream_t *upstream = <upstream_t *>stream
    upstream.progress_ns = (<Sink>upstream.sink).loop.now
    _count_received(<Sink>upstream.sink, size)
    if upstream.framed:
        (<Sink>upstream.sink)._read_framed(upstream, data, size)
    else:
        (<Sink>upstream.sink)._read_streaming(upstream, data, size)
    if upstream.tenant is not NULL and upstream.tenant.stream.over_high and not upstream.resting:
        upstream.resting = 1        # only one client reads from here, and slowly: let the server feel it
        (<Sink>upstream.sink).loop.want(&stream.handle, False)


cdef void _on_eof(stream_t *stream) noexcept nogil:
    stream_close(stream, CLOSE_EOF)


cdef void _on_connected(stream_t *stream) noexcept nogil:
    _connected(<upstream_t *>stream, <Sink>(<upstream_t *>stream).sink)


cdef void _connected(upstream_t *upstream, Sink sink) noexcept nogil:
    sink.loop.cancel_timer(&upstream.timer)
    upstream.connected = 1
    sink.reached = True
    sink.backoff_ns = 0
    sink.retry_at_ns = 0
    sink.connect_error = 0
    sink.on_connected(upstream)


cdef void _on_drained(stream_t *stream) noexcept nogil:
    if (<upstream_t *>stream).tenant is not NULL:
        session_resume((<upstream_t *>stream).tenant, PAUSE_UPLOAD)
    (<Sink>(<upstream_t *>stream).sink).on_drained(<upstream_t *>stream)


cdef void _on_close(stream_t *stream, int error) noexcept nogil:
    (<Sink>(<upstream_t *>stream).sink)._lost(<upstream_t *>stream, error)


cdef void _on_free(stream_t *stream) noexcept nogil:
    slab_give(&(<Sink>(<upstream_t *>stream).sink).upstreams, stream)


cdef stream_ops_t UPSTREAM_OPS
UPSTREAM_OPS.on_data = _on_data
UPSTREAM_OPS.on_eof = _on_eof
UPSTREAM_OPS.on_connected = _on_connected
UPSTREAM_OPS.on_drained = _on_drained
UPSTREAM_OPS.on_close = _on_close
UPSTREAM_OPS.on_free = _on_free


cdef void _on_timer(timer_t *timer) noexcept nogil:
    cdef upstream_t *upstream = <upstream_t *>timer.owner
    (<Sink>upstream.sink)._check_timeout(upstream)


cdef class Sink(Step):

    def __cinit__(self, context, *args, **kwargs):
        slab_init(&self.upstreams, sizeof(upstream_t))
        self.wait = <histogram_t *>calloc(1, sizeof(histogram_t))
        self.held = <histogram_t *>calloc(1, sizeof(histogram_t))
        if self.wait is NULL or self.held is NULL:
            raise MemoryError()
        self.retry_budget.tokens = BUDGET_FIRST
        if self.loop is not None:
            self.random = self.loop.poller.system.chance(self.loop.poller) | 1

    def __dealloc__(self):
        slab_close(&self.upstreams)
        free(self.wait)
        free(self.held)

    def set_address(self, address):
        """The server: an Address of the configuration. Resolves its name; OSError when that fails."""
        self.family, sockaddr = resolve(address.host, address.port, address.path)
        memcpy(self.address_bytes, <const char *>sockaddr, len(sockaddr))
        self.address_size = len(sockaddr)
        if self.tls is not None:
            self.tls.call(getattr(address, "called", address.host) or "localhost")

    def set_tls(self, context):
        """A TlsContext of a client, before `set_address`; None: without TLS."""
        if context is not None:
            self.tls = TlsSide(self.loop, context)

    cdef upstream_t *upstream_open(self) noexcept nogil:
        """A new connection on its way; what is sent on it waits for upstream_ready. NULL: none now; connect_error says why."""
        cdef:
            upstream_t *upstream
            int         fd, result
        if self.loop.now < self.retry_at_ns:
            return NULL
        if unlikely(self.connections_max and self.connections >= self.connections_max):
            self.connect_error = EUSERS
            return NULL
        upstream = <upstream_t *>slab_take(&self.upstreams)
        if upstream is NULL:
            return NULL
        memset(upstream, 0, sizeof(upstream_t))
        fd = self.loop.poller.system.open(self.loop.poller, self.family)
        if fd < 0:
            result = fd
        else:
            self.loop.poller.system.tune(self.loop.poller, fd, self.family)
            result = self.loop.connect(&upstream.stream, fd, self.address_bytes, self.address_size, &UPSTREAM_OPS)
            if result < 0:
                self.loop.poller.system.close(self.loop.poller, fd)
        self.connects_total += 1
        if result < 0:
            slab_give(&self.upstreams, upstream)
            if fd < 0:                      # our own lack of descriptors says nothing about the server
                self.connect_error = -result
            else:
                self._connect_failed(-result)
            return NULL
        upstream.sink = <void *>self
        upstream.stream.sent_total = &self.sent_bytes
        upstream.timer.fire = _on_timer
        upstream.timer.owner = upstream
        self.upstream_ids += 1
        upstream.id = self.upstream_ids
        upstream.alive_next = self.alive
        if self.alive is not NULL:
            self.alive.alive_previous = upstream
        self.alive = upstream
        self.connections += 1
        if self.tls is not None and self.tls.connect(&upstream.stream) != 0:
            stream_close(&upstream.stream, ENOMEM)
        if self.connect_timeout_ns:
            self.loop.set_timer(&upstream.timer, self.connect_timeout_ns)
        return upstream

    cdef void _connect_failed(self, int error) noexcept nogil:
        """The next attempts fail fast for a while: doubling, with jitter, so that many proxies do not come back as one."""
        cdef uint64_t half
        cdef char text[500]
        self.connect_failures_total += 1
        self.connect_error = error
        self.backoff_ns = min(max(2 * self.backoff_ns, BACKOFF_MIN_NS), BACKOFF_MAX_NS)
        self.random ^= self.random << 13
        self.random ^= self.random >> 7
        self.random ^= self.random << 17
        half = self.backoff_ns // 2
        self.retry_at_ns = self.loop.now + half + self.random % (half + 1)
        snprintf(text, sizeof(text), b"cannot connect to the upstream of %s: %s", self.label, self.reason(error))
        self.hub.log(LOG_WARNING, text)

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

    cdef inline void _write(self, upstream_t *upstream, request_t *request) noexcept nogil:
        if request.owner is not NULL:
            stream_write_chunk(&upstream.stream, request.owner, request.wire.data, request.wire.size)
        else:
            stream_write(&upstream.stream, request.wire.data, request.wire.size)
        if unlikely(request.upload is not NULL):
            upload_open(<upload_t *>request.upload, &upstream.stream, &upstream.upload)

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

    cdef request_t *_own_request(self, const char *wire, size_t size) noexcept nogil:
        """A request of the proxy's own, with `size` bytes of `wire` (or, where that is empty, room for so many)."""
        cdef:
            request_t *request = self.hub.request_new(self.chain)
            chunk_t   *chunk = pool_take(&self.loop.pool, size)
        if request is NULL or chunk is NULL:
            if request is not NULL:
                self.hub.request_free(request)
            if chunk is not NULL:
                chunk_put(&self.loop.pool, chunk)
            return NULL
        if wire[0]:
            memcpy(chunk_data(chunk), wire, size)
        request.owner = chunk
        request.wire.data = chunk_data(chunk)
        request.wire.size = size
        return request

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

    cdef inline void _deliver(self, request_t *request, const uint8_t *data, size_t size) noexcept nogil:
        """A part of a reply: straight to the client when nobody on the way wants to see it."""
        if request.discard:
            return
        if likely(request.queued and not request.watched):
            session_stream(request, data, size)
        elif request.queued and request.watched == WATCHED_BY_PIECES:
            self.up.on_piece(request, data, size)
        elif (
            unlikely(request.watched == WATCHED_BY_SINK and not request.queued
                     and request.reply.size + size > OWN_REPLY_MAX)
            or not request_add_reply(&self.loop.pool, request, data, size)
        ):
            request.failed = 1
            request.discard = 1

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

    cdef void complete(self, request_t *request) noexcept nogil:
        """Takes over a request with its whole reply; it goes up, at once or with the others of this turn."""
        if likely(request.queued and not request.watched):
            session_complete(request)
        elif self.chain.watched:
            batch_push(&self.chain.replies, request)
            self.loop.defer(&self.chain.reply_task)
        else:
            self.pass_up(request)

    cdef void fail(self, request_t *request, const char *text) noexcept nogil:
        """Answers what is left of it with an error that says where it comes from."""
        cdef:
            char     full[512]
            uint8_t  out[600]
            size_t   size
            uint32_t _
        snprintf(full, sizeof(full), b"shotover: %s (%s)", text, self.place)
        size = self.codec.error(out, sizeof(out), b"ERR", full, strlen(full))
        for _ in range(request.left if not request.mute else 0):
            if not request_add_reply(&self.loop.pool, request, out, size):
                request_drop_reply(&self.loop.pool, request)
                break
        self.failures_total += request.left
        request.left = 0
        request.begun = 0
        if request.failed != ABANDONED:
            request.failed = LOST
        request.sent_ns = self.loop.now
        self.complete(request)

    cdef const char *reason(self, int error) noexcept nogil:
        """What an errno, or one of CLOSE_*, means to people."""
        if error == CLOSE_LAYER and self.tls is not None:
            return self.tls.why
        if error == CLOSE_EOF:
            return b"closed by the server"
        return strerror(error)

    cdef void fail_errno(self, request_t *request, const char *text, int error) noexcept nogil:
        cdef char full[400]
        if error == CLOSE_LOCAL:
            request.failed = ABANDONED
            snprintf(full, sizeof(full), b"%s: closed by the proxy", text)
        elif error == EUSERS:
            snprintf(full, sizeof(full), b"%s: as many connections as may be are open (max_connections)", text)
        else:
            snprintf(full, sizeof(full), b"%s: %s", text, self.reason(error))
        self.fail(request, full)

    cdef void _lost(self, upstream_t *upstream, int error) noexcept nogil:
        """The connection is dead: every request on it is answered with that."""
        cdef:
            request_t *request
            batch_t    again
            bint       midway = upstream.scan.midway
            bint       hung_up = error == CLOSE_EOF or error == ECONNRESET or error == EPIPE
        batch_clear(&again)
        self.loop.cancel_timer(&upstream.timer)
        self._bury(upstream)
        if error == CLOSE_LOCAL:
            pass                            # our own doing says nothing about the server
        elif not upstream.connected:
            self._connect_failed(error)
        else:
            self.lost_total += 1
        if upstream.upload is not NULL:
            upload_lost(upstream.upload)
        if upstream.tenant is not NULL:
            session_resume(upstream.tenant, PAUSE_UPLOAD)
        self.on_lost(upstream, error)
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

    cdef inline void _bury(self, upstream_t *upstream) noexcept nogil:
        self.connections -= 1
        if upstream.alive_next is not NULL:
            upstream.alive_next.alive_previous = upstream.alive_previous
        if upstream.alive_previous is not NULL:
            upstream.alive_previous.alive_next = upstream.alive_next
        else:
            self.alive = upstream.alive_next

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

    cdef void _check_timeout(self, upstream_t *upstream) noexcept nogil:
        """One timer an upstream: of its connect, then of its oldest request; set again when that had progress."""
        cdef uint64_t due
        if not upstream.ready:
            self.timeouts_total += 1
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
            stream_close(&upstream.stream, ETIMEDOUT)

    # ---- for subclasses -----------------------------------------------------------------------------------------

    cdef void on_connected(self, upstream_t *upstream) noexcept nogil:
        """Connected; greet the server, or call upstream_ready."""
        self.upstream_ready(upstream)

    cdef void on_frame(self, upstream_t *upstream, uint8_t *frame, size_t size, bint push) noexcept nogil:
        """Framed mode: one whole reply or push."""
        pass

    cdef void on_finished(self, upstream_t *upstream, request_t *request) noexcept nogil:
        """A request with sink_state != 0 has all its replies. Takes it over."""
        self.complete(request)

    cdef void on_lost(self, upstream_t *upstream, int error) noexcept nogil:
        """The connection is gone; its requests will be failed after this."""
        pass

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

    cdef void unreachable(self, request_t *request, int error) noexcept nogil:
        """There is no connection for it: it was not sent. Takes it over."""
        self.fail_errno(request, b"upstream unavailable", error)

    cdef void on_drained(self, upstream_t *upstream) noexcept nogil:
        """The server reads again."""
        pass

    cdef bint may_retry(self, request_t *request) noexcept nogil:
        """The server hung up before this one was answered. True: sending it again cannot do harm or come out of order."""
        return False

    cdef void retry(self, request_t *request) noexcept nogil:
        """Takes over a request that may_retry let pass, for a second and last attempt."""
        self.fail(request, b"upstream connection lost")

    cdef bint may_wait(self, upstream_t *upstream) noexcept nogil:
        """The oldest request may take as long as it likes."""
        return False

    def on_linked(self):
        put_text(self.label, sizeof(self.label), self.name)
        put_text(self.place, sizeof(self.place), f"chain {self.chain.name}, {self.type_name}")

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return Step.samples(self) + [
            ("shotover_failed_requests_count", labels, "counter", self.error_replies_total + self.failures_total),
            ("shotover_upstream_up", labels, "gauge",
             int(self.backoff_ns == 0 and (self.reached or self.connects_total == 0))),
            ("shotover_upstream_connections", labels, "gauge", self.connections),
            ("shotover_upstream_connects_count", labels, "counter", self.connects_total),
            ("shotover_upstream_connect_failures_count", labels, "counter", self.connect_failures_total),
            ("shotover_upstream_lost_count", labels, "counter", self.lost_total),
            ("shotover_upstream_garbage_count", labels, "counter", self.garbage_total),
            ("shotover_upstream_timeouts_count", labels, "counter", self.timeouts_total),
            ("shotover_upstream_retries_count", labels, "counter", self.retries_total),
            ("shotover_upstream_bytes_received_count", labels, "counter", self.received_bytes),
            ("shotover_upstream_bytes_sent_count", labels, "counter", self.sent_bytes),
            ("shotover_upstream_wait_seconds", labels, "histogram", histogram_value(self.wait)),
            ("shotover_source_to_sink_latency_seconds", {"sink": self.type_name}, "histogram", histogram_value(self.held)),
        ] + tls_samples(self.tls, labels)
