"""Share: how much memory something may take that several workers have a part in.

Each worker adds what it takes more, or less, than when it last did so. So a sum is as old as the youngest turn of each.
"""

from libc.stdint cimport uint64_t


cdef class Share:
    cdef:
        readonly uint64_t limit     # bytes; 0: none
        uint64_t used               # by all workers; changed atomically
        readonly uint64_t workers   # how many take part

    cdef uint64_t publish(self, uint64_t *published, uint64_t bytes) noexcept nogil


cdef inline uint64_t share_high(uint64_t limit) noexcept nogil:
    """From here on who takes much is not read."""
    return limit // 4 * 3

cdef inline uint64_t share_low(uint64_t limit) noexcept nogil:
    """Down to here it stays so."""
    return limit // 2

cdef inline uint64_t share_top(uint64_t limit) noexcept nogil:
    """From here on who takes most is disconnected."""
    return limit // 16 * 15
