"""See parse_parts.pxd."""

from shotover._codec.cql.lexer cimport (
    TOKEN_DOLLARS,
    TOKEN_STRING,
    WORD_COLUMNFAMILY,
    WORD_EXISTS,
    WORD_IF,
    WORD_KEYSPACE,
    WORD_NOT,
    WORD_SCHEMA,
    WORD_TABLE,
)
from shotover._codec.cql.parser cimport (
    NAMES_ANY,
    parser_here,
    parser_name,
    parser_need,
    parser_need_word,
    parser_next,
    parser_qualified,
    parser_take,
    parser_take_word,
    parser_type,
)
from shotover._codec.cql.statement cimport HAS_IF


cdef bint parse_if_exists(parser_t *p, bint negated) noexcept nogil:
    if not parser_take_word(p, WORD_IF):
        return True
    p.out.flags |= HAS_IF
    if negated and not parser_need_word(p, WORD_NOT, b"NOT"):
        return False
    return parser_need_word(p, WORD_EXISTS, b"EXISTS")


cdef bint parse_is_table(parser_t *p) noexcept nogil:
    return parser_take_word(p, WORD_TABLE) or parser_take_word(p, WORD_COLUMNFAMILY)


cdef bint parse_is_keyspace(parser_t *p) noexcept nogil:
    return parser_take_word(p, WORD_KEYSPACE) or parser_take_word(p, WORD_SCHEMA)


cdef bint parse_table(parser_t *p) noexcept nogil:
    return parser_qualified(p, &p.out.keyspace, &p.out.table, NAMES_ANY)


cdef bint parse_other(parser_t *p, int which) noexcept nogil:
    return parser_qualified(p, &p.out.keyspace, &p.out.other, which)


cdef bint parse_string(parser_t *p) noexcept nogil:
    return parser_take(p, TOKEN_STRING) or parser_need(p, TOKEN_DOLLARS, b"a string")


cdef bint parse_named(parser_t *p, cql_span_t *name) noexcept nogil:
    """A role, user or identity: a name or a string."""
    if p.now.kind == TOKEN_STRING or p.now.kind == TOKEN_DOLLARS:
        name[0] = parser_here(p)
        parser_next(p)
        return True
    return parser_name(p, name, NAMES_ANY)


cdef bint parse_arguments(parser_t *p, bint named) noexcept nogil:
    """( type, ... ) or ( name type, ... )"""
    cdef cql_span_t span
    if not parser_need(p, b'(', b"("):
        return False
    if parser_take(p, b')'):
        return True
    while True:
        if named and not parser_name(p, &span, NAMES_ANY):
            return False
        if not parser_type(p, &span):
            return False
        if not parser_take(p, b','):
            return parser_need(p, b')', b", or )")
