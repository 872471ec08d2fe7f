"""The loop: see loop.pxd for the picture. Knows no protocol; everything here runs without the GIL."""

from libc.errno cimport EAGAIN, ENOMEM
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_SetName
from libc.string cimport memcpy, memset, strcpy

from shotover._core.debug cimport invariant, likely, unlikely
from shotover._core.memory cimport (
    CHUNK_LARGE,
    CHUNK_MEDIUM,
    CHUNK_SMALL,
    chunk_data,
    chunk_put,
    chunk_ref,
    chunk_small,
    pool_close,
    pool_init,
    pool_take,
    slab_close,
    slab_give,
    slab_init,
    slab_take,
)
from shotover._net.poller cimport (
    EVENT_ACCEPT,
    EVENT_CONNECTED,
    EVENT_DATA,
    EVENT_DROPPED,
    EVENT_EOF,
    EVENT_SENT,
    EVENT_WAKE,
    EVENT_WRITABLE,
    HANDLE_CONNECTION,
    HANDLE_LISTENER,
    POLLER_PENDING,
    iovec,
)
from shotover._net.timers cimport timer_cancel, timer_set, wheel_advance, wheel_init, wheel_wait_ns


cdef extern from "shotover/_net/poller_choose.h" nogil:
    poller_t *poller_choose(const char *name, int *error, char *why, size_t why_size)


cdef const char *POLLER_CAPSULE = b"shotover.poller"


