"""See codec_probe.pxd. Every piece is copied into memory of exactly its size: a sanitizer sees the first byte too far."""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from shotover._codec.codec cimport MERGE_ANY, SCAN_BAD, SCAN_DONE, SCAN_MORE, SCAN_PUSH, decode_t
from shotover._codec.commands cimport command_t
from shotover._codec.resp cimport resp_words
from shotover._codec.resp_ports cimport ports_room, replace_ports
from shotover._core.memory cimport chunk_put, slab_close, slab_init
from shotover._core.request cimport batch_clear, batch_pop, batch_push, request_free, request_own, request_t
from shotover._core.slice cimport slice_t
from shotover._core.status cimport BAD, HEAD, NEED_DATA, OK
from shotover._net.loop cimport stash_drop, stash_join, stash_keep

STATUS = ("OK", "NEED_DATA", "BAD", "LIMIT", "NO_MEMORY")


cdef uint8_t *_exact(bytes data) except NULL:
    cdef uint8_t *copy = <uint8_t *>malloc(len(data))
    if copy is NULL:
        raise MemoryError
    memcpy(copy, <const char *>data, len(data))
    return copy


cdef tuple _seen(request_t *request):
    """(wire, count, argc, command, key, kind, conduct)"""
    cdef const command_t *command = <const command_t *>request.command
    return (
        request.wire.data[:request.wire.size],
        request.count,
        request.argc,
        None if command is NULL else <bytes>command.name,
        request.wire.data[request.key_at:request.key_at + request.key_size] if request.key_at else None,
        request.kind,
        request.conduct,
    )


cdef class Decoder:
    """A client's side. `hold`: requests are owned and kept to the end, as by a step that waits."""

    def __cinit__(self, *, uint8_t merge=MERGE_ANY, bint hold=False, frame_bytes_max=1 << 30, arguments_max=1 << 20,
                  inline_bytes_max=65536, memory_bytes_max=1 << 34, uint64_t stream_min=0):
        self.loop = Loop(memory_bytes_max)
        self.codec = RespCodec()
        slab_init(&self.slab, sizeof(request_t))
        self.stream.loop = <void *>self.loop
        self.limits.frame_bytes_max = frame_bytes_max
        self.limits.arguments_max = arguments_max
        self.limits.inline_bytes_max = inline_bytes_max
        self.merge = merge
        self.hold = hold
        self.stream_min = stream_min
        self.status = OK
        self.error = b""

    def __dealloc__(self):
        stash_drop(&self.stream)
        while self.held.head is not NULL:
            request_free(&self.slab, &self.loop.pool, batch_pop(&self.held))
        slab_close(&self.slab)

    cdef status_t _decode(self, uint8_t *data, size_t size, batch_t *batch) noexcept nogil:
        """What Source.decode does, but for the session around it."""
        cdef:
            decode_t decode
            uint8_t *end
            uint8_t *at = stash_join(&self.stream, data, size, &end)
            status_t status
        memset(&decode, 0, sizeof(decode))
        if at is NULL:
            return status_t.NO_MEMORY
        if self.stream.stash is not NULL and <size_t>(end - at) < self.stream.stash.need:
            return NEED_DATA
        decode.at = at
        decode.end = end
        decode.owner = NULL if self.stream.stash is NULL else self.stream.stash.chunk
        decode.slab = &self.slab
        decode.pool = &self.loop.pool
        decode.batch = batch
        decode.limits = &self.limits
        decode.resume = &self.resume
        decode.session = <void *>self
        decode.merge = self.merge
        decode.stream_min = self.stream_min
        decode.follow = &self.follow
        status = self.codec.decode(&decode)
        self.requests += decode.requests
        if status == NEED_DATA:
            if not stash_keep(&self.stream, decode.at, decode.end, decode.need):
                status = status_t.NO_MEMORY
        elif status == OK or status == HEAD:
            if self.stream.stash is not NULL:
                stash_drop(&self.stream)
        elif status == BAD:
            with gil:
                self.error = b"" if decode.error is NULL else decode.error[:decode.error_size]
            if decode.error_chunk is not NULL:
                chunk_put(&self.loop.pool, decode.error_chunk)
        return status

    def feed(self, bytes data):
        """New bytes of the client. Returns the requests they complete, see _seen; after BAD: nothing any more."""
        cdef:
            batch_t    batch
            request_t *request
            uint8_t   *copy
            uint8_t   *at
            size_t     size = len(data)
            list       seen = []
        if self.status > NEED_DATA or not data:
            return seen
        copy = _exact(data)
        at = copy
        batch_clear(&batch)
        if self.coming is not None:
            self.status = self.codec.follow(&self.follow, &self.limits, &at, copy + size)
            self.coming += copy[:at - copy]
            if self.status == BAD:
                self.error = self.follow.error
            elif self.status == OK:
                seen.append((bytes(self.coming), *self.head[1:]))
                self.coming = None
        if self.coming is None and at < copy + size:
            with nogil:
                self.status = self._decode(at, <size_t>(copy + size - at), &batch)
        self.bytes_peak = max(self.bytes_peak, self.loop.pool.live_bytes)
        while batch.head is not NULL:
            request = batch_pop(&batch)
            if request.streamed:
                self.heads += 1
                self.head = _seen(request)
                self.coming = bytearray(self.head[0])
                self.status = NEED_DATA
            else:
                seen.append(_seen(request))
            if self.hold and request_own(&self.loop.pool, request):
                batch_push(&self.held, request)
            else:
                request_free(&self.slab, &self.loop.pool, request)
        free(copy)
        return seen

    def release(self):
        """The held requests as they are now, then no more."""
        cdef list seen = []
        while self.held.head is not NULL:
            seen.append(_seen(self.held.head))
            request_free(&self.slab, &self.loop.pool, batch_pop(&self.held))
        return seen

    def drop(self):
        """The client goes away, wherever it is."""
        stash_drop(&self.stream)
        memset(&self.resume, 0, sizeof(self.resume))

    @property
    def state(self):
        return STATUS[self.status]

    @property
    def live(self):
        """(requests, chunks, bytes of chunks) that are out."""
        return self.slab.live_count, self.loop.pool.live_count, self.loop.pool.live_bytes

    @property
    def stashed(self):
        """Bytes of the cut frame."""
        return 0 if self.stream.stash is NULL else self.stream.stash.end - self.stream.stash.start

    def often(self, bytes data, uint64_t rounds):
        """Decodes whole requests that many times, keeping nothing: for measuring. Returns how many requests."""
        cdef:
            batch_t  batch
            uint8_t *at = data
            size_t   size = len(data)
            uint64_t before = self.requests
        with nogil:
            for _ in range(rounds):
                batch_clear(&batch)
                self._decode(at, size, &batch)
                while batch.head is not NULL:
                    request_free(&self.slab, &self.loop.pool, batch_pop(&batch))
        return self.requests - before


