"""Parts of literals.pxd: numbers of any size, durations, and the order in which servers keep the elements of sets and maps."""

from libc.stdint cimport uint8_t, uint32_t

from shotover._codec.cql.types cimport cql_type_t
from shotover._codec.cql.wire cimport wire_writer_t
from shotover._core.slice cimport slice_t


cdef enum:
    NUMBER_DIGITS_MAX = 150     # of a number that is followed
    ORDER_UNKNOWN = 2           # what literal_order says where only the server can tell


cdef bint literal_put_varint(const uint8_t *at, size_t size, wire_writer_t *writer) noexcept nogil
cdef bint literal_put_decimal(const uint8_t *at, size_t size, wire_writer_t *writer) noexcept nogil
cdef bint literal_put_duration(const uint8_t *at, size_t size, wire_writer_t *writer) noexcept nogil
cdef int literal_order(const cql_type_t *type, slice_t one, slice_t other) noexcept nogil
cdef void literal_turn(uint8_t *at, size_t left, size_t right) noexcept nogil
