"""AuditRing: records on their way from a worker, which never waits, to the thread that writes them.

Bytes in a circle: the worker alone moves `head`, the writer alone `tail`, each by one atomic store when what lies between is
whole. Records are lines.
"""

from libc.stdint cimport uint8_t, uint64_t


cdef class AuditRing:
    cdef:
        uint8_t *bytes
        uint64_t size           # a power of two
        uint64_t head           # bytes ever put in
        uint64_t tail           # bytes ever taken out
        readonly bint ended     # nothing will be put in any more

    cdef uint64_t room(self) noexcept nogil
    cdef bint put(self, const uint8_t *data, size_t size) noexcept nogil
