"""See redact.pxd."""

from libc.string cimport memcpy

from shotover._codec.cql.lexer cimport (
    TOKEN_BAD,
    TOKEN_BOOLEAN,
    TOKEN_DOLLARS,
    TOKEN_DURATION,
    TOKEN_END,
    TOKEN_FLOAT,
    TOKEN_HEX,
    TOKEN_INTEGER,
    TOKEN_STRING,
    TOKEN_UUID,
    cql_lex,
    cql_lexer_set,
    cql_lexer_t,
    cql_token_t,
)


cdef inline bint _is_constant(uint8_t kind) noexcept nogil:
    return (
        kind == TOKEN_STRING or kind == TOKEN_DOLLARS or kind == TOKEN_INTEGER or kind == TOKEN_FLOAT or kind == TOKEN_BOOLEAN
        or kind == TOKEN_DURATION or kind == TOKEN_UUID or kind == TOKEN_HEX
    )


cdef size_t cql_redact(uint8_t *out, size_t room, const uint8_t *text, size_t size) noexcept nogil:
    """Writes at most `room` bytes, of which the last are `...` if there is more, or if what follows is no CQL; `room` >= 8.
    Returns how many."""
    cdef:
        cql_lexer_t lexer
        cql_token_t token
        size_t      used = 0, last = 0
        bint        first = True
    cql_lexer_set(&lexer, text, size)
    while True:
        cql_lex(&lexer, &token)
        if token.kind == TOKEN_END:
            return used
        if token.kind == TOKEN_BAD or used + token.size + 1 > room - 3:
            out[used] = out[used + 1] = out[used + 2] = b'.'
            return used + 3
        if token.at > last and not first:
            out[used] = b' '
            used += 1
        first = False
        last = token.at + token.size
        if _is_constant(token.kind):
            out[used] = b'?'
            used += 1
        else:
            memcpy(out + used, text + token.at, token.size)
            used += token.size