cdef class Loop:
    """One per worker. Must be opened and used by one thread; only `wake` may be called from others."""

    def __cinit__(self, unsigned long long memory_bytes_max=<unsigned long long>1 << 34):
        pool_init(&self.pool, memory_bytes_max)
        slab_init(&self.segments, sizeof(segment_t))
        slab_init(&self.stashes, sizeof(stash_t))

    def __dealloc__(self):
        if self.poller is not NULL:
            self.poller.ops.close(self.poller)
        slab_close(&self.segments)
        slab_close(&self.stashes)
        pool_close(&self.pool)

    def open(self, poller):
        """Opens a poller: "auto", a back end's name, or a capsule POLLER_CAPSULE around an open poller_t, which is taken over.

        Raises OSError when there is none that works.
        """
        cdef:
            char why[256]
            int  error = 0
            bytes name
        memset(why, 0, sizeof(why))
        if isinstance(poller, str):
            name = poller.encode()
            self.poller = poller_choose(name, &error, why, sizeof(why))
            if self.poller is NULL:
                raise OSError(-error, f"poller {poller!r} cannot be used here: {(<bytes>why).decode()}")
        else:
            self.poller = <poller_t *>PyCapsule_GetPointer(poller, POLLER_CAPSULE)
            PyCapsule_SetName(poller, b"taken")
            strcpy(why, b"made elsewhere and handed over")
        self.poller_name = (<bytes>self.poller.ops.name).decode()
        self.poller_why = (<bytes>why).decode()
        self.now = self.poller.ops.now(self.poller)
        wheel_init(&self.wheel, self.now)

    def name_of(self, int fd, bint peer=False):
        """"host:port" of a socket's own (or its peer's) address; empty when it has none."""
        cdef char out[256]
        self.poller.system.name(self.poller, fd, peer, out, sizeof(out))
        return (<bytes>out).decode("utf-8", "replace")

    cdef int attach(self, stream_t *stream, int fd, const stream_ops_t *ops) noexcept nogil:
        """Takes over an accepted socket. Returns 0 or -errno (the fd is then still the caller's)."""
        memset(stream, 0, sizeof(stream_t))
        stream.handle.fd = fd
        stream.handle.kind = HANDLE_CONNECTION
        stream.ops = ops
        stream.loop = <void *>self
        cdef int result = self.poller.ops.add(self.poller, &stream.handle)
        if result == 0:
            self.streams_live += 1
        return result

    cdef int connect(self, stream_t *stream, int fd, const void *address, uint32_t address_size,
                     const stream_ops_t *ops) noexcept nogil:
        """Starts a connect on a non-blocking socket. 0: on_connected or on_close will follow; -errno: fd is the caller's."""
        memset(stream, 0, sizeof(stream_t))
        stream.handle.fd = fd
        stream.handle.kind = HANDLE_CONNECTION
        stream.ops = ops
        stream.loop = <void *>self
        cdef int result = self.poller.ops.connect(self.poller, &stream.handle, address, address_size)
        if result == 0:
            self.streams_live += 1
        return result

    cdef int listen(self, listener_t *listener, int fd) noexcept nogil:
        memset(&listener.handle, 0, sizeof(listener.handle))
        listener.handle.fd = fd
        listener.handle.kind = HANDLE_LISTENER
        listener.loop = <void *>self
        return self.poller.ops.add(self.poller, &listener.handle)

    cdef void unlisten(self, listener_t *listener) noexcept nogil:
        """Closes the listening socket; on_dropped says when the kernel has let go of it."""
        if self.poller.ops.drop(self.poller, &listener.handle):
            listener.on_dropped(listener)

    cdef void want(self, handle_t *handle, bint on) noexcept nogil:
        """Resumes or pauses reading (accepting). Idempotent."""
        if not handle.dropped and handle.paused == on:
            self.poller.ops.want(self.poller, handle, on)

    cdef void defer(self, task_t *task) noexcept nogil:
        """Runs `task` once before this turn ends."""
        if task.listed:
            return
        task.listed = 1
        task.next = NULL
        if self.task_tail is NULL:
            self.task_head = task
        else:
            self.task_tail.next = task
        self.task_tail = task

    cdef void set_timer(self, timer_t *timer, uint64_t delay_ns) noexcept nogil:
        timer_set(&self.wheel, timer, self.now + delay_ns)

    cdef void cancel_timer(self, timer_t *timer) noexcept nogil:
        timer_cancel(&self.wheel, timer)

    cdef void wake(self) noexcept nogil:
        """From any thread: ends the wait of the current or the next turn; on_wake is then called on the loop's thread."""
        self.poller.ops.wake(self.poller)

    cdef int turn(self, int64_t timeout_ns) noexcept nogil:
        """One turn. timeout_ns bounds the wait (-1: until something happens). Returns 0 or -errno of the poller."""
        cdef:
            event_t event
            int64_t wait_ns = wheel_wait_ns(&self.wheel, self.now)
            int     result
        if timeout_ns >= 0 and (wait_ns < 0 or timeout_ns < wait_ns):
            wait_ns = timeout_ns
        result = self.poller.ops.wait(self.poller, wait_ns)
        if unlikely(result < 0):
            return result
        self.now = self.poller.ops.now(self.poller)
        self.turns += 1
        wheel_advance(&self.wheel, self.now)
        while True:
            result = self.poller.ops.next(self.poller, &event)
            if result == 1:
                self._dispatch(&event)
            elif result == 2:           # arena full: finish what lies in it, then go on
                self.settle()
                self._release()
            else:
                break
        self.settle()
        self._release()
        return 0

    cdef uint8_t *lend(self, size_t least, size_t *room) noexcept nogil:
        """Memory for bytes made from an event's, which live as long: at least `least`, at most CHUNK_LARGE; NULL: none left.

        `lent_used` must be raised by what is used of *room before the next call.
        """
        cdef chunk_t *chunk = self.lent
        if chunk is NULL or chunk.size - self.lent_used < least:
            chunk = pool_take(&self.pool, CHUNK_LARGE - sizeof(chunk_t))
            if chunk is NULL:
                return NULL
            chunk.next = self.lent
            self.lent = chunk
            self.lent_used = 0
        room[0] = chunk.size - self.lent_used
        return chunk_data(chunk) + self.lent_used

    cdef void _release(self) noexcept nogil:
        """All bytes lent since the last time are done with."""
        cdef chunk_t *chunk
        while unlikely(self.lent is not NULL):
            chunk = self.lent
            self.lent = chunk.next
            chunk.next = NULL
            chunk_put(&self.pool, chunk)
        self.poller.ops.release(self.poller)

    cdef void settle(self) noexcept nogil:
        """Runs deferred tasks, sends what was written, buries the dead, until nothing of that is left."""
        cdef task_t *task
        while True:
            while self.task_head is not NULL:
                task = self.task_head
                self.task_head = task.next
                if self.task_head is NULL:
                    self.task_tail = NULL
                task.listed = 0
                task.run(task)
            if self.dirty_head is not NULL:
                self._flush_all()
            if self.dead_head is not NULL:
                self._reap()
            if self.task_head is NULL and self.dirty_head is NULL and self.dead_head is NULL:
                return

    cdef void _dispatch(self, event_t *event) noexcept nogil:
        cdef:
            stream_t   *stream
            listener_t *listener
        if event.kind == EVENT_WAKE:
            if self.on_wake is not NULL:
                self.on_wake(self.wake_owner)
            return
        if event.handle.kind == HANDLE_LISTENER:
            listener = <listener_t *>event.handle
            if event.kind == EVENT_ACCEPT:
                listener.on_accept(listener, event.fd, event.error)
            elif event.kind == EVENT_DROPPED:
                listener.on_dropped(listener)
            return
        stream = <stream_t *>event.handle
        if unlikely(event.kind == EVENT_DROPPED):
            self._free_stream(stream)
            return
        if unlikely(stream.closed):
            return
        if likely(event.kind == EVENT_DATA):
            self.bytes_received += event.size
            stream.ops.on_data(stream, event.data, event.size)
        elif event.kind == EVENT_SENT:
            self._sent(stream, event.size)
            if (stream.out_size or stream.finishing) and not stream.closed:
                self._mark_dirty(stream)
        elif event.kind == EVENT_WRITABLE:
            stream.blocked = 0
            if stream.out_size:
                self._mark_dirty(stream)
        elif event.kind == EVENT_CONNECTED:
            stream.ops.on_connected(stream)
            if stream.out_size and not stream.closed:
                self._mark_dirty(stream)
        elif event.kind == EVENT_EOF:
            stream.ended = 1
            stream.ops.on_eof(stream)
        else:
            stream_close(stream, event.error)

    cdef void _mark_dirty(self, stream_t *stream) noexcept nogil:
        if not stream.dirty:
            stream.dirty = 1
            stream.dirty_next = self.dirty_head
            self.dirty_head = stream

    cdef void _flush_all(self) noexcept nogil:
        cdef stream_t *stream
        while self.dirty_head is not NULL:
            stream = self.dirty_head
            self.dirty_head = stream.dirty_next
            stream.dirty = 0
            self._flush(stream)

    cdef void _flush(self, stream_t *stream) noexcept nogil:
        """Sends as much as the kernel takes."""
        cdef queue_t *queue = &stream.out
        if stream.blocked or stream.handle.connecting or stream.handle.sending or stream.closed:
            return
        if unlikely(stream.framing is not NULL) and not stream.framing.seal(stream):
            return
        if unlikely(stream.layer is not NULL):
            if not stream.layer.ops.seal(stream):
                return
            queue = &stream.layer.out
        self._send(stream, queue)
        if stream.finishing and stream.out_size == 0 and not stream.closed:
            stream_close(stream, CLOSE_LOCAL)

    cdef void _send(self, stream_t *stream, queue_t *queue) noexcept nogil:
        cdef:
            iovec      vector[IOV_MAX_USED]
            segment_t *segment
            int        count
            long       sent
            size_t     offered
        while queue.head is not NULL and not stream.closed:
            count = 0
            offered = 0
            segment = queue.head
            while segment is not NULL and count < IOV_MAX_USED:
                vector[count].iov_base = segment.start
                vector[count].iov_len = <size_t>(segment.end - segment.start)
                offered += vector[count].iov_len
                count += 1
                segment = segment.next
            sent = self.poller.ops.send(self.poller, &stream.handle, vector, count)
            if sent > 0:
                self._sent(stream, <size_t>sent)
                if <size_t>sent < offered:
                    stream.blocked = 1
                    return
            elif sent == POLLER_PENDING:
                return
            elif sent == -EAGAIN:
                stream.blocked = 1
                return
            else:
                stream_close(stream, <int>-sent)
                return

    cdef void _sent(self, stream_t *stream, size_t size) noexcept nogil:
        """Takes `size` sent bytes off the head of the queue."""
        self.bytes_sent += size
        if stream.sent_total is not NULL:
            stream.sent_total[0] += size
        invariant(size <= stream.out_size)
        stream.out_size -= size
        if unlikely(stream.framing is not NULL) and stream.layer is NULL:
            stream.framing.sealed -= size
        self.take_off(&stream.out if likely(stream.layer is NULL) else &stream.layer.out, size)
        if stream.out_size == 0 and stream.finishing:
            if stream.layer is NULL:
                stream_close(stream, CLOSE_LOCAL)
        elif stream.over_high and stream.out_size <= OUT_LOW:
            stream.over_high = 0
            stream.ops.on_drained(stream)

    cdef void take_off(self, queue_t *queue, size_t size) noexcept nogil:
        """The first `size` bytes of a queue, which has as many, go."""
        cdef:
            segment_t *segment
            size_t     have
        while size:
            segment = queue.head
            have = <size_t>(segment.end - segment.start)
            if size < have:
                segment.start += size
                break
            size -= have
            queue.head = segment.next
            if segment.next is NULL:
                queue.tail = NULL
            chunk_put(&self.pool, segment.chunk)
            slab_give(&self.segments, segment)

    cdef void _last_words(self, stream_t *stream) noexcept nogil:
        """What the layer of a dead stream has to say to its peer is tried once."""
        cdef iovec piece
        stream.layer.ops.closing(stream)
        if stream.layer.out.head is NULL or stream.blocked or stream.handle.connecting or stream.handle.sending:
            return
        piece.iov_base = stream.layer.out.head.start
        piece.iov_len = <size_t>(stream.layer.out.head.end - stream.layer.out.head.start)
        self.poller.ops.send(self.poller, &stream.handle, &piece, 1)

    cdef void _reap(self) noexcept nogil:
        cdef stream_t *stream
        while self.dead_head is not NULL:
            stream = self.dead_head
            self.dead_head = stream.dirty_next
            stream.ops.on_close(stream, stream.error)
            if unlikely(stream.layer is not NULL):
                self._last_words(stream)
            if self.poller.ops.drop(self.poller, &stream.handle):
                self._free_stream(stream)

    cdef void _free_stream(self, stream_t *stream) noexcept nogil:
        if unlikely(stream.layer is not NULL):
            self._empty(&stream.layer.out)
            stream.layer.ops.free(stream)
        if unlikely(stream.framing is not NULL):
            stream.framing.free(stream)
        self._empty(&stream.out)
        stash_drop(stream)
        self.streams_live -= 1
        stream.ops.on_free(stream)

    cdef void _empty(self, queue_t *queue) noexcept nogil:
        cdef segment_t *segment
        while queue.head is not NULL:
            segment = queue.head
            queue.head = segment.next
            chunk_put(&self.pool, segment.chunk)
            slab_give(&self.segments, segment)
        queue.tail = NULL


