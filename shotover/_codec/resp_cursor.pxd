"""Cursors of SCAN and its kin that carry, beside the server's own, which of several servers it is of: cursor * base + which.

`base` is the number of servers, or anything larger that stays the same when that changes. So nobody need remember a scan.
"""

from libc.stdint cimport uint32_t, uint64_t

from shotover._core.memory cimport pool_t
from shotover._core.request cimport request_t


cdef bint cursor_read(request_t *request, uint32_t index, uint64_t *cursor) noexcept nogil
cdef bint cursor_request(pool_t *pool, request_t *request, uint32_t index, uint64_t cursor) noexcept nogil
cdef bint cursor_reply(pool_t *pool, request_t *request, uint32_t base, uint32_t which,
                       uint32_t through) noexcept nogil
