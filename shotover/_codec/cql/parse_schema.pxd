"""Statements about definitions, roles and permissions: CREATE, ALTER, DROP, GRANT, REVOKE, LIST, DESCRIBE, ADD."""

from shotover._codec.cql.statement cimport parser_t


cdef bint parse_create(parser_t *p) noexcept nogil
cdef bint parse_alter(parser_t *p) noexcept nogil
cdef bint parse_drop(parser_t *p) noexcept nogil
cdef bint parse_grant(parser_t *p, bint granted) noexcept nogil
cdef bint parse_list(parser_t *p) noexcept nogil
cdef bint parse_describe(parser_t *p) noexcept nogil
cdef bint parse_add(parser_t *p) noexcept nogil