cdef segment_t *_add_segment(Loop loop, queue_t *queue, chunk_t *chunk, uint8_t *start, uint8_t *end) noexcept nogil:
    """Takes over one reference on `chunk`."""
    cdef segment_t *segment = <segment_t *>slab_take(&loop.segments)
    if unlikely(segment is NULL):
        chunk_put(&loop.pool, chunk)
        return NULL
    segment.next = NULL
    segment.chunk = chunk
    segment.start = start
    segment.end = end
    if queue.tail is NULL:
        queue.head = segment
    else:
        queue.tail.next = segment
    queue.tail = segment
    return segment


cdef bint queue_add(Loop loop, queue_t *queue, chunk_t *chunk, uint8_t *start, uint8_t *end) noexcept nogil:
    """Puts a span of a chunk behind a queue; takes over a reference on it. False: no memory."""
    return _add_segment(loop, queue, chunk, start, end) is not NULL


cdef bint _copy_framed(Loop loop, stream_t *stream, const uint8_t *data, size_t size) noexcept nogil:
    """_copy_out for what will be sealed: not split, and with free bytes around it, wherever a chunk can hold that."""
    cdef:
        framing_t *framing = stream.framing
        segment_t *tail = stream.out.tail
        size_t     around = framing.before + framing.behind
        size_t     room = CHUNK_SMALL - sizeof(chunk_t)
        chunk_t   *chunk
    stream.out_size += size
    if tail is NULL or tail.chunk.refs != 1 or (
        <size_t>(chunk_data(tail.chunk) + tail.chunk.size - tail.end) < size + framing.behind
    ):
        if stream.out_size > CHUNK_MEDIUM:
            room = CHUNK_LARGE - sizeof(chunk_t)
        elif stream.out_size > CHUNK_SMALL - sizeof(chunk_t) - around:
            room = CHUNK_MEDIUM - sizeof(chunk_t)
        chunk = pool_take(&loop.pool, max(room, size + around))
        if likely(chunk is not NULL):
            tail = _add_segment(
                loop, &stream.out, chunk, chunk_data(chunk) + framing.before, chunk_data(chunk) + framing.before)
        if unlikely(chunk is NULL or tail is NULL):
            stream.out_size -= size
            return False
    memcpy(tail.end, data, size)
    tail.end += size
    return True


