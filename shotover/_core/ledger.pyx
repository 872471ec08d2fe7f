"""See ledger.pxd."""

cdef extern from * nogil:
    """
    #define share_add(p, n) __atomic_add_fetch((p), (n), __ATOMIC_RELAXED)
    #define share_get(p) __atomic_load_n((p), __ATOMIC_RELAXED)
    """
    uint64_t share_add(uint64_t *used, uint64_t bytes)
    uint64_t share_get(uint64_t *used)


cdef class Share:

    def __init__(self, uint64_t limit=0, uint64_t workers=1):
        self.limit = limit
        self.workers = workers

    cdef uint64_t publish(self, uint64_t *published, uint64_t bytes) noexcept nogil:
        """A worker takes `bytes` now; *published is what it said last. Returns what all of them take."""
        cdef uint64_t more = bytes - published[0]       # wraps when it is less, and so does the sum
        if more == 0:
            return share_get(&self.used)
        published[0] = bytes
        return share_add(&self.used, more)

    @property
    def bytes(self):
        """What all workers take."""
        return share_get(&self.used)
