"""Facts of a RESP request, worked out again after a step has put other words in its place."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t


cdef void resp_facts(request_t *request) noexcept nogil
cdef size_t resp_head_size(uint64_t number) noexcept nogil
cdef uint8_t *resp_put_head(uint8_t *to, uint8_t sign, uint64_t number) noexcept nogil
cdef uint8_t *resp_put_bulk(uint8_t *to, const uint8_t *data, size_t size) noexcept nogil