cdef bint _copy_out(Loop loop, stream_t *stream, queue_t *queue, const uint8_t *data, size_t size) noexcept nogil:
    """Appends a copy to the queue: into the last chunk while it has room, then into new ones."""
    cdef:
        segment_t *tail = queue.tail
        chunk_t   *chunk
        size_t     room
    if unlikely(stream.framing is not NULL) and stream.framing.before and size < BORROW_MIN and queue is &stream.out:
        return _copy_framed(loop, stream, data, size)
    stream.out_size += size
    while True:
        if tail is not NULL and tail.chunk.refs == 1:
            room = <size_t>(chunk_data(tail.chunk) + tail.chunk.size - tail.end)
            if room > size:
                room = size
            memcpy(tail.end, data, room)
            tail.end += room
            data += room
            size -= room
        if size == 0:
            return True
        if stream.out_size <= 4000:
            chunk = chunk_small(&loop.pool)
        elif stream.out_size <= CHUNK_LARGE:
            chunk = pool_take(&loop.pool, CHUNK_MEDIUM - sizeof(chunk_t))
        else:
            chunk = pool_take(&loop.pool, CHUNK_LARGE - sizeof(chunk_t))
        if unlikely(chunk is NULL):
            stream.out_size -= size
            return False
        tail = _add_segment(loop, queue, chunk, chunk_data(chunk), chunk_data(chunk))
        if unlikely(tail is NULL):
            stream.out_size -= size
            return False


