"""The requests that bring a fresh connection into a session's state, one behind the other.

One of which it is not known whether the server has accepted it stands behind those that it would replace: on another
server it will succeed or fail like here.
"""

from libc.stdint cimport uint8_t, uint32_t

from shotover._core.slice cimport slice_t


cdef enum:
    PROFILE_SIZE_MAX = 8192

cdef size_t profile_without(uint8_t *out, const uint8_t *old, size_t size, const slice_t *wire) noexcept nogil
cdef size_t profile_compact(uint8_t *out, const uint8_t *old, size_t size) noexcept nogil
