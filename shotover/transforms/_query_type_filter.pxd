"""QueryTypeFilter: refuses requests by what they do."""

from libc.stdint cimport uint32_t, uint64_t

from shotover._core.request cimport request_t
from shotover._proxy.identities cimport identities_t
from shotover._proxy.refusing cimport RefusingStep


cdef class QueryTypeFilter(RefusingStep):
    cdef:
        uint32_t kinds          # refused KIND_*, a bit each
        const char *code        # of its errors
        bint     scripts        # scripts that may write are refused
        identities_t identities     # whose requests it looks at, if not everybody's
        list     texts
        uint64_t refused_total

    cdef bint refuses(self, request_t *request) noexcept nogil
    cdef bint concerns(self, request_t *request) noexcept nogil
