"""ParallelMap: spreads the requests of each client over copies of a chain."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._proxy.step cimport Chain, Step


cdef struct map_session_t:      # in the slot of a session that has requests under way, or its home for good
    void    *session            # NULL: gone
    uint32_t under_way          # requests spread out and not answered
    uint8_t  settled            # everything goes to its home copy from now on
    uint8_t  alone              # what is under way must be answered before anything else may go
    batch_t  waiting            # in order

cdef class ParallelMap(Step):
    cdef:
        uint32_t parallelism
        uint32_t turn           # whose turn it is among requests that may go anywhere
        slab_t   sessions       # map_session_t

    cdef map_session_t *_session_of(self, request_t *request) noexcept nogil
    cdef void _forget(self, map_session_t *spread) noexcept nogil
    cdef uint32_t _copy_for(self, request_t *request) noexcept nogil
    cdef bint _dispatch(self, request_t *request, map_session_t *spread) noexcept nogil
    cdef void _send(self, request_t *request, uint32_t copy) noexcept nogil
    cdef void _spread(self, request_t *request, map_session_t *spread, uint32_t copy) noexcept nogil
    cdef void _go_on(self, map_session_t *spread) noexcept nogil
