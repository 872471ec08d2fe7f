"""A statement without what it says of data: constants become marks, comments go."""

from libc.stdint cimport uint8_t


cdef size_t cql_redact(uint8_t *out, size_t room, const uint8_t *text, size_t size) noexcept nogil
