"""See cql_probe.pxd."""

from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from shotover._codec.cql.lexer cimport (
    TOKEN_BAD, TOKEN_END, WORD_NONE, cql_lex, cql_lexer_set, cql_lexer_t, cql_name_is, cql_name_put, cql_names_agree, cql_span_t,
    cql_string_put, cql_token_t, cql_word_class,
)

cdef class Exact:
    """A copy of some bytes with nothing behind it: a sanitizer sees the first byte too far."""
    cdef:
        uint8_t *at
        size_t   size

    def __cinit__(self, bytes data not None):
        self.size = len(data)
        self.at = <uint8_t *>malloc(self.size)
        if self.at is NULL:
            raise MemoryError
        memcpy(self.at, <const char *>data, self.size)

    def __dealloc__(self):
        free(self.at)


# ---- lexer ---------------------------------------------------------------------------------------------------------


def tokens(bytes text):
    """[(kind, text, keyword class)] up to the end, or to what is bad."""
    cdef:
        Exact       exact = Exact(text)
        cql_lexer_t lexer
        cql_token_t token
        size_t      last = 0
    cql_lexer_set(&lexer, exact.at, exact.size)
    found = []
    while True:
        cql_lex(&lexer, &token)
        assert last <= token.at and token.at + token.size <= exact.size
        assert token.size or token.kind in (TOKEN_END, TOKEN_BAD)
        last = token.at + token.size
        found.append((token.kind, text[token.at:last], cql_word_class(token.word) if token.word != WORD_NONE else 0))
        if token.kind == TOKEN_END or token.kind == TOKEN_BAD:
            return found


def name(bytes text):
    """What the servers make of a name; and it is that name, and agrees with itself."""
    cdef:
        Exact      exact = Exact(text)
        cql_span_t span
        bytes      out = bytes(len(text))
        bytes      kept
    span.at = 0
    span.size = len(text)
    kept = out[:cql_name_put(<uint8_t *><char *>out, exact.at, span)]
    assert cql_name_is(exact.at, span, <const uint8_t *><char *>kept, len(kept))
    assert cql_names_agree(exact.at, span, exact.at, span)
    return kept


def agree(bytes one, bytes other):
    cdef:
        Exact      first = Exact(one)
        Exact      second = Exact(other)
        cql_span_t span, span2
    span.at = span2.at = 0
    span.size = len(one)
    span2.size = len(other)
    return bool(cql_names_agree(first.at, span, second.at, span2))


def string(bytes text):
    """What a string between quotes or dollars says."""
    cdef:
        Exact      exact = Exact(text)
        cql_span_t span
        bytes      out = bytes(len(text))
    span.at = 0
    span.size = len(text)
    return out[:cql_string_put(<uint8_t *><char *>out, exact.at, span)]
