"""Statements about rows: SELECT, INSERT, UPDATE, DELETE, BATCH."""

from shotover._codec.cql.statement cimport parser_t


cdef bint parse_select(parser_t *p) noexcept nogil
cdef bint parse_where(parser_t *p) noexcept nogil
cdef bint parse_selectors(parser_t *p) noexcept nogil
cdef bint parse_change(parser_t *p) noexcept nogil
cdef bint parse_batch(parser_t *p) noexcept nogil