cdef size_t _send_now(Loop loop, stream_t *stream, const uint8_t *data, size_t size) noexcept nogil:
    """Large bytes are sent from where they lie, behind what is queued. Returns how many of `data` went."""
    cdef:
        iovec      vector[IOV_MAX_USED]
        segment_t *segment = stream.out.head
        int        count = 0
        long       sent
        size_t     queued = stream.out_size
    while segment is not NULL:
        if count == IOV_MAX_USED - 1:
            return 0
        vector[count].iov_base = segment.start
        vector[count].iov_len = <size_t>(segment.end - segment.start)
        count += 1
        segment = segment.next
    vector[count].iov_base = <void *>data
    vector[count].iov_len = size
    sent = loop.poller.ops.send(loop.poller, &stream.handle, vector, count + 1)
    if sent == -EAGAIN:
        stream.blocked = 1
        return 0
    if sent < 0:
        stream_close(stream, <int>-sent)
        return 0
    if <size_t>sent < queued + size:
        stream.blocked = 1
    if <size_t>sent <= queued:
        if sent > 0:
            loop._sent(stream, <size_t>sent)
        return 0
    if queued:
        loop._sent(stream, queued)
    loop.bytes_sent += <size_t>sent - queued
    if stream.sent_total is not NULL:
        stream.sent_total[0] += <size_t>sent - queued
    return <size_t>sent - queued


cdef void stream_write(stream_t *stream, const uint8_t *data, size_t size) noexcept nogil:
    """Queues bytes (copied; large ones tried at once) and has them sent before the turn ends. No-op once closed."""
    cdef:
        size_t gone
    if unlikely(stream.closed or size == 0):
        return
    if (
        size >= BORROW_MIN
        and not (<Loop>stream.loop).poller.completion
        and stream.layer is NULL
        and stream.framing is NULL
        and not (stream.blocked or stream.handle.connecting or stream.handle.sending)
    ):
        gone = _send_now(<Loop>stream.loop, stream, data, size)
        if gone == size or stream.closed:
            return
        data += gone
        size -= gone
    if unlikely(not _copy_out(<Loop>stream.loop, stream, &stream.out, data, size)):
        stream_close(stream, ENOMEM)
        return
    if stream.out_size > OUT_HIGH:
        stream.over_high = 1
    if not stream.dirty and not stream.blocked:
        (<Loop>stream.loop)._mark_dirty(stream)


cdef void stream_write_chunk(stream_t *stream, chunk_t *chunk, uint8_t *data, size_t size) noexcept nogil:
    """Queues a span of a chunk without copying large ones: takes a reference of its own on `chunk`."""
    if size < BORROW_MIN:
        stream_write(stream, data, size)
        return
    if unlikely(stream.closed):
        return
    if _add_segment(<Loop>stream.loop, &stream.out, chunk_ref(chunk), data, data + size) is NULL:
        stream_close(stream, ENOMEM)
        return
    stream.out_size += size
    if stream.out_size > OUT_HIGH:
        stream.over_high = 1
    if not stream.dirty and not stream.blocked:
        (<Loop>stream.loop)._mark_dirty(stream)


cdef bint stream_write_layer(stream_t *stream, const uint8_t *data, size_t size) noexcept nogil:
    """For its layer: queues bytes for the wire. False: no memory."""
    if unlikely(not _copy_out(<Loop>stream.loop, stream, &stream.layer.out, data, size)):
        return False
    if not stream.dirty and not stream.blocked and not stream.closed:
        (<Loop>stream.loop)._mark_dirty(stream)
    return True


