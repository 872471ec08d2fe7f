"""DebugForce, which is DebugForceParse and DebugForceEncode: reads requests and replies as a whole, and may put what it has
read in their place."""

from libc.stdint cimport uint64_t

from shotover._core.memory cimport chunk_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover._proxy.step cimport Step


cdef class DebugForce(Step):
    cdef:
        bint     cql
        bint     encodes            # else what was written anew is thrown away
        bint     requests, replies
        uint64_t done_total         # requests and replies written anew
        uint64_t opaque_total       # ... that have no parts: they pass as they are
        uint64_t bad_total          # ... that cannot be read: the same

    cdef void _request(self, request_t *request) noexcept nogil
    cdef void _reply(self, request_t *request) noexcept nogil
    cdef chunk_t *_again(self, const slice_t *wire, bint reply, size_t *size) noexcept nogil
