"""SCAN and RANDOMKEY over several chains.

A cursor for the client is the server's own cursor, times the number of chains, plus the place of the chain among them. So
the router remembers nothing of it. A chain that is through (cursor 0) hands over to the next one's beginning.
"""

from libc.stdint cimport uint32_t, uint64_t

from shotover._codec.commands cimport command_t
from shotover._codec.fan cimport fan_t
from shotover._core.memory cimport pool_t
from shotover._core.request cimport request_t


cdef bint scan_is(const command_t *command) noexcept nogil
cdef bint scan_is_random(const command_t *command) noexcept nogil
cdef int scan_request(pool_t *pool, request_t *request, uint32_t count, uint32_t *place, bint rewrite) noexcept nogil
cdef bint scan_reply(pool_t *pool, request_t *request, uint32_t count, uint32_t place) noexcept nogil
cdef void scan_joined(pool_t *pool, fan_t *fan, request_t *request, uint64_t number) noexcept nogil
