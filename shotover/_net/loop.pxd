"""One turn of the loop: wait, timers, read, run, flush, reap. And streams: a socket with its queue of unsent bytes.

Who may free what: a stream's owner embeds stream_t first in its own struct. stream_close only marks it; at the end of
the turn `on_close` lets the owner clean up, and `on_free`, once the kernel has let go, gives the struct back.
"""

from libc.stdint cimport int16_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from shotover._core.memory cimport chunk_t, pool_t, slab_t
from shotover._net.poller cimport event_t, handle_t, poller_t
from shotover._net.timers cimport timer_t, wheel_t


cdef enum:
    BORROW_MIN = 32768          # from here on bytes are sent from where they lie instead of being copied
    OUT_LOW = 262144            # a stream that was over OUT_HIGH calls on_drained when it is down to this
    OUT_HIGH = 1048576
    IOV_MAX_USED = 64
    CLOSE_LAYER = -2            # `error` of on_close: its layer has failed, and knows why
    CLOSE_EOF = -1              # the peer finished
    CLOSE_LOCAL = 0             # we closed it

cdef struct segment_t:          # a span of a chunk, waiting to be sent
    segment_t *next
    chunk_t   *chunk
    uint8_t   *start
    uint8_t   *end

cdef struct queue_t:
    segment_t *head
    segment_t *tail

cdef struct layer_t:            # what stands between the bytes of a stream and those on the wire; see tls.pxd
    const layer_ops_t *ops
    queue_t    out              # for the wire; the stream's own queue holds what has not gone through here yet

cdef struct framing_t:          # what changes the bytes of a stream in its own queue, above its layer; see segments.pxd
    bint (*seal)(stream_t *stream) noexcept nogil       # all that was written is to be as it goes out. False: no memory
    void (*free)(stream_t *stream) noexcept nogil
    size_t     sealed           # bytes at the head of the queue that are
    uint8_t    before           # bytes to leave free in front of what is written into a fresh chunk,
    uint8_t    behind           # ... and after it: so seal need not move it. Both 0: seal does not care

cdef struct stash_t:            # what a stream keeps of a frame that was cut; few have one at a time
    chunk_t   *chunk
    uint32_t   start
    uint32_t   end
    size_t     need             # bytes the frame has at least; do not look before
    uint64_t   note[4]          # the owner's own: how far it has read the frame; zero in a new stash

cdef struct stream_t:
    handle_t   handle           # first: the poller knows us by it
    const stream_ops_t *ops
    void      *loop             # PyObject* of the Loop; borrowed
    queue_t    out
    size_t     out_size         # unsent bytes, those of its layer included
    layer_t   *layer            # NULL: they go out as they are
    framing_t *framing          # NULL: what is written is what goes out
    stash_t   *stash            # a cut frame; NULL: none
    uint64_t  *sent_total       # its owner's count of bytes sent, added to here; NULL: none
    stream_t  *dirty_next
    uint8_t    dirty            # listed for a flush at the end of the turn
    uint8_t    blocked          # the kernel's buffer is full
    uint8_t    closed
    uint8_t    finishing        # close once everything is sent
    uint8_t    over_high        # out_size passed OUT_HIGH; on_drained is owed
    uint8_t    ended            # the peer has finished sending
    int16_t    error            # why it was closed: errno or CLOSE_*

cdef struct stream_ops_t:       # what the owner of a stream is told; all must be set
    void (*on_data)(stream_t *stream, uint8_t *data, size_t size) noexcept nogil
    void (*on_eof)(stream_t *stream) noexcept nogil
    void (*on_connected)(stream_t *stream) noexcept nogil
    void (*on_drained)(stream_t *stream) noexcept nogil
    void (*on_close)(stream_t *stream, int error) noexcept nogil
    void (*on_free)(stream_t *stream) noexcept nogil

cdef struct layer_ops_t:        # all must be set
    bint (*seal)(stream_t *stream) noexcept nogil       # brings what it can of the stream's queue to its own. False: no more
    void (*closing)(stream_t *stream) noexcept nogil    # the stream is dead: last words may be put into the queue
    void (*free)(stream_t *stream) noexcept nogil       # the stream goes: so does the layer

