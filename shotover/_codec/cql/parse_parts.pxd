"""What statements about definitions and those about roles have in common."""

from shotover._codec.cql.lexer cimport cql_span_t
from shotover._codec.cql.statement cimport parser_t


cdef bint parse_if_exists(parser_t *p, bint negated) noexcept nogil
cdef bint parse_is_table(parser_t *p) noexcept nogil
cdef bint parse_is_keyspace(parser_t *p) noexcept nogil
cdef bint parse_table(parser_t *p) noexcept nogil
cdef bint parse_other(parser_t *p, int which) noexcept nogil
cdef bint parse_string(parser_t *p) noexcept nogil
cdef bint parse_named(parser_t *p, cql_span_t *name) noexcept nogil
cdef bint parse_arguments(parser_t *p, bint named) noexcept nogil
