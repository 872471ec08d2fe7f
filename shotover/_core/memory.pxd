"""Where every byte and object of traffic comes from: chunks (bytes) and slabs (objects), one set per worker.

Nothing here is shared between threads. What is taken is counted, so that tests can demand that all of it came back.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from shotover._core.debug cimport invariant, unlikely


cdef enum:
    CHUNK_CLASSES = 4
    CHUNK_KEPT = 5              # klass of those from pool_take_exact
    CHUNK_TINY = 128            # a short reply that waits for its turn
    CHUNK_SMALL = 4096          # whole chunks, header included
    CHUNK_MEDIUM = 16384
    CHUNK_LARGE = 65536
    SLAB_PAGE_OBJECTS = 32

cdef struct chunk_t:            # counted memory; its bytes follow the header
    chunk_t  *next              # in the pool's free list
    uint32_t  refs
    uint32_t  klass             # index of the free list it returns to; CHUNK_CLASSES: plain malloc
    size_t    size              # bytes that fit behind the header

cdef struct pool_t:
    chunk_t  *free[CHUNK_CLASSES]
    uint32_t  free_count[CHUNK_CLASSES]
    uint64_t  live_count        # chunks out
    uint64_t  live_bytes        # their bytes, and those of the kept ones
    uint64_t  kept_count        # chunks out that outlast requests (pool_take_exact), not among the live ones
    uint64_t  bytes_max         # the ledger: takes beyond it fail
    uint64_t  refused_count     # takes that failed

cdef struct slab_page_t:
    slab_page_t *next

cdef struct slab_t:
    void        *free
    slab_page_t *pages
    size_t       size           # bytes an object
    uint64_t     live_count
    uint64_t     page_count     # never given back before slab_close


cdef void pool_init(pool_t *pool, uint64_t bytes_max) noexcept nogil
cdef void pool_close(pool_t *pool) noexcept nogil
cdef chunk_t *pool_take(pool_t *pool, size_t size) noexcept nogil
cdef chunk_t *pool_take_exact(pool_t *pool, size_t size) noexcept nogil
cdef void pool_give(pool_t *pool, chunk_t *chunk) noexcept nogil
cdef void slab_init(slab_t *slab, size_t size) noexcept nogil
cdef void slab_close(slab_t *slab) noexcept nogil
cdef bint slab_grow(slab_t *slab) noexcept nogil
cdef uint64_t pool_free_bytes(const pool_t *pool) noexcept nogil


cdef inline uint8_t *chunk_data(chunk_t *chunk) noexcept nogil:
    return <uint8_t *>(chunk + 1)

cdef inline chunk_t *chunk_small(pool_t *pool) noexcept nogil:
    """A chunk of CHUNK_SMALL: the common case, without a call."""
    cdef chunk_t *chunk = pool.free[1]
    if chunk is not NULL and pool.live_bytes + CHUNK_SMALL <= pool.bytes_max:
        pool.free[1] = chunk.next
        pool.free_count[1] -= 1
        pool.live_count += 1
        pool.live_bytes += CHUNK_SMALL
        chunk.refs = 1
        chunk.next = NULL
        return chunk
    return pool_take(pool, CHUNK_SMALL - sizeof(chunk_t))

cdef inline chunk_t *chunk_ref(chunk_t *chunk) noexcept nogil:
    chunk.refs += 1
    return chunk

cdef inline void chunk_put(pool_t *pool, chunk_t *chunk) noexcept nogil:
    invariant(chunk.refs > 0)
    chunk.refs -= 1
    if chunk.refs == 0:
        pool_give(pool, chunk)

cdef inline void *slab_take(slab_t *slab) noexcept nogil:
    """An object with undefined content (its taker sets it up whole), or NULL when the system has no memory."""
    cdef void *taken = slab.free
    if unlikely(taken is NULL):
        if not slab_grow(slab):
            return NULL
        taken = slab.free
    slab.free = (<void **>taken)[0]
    slab.live_count += 1
    return taken

cdef inline void slab_give(slab_t *slab, void *given) noexcept nogil:
    invariant(slab.live_count > 0)
    (<void **>given)[0] = slab.free
    slab.free = given
    slab.live_count -= 1

cdef inline uint64_t slab_bytes(const slab_t *slab) noexcept nogil:
    """What it has from the system, objects in use or not."""
    return slab.page_count * SLAB_PAGE_OBJECTS * slab.size
