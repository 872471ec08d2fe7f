"""Statements about roles and permissions, and those that only ask: GRANT, REVOKE, LIST, DESCRIBE, ADD; CREATE and ALTER of
roles and users."""

from shotover._codec.cql.statement cimport parser_t


cdef bint parse_role(parser_t *p, bint created) noexcept nogil
cdef bint parse_user(parser_t *p, bint created) noexcept nogil
cdef bint parse_grant(parser_t *p, bint granted) noexcept nogil
cdef bint parse_list(parser_t *p) noexcept nogil
cdef bint parse_describe(parser_t *p) noexcept nogil
cdef bint parse_add(parser_t *p) noexcept nogil
