"""See upstream.pxd."""

from libc.errno cimport EHOSTDOWN, ENOMEM, EUSERS
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strerror, strlen

from shotover._core.counters cimport histogram_value
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t, pool_take, slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport (
    ABANDONED,
    LOST,
    WATCHED_BY_PIECES,
    WATCHED_BY_SINK,
    batch_push,
    request_add_reply,
    request_drop_reply,
)
from shotover._net.address import resolve
from shotover._net.tls import tls_samples

from shotover._net.loop cimport (
    CLOSE_EOF,
    CLOSE_LAYER,
    CLOSE_LOCAL,
    stream_close,
    stream_ops_t,
    stream_write,
    stream_write_chunk,
    stream_write_layer,
)
from shotover._net.peer cimport peer_parse, peer_t
from shotover._net.proxy_header cimport PROXY_HEADER_MAX, proxy_header
from shotover._proxy.retry cimport BUDGET_FIRST
from shotover._proxy.session cimport PAUSE_UPLOAD, session_complete, session_peer, session_resume, session_stream
from shotover._proxy.step cimport LOG_INFO, LOG_WARNING, put_text
from shotover._proxy.upload cimport upload_lost, upload_open


cdef enum:
    BACKOFF_MIN_NS = 20000000       # after a failed connect: at least 20 ms of failing fast,
    BACKOFF_MAX_NS = 1000000000     # doubling up to a second; half of it is jitter
    TRIAL_MIN_NS = 100000000        # a silent server is tried after 100 ms,
    TRIAL_MAX_NS = 2000000000       # then after pauses that double up to two seconds
    OWN_REPLY_MAX = 4194304         # bytes of a reply to a request of the proxy's own


# ---- what the loop tells an upstream ----------------------------------------------------------------------------

cdef inline void _count_received(Sink sink, size_t size) noexcept nogil:
    sink.received_bytes += size
    sink.timeouts_in_row = 0
    if unlikely(sink.tripped):
        sink._heard_again()


cdef void _on_data(stream_t *stream, uint8_t *data, size_t size) noexcept nogil:
    cdef upstream_t *upstream = <upstream_t *>stream
    upstream.progress_ns = (<Sink>upstream.sink).loop.now
    _count_received(<Sink>upstream.sink, size)
    (<Sink>upstream.sink).read(upstream, data, size)
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
    (<Sink>upstream.sink).check_timeout(upstream)


cdef void _on_trial(timer_t *timer) noexcept nogil:
    (<Sink>timer.owner)._try()


