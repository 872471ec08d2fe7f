"""What all parts of the parser share: the token at hand, items, names. Each part is recursive descent with one token of
look-ahead; what returns a bint says whether it could be followed, and `parser_fail` has noted where not."""

from libc.stdint cimport uint8_t, uint32_t

from shotover._codec.cql.lexer cimport TOKEN_NAME, WORD_NONE, cql_lex, cql_span_t
from shotover._codec.cql.statement cimport BIND_NONE, cql_item_t, cql_value_of_t, parser_t


cdef enum:                      # which words may be a name here
    NAMES_ANY = 0               # all but reserved ones
    NAMES_OF_FUNCTIONS = 1
    NAMES_OF_TYPES = 2

cdef bint parser_fail(parser_t *p, const char *expected) noexcept nogil
cdef cql_item_t *parser_item(parser_t *p, uint8_t role) noexcept nogil
cdef bint parser_name(parser_t *p, cql_span_t *name, int which) noexcept nogil
cdef bint parser_is_name(parser_t *p, int which) noexcept nogil
cdef bint parser_qualified(parser_t *p, cql_span_t *keyspace, cql_span_t *name, int which) noexcept nogil
cdef uint8_t parser_peek(parser_t *p) noexcept nogil
cdef bint parser_expression(parser_t *p, cql_value_of_t *value, bint columns) noexcept nogil
cdef bint parser_value(parser_t *p, cql_item_t *item, cql_value_of_t *value) noexcept nogil
cdef bint parser_integer(parser_t *p, uint8_t role) noexcept nogil
cdef bint parser_mark(parser_t *p, cql_value_of_t *value) noexcept nogil
cdef bint parser_type(parser_t *p, cql_span_t *span) noexcept nogil
cdef bint parser_names(parser_t *p, cql_span_t *span) noexcept nogil


cdef inline void parser_next(parser_t *p) noexcept nogil:
    p.last = p.now.at + p.now.size
    cql_lex(&p.lexer, &p.now)

cdef inline bint parser_take(parser_t *p, uint8_t kind) noexcept nogil:
    """Goes on if a token of that kind is at hand."""
    if p.now.kind != kind:
        return False
    parser_next(p)
    return True

cdef inline bint parser_take_word(parser_t *p, uint8_t word) noexcept nogil:
    if p.now.word != word:
        return False
    parser_next(p)
    return True

cdef inline bint parser_need(parser_t *p, uint8_t kind, const char *expected) noexcept nogil:
    return parser_take(p, kind) or parser_fail(p, expected)

cdef inline bint parser_need_word(parser_t *p, uint8_t word, const char *expected) noexcept nogil:
    return parser_take_word(p, word) or parser_fail(p, expected)

cdef inline cql_span_t parser_since(parser_t *p, uint32_t at) noexcept nogil:
    """From `at` to the end of the token before the one at hand."""
    cdef cql_span_t span
    span.at = at
    span.size = p.last - at
    return span

cdef inline cql_span_t parser_here(parser_t *p) noexcept nogil:
    cdef cql_span_t span
    span.at = p.now.at
    span.size = p.now.size
    return span