cdef struct listener_t:
    handle_t handle             # first
    void    *loop
    void    *owner
    void   (*on_accept)(listener_t *listener, int fd, int error) noexcept nogil
    void   (*on_dropped)(listener_t *listener) noexcept nogil     # after unlisten: the struct may be used again

cdef struct task_t:             # work to be done before the turn ends
    task_t  *next
    void   (*run)(task_t *task) noexcept nogil
    void    *owner
    uint8_t  listed

cdef class Loop:
    cdef:
        poller_t  *poller
        pool_t     pool
        slab_t     segments
        slab_t     stashes
        wheel_t    wheel
        uint64_t   now              # monotonic ns at the beginning of the turn
        uint64_t   turns
        stream_t  *dirty_head
        stream_t  *dead_head
        task_t    *task_head
        task_t    *task_tail
        chunk_t   *lent             # what `lend` gave in this turn
        size_t     lent_used        # bytes of the first of them
        uint8_t    stopping
        uint64_t   streams_live     # streams attached and not yet freed
        uint64_t   bytes_received
        uint64_t   bytes_sent
        void     (*on_wake)(void *owner) noexcept nogil
        void      *wake_owner
        readonly str poller_name, poller_why

    cdef int attach(self, stream_t *stream, int fd, const stream_ops_t *ops) noexcept nogil
    cdef int connect(self, stream_t *stream, int fd, const void *address, uint32_t address_size,
                     const stream_ops_t *ops) noexcept nogil
    cdef int listen(self, listener_t *listener, int fd) noexcept nogil
    cdef void unlisten(self, listener_t *listener) noexcept nogil
    cdef void want(self, handle_t *handle, bint on) noexcept nogil
    cdef void defer(self, task_t *task) noexcept nogil
    cdef void set_timer(self, timer_t *timer, uint64_t delay_ns) noexcept nogil
    cdef void cancel_timer(self, timer_t *timer) noexcept nogil
    cdef int turn(self, int64_t timeout_ns) noexcept nogil
    cdef void settle(self) noexcept nogil
    cdef uint8_t *lend(self, size_t least, size_t *room) noexcept nogil
    cdef void _release(self) noexcept nogil
    cdef void wake(self) noexcept nogil
    cdef void _dispatch(self, event_t *event) noexcept nogil
    cdef void _mark_dirty(self, stream_t *stream) noexcept nogil
    cdef void _flush_all(self) noexcept nogil
    cdef void _flush(self, stream_t *stream) noexcept nogil
    cdef void _send(self, stream_t *stream, queue_t *queue) noexcept nogil
    cdef void _last_words(self, stream_t *stream) noexcept nogil
    cdef void _sent(self, stream_t *stream, size_t size) noexcept nogil
    cdef void _reap(self) noexcept nogil
    cdef void _free_stream(self, stream_t *stream) noexcept nogil
    cdef void _empty(self, queue_t *queue) noexcept nogil
    cdef void take_off(self, queue_t *queue, size_t size) noexcept nogil


cdef bint queue_add(Loop loop, queue_t *queue, chunk_t *chunk, uint8_t *start, uint8_t *end) noexcept nogil
cdef void stream_write(stream_t *stream, const uint8_t *data, size_t size) noexcept nogil
cdef void stream_write_chunk(stream_t *stream, chunk_t *chunk, uint8_t *data, size_t size) noexcept nogil
cdef bint stream_write_layer(stream_t *stream, const uint8_t *data, size_t size) noexcept nogil
cdef void stream_close(stream_t *stream, int error) noexcept nogil
cdef void stream_finish(stream_t *stream) noexcept nogil
cdef uint8_t *stash_join(stream_t *stream, uint8_t *data, size_t size, uint8_t **end) noexcept nogil
cdef bint stash_keep(stream_t *stream, uint8_t *at, uint8_t *end, size_t need) noexcept nogil
cdef void stash_drop(stream_t *stream) noexcept nogil