cdef class Sink(Step):

    def __cinit__(self, context, *args, **kwargs):
        slab_init(&self.upstreams, sizeof(upstream_t))
        self.wait = <histogram_t *>calloc(1, sizeof(histogram_t))
        self.held = <histogram_t *>calloc(1, sizeof(histogram_t))
        if self.wait is NULL or self.held is NULL:
            raise MemoryError()
        self.retry_budget.tokens = BUDGET_FIRST
        self.trial.fire = _on_trial
        self.trial.owner = <void *>self
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
        if unlikely(self.tripped and not self.trying):
            self.connect_error = EHOSTDOWN
            return NULL
        if unlikely(self.connections_max and self.connections >= self.connections_max):
            self.connect_error = EUSERS
            return NULL
        upstream = <upstream_t *>slab_take(&self.upstreams)
        if upstream is NULL:
            return NULL
        memset(upstream, 0, self.upstreams.size)
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
        elif self.proxy_version:
            self._introduce(upstream)
        if self.connect_timeout_ns:
            self.loop.set_timer(&upstream.timer, self.connect_timeout_ns)
        return upstream

    cdef void _introduce(self, upstream_t *upstream) noexcept nogil:
        """Tells the server for whom this connection is, before anything else, a handshake too. A ghost is no client."""
        cdef:
            uint8_t       out[PROXY_HEADER_MAX]
            char          name[128]
            size_t        size
            const peer_t *client = NULL
            peer_t        door              # where the client has come in
        memset(&door, 0, sizeof(door))
        if self.speaks_for is not NULL and self.speaks_for.stream.handle.fd >= 0:
            client = session_peer(self.speaks_for)
            if unlikely(client is NULL):
                stream_close(&upstream.stream, ENOMEM)
                return
            self.loop.poller.system.name(self.loop.poller, self.speaks_for.stream.handle.fd, False, name, sizeof(name))
            peer_parse(&door, name)
            upstream.introduced = 1
        size = proxy_header(out, self.proxy_version, self.proxy_checksum, client, &door)
        if self.tls is None:
            stream_write(&upstream.stream, out, size)
        elif not stream_write_layer(&upstream.stream, out, size):
            stream_close(&upstream.stream, ENOMEM)

    # ---- the breaker --------------------------------------------------------------------------------------------

    cdef void timed_out(self) noexcept nogil:
        """A reply has not come in time. After as many in a row as may be, with not a byte of the server between them, it is
        taken to be silent: no client waits for it any more, and only the sink itself tries it."""
        cdef char text[300]
        self.timeouts_in_row += 1
        if self.tripped or self.breaker_timeouts == 0 or self.timeouts_in_row < self.breaker_timeouts:
            return
        self.tripped = True
        self.trips_total += 1
        self.trial_pause_ns = TRIAL_MIN_NS // 2
        snprintf(text, sizeof(text), b"the server of %s is silent: requests are refused until it answers (breaker_timeouts)",
                 self.label)
        self.hub.log(LOG_WARNING, text)
        self.try_later()

    cdef void try_later(self) noexcept nogil:
        """The server is tried again after a pause: each is twice as long as the one before."""
        if not self.tripped:
            return
        self.trial_pause_ns = min(2 * self.trial_pause_ns, TRIAL_MAX_NS)
        self.loop.set_timer(&self.trial, self.trial_pause_ns)

    cdef void _try(self) noexcept nogil:
        cdef bint sent
        self.trying = True
        sent = self.try_server()
        self.trying = False
        if not sent:
            self.try_later()

    cdef void _heard_again(self) noexcept nogil:
        cdef char text[200]
        self.tripped = False
        self.loop.cancel_timer(&self.trial)
        snprintf(text, sizeof(text), b"the server of %s answers again", self.label)
        self.hub.log(LOG_INFO, text)

    cdef void _connect_failed(self, int error) noexcept nogil:
        """The next attempts fail fast for a while: doubling, with jitter, so that many proxies do not come back as one."""
        cdef uint64_t half
        self.connect_failures_total += 1
        self.connect_error = error
        self.backoff_ns = min(max(2 * self.backoff_ns, BACKOFF_MIN_NS), BACKOFF_MAX_NS)
        self.random ^= self.random << 13
        self.random ^= self.random >> 7
        self.random ^= self.random << 17
        half = self.backoff_ns // 2
        self.retry_at_ns = self.loop.now + half + self.random % (half + 1)
        self.tell_connect_failed(error)

    cdef void tell_connect_failed(self, int error) noexcept nogil:
        cdef char text[500]
        snprintf(text, sizeof(text), b"cannot connect to the upstream of %s: %s", self.label, self.reason(error))
        self.hub.log(LOG_WARNING, text)

    cdef inline void _write(self, upstream_t *upstream, request_t *request) noexcept nogil:
        if request.owner is not NULL:
            stream_write_chunk(&upstream.stream, request.owner, request.wire.data, request.wire.size)
        else:
            stream_write(&upstream.stream, request.wire.data, request.wire.size)
        if unlikely(request.upload is not NULL):
            upload_open(<upload_t *>request.upload, &upstream.stream, &upstream.upload)

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
        size = self.codec.error_for(request, out, sizeof(out), b"ERR", full, strlen(full))
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
        elif error == EHOSTDOWN and self.tripped:
            self.over_breaker += request.left
            snprintf(full, sizeof(full), b"%s: the server is silent, and is tried (breaker_timeouts)", text)
        elif error == EUSERS:
            snprintf(full, sizeof(full), b"%s: as many connections as may be are open (max_connections)", text)
        else:
            snprintf(full, sizeof(full), b"%s: %s", text, self.reason(error))
        self.fail(request, full)

    cdef void _lost(self, upstream_t *upstream, int error) noexcept nogil:
        """The connection is dead: every request on it is answered with that."""
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
        self.abandon(upstream, error)

    cdef inline void _bury(self, upstream_t *upstream) noexcept nogil:
        self.connections -= 1
        if upstream.alive_next is not NULL:
            upstream.alive_next.alive_previous = upstream.alive_previous
        if upstream.alive_previous is not NULL:
            upstream.alive_previous.alive_next = upstream.alive_next
        else:
            self.alive = upstream.alive_next

    cdef bint on_retire(self, bint force) noexcept nogil:
        cdef:
            upstream_t *upstream = self.alive
            upstream_t *following
        self.loop.cancel_timer(&self.trial)
        while upstream is not NULL:
            following = upstream.alive_next
            if not upstream.stream.closed and (force or (upstream.pending == 0 and upstream.head is NULL)):
                stream_close(&upstream.stream, CLOSE_LOCAL)
            upstream = following
        return self.upstreams.live_count == 0

    # ---- for subclasses -----------------------------------------------------------------------------------------

    cdef void on_connected(self, upstream_t *upstream) noexcept nogil:
        """Connected; greet the server, or let go out what is queued."""
        pass

    cdef void read(self, upstream_t *upstream, uint8_t *data, size_t size) noexcept nogil:
        """Bytes of the server. They lie in memory of the loop's, good until the turn ends, and may be changed there."""
        pass

    cdef void abandon(self, upstream_t *upstream, int error) noexcept nogil:
        """The connection is gone, on_lost has been called: every request on it is to be answered, sent again or forgotten."""
        pass

    cdef void check_timeout(self, upstream_t *upstream) noexcept nogil:
        """The connection's one timer has fired: of its connect, or of a request."""
        pass

    cdef void on_lost(self, upstream_t *upstream, int error) noexcept nogil:
        """The connection is gone; its requests will be failed after this."""
        pass

    cdef void unreachable(self, request_t *request, int error) noexcept nogil:
        """There is no connection for it: it was not sent. Takes it over."""
        self.fail_errno(request, b"upstream unavailable", error)

    cdef void on_drained(self, upstream_t *upstream) noexcept nogil:
        """The server reads again."""
        pass

    cdef bint try_server(self) noexcept nogil:
        """The server is silent: asks it something that it answers at once. Any byte of it will do. False: that could not be
        sent. True: it was; if it is lost, `try_later` is to be called."""
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
        ] + self._breaker_samples(labels) + tls_samples(self.tls, labels)

    def _breaker_samples(self, labels):
        if self.breaker_timeouts == 0:
            return []
        return [
            ("shotover_upstream_silent", labels, "gauge", int(self.tripped)),
            ("shotover_upstream_silences_count", labels, "counter", self.trips_total),
            ("shotover_refusals_count", labels | {"reason": "breaker"}, "counter", self.over_breaker),
        ]
