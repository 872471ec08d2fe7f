"""See json_values.pxd."""

from libc.stdint cimport uint32_t
from libc.string cimport memchr, memcmp

from shotover._codec.cql.results cimport (
    TYPE_ASCII,
    TYPE_DATE,
    TYPE_INET,
    TYPE_LIST,
    TYPE_MAP,
    TYPE_SET,
    TYPE_TIME,
    TYPE_TIMESTAMP,
    TYPE_TUPLE,
    TYPE_UDT,
    TYPE_VARCHAR,
)
from shotover._codec.cql.types cimport TYPE_VECTOR
from shotover._codec.cql.wire cimport wire_put, wire_put_byte, wire_write


# ---- what there is -------------------------------------------------------------------------------------------------


cdef const uint8_t *_space(const uint8_t *at, const uint8_t *end) noexcept nogil:
    while at < end and (at[0] == b' ' or at[0] == b'\t' or at[0] == b'\n' or at[0] == b'\r'):
        at += 1
    return at


cdef int _hex4(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """\\uXXXX behind the u; -1: it is none."""
    cdef:
        int     value = 0, index
        uint8_t digit
    if end - at < 4:
        return -1
    for index in range(4):
        digit = at[index]
        if b'0' <= digit <= b'9':
            value = value << 4 | (digit - 48)
        elif b'a' <= (digit | 32) <= b'f':
            value = value << 4 | ((digit | 32) - 87)
        else:
            return -1
    return value


cdef const uint8_t *_string(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Behind the string that begins there. NULL: it has no end, a control character, or an escape that is none."""
    at += 1
    while at < end:
        if at[0] == b'"':
            return at + 1
        if at[0] < 32:
            return NULL
        if at[0] == b'\\':
            at += 1
            if at == end or memchr(b"\"\\/bfnrtu", at[0], 9) is NULL or (at[0] == b'u' and _hex4(at + 1, end) < 0):
                return NULL
        at += 1
    return NULL


cdef const uint8_t *_digits(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Behind one or more digits; NULL: there are none."""
    cdef const uint8_t *start = at
    while at < end and b'0' <= at[0] <= b'9':
        at += 1
    return NULL if at == start else at


cdef const uint8_t *_number(const uint8_t *at, const uint8_t *end) noexcept nogil:
    if at[0] == b'-':
        at += 1
    if at < end and at[0] == b'0':
        at += 1
    else:
        at = _digits(at, end)
    if at is not NULL and at < end and at[0] == b'.':
        at = _digits(at + 1, end)
    if at is not NULL and at < end and (at[0] | 32) == b'e':
        at += 1
        if at < end and (at[0] == b'+' or at[0] == b'-'):
            at += 1
        at = _digits(at, end)
    return at


cdef const uint8_t *_word(const uint8_t *at, const uint8_t *end, const char *word, size_t size) noexcept nogil:
    return at + size if <size_t>(end - at) >= size and memcmp(at, word, size) == 0 else NULL


cdef const uint8_t *_value(const uint8_t *at, const uint8_t *end, int depth) noexcept nogil:
    """Behind the value that begins there. NULL: it is none."""
    cdef:
        uint8_t close
        bint    named
    if at >= end or depth > JSON_DEPTH_MAX:
        return NULL
    if at[0] == b'"':
        return _string(at, end)
    if at[0] == b't':
        return _word(at, end, b"true", 4)
    if at[0] == b'f':
        return _word(at, end, b"false", 5)
    if at[0] == b'n':
        return _word(at, end, b"null", 4)
    if at[0] != b'{' and at[0] != b'[':
        return _number(at, end)
    named = at[0] == b'{'
    close = b'}' if named else b']'
    at = _space(at + 1, end)
    if at < end and at[0] == close:
        return at + 1
    while True:
        if named:
            if at >= end or at[0] != b'"':
                return NULL
            at = _string(at, end)
            if at is NULL:
                return NULL
            at = _space(at, end)
            if at >= end or at[0] != b':':
                return NULL
            at = _space(at + 1, end)
        at = _value(at, end, depth + 1)
        if at is NULL:
            return NULL
        at = _space(at, end)
        if at >= end:
            return NULL
        if at[0] == close:
            return at + 1
        if at[0] != b',':
            return NULL
        at = _space(at + 1, end)


cdef void json_read(json_reader_t *reader, slice_t text) noexcept nogil:
    """Borrows the text."""
    reader.at = text.data
    reader.end = text.data + text.size
    reader.begun = False


cdef int json_member_next(json_reader_t *reader, json_member_t *member) noexcept nogil:
    """JSON_MEMBER, JSON_END behind a whole object and nothing else, or JSON_BAD."""
    cdef:
        const uint8_t *at = _space(reader.at, reader.end)
        const uint8_t *end = reader.end
        const uint8_t *start
        uint8_t        first = b',' if reader.begun else b'{'
    if at >= end or at[0] != first:
        if reader.begun and at < end and at[0] == b'}' and _space(at + 1, end) == end:
            return JSON_END
        return JSON_BAD
    at = _space(at + 1, end)
    if not reader.begun and at < end and at[0] == b'}':
        return JSON_END if _space(at + 1, end) == end else JSON_BAD
    if at >= end or at[0] != b'"':
        return JSON_BAD
    start = at
    at = _string(at, end)
    if at is NULL:
        return JSON_BAD
    member.key.data = <uint8_t *>start
    member.key.size = <size_t>(at - start)
    at = _space(at, end)
    if at >= end or at[0] != b':':
        return JSON_BAD
    start = _space(at + 1, end)
    at = _value(start, end, 0)
    if at is NULL:
        return JSON_BAD
    member.value.data = <uint8_t *>start
    member.value.size = <size_t>(at - start)
    reader.at = at
    reader.begun = True
    return JSON_MEMBER


# ---- strings -------------------------------------------------------------------------------------------------------


cdef void _put_rune(uint32_t rune, wire_writer_t *writer) noexcept nogil:
    if rune < 0x80:
        wire_put_byte(writer, <uint8_t>rune)
        return
    if rune < 0x800:
        wire_put_byte(writer, <uint8_t>(0xc0 | rune >> 6))
    else:
        if rune < 0x10000:
            wire_put_byte(writer, <uint8_t>(0xe0 | rune >> 12))
        else:
            wire_put_byte(writer, <uint8_t>(0xf0 | rune >> 18))
            wire_put_byte(writer, <uint8_t>(0x80 | (rune >> 12 & 63)))
        wire_put_byte(writer, <uint8_t>(0x80 | (rune >> 6 & 63)))
    wire_put_byte(writer, <uint8_t>(0x80 | (rune & 63)))


cdef bint _put_string(slice_t string, bint doubled, wire_writer_t *writer) noexcept nogil:
    """What a string (with its quotes) says; doubled: each ' twice. False: half a surrogate pair, or a zero."""
    cdef:
        const uint8_t *at = string.data + 1
        const uint8_t *end = string.data + string.size - 1
        int            rune, low
        uint8_t        byte
    while at < end:
        byte = at[0]
        at += 1
        if byte == b'\\':
            byte = at[0]                    # there is one: see _string
            at += 1
            if byte == b'u':
                rune = _hex4(at, end)
                at += 4
                if 0xd800 <= rune < 0xdc00:
                    if end - at < 6 or at[0] != b'\\' or at[1] != b'u':
                        return False
                    low = _hex4(at + 2, end)
                    if not 0xdc00 <= low < 0xe000:
                        return False
                    rune = 0x10000 + ((rune - 0xd800) << 10) + (low - 0xdc00)
                    at += 6
                if rune <= 0 or 0xdc00 <= rune < 0xe000:
                    return False
                if rune == 39 and doubled:
                    wire_put_byte(writer, 39)
                _put_rune(<uint32_t>rune, writer)
                continue
            if byte == b'b':
                byte = 8
            elif byte == b'f':
                byte = 12
            elif byte == b'n':
                byte = 10
            elif byte == b'r':
                byte = 13
            elif byte == b't':
                byte = 9
        elif byte == 39 and doubled:
            wire_put_byte(writer, byte)
        wire_put_byte(writer, byte)
    return True


cdef bint json_column_put(slice_t key, uint8_t *out, size_t room, size_t *size) noexcept nogil:
    """The column that a key names: as it is within quotes of its own ("\\"Name\\""), else in lower case.
    False: it cannot be told; one that does not fit has the size `room` + 1."""
    cdef:
        wire_writer_t writer
        size_t        index
    wire_write(&writer, out, room)
    if not _put_string(key, False, &writer):
        return False
    size[0] = writer.size
    if writer.full:
        size[0] = room + 1
    elif writer.size >= 2 and out[0] == b'"' and out[writer.size - 1] == b'"':
        size[0] = writer.size - 2
        for index in range(size[0]):
            out[index] = out[index + 1]
    else:
        for index in range(writer.size):
            if b'A' <= out[index] <= b'Z':
                out[index] |= 32
            elif out[index] >= 0x80:        # other letters have lower cases, too, that only the server knows
                return False
    return True


# ---- values --------------------------------------------------------------------------------------------------------


cdef bint _put_several(const cql_type_t *type, slice_t value, wire_writer_t *writer, int depth) noexcept nogil:
    """An array, or an object as a map."""
    cdef:
        const uint8_t *at = value.data
        const uint8_t *end = value.data + value.size
        const cql_type_t *part = type + 1
        slice_t one
        bint    is_map = type.id == TYPE_MAP
        bint    first = True
        uint8_t left = b'{' if is_map or type.id == TYPE_SET else b'(' if type.id == TYPE_TUPLE else b'['
    if is_map != (at[0] == b'{') or type.id == TYPE_UDT:
        return False
    wire_put_byte(writer, left)
    at = _space(at + 1, end)
    while at[0] != b'}' and at[0] != b']':
        if at[0] == b',':
            at = _space(at + 1, end)
            wire_put_byte(writer, b',')
        one.data = <uint8_t *>at
        if is_map:
            at = _string(at, end)
            one.size = <size_t>(at - one.data)
            if not _put(part, one, writer, depth + 1):
                return False
            wire_put_byte(writer, b':')
            at = _space(_space(at, end) + 1, end)
            one.data = <uint8_t *>at
        elif type.id == TYPE_TUPLE and not first:
            part += part.span
            if part >= type + type.span:
                return False
        at = _value(at, end, depth + 1)
        one.size = <size_t>(at - one.data)
        if not _put(part + part.span if is_map else part, one, writer, depth + 1):
            return False
        at = _space(at, end)
        first = False
    wire_put_byte(writer, b'}' if left == b'{' else b')' if left == b'(' else b']')
    return True


cdef bint _put(const cql_type_t *type, slice_t value, wire_writer_t *writer, int depth) noexcept nogil:
    cdef:
        bint text = value.data[0] == b'"'
        bint fine
    if depth > JSON_DEPTH_MAX:
        return False
    if not text and value.data[0] == b'n':
        wire_put(writer, b"null", 4)
        return True
    if type.id == TYPE_LIST or type.id == TYPE_SET or type.id == TYPE_MAP or type.id == TYPE_TUPLE or type.id == TYPE_UDT \
            or type.id == TYPE_VECTOR:
        return _put_several(type, value, writer, depth)
    if value.data[0] == b'{' or value.data[0] == b'[':
        return False
    if not text:
        if type.id == TYPE_VARCHAR or type.id == TYPE_ASCII:
            return False
        wire_put(writer, value.data, value.size)
        return True
    if type.id not in (TYPE_VARCHAR, TYPE_ASCII, TYPE_TIMESTAMP, TYPE_DATE, TYPE_TIME, TYPE_INET):
        return _put_string(value, False, writer)
    wire_put_byte(writer, b"'")
    fine = _put_string(value, True, writer)
    wire_put_byte(writer, b"'")
    return fine


cdef bint json_literal_put(const cql_type_t *type, slice_t value, wire_writer_t *writer) noexcept nogil:
    """The value of a member as a literal of that type; whether it is one, cql_literal_put finds out. False: surely not."""
    return _put(type, value, writer, 0)