def words(bytes wire):
    """The words of one request as a step sees them; None: not a request."""
    cdef:
        uint8_t *copy = _exact(wire)
        slice_t *found
        uint32_t argc = resp_words(copy, copy + len(wire), NULL, 0)
        uint32_t index
        list     out = None
    if 0 < argc <= len(wire):
        found = <slice_t *>malloc(argc * sizeof(slice_t))
        if resp_words(copy, copy + len(wire), found, argc) == argc:
            out = [found[index].data[:found[index].size] for index in range(argc)]
        free(found)
    free(copy)
    return out


cdef class Scanner:
    """A server's side. `run`: replies that are awaited at once; `framed`: gather whole frames, pushes among them."""

    def __cinit__(self, uint32_t run=1, bint framed=False, memory_bytes_max=1 << 34):
        self.loop = Loop(memory_bytes_max)
        self.codec = RespCodec()
        self.stream.loop = <void *>self.loop
        self.run = self.left = run
        self.framed = framed
        self.reply = bytearray()

    def __dealloc__(self):
        stash_drop(&self.stream)

    def feed(self, bytes data):
        """New bytes of the server. Returns the runs of replies (framed: the frames) that they complete."""
        cdef:
            uint8_t *copy
            list     seen = []
        if data and not self.broken and not self.pushed:
            copy = _exact(data)
            if self.framed:
                self._frames(copy, len(data), seen)
            else:
                self._stream(copy, len(data), seen)
            free(copy)
        return seen

    cdef int _stream(self, uint8_t *at, size_t size, list seen) except -1:
        """What Sink._read_streaming does."""
        cdef:
            uint8_t *end = at + size
            uint8_t *start
            int      result
        while at < end:
            start = at
            result = self.codec.scan(&self.scan, &at, end, &self.left)
            assert start <= at <= end, "the scanner went astray"
            self.reply += start[:at - start]
            if self.left == 0:
                seen.append(bytes(self.reply))
                self.reply.clear()
                self.left = self.run
            elif result == SCAN_BAD:
                self.broken = True
                return 0
            elif result == SCAN_PUSH:
                self.pushed = True
                return 0
            else:
                assert at == end, "the scanner stands still"

    cdef int _frames(self, uint8_t *data, size_t size, list seen) except -1:
        """What Sink._read_framed does."""
        cdef:
            uint8_t *end
            uint8_t *frame = stash_join(&self.stream, data, size, &end)
            uint8_t *at
            uint32_t left
            int      result
        if frame is NULL:
            raise MemoryError
        while frame < end:
            at = frame + self.scanned
            left = 1
            result = self.codec.scan_frame(&self.scan, &at, end, &left)
            assert frame <= at <= end, "the scanner went astray"
            if result == SCAN_BAD:
                self.broken = True
                return 0
            if result != SCAN_DONE:
                assert result == SCAN_MORE and at == end
                self.scanned = at - frame
                break
            self.scanned = 0
            seen.append(frame[:at - frame])
            frame = at
        if not stash_keep(&self.stream, frame, end, 0):
            raise MemoryError
        return 0

    @property
    def partial(self):
        """Bytes of the reply that is not yet whole."""
        if self.framed:
            return 0 if self.stream.stash is NULL else self.stream.stash.end - self.stream.stash.start
        return len(self.reply)

    def often(self, bytes data, uint64_t rounds):
        """Scans the replies that many times: for measuring. Returns how many replies."""
        cdef:
            uint8_t *start = data
            uint8_t *at
            uint8_t *end = start + len(data)
            uint64_t total = 0
            uint32_t left
        with nogil:
            for _ in range(rounds):
                at = start
                while at < end:
                    left = 1
                    if self.codec.scan(&self.scan, &at, end, &left) != SCAN_DONE:
                        break
                    total += 1
        return total


def new_ports(int form, bytes reply, uint32_t port):
    """The reply with each port replaced (PORTS_*: resp_ports.pxd), or None: it has another form."""
    cdef:
        uint8_t *at = _exact(reply)
        uint8_t *out = <uint8_t *>malloc(ports_room(len(reply)))
        size_t   size
    try:
        if out is NULL:
            raise MemoryError
        size = replace_ports(form, at, len(reply), port, out)
        assert size <= ports_room(len(reply))
        return out[:size] if size else None
    finally:
        free(at)
        free(out)