cdef void stream_close(stream_t *stream, int error) noexcept nogil:
    """Marks it dead; its owner hears at the end of the turn. Idempotent."""
    if stream.closed:
        return
    stream.closed = 1
    stream.error = <int16_t>error
    if stream.dirty:                # leave the list of the dirty: its link serves the list of the dead
        _unlist_dirty(<Loop>stream.loop, stream)
    stream.dirty_next = (<Loop>stream.loop).dead_head
    (<Loop>stream.loop).dead_head = stream


cdef void _unlist_dirty(Loop loop, stream_t *stream) noexcept nogil:
    cdef stream_t **link = &(<Loop>stream.loop).dirty_head
    while link[0] is not NULL:
        if link[0] is stream:
            link[0] = stream.dirty_next
            break
        link = &link[0].dirty_next
    stream.dirty = 0


cdef void stream_finish(stream_t *stream) noexcept nogil:
    """Closes once everything queued has been sent."""
    if stream.closed:
        return
    stream.finishing = 1
    if stream.out_size == 0 and stream.layer is NULL:
        stream_close(stream, CLOSE_LOCAL)
    elif not stream.dirty and not stream.blocked:
        (<Loop>stream.loop)._mark_dirty(stream)


# ---- stash: what a stream keeps of a frame that was cut ----------------------------------------------------------

cdef uint8_t *stash_join(stream_t *stream, uint8_t *data, size_t size, uint8_t **end) noexcept nogil:
    """Puts new bytes behind the stash (if there is one). Returns where to parse from and *end; NULL: no memory.

    Bytes already handed out of the stash chunk (its refs > 1) never move. A chunk that is full is followed by one
    half as large again at least, so that a frame in many pieces is copied less than three times over.
    """
    cdef:
        stash_t *stash = stream.stash
        chunk_t *chunk
        chunk_t *larger
        size_t   have, room
    if stash is NULL:
        end[0] = data + size
        return data
    chunk = stash.chunk
    have = stash.end - stash.start
    if chunk.size - stash.end < size:
        room = have + size
        if stash.need > room:               # what the frame announces is believed only twice as far as it came
            room = min(stash.need, 2 * room + CHUNK_MEDIUM)
        room = max(room, have + have // 2)
        larger = pool_take(&(<Loop>stream.loop).pool, room)
        if larger is NULL:
            return NULL
        memcpy(chunk_data(larger), chunk_data(chunk) + stash.start, have)
        chunk_put(&(<Loop>stream.loop).pool, chunk)
        chunk = larger
        stash.chunk = chunk
        stash.start = 0
        stash.end = <uint32_t>have
    memcpy(chunk_data(chunk) + stash.end, data, size)
    stash.end += <uint32_t>size
    end[0] = chunk_data(chunk) + stash.end
    return chunk_data(chunk) + stash.start


cdef bint stash_keep(stream_t *stream, uint8_t *at, uint8_t *end, size_t need) noexcept nogil:
    """Keeps [at, end), the cut frame, which has at least `need` bytes. False: no memory."""
    cdef:
        size_t   size = <size_t>(end - at)
        stash_t *stash = stream.stash
        chunk_t *chunk
    if size == 0:
        stash_drop(stream)
        return True
    if stash is not NULL:
        chunk = stash.chunk
        invariant(at >= chunk_data(chunk) and at <= chunk_data(chunk) + chunk.size)
        stash.start = <uint32_t>(at - chunk_data(chunk))
        stash.end = <uint32_t>(end - chunk_data(chunk))
        stash.need = need
        return True
    chunk = pool_take(&(<Loop>stream.loop).pool, min(max(need, size), 2 * size + CHUNK_MEDIUM) if need > size else size)
    if chunk is NULL:
        return False
    stash = <stash_t *>slab_take(&(<Loop>stream.loop).stashes)
    if stash is NULL:
        chunk_put(&(<Loop>stream.loop).pool, chunk)
        return False
    memset(stash, 0, sizeof(stash_t))
    memcpy(chunk_data(chunk), at, size)
    stash.chunk = chunk
    stash.end = <uint32_t>size
    stash.need = need
    stream.stash = stash
    return True


cdef void stash_drop(stream_t *stream) noexcept nogil:
    if stream.stash is not NULL:
        chunk_put(&(<Loop>stream.loop).pool, stream.stash.chunk)
        slab_give(&(<Loop>stream.loop).stashes, stream.stash)
        stream.stash = NULL
