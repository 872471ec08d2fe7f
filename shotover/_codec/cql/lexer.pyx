"""See lexer.pxd. Numbers, durations, blobs and uuids may begin alike: the longest of them is taken."""

from libc.string cimport memchr, memcpy

cdef extern from "shotover/_codec/cql/lexer.h" nogil:
    enum:
        IS_LETTER
        IS_DIGIT
        IS_HEX
        IS_SPACE
        IS_WORD
        IS_ALONE
    const uint8_t CQL_BYTES[256]
    uint8_t cql_word(const uint8_t *at, size_t size, size_t room)
    uint8_t cql_class(uint8_t word)

cdef enum:
    UUID_SIZE = 36


cdef void cql_lexer_set(cql_lexer_t *lexer, const uint8_t *text, size_t size) noexcept nogil:
    """Borrows the text, of less than 2**32 bytes."""
    lexer.text = text
    lexer.at = text
    lexer.end = text + size


cdef inline bint _is(const uint8_t *at, const uint8_t *end, uint8_t what) noexcept nogil:
    return at < end and CQL_BYTES[at[0]] & what


cdef const uint8_t *_blank(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Behind white space and comments; NULL: a comment has no end."""
    cdef const uint8_t *close
    while at < end:
        if CQL_BYTES[at[0]] & IS_SPACE:
            at += 1
        elif end - at >= 2 and ((at[0] == b'-' and at[1] == b'-') or (at[0] == b'/' and at[1] == b'/')):
            at += 2
            while at < end and at[0] != b'\n' and at[0] != b'\r':
                at += 1
        elif end - at >= 2 and at[0] == b'/' and at[1] == b'*':
            close = at + 2
            while True:
                close = <const uint8_t *>memchr(close, b'*', <size_t>(end - close))
                if close is NULL or close + 1 >= end:
                    return NULL
                close += 1
                if close[0] == b'/':
                    break
            at = close + 1
        else:
            break
    return at


cdef const uint8_t *_quoted(const uint8_t *at, const uint8_t *end, uint8_t quote) noexcept nogil:
    """Behind the quote that ends what begins at `at`; within, it is doubled. NULL: there is none."""
    at += 1
    while True:
        at = <const uint8_t *>memchr(at, quote, <size_t>(end - at))
        if at is NULL:
            return NULL
        at += 1
        if at == end or at[0] != quote:
            return at
        at += 1


cdef const uint8_t *_dollars(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Behind the $$ that ends what the $$ at `at` begins."""
    if end - at < 4 or at[1] != b'$':
        return NULL
    at += 2
    while True:
        at = <const uint8_t *>memchr(at, b'$', <size_t>(end - at))
        if at is NULL or end - at < 2:
            return NULL
        if at[1] == b'$':
            return at + 2
        at += 1


cdef inline const uint8_t *_digits(const uint8_t *at, const uint8_t *end) noexcept nogil:
    while at < end and CQL_BYTES[at[0]] & IS_DIGIT:
        at += 1
    return at


cdef const uint8_t *_uuid(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Behind a uuid, or NULL."""
    cdef int index
    if end - at < UUID_SIZE or at[8] != b'-' or at[13] != b'-' or at[18] != b'-' or at[23] != b'-':
        return NULL
    for index in range(UUID_SIZE):
        if index != 8 and index != 13 and index != 18 and index != 23 and not CQL_BYTES[at[index]] & IS_HEX:
            return NULL
    return at + UUID_SIZE


cdef int _unit(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Bytes of the unit of a duration; 0: it is none."""
    cdef:
        uint8_t first, second = 0
    if at >= end:
        return 0
    first = at[0] | 0x20
    if end - at >= 2:
        second = at[1] | 0x20
    if first == b'm':
        return 2 if second == b'o' or second == b's' else 1
    if first == b'u' or first == b'n':
        return 2 if second == b's' else 0
    if at[0] == 0xC2 and end - at >= 3 and at[1] == 0xB5 and at[2] | 0x20 == b's':      # the micro sign
        return 3
    return 1 if first == b'y' or first == b'w' or first == b'd' or first == b'h' or first == b's' else 0


cdef const uint8_t *_units(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Behind a duration such as 1h30m, or NULL."""
    cdef:
        const uint8_t *last = NULL
        const uint8_t *after = _digits(at, end)
        int size
    while after > at:
        size = _unit(after, end)
        if size == 0:
            break
        at = after + size
        last = at
        after = _digits(at, end)
    return last


cdef const uint8_t *_part(const uint8_t *at, const uint8_t *end, const char *letters) noexcept nogil:
    """Behind digits and letters in the given order, each letter at most once; NULL: there is not one."""
    cdef:
        const uint8_t *last = NULL
        const uint8_t *after
    while letters[0]:
        after = _digits(at, end)
        if after == at or after == end:
            break
        while letters[0] and after[0] != <uint8_t>letters[0]:
            letters += 1
        if not letters[0]:
            break
        letters += 1
        at = after + 1
        last = at
    return last


cdef const uint8_t *_iso(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Behind a duration of ISO 8601, at whose P we are: P1Y2M3DT4H5M6S, P2W or P0001-02-03T04:05:06. NULL: it is none."""
    cdef:
        const uint8_t *days
        const uint8_t *times
        const char *form = b"0000-00-00T00:00:00"
        int index
    at += 1
    for index in range(19):
        if at + index >= end or (form[index] == b'0' and not CQL_BYTES[at[index]] & IS_DIGIT) \
                or (form[index] != b'0' and at[index] != <uint8_t>form[index]):
            break
    else:
        return at + 19
    if at < end and at[0] == b'T':
        return _part(at + 1, end, b"HMS")
    days = _part(at, end, b"W")
    if days is not NULL:
        return days
    days = _part(at, end, b"YMD")
    if days is NULL or days >= end or days[0] != b'T':
        return days
    times = _part(days + 1, end, b"HMS")
    return days if times is NULL else times


cdef const uint8_t *_float(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Behind what may follow the digits of an integer to make it a float; `at` itself: nothing does."""
    cdef:
        const uint8_t *point = at
        const uint8_t *after
    if at < end and at[0] == b'.':
        if end - at >= 2 and at[1] == b'.':         # 1..2 is a range, 1...2 one that begins with 1.
            return at + 1 if end - at >= 3 and at[2] == b'.' else at
        point = _digits(at + 1, end)
    after = point
    if after < end and after[0] | 0x20 == b'e':
        after += 1
        if after < end and (after[0] == b'+' or after[0] == b'-'):
            after += 1
        if _is(after, end, IS_DIGIT):
            return _digits(after, end)
    return point


cdef const uint8_t *_number(const uint8_t *at, const uint8_t *end, uint8_t *kind) noexcept nogil:
    """What begins with a digit, or with a - and a digit."""
    cdef:
        bint           negative = at[0] == b'-'
        const uint8_t *first = at + 1 if negative else at
        const uint8_t *integer = _digits(first, end)
        const uint8_t *best = _float(integer, end)
        const uint8_t *other
    kind[0] = TOKEN_FLOAT if best > integer else TOKEN_INTEGER
    other = _units(first, end)
    if other is not NULL and other > best:
        best = other
        kind[0] = TOKEN_DURATION
    if negative:
        return best
    if first[0] == b'0' and end - first >= 2 and first[1] | 0x20 == b'x':
        other = first + 2
        while other < end and CQL_BYTES[other[0]] & IS_HEX:
            other += 1
        if other > best:
            best = other
            kind[0] = TOKEN_HEX
    other = _uuid(first, end)
    if other is not NULL and other > best:
        best = other
        kind[0] = TOKEN_UUID
    return best


cdef const uint8_t *_word(const uint8_t *at, const uint8_t *end, cql_token_t *token) noexcept nogil:
    """What begins with a letter."""
    cdef:
        const uint8_t *after = at + 1
        const uint8_t *other
    while after < end and CQL_BYTES[after[0]] & IS_WORD:
        after += 1
    if after < end and after[0] == b'-' and CQL_BYTES[at[0]] & IS_HEX and after - at == 8:
        other = _uuid(at, end)
        if other is not NULL:
            token.kind = TOKEN_UUID
            return other
    if at[0] == b'P':
        other = _iso(at, end)
        if other is not NULL and other >= after:
            token.kind = TOKEN_DURATION
            return other
    token.kind = TOKEN_NAME
    token.word = cql_word(at, <size_t>(after - at), <size_t>(end - at))
    if token.word == WORD_TRUE or token.word == WORD_FALSE:
        token.kind = TOKEN_BOOLEAN
    elif token.word == WORD_NAN or token.word == WORD_INFINITY:
        token.kind = TOKEN_FLOAT
    return after


cdef const uint8_t *_minus(const uint8_t *at, const uint8_t *end, cql_token_t *token) noexcept nogil:
    """What begins with a -, and is no comment."""
    cdef:
        const uint8_t *after = at + 1
        cql_token_t    word
    if _is(after, end, IS_DIGIT):
        return _number(at, end, &token.kind)
    if after < end and after[0] == b'=':
        token.kind = TOKEN_TAKE
        return after + 1
    if after < end and after[0] == b'P':
        after = _iso(after, end)
        if after is not NULL:
            token.kind = TOKEN_DURATION
            return after
    elif _is(after, end, IS_LETTER) and (after[0] | 0x20 == b'n' or after[0] | 0x20 == b'i'):
        after = _word(after, end, &word)
        if word.kind == TOKEN_FLOAT:
            token.kind = TOKEN_FLOAT
            return after
    token.kind = b'-'
    return at + 1


cdef const uint8_t *_other(const uint8_t *at, const uint8_t *end, cql_token_t *token) noexcept nogil:
    """Strings and operators. NULL: nothing that is known."""
    cdef uint8_t first = at[0], second = at[1] if end - at >= 2 else 0
    token.kind = first
    if first == b"'":
        token.kind = TOKEN_STRING
        return _quoted(at, end, first)
    if first == b'"':
        token.kind = TOKEN_QUOTED
        return _quoted(at, end, first)
    if first == b'$':
        token.kind = TOKEN_DOLLARS
        return _dollars(at, end)
    if first == b'-':
        return _minus(at, end, token)
    if first == b'.':
        if second == b'.':
            token.kind = TOKEN_RANGE
            return at + 2
    elif first == b'<' or first == b'>':
        if second == b'=':
            token.kind = TOKEN_LE if first == b'<' else TOKEN_GE
            return at + 2
    elif first == b'!' and second == b'=':
        token.kind = TOKEN_NE
        return at + 2
    elif first == b'+':
        if second == b'=':
            token.kind = TOKEN_ADD
            return at + 2
    else:
        return NULL
    return at + 1


cdef void cql_lex(cql_lexer_t *lexer, cql_token_t *token) noexcept nogil:
    """The next token. At the end, and at what is bad, it is the same ever after."""
    cdef:
        const uint8_t *at = lexer.at
        const uint8_t *end = lexer.end
        const uint8_t *after
        uint8_t what
    token.word = WORD_NONE
    if at < end and at[0] == b' ':
        at += 1
    if at < end and (CQL_BYTES[at[0]] & IS_SPACE or at[0] == b'-' or at[0] == b'/'):
        after = _blank(at, end)
        if after is NULL:
            lexer.at = at
            token.at = <uint32_t>(at - lexer.text)
            token.size = 0
            token.kind = TOKEN_BAD
            return
        at = after
    token.at = <uint32_t>(at - lexer.text)
    if at == end:
        lexer.at = at
        token.size = 0
        token.kind = TOKEN_END
        return
    what = CQL_BYTES[at[0]]
    if what & IS_LETTER:
        after = _word(at, end, token)
    elif what & IS_DIGIT:
        after = _number(at, end, &token.kind)
    elif what & IS_ALONE:
        token.kind = at[0]
        after = at + 1
    else:
        after = _other(at, end, token)
    if after is NULL:
        lexer.at = at
        token.size = 0
        token.kind = TOKEN_BAD
        return
    token.size = <uint32_t>(after - at)
    lexer.at = after


# ---- names and strings ---------------------------------------------------------------------------------------------


cdef uint8_t cql_word_class(uint8_t word) noexcept nogil:
    """CLASS_* of a WORD_*."""
    return cql_class(word)


cdef inline uint8_t _lower(uint8_t byte) noexcept nogil:
    return byte | 0x20 if b'A' <= byte <= b'Z' else byte


cdef size_t cql_name_put(uint8_t *out, const uint8_t *text, cql_span_t name) noexcept nogil:
    """The name as the servers keep it: lower case, or what stood between quotes. At most name.size bytes; how many."""
    cdef:
        const uint8_t *at = text + name.at
        const uint8_t *end = at + name.size
        uint8_t *start = out
    if name.size and at[0] == b'"':
        at += 1
        end -= 1
        while at < end:
            out[0] = at[0]
            at += 2 if at[0] == b'"' else 1
            out += 1
        return <size_t>(out - start)
    while at < end:
        out[0] = _lower(at[0])
        at += 1
        out += 1
    return <size_t>(out - start)


cdef bint cql_name_is(const uint8_t *text, cql_span_t name, const uint8_t *other, size_t size) noexcept nogil:
    """Whether it is the name that the servers keep as `other`."""
    cdef:
        const uint8_t *at = text + name.at
        const uint8_t *end = at + name.size
        const uint8_t *last = other + size
    if name.size and at[0] == b'"':
        at += 1
        end -= 1
        while at < end:
            if other == last or other[0] != at[0]:
                return False
            at += 2 if at[0] == b'"' else 1
            other += 1
        return other == last
    if name.size != size:
        return False
    while at < end:
        if _lower(at[0]) != other[0]:
            return False
        at += 1
        other += 1
    return True


cdef bint cql_names_agree(const uint8_t *text, cql_span_t name, const uint8_t *text2, cql_span_t other) noexcept nogil:
    """Whether two names, each as it was written, are the same one."""
    cdef:
        const uint8_t *at = text + name.at
        const uint8_t *end = at + name.size
        const uint8_t *at2 = text2 + other.at
        const uint8_t *end2 = at2 + other.size
        bint quoted = name.size and at[0] == b'"'
        bint quoted2 = other.size and at2[0] == b'"'
        uint8_t byte, byte2
    if quoted:
        at += 1
        end -= 1
    if quoted2:
        at2 += 1
        end2 -= 1
    while at < end and at2 < end2:
        byte = at[0] if quoted else _lower(at[0])
        byte2 = at2[0] if quoted2 else _lower(at2[0])
        if byte != byte2:
            return False
        at += 2 if quoted and byte == b'"' else 1
        at2 += 2 if quoted2 and byte2 == b'"' else 1
    return at == end and at2 == end2


cdef size_t cql_string_put(uint8_t *out, const uint8_t *text, cql_span_t string) noexcept nogil:
    """What a TOKEN_STRING or TOKEN_DOLLARS says. At most string.size bytes; how many."""
    cdef:
        const uint8_t *at = text + string.at + 1
        const uint8_t *end = text + string.at + string.size - 1
        uint8_t *start = out
        const uint8_t *quote
        size_t size
    if text[string.at] == b'$':
        memcpy(out, at + 1, string.size - 4)
        return string.size - 4
    while at < end:
        quote = <const uint8_t *>memchr(at, b"'", <size_t>(end - at))
        size = <size_t>((end if quote is NULL else quote + 1) - at)
        memcpy(out, at, size)
        out += size
        at += size + (quote is not NULL)
    return <size_t>(out - start)
