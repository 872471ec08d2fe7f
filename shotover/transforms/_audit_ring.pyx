"""See _audit_ring.pxd."""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef extern from * nogil:
    """
    #define ring_get(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define ring_set(p, value) __atomic_store_n((p), (value), __ATOMIC_RELEASE)
    """
    uint64_t ring_get(const uint64_t *at)
    void ring_set(uint64_t *at, uint64_t value)


cdef class AuditRing:

    def __cinit__(self, uint64_t size):
        """Of at least so many bytes."""
        self.size = 4096
        while self.size < size:
            self.size *= 2
        self.bytes = <uint8_t *>malloc(self.size)
        if self.bytes is NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.bytes)

    cdef uint64_t room(self) noexcept nogil:
        """Bytes that can be put in now. The worker's."""
        return self.size - (self.head - ring_get(&self.tail))

    cdef bint put(self, const uint8_t *data, size_t size) noexcept nogil:
        """The worker's. False: there is no room."""
        cdef:
            uint64_t at = self.head & (self.size - 1)
            uint64_t first = min(<uint64_t>size, self.size - at)
        if self.room() < size:
            return False
        memcpy(self.bytes + at, data, first)
        if first < size:
            memcpy(self.bytes, data + first, size - first)
        ring_set(&self.head, self.head + size)
        return True

    # ---- the writer's ---------------------------------------------------------------------------------------------

    def peek(self, uint64_t most):
        """What is next, at most so many bytes; it stays."""
        cdef:
            uint64_t have = min(ring_get(&self.head) - self.tail, most)
            uint64_t at = self.tail & (self.size - 1)
            uint64_t first = min(have, self.size - at)
        return self.bytes[at:at + first] + self.bytes[:have - first]

    def skip(self, uint64_t size):
        """So much of it has been written."""
        ring_set(&self.tail, self.tail + size)

    def __len__(self):
        """Bytes that wait."""
        return ring_get(&self.head) - self.tail

    def put_bytes(self, bytes data not None):
        """For tests."""
        return self.put(<const uint8_t *><const char *>data, len(data))

    def end(self):
        """The worker has stopped."""
        self.ended = True
