"""Spoils replies of CQL on purpose; see _codec/resp_spoil.pxd."""

from libc.stdint cimport uint8_t, uint64_t


cdef bint cql_spoil_value(uint8_t *reply, size_t size, uint64_t chance) noexcept nogil
cdef bint cql_spoil_frame(uint8_t *reply, size_t size) noexcept nogil
