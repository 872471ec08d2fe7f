"""request_t: one request and, later, its reply; what every floor above passes around.

A request_t may stand for a *run*: `count` requests of one session that lie back to back in `wire`, none of which a step
wants to see alone. Runs make the path of a pipeline as short as that of a single request.

Bytes are borrowed (owner NULL: good until the batch has been run) or owned (a reference on `owner`). Who keeps a
request beyond the batch calls request_own first.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from shotover._core.debug cimport invariant, unlikely
from shotover._core.facts cimport facts_put
from shotover._core.memory cimport chunk_data, chunk_put, chunk_ref, chunk_t, pool_t, pool_take, slab_give, slab_t, slab_take
from shotover._core.slice cimport slice_t


cdef extern from "shotover/_core/zero.h" nogil:
    void zero_lines(void *at, size_t size)

cdef enum:
    REQUEST_TAGS = 4

cdef enum:                      # request_t.watched: who wants its reply, whole but for the last of these; bits
    WATCHED_BY_STEP = 1         # the steps above the sink; it goes through on_replies
    WATCHED_BY_SINK = 2         # the sink alone
    WATCHED_FOR_ERROR = 4       # from an error on that the server gave, for a step with wants_errors
    WATCHED_BY_PIECES = 8       # alone: it is not gathered, its bytes go through on_piece as they come

cdef enum:                      # request_t.failed
    REFUSED = 1                 # a step would not let it through, or had no means to
    LOST = 2                    # the server is away, or went before it answered; it may have been carried out
    ABANDONED = 3               # its client has left, and with it the connection that it was on; it may have been, too

cdef struct request_t:
    request_t *next             # in the one list that holds it now: a batch, a pipeline, a step's queue
    request_t *after            # the next one in its session's order
    request_t *before           # the one before it there; undefined in the first of all
    void      *session          # session_t; NULL once the client is gone, and for the proxy's own requests
    slice_t    wire             # `count` requests, back to back
    chunk_t   *owner            # keeps wire alive; NULL: borrowed
    const void *command         # facts of its command (codec's own type); NULL: unknown to the codec
    uint32_t   count            # requests in this run, >= 1
    uint32_t   left             # replies still awaited
    uint32_t   argc             # words of the (last) request
    uint32_t   key_at           # offset of the first key in wire; 0: none known
    uint32_t   key_size
    uint8_t    kind             # kind_t
    uint8_t    conduct          # what it does to a shared connection (codec's own enum)
    uint8_t    depth            # index of the chain step that passed it down last; used by guests
    uint8_t    queued           # in its session's order
    uint8_t    done             # its reply is whole (or it needs none)
    uint8_t    begun            # part of its reply has already gone to the client
    uint8_t    watched          # WATCHED_* bits; 0: its reply goes to the client as it comes
    uint8_t    mute             # no reply will come, and none is owed
    uint8_t    discard          # nobody wants the reply: drop its bytes as they come
    uint8_t    failed           # its reply is an error that was made here: REFUSED, LOST or ABANDONED; 0: it is not
    uint8_t    sink_state       # the sink's own
    uint8_t    edited           # wire is not what the client sent
    uint8_t    apart            # never part of a run: a step may want this one, however rarely
    uint8_t    streamed         # wire is only its head: the rest goes by it, straight to the upstream, and cannot be had again
    uint8_t    made             # what the sink has made of it (its own enum); 0: it is as it came down
    uint8_t    attempts         # how often a sink has sent it on because a server did not have it
    uint16_t   stream           # its client's number for it, in protocols that have such; a reply must bear it
    uint8_t    version          # of the protocol, where requests state it; 0: they do not
    uint8_t    opcode           # what it is, in protocols that say so by a number
    uint8_t    tells            # its reply tells the codec something of its client or server: see Codec.learn
    uint8_t    sampled          # one of those that its source looks at for hot keys: its place there, from 1 on; 0: it is not
    uint16_t   took             # how long the server had it, where that was long: see took_pack; 0: it was not
    chunk_t   *facts            # what the codec knows of its statement (facts_t), a reference; NULL: nothing, or nobody asked
    uint64_t   arrived_ns       # when the turn began that read it
    uint64_t   stamp            # how new what its reply shows is: larger is newer; 0: not known
    uint64_t   sent_ns          # when it was handed to an upstream (0: never); once answered: when that was whole
    uint64_t   charged          # bytes of it that its session is charged with
    slice_t    reply            # whole reply bytes, when watched or not yet its turn
    chunk_t   *reply_owner      # keeps reply alive; NULL: borrowed
    uint8_t   *reply_room       # != NULL: reply_owner is ours alone and may be appended to up to here
    request_t *parent           # of a fan-out
    void      *upload           # upload_t, while the rest of a streamed request is still coming; NULL: it is whole
    void      *chain            # PyObject* of the Chain it runs through (borrowed: chains outlive traffic)
    void      *tags[REQUEST_TAGS]   # one per step that asked for one when the chain was built

cdef struct batch_t:            # intrusive list: what one turn brings for one chain
    request_t *head
    request_t *tail
    uint32_t   count            # request_t's, not requests


cdef inline void batch_clear(batch_t *batch) noexcept nogil:
    batch.head = NULL
    batch.tail = NULL
    batch.count = 0

cdef inline void batch_push(batch_t *batch, request_t *request) noexcept nogil:
    request.next = NULL
    if batch.tail is NULL:
        batch.head = request
    else:
        batch.tail.next = request
    batch.tail = request
    batch.count += 1

cdef inline request_t *batch_pop(batch_t *batch) noexcept nogil:
    cdef request_t *request = batch.head
    if request is not NULL:
        batch.head = request.next
        if batch.head is NULL:
            batch.tail = NULL
        batch.count -= 1
        request.next = NULL
    return request

cdef inline void batch_unshift(batch_t *batch, request_t *request) noexcept nogil:
    request.next = batch.head
    batch.head = request
    if batch.tail is NULL:
        batch.tail = request
    batch.count += 1

cdef inline void batch_append(batch_t *batch, batch_t *more) noexcept nogil:
    """Moves all of `more` to the end of `batch`."""
    if more.head is NULL:
        return
    if batch.tail is NULL:
        batch.head = more.head
    else:
        batch.tail.next = more.head
    batch.tail = more.tail
    batch.count += more.count
    batch_clear(more)

cdef inline void batch_remove(batch_t *batch, request_t *previous, request_t *request) noexcept nogil:
    """Unlinks `request`, which follows `previous` (NULL: it is the head)."""
    if previous is NULL:
        batch.head = request.next
    else:
        previous.next = request.next
    if batch.tail is request:
        batch.tail = previous
    batch.count -= 1
    request.next = NULL


cdef enum:
    TOOK_LONG_NS = 1000000      # from so long a time on, from its arrival to its reply, `took` is set

cdef inline uint16_t took_pack(uint64_t ns) noexcept nogil:
    """A time in two bytes, to one part in a thousand: up to 2**10 units of 1024 ns as they are, then by powers of two."""
    cdef:
        uint64_t units = ns >> 10
        uint16_t shift = 0
    while units >= 2048:
        units >>= 1
        shift += 1
    return <uint16_t>units if shift == 0 else <uint16_t>(shift << 11 | units)

cdef inline uint64_t took_unpack(uint16_t took) noexcept nogil:
    return <uint64_t>(took & 2047) << (took >> 11) << 10


cdef inline request_t *request_new(slab_t *slab) noexcept nogil:
    """A request of count 1 with all else zero, or NULL."""
    cdef request_t *request = <request_t *>slab_take(slab)
    if request is not NULL:
        zero_lines(request, sizeof(request_t))
        request.count = 1
        request.left = 1
    return request

cdef inline void request_drop_reply(pool_t *pool, request_t *request) noexcept nogil:
    if request.reply_owner is not NULL:
        chunk_put(pool, request.reply_owner)
        request.reply_owner = NULL
    request.reply_room = NULL
    request.reply.data = NULL
    request.reply.size = 0

cdef inline void request_free(slab_t *slab, pool_t *pool, request_t *request) noexcept nogil:
    """Gives back its bytes and itself. It must be in no list."""
    if request.owner is not NULL:
        chunk_put(pool, request.owner)
    if request.reply_owner is not NULL:
        chunk_put(pool, request.reply_owner)
    if unlikely(request.facts is not NULL):
        facts_put(pool, request.facts)
    slab_give(slab, request)

cdef inline bint request_own(pool_t *pool, request_t *request) noexcept nogil:
    """Makes `wire` outlive the batch. False: no memory; the request is as before."""
    cdef chunk_t *chunk
    if request.owner is not NULL:
        return True
    chunk = pool_take(pool, request.wire.size)
    if chunk is NULL:
        return False
    memcpy(chunk_data(chunk), request.wire.data, request.wire.size)
    request.wire.data = chunk_data(chunk)
    request.owner = chunk
    return True

cdef inline void request_like(request_t *copy, const request_t *request) noexcept nogil:
    """Makes `copy`, as hub.request_new gives it, the same request: its bytes (owned with it, or borrowed like it) and the
    facts about them. Whose it is, and how it stands with its reply, is the caller's business."""
    copy.wire = request.wire
    copy.owner = request.owner
    if copy.owner is not NULL:
        chunk_ref(copy.owner)
    copy.command = request.command
    copy.count = request.count
    copy.argc = request.argc
    copy.key_at = request.key_at
    copy.key_size = request.key_size
    copy.kind = request.kind
    copy.conduct = request.conduct
    copy.apart = request.apart
    copy.stream = request.stream
    copy.version = request.version
    copy.opcode = request.opcode
    copy.edited = request.edited
    copy.facts = request.facts
    if unlikely(copy.facts is not NULL):
        chunk_ref(copy.facts)

