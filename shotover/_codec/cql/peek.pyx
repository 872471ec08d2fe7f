"""See peek.pxd."""

from libc.stdint cimport uint32_t
from libc.string cimport memchr

from shotover._codec.cql.frame cimport (
    FLAG_COMPRESSED,
    FLAG_PAYLOAD,
    FLAG_TRACING,
    FLAG_WARNING,
    HEADER_SIZE,
    OP_RESULT,
    RESULT_SET_KEYSPACE,
    put_short,
    put_string,
    read_int,
    read_short,
    read_string,
    slice_is,
)
from shotover._codec.cql.lexer cimport cql_name_put, cql_span_t
from shotover._codec.cql.messages cimport cql_prefix_read, cql_prefix_t
from shotover._codec.cql.statement cimport cql_use_keyspace
from shotover._core.debug cimport unlikely


cdef const uint8_t *_after_space(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Behind blanks and comments: those from -- or // to the end of the line, and those from /* to */."""
    while at < end:
        if at[0] == b' ' or at[0] == b'\t' or at[0] == b'\n' or at[0] == b'\r':
            at += 1
        elif end - at >= 2 and ((at[0] == b'-' and at[1] == b'-') or (at[0] == b'/' and at[1] == b'/')):
            while at < end and at[0] != b'\n' and at[0] != b'\r':
                at += 1
        elif end - at >= 2 and at[0] == b'/' and at[1] == b'*':
            at += 2
            while end - at >= 2 and not (at[0] == b'*' and at[1] == b'/'):
                at += 1
            at = at + 2 if end - at >= 2 else end
        else:
            break
    return at


cdef bint peek_use(const uint8_t *text, const uint8_t *end) noexcept nogil:
    """Whether the statement is USE. What follows the word is the server's to judge."""
    cdef const uint8_t *at = text
    if at < end and (at[0] | 32) != b'u':
        at = _after_space(at, end)
    if end - at < 4 or (at[0] | 32) != b'u' or (at[1] | 32) != b's' or (at[2] | 32) != b'e':
        return False
    at += 3
    return at[0] == b'"' or _after_space(at, end) > at


cdef bint peek_use_frame(const uint8_t *frame, size_t frame_size) noexcept nogil:
    """Whether a QUERY or PREPARE, whose body is not compressed, is USE."""
    cdef:
        const uint8_t *at = frame + HEADER_SIZE
        const uint8_t *end = frame + frame_size
        uint32_t       count, size
    if unlikely(frame[1] & FLAG_PAYLOAD):       # a map of bytes comes first
        if end - at < 2:
            return False
        count = read_short(at)
        at += 2
        while count:
            if end - at < 2 or end - at - 2 < read_short(at) + 4:
                return False
            at += 2 + read_short(at)
            size = read_int(at)
            at += 4
            if size <= 0x7fffffff:          # else it is null
                if <size_t>(end - at) < size:
                    return False
                at += size
            count -= 1
    if end - at < 4:
        return False
    size = read_int(at)
    at += 4
    return peek_use(at, at + size if size < <size_t>(end - at) else end)


cdef bint peek_use_keyspace(const uint8_t *frame, size_t frame_size, uint8_t *room, slice_t *name) noexcept nogil:
    """The keyspace of a QUERY that is USE, as the servers spell it, in `room`, which has NAME_SIZE_MAX bytes. False: its body is
    compressed, or it is something else."""
    cdef:
        cql_prefix_t prefix
        cql_span_t   span
        size_t       size
    if frame[1] & FLAG_COMPRESSED or not cql_prefix_read(
            frame + HEADER_SIZE, frame_size - HEADER_SIZE, frame[1], False, &prefix) or prefix.body.size < 4:
        return False
    size = read_int(prefix.body.data)
    if size > prefix.body.size - 4 or not cql_use_keyspace(prefix.body.data + 4, size, &span) or span.size > NAME_SIZE_MAX:
        return False
    name.data = room
    name.size = cql_name_put(room, prefix.body.data + 4, span)
    return True


cdef bint peek_set_keyspace(const uint8_t *frame, size_t size, slice_t *name) noexcept nogil:
    """Whether a reply says that the connection is in another keyspace now, and in which."""
    cdef:
        const uint8_t *at = frame + HEADER_SIZE
        const uint8_t *end = frame + size
        uint32_t       count, _, length
    if size < HEADER_SIZE + 4 or frame[4] != OP_RESULT:
        return False
    if frame[1] & FLAG_TRACING:
        at += 16
    if frame[1] & FLAG_WARNING and end - at >= 2:
        count = read_short(at)
        at += 2
        for _ in range(count):
            if end - at < 2 or end - at - 2 < read_short(at):
                return False
            at += 2 + read_short(at)
    if frame[1] & FLAG_PAYLOAD and end - at >= 2:
        count = read_short(at)
        at += 2
        for _ in range(count):
            if end - at < 2 or end - at - 2 < read_short(at) + 4:
                return False
            at += 2 + read_short(at)
            length = read_int(at)
            at += 4
            if length <= 0x7fffffff:
                if <size_t>(end - at) < length:
                    return False
                at += length
    if end - at < 4 or read_int(at) != RESULT_SET_KEYSPACE:
        return False
    return read_string(at + 4, end, name) is not NULL


cdef bint peek_plain(const uint8_t *body, size_t size) noexcept nogil:
    """Whether the body of an AUTH_RESPONSE is all that there is to say: two or three words with zero bytes between them, as
    in SASL's PLAIN. Such may be said again on another connection."""
    cdef:
        const uint8_t *token = body + 4
        const uint8_t *zero
        size_t         left
    if size < 4 + 3 or read_int(body) != size - 4:
        return False
    left = size - 4
    zero = <const uint8_t *>memchr(token, 0, left)
    if zero is NULL:
        return False
    left -= <size_t>(zero + 1 - token)
    zero = <const uint8_t *>memchr(zero + 1, 0, left)
    return zero is not NULL


cdef int peek_option(const uint8_t *body, size_t size, const char *name, slice_t *value) noexcept nogil:
    """The value of an option of STARTUP. 1: there it is; 0: it is not there; -1: the map is no map."""
    cdef:
        const uint8_t *end = body + size
        const uint8_t *at = body + 2
        slice_t        key, found
        uint32_t       _
        int            result = 0
    if size < 2:
        return -1
    for _ in range(read_short(body)):
        at = read_string(read_string(at, end, &key), end, &found)
        if at is NULL:
            return -1
        if slice_is(&key, name):
            value[0] = found
            result = 1
    return result


cdef size_t startup_for_all(const uint8_t *body, size_t size, uint8_t *out, bint compressed) noexcept nogil:
    """The body of a STARTUP without what tells one client from another of its kind, so that they may share connections. A
    sound map goes in, and `out` has room for as many bytes. Not `compressed`: without that option, too. Returns its size."""
    cdef:
        const uint8_t *end = body + size
        const uint8_t *at = body + 2
        uint8_t       *to = out + 2
        slice_t        key, value
        uint32_t       count = 0, _
    for _ in range(read_short(body)):
        at = read_string(read_string(at, end, &key), end, &value)
        if at is NULL:
            break
        if slice_is(&key, b"CLIENT_ID") or slice_is(&key, b"APPLICATION_NAME") or slice_is(&key, b"APPLICATION_VERSION"):
            continue
        if not compressed and slice_is(&key, b"COMPRESSION"):
            continue
        to = put_string(put_string(to, key.data, key.size), value.data, value.size)
        count += 1
    put_short(out, count)
    return <size_t>(to - out)
