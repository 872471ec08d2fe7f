"""See render.pxd. Text that does not fit ends in `...`; whatever is not printable ASCII is escaped as in Python."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, strlen, strncmp

from shotover._codec.commands cimport command_t, word_is
from shotover._codec.resp cimport resp_words
from shotover._core.slice cimport slice_t

cdef enum:
    WORDS_MAX = 24          # of a request; the rest is only counted
    WORD_BYTES_MAX = 64     # of one word or bulk

cdef struct text_t:
    char  *at
    char  *end              # the last 4 bytes behind it stay free: "..." and NUL
    bint   full


cdef void _put(text_t *text, const char *data, size_t size) noexcept nogil:
    if text.full or <size_t>(text.end - text.at) < size:
        text.full = True
        return
    memcpy(text.at, data, size)
    text.at += size


cdef void _put_text(text_t *text, const char *data) noexcept nogil:
    _put(text, data, strlen(data))


cdef void _put_number(text_t *text, uint32_t number) noexcept nogil:
    cdef:
        char digits[12]
        int  at = 12
    while True:
        at -= 1
        digits[at] = <char>(48 + number % 10)
        number //= 10
        if number == 0:
            break
    _put(text, digits + at, <size_t>(12 - at))


cdef void _put_bytes(text_t *text, const uint8_t *data, size_t size) noexcept nogil:
    """Printable characters as they are, others escaped; at most WORD_BYTES_MAX of them."""
    cdef:
        const char *hexes = b"0123456789abcdef"
        char        escaped[4]
        size_t      index
        uint8_t     byte
    for index in range(min(size, <size_t>WORD_BYTES_MAX)):
        byte = data[index]
        escaped[0] = b'\\'
        if byte == b'\r' or byte == b'\n':
            escaped[1] = b'r' if byte == b'\r' else b'n'
            _put(text, escaped, 2)
        elif byte == b'"' or byte == b'\\':
            escaped[1] = <char>byte
            _put(text, escaped, 2)
        elif 32 <= byte and byte < 127:
            _put(text, <const char *>data + index, 1)
        else:
            escaped[1] = b'x'
            escaped[2] = hexes[byte >> 4]
            escaped[3] = hexes[byte & 15]
            _put(text, escaped, 4)
    if size > WORD_BYTES_MAX:
        _put_text(text, b"...")


cdef void _put_quoted(text_t *text, const uint8_t *data, size_t size) noexcept nogil:
    _put_text(text, b'"')
    _put_bytes(text, data, size)
    _put_text(text, b'"')


cdef size_t _finish(text_t *text, char *out) noexcept nogil:
    if text.full:
        memcpy(text.at, b"...", 3)
        text.at += 3
    text.at[0] = 0
    return <size_t>(text.at - out)


cdef bint _is_secret(slice_t *words, uint32_t count) noexcept nogil:
    """Commands that may carry a password, wherever among their words."""
    return (
        word_is(&words[0], b"AUTH", 4) or word_is(&words[0], b"HELLO", 5) or word_is(&words[0], b"ACL", 3)
        or word_is(&words[0], b"MIGRATE", 7) or word_is(&words[0], b"SENTINEL", 8)
        or (word_is(&words[0], b"CONFIG", 6) and count > 1 and word_is(&words[1], b"SET", 3))
    )


cdef size_t render_request(char *out, size_t room, request_t *request) noexcept nogil:
    """The first request of `request`, as words. NUL ended; returns its size. `room` >= 16."""
    cdef:
        text_t   text
        slice_t  words[WORDS_MAX]
        uint32_t count, index
    text.at = out
    text.end = out + room - 4
    text.full = False
    count = resp_words(request.wire.data, request.wire.data + request.wire.size, words, WORDS_MAX)
    if count == 0:
        _put_text(&text, b"(not whole)")    # its bytes may be those of a password
        return _finish(&text, out)
    _put_bytes(&text, words[0].data, words[0].size)
    if _is_secret(words, count):
        _put_text(&text, b" (what follows is not shown)")
        return _finish(&text, out)
    for index in range(1, min(count, <uint32_t>WORDS_MAX)):
        _put_text(&text, b" ")
        _put_quoted(&text, words[index].data, words[index].size)
    if count > WORDS_MAX:
        _put_text(&text, b" and ")
        _put_number(&text, count - WORDS_MAX)
        _put_text(&text, b" more words")
    return _finish(&text, out)


cdef size_t render_reply(char *out, size_t room, const uint8_t *reply, size_t size) noexcept nogil:
    """A reply: strings quoted, errors and numbers with the byte that says what they are, aggregates as *3[ ... in a row.
    NUL ended; returns its size. `room` >= 16."""
    cdef:
        text_t         text
        const uint8_t *at = reply
        const uint8_t *end = reply + size
        const uint8_t *line
        uint64_t       length
    text.at = out
    text.end = out + room - 4
    text.full = False
    while at < end and not text.full:
        if at is not reply:
            _put_text(&text, b" ")
        line = at
        while line < end and line[0] != b'\r':
            line += 1
        if (at[0] == b'$' or at[0] == b'=' or at[0] == b'!') and line < end and at + 1 < line and at[1] != b'-':
            length = 0
            at += 1
            while at < line:
                length = length * 10 + <uint8_t>(at[0] - 48)
                at += 1
            at = line + 2
            if at > end or length > <uint64_t>(end - at):
                length = <uint64_t>(end - at) if at < end else 0
            _put_quoted(&text, at, length)
            at += length + 2
        elif at[0] == b'_' or ((at[0] == b'$' or at[0] == b'*') and at + 1 < line and at[1] == b'-'):
            _put_text(&text, b"nil")
            at = line + 2
        else:
            _put_bytes(&text, at, <size_t>(line - at))
            at = line + 2
    return _finish(&text, out)


cdef bint _is_secret_command(const command_t *command) noexcept nogil:
    """What it answers may hold a password, or a new one; AUTH and its like say none, but a server's error could."""
    cdef const char *name
    if command is NULL:
        return False
    name = command.name
    return strncmp(name, b"ACL", 3) == 0 or strncmp(name, b"CONFIG", 6) == 0 or strncmp(name, b"SENTINEL", 8) == 0


cdef size_t render_reply_to(char *out, size_t room, request_t *request, const uint8_t *reply, size_t size) noexcept nogil:
    """render_reply, unless the command's replies have passwords in them (CONFIG GET): then only whether all went well."""
    if size and reply[0] != b'+' and reply[0] != b'-' and _is_secret_command(<const command_t *>request.command):
        reply, size = <const uint8_t *>b"(not shown)", 11
    return render_reply(out, room, reply, size)
