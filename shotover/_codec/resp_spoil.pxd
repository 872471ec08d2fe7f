"""Spoils replies on purpose, for those who want to see what that does to a client."""

from libc.stdint cimport uint8_t, uint64_t


cdef bint spoil_value(uint8_t *reply, size_t size, uint64_t chance) noexcept nogil
cdef bint spoil_frame(uint8_t *reply, size_t size) noexcept nogil