cdef inline bint request_own_reply(pool_t *pool, request_t *request) noexcept nogil:
    """Makes `reply` outlive the turn. False: no memory."""
    cdef chunk_t *chunk
    if request.reply_owner is not NULL or request.reply.size == 0:
        return True
    chunk = pool_take(pool, request.reply.size)
    if chunk is NULL:
        return False
    memcpy(chunk_data(chunk), request.reply.data, request.reply.size)
    request.reply.data = chunk_data(chunk)
    request.reply_owner = chunk
    return True

cdef inline bint request_add_reply(pool_t *pool, request_t *request, const uint8_t *data, size_t size) noexcept nogil:
    """Appends to an owned reply, growing it by doubling. False: no memory."""
    cdef:
        chunk_t *chunk
        size_t   room
    if request.reply_room is NULL or <size_t>(request.reply_room - request.reply.data) < request.reply.size + size:
        room = request.reply.size + size
        if request.reply.size > 0:
            room += request.reply.size
        chunk = pool_take(pool, room)
        if chunk is NULL:
            return False
        if request.reply.size:
            memcpy(chunk_data(chunk), request.reply.data, request.reply.size)
        if request.reply_owner is not NULL:
            chunk_put(pool, request.reply_owner)
        request.reply_owner = chunk
        request.reply.data = chunk_data(chunk)
        request.reply_room = chunk_data(chunk) + chunk.size
    memcpy(request.reply.data + request.reply.size, data, size)
    request.reply.size += size
    return True
