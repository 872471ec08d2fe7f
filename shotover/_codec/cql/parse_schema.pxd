"""Statements about definitions: CREATE, ALTER, DROP."""

from shotover._codec.cql.statement cimport parser_t


cdef bint parse_create(parser_t *p) noexcept nogil
cdef bint parse_alter(parser_t *p) noexcept nogil
cdef bint parse_drop(parser_t *p) noexcept nogil
