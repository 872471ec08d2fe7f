"""Cursors of SCAN and its kin that carry, beside the server's own, which of several servers it is of: cursor * count + which."""

from libc.stdint cimport uint32_t, uint64_t

from shotover._core.memory cimport pool_t
from shotover._core.request cimport request_t


cdef bint cursor_read(request_t *request, uint32_t index, uint64_t *cursor) noexcept nogil
cdef bint cursor_request(pool_t *pool, request_t *request, uint32_t index, uint64_t cursor) noexcept nogil
cdef bint cursor_reply(pool_t *pool, request_t *request, uint32_t count, uint32_t which) noexcept nogil
