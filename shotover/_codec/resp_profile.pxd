"""The requests that bring a fresh connection into a session's state, one behind the other: each kind once, the last of it."""

from libc.stdint cimport uint8_t, uint32_t


cdef enum:
    PROFILE_SIZE_MAX = 8192

cdef size_t profile_add(uint8_t *out, const uint8_t *old, size_t old_size, const uint8_t *wire, size_t size) noexcept nogil
