"""The body of SUPPORTED, which answers OPTIONS: a map of strings to lists of strings."""

from libc.stdint cimport uint8_t


cdef size_t supported_trim(uint8_t *body, size_t size) noexcept nogil
