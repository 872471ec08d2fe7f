"""Chunk pool and slabs: the parts that are not in everybody's inner loop."""

cdef size_t[CHUNK_CLASSES] CLASS_SIZES = [CHUNK_TINY, CHUNK_SMALL, CHUNK_MEDIUM, CHUNK_LARGE]
cdef uint32_t[CHUNK_CLASSES] CLASS_KEPT = [4096, 256, 64, 16]   # free ones kept: at most 4 MiB in all


cdef void pool_init(pool_t *pool, uint64_t bytes_max) noexcept nogil:
    memset(pool, 0, sizeof(pool_t))
    pool.bytes_max = bytes_max


cdef void pool_close(pool_t *pool) noexcept nogil:
    cdef:
        int klass
        chunk_t *chunk
    for klass in range(CHUNK_CLASSES):
        while pool.free[klass] is not NULL:
            chunk = pool.free[klass]
            pool.free[klass] = chunk.next
            free(chunk)
        pool.free_count[klass] = 0


cdef chunk_t *pool_take(pool_t *pool, size_t size) noexcept nogil:
    """A chunk with room for at least `size` bytes and one reference, or NULL: the ledger or the system is full."""
    cdef:
        uint32_t klass = 0
        size_t   whole = size + sizeof(chunk_t)
        chunk_t *chunk
    while klass < CHUNK_CLASSES and CLASS_SIZES[klass] < whole:
        klass += 1
    if klass < CHUNK_CLASSES:
        whole = CLASS_SIZES[klass]
    if pool.live_bytes + whole > pool.bytes_max:
        pool.refused_count += 1
        return NULL
    if klass < CHUNK_CLASSES and pool.free[klass] is not NULL:
        chunk = pool.free[klass]
        pool.free[klass] = chunk.next
        pool.free_count[klass] -= 1
    else:
        chunk = <chunk_t *>malloc(whole)
        if chunk is NULL:
            pool.refused_count += 1
            return NULL
        chunk.klass = klass
        chunk.size = whole - sizeof(chunk_t)
    chunk.next = NULL
    chunk.refs = 1
    pool.live_count += 1
    pool.live_bytes += whole
    return chunk


cdef chunk_t *pool_take_exact(pool_t *pool, size_t size) noexcept nogil:
    """As pool_take, but of just so many bytes: for what is kept long, and in numbers."""
    cdef chunk_t *chunk
    if pool.live_bytes + size + sizeof(chunk_t) > pool.bytes_max:
        pool.refused_count += 1
        return NULL
    chunk = <chunk_t *>malloc(size + sizeof(chunk_t))
    if chunk is NULL:
        pool.refused_count += 1
        return NULL
    chunk.klass = CHUNK_KEPT
    chunk.size = size
    chunk.next = NULL
    chunk.refs = 1
    pool.kept_count += 1
    pool.live_bytes += size + sizeof(chunk_t)
    return chunk


cdef void pool_give(pool_t *pool, chunk_t *chunk) noexcept nogil:
    """Takes over a chunk that has no references left."""
    cdef uint32_t klass = chunk.klass
    if unlikely(klass == CHUNK_KEPT):
        pool.kept_count -= 1
    else:
        invariant(pool.live_count > 0)
        pool.live_count -= 1
    pool.live_bytes -= chunk.size + sizeof(chunk_t)
    if klass < CHUNK_CLASSES and pool.free_count[klass] < CLASS_KEPT[klass]:
        chunk.next = pool.free[klass]
        pool.free[klass] = chunk
        pool.free_count[klass] += 1
    else:
        free(chunk)


cdef uint64_t pool_free_bytes(const pool_t *pool) noexcept nogil:
    """Chunks that are kept for the next who wants one."""
    cdef:
        uint64_t bytes = 0
        int      klass
    for klass in range(CHUNK_CLASSES):
        bytes += pool.free_count[klass] * CLASS_SIZES[klass]
    return bytes


cdef void slab_init(slab_t *slab, size_t size) noexcept nogil:
    memset(slab, 0, sizeof(slab_t))
    slab.size = (size + 7) & ~<size_t>7


cdef void slab_close(slab_t *slab) noexcept nogil:
    cdef slab_page_t *page
    while slab.pages is not NULL:
        page = slab.pages
        slab.pages = page.next
        free(page)
    slab.free = NULL
    slab.page_count = 0


cdef bint slab_grow(slab_t *slab) noexcept nogil:
    """One more page of objects on the free list, in address order. False: no memory."""
    cdef:
        size_t head = 16
        slab_page_t *page = <slab_page_t *>malloc(head + slab.size * SLAB_PAGE_OBJECTS)
        uint8_t *at
        int _
    if page is NULL:
        return False
    page.next = slab.pages
    slab.pages = page
    slab.page_count += 1
    at = <uint8_t *>page + head + slab.size * (SLAB_PAGE_OBJECTS - 1)
    for _ in range(SLAB_PAGE_OBJECTS):
        (<void **>at)[0] = slab.free
        slab.free = at
        at -= slab.size
    return True
