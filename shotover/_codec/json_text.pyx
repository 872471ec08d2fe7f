"""See json_text.pxd. What is no UTF-8 is shown as in Python: \\xff; that is for people, who would make of other ways no more."""

from libc.stdio cimport snprintf
from libc.string cimport memcpy, strlen


cdef void json_begin(json_t *json, uint8_t *room, size_t size) noexcept nogil:
    json.at = room
    json.end = room + size
    json.full = False
    json.comma = False


cdef void json_raw(json_t *json, const void *data, size_t size) noexcept nogil:
    if json.full or <size_t>(json.end - json.at) < size:
        json.full = True
        return
    memcpy(json.at, data, size)
    json.at += size


cdef size_t _utf8(const uint8_t *at, size_t left) noexcept nogil:
    """Bytes of the character that begins at `at`, 0x80 or more; 0: it is none."""
    cdef:
        size_t size = 2 if 0xc2 <= at[0] < 0xe0 else (3 if 0xe0 <= at[0] < 0xf0 else (4 if 0xf0 <= at[0] < 0xf5 else 0))
        size_t index
    if size == 0 or size > left:
        return 0
    for index in range(1, size):
        if at[index] & 0xc0 != 0x80:
            return 0
    if (at[0] == 0xe0 and at[1] < 0xa0) or (at[0] == 0xed and at[1] >= 0xa0):
        return 0
    if (at[0] == 0xf0 and at[1] < 0x90) or (at[0] == 0xf4 and at[1] >= 0x90):
        return 0
    return size


cdef void json_text(json_t *json, const uint8_t *data, size_t size) noexcept nogil:
    """What stands between the quotes of a string."""
    cdef:
        char    escaped[8]
        size_t  at = 0, plain, more
        uint8_t byte
    while at < size:
        plain = at
        while plain < size and 32 <= data[plain] < 127 and data[plain] != b'"' and data[plain] != b'\\':
            plain += 1
        if plain > at:
            json_raw(json, data + at, plain - at)
            at = plain
            continue
        byte = data[at]
        more = _utf8(data + at, size - at) if byte >= 0x80 else 0
        if more:
            json_raw(json, data + at, more)
            at += more
            continue
        if byte == b'"' or byte == b'\\':
            escaped[0] = b'\\'
            escaped[1] = <char>byte
            json_raw(json, escaped, 2)
        elif byte < 32:
            json_raw(json, escaped, <size_t>snprintf(escaped, sizeof(escaped), b"\\u%04x", <int>byte))
        else:
            json_raw(json, escaped, <size_t>snprintf(escaped, sizeof(escaped), b"\\\\x%02x", <int>byte))
        at += 1


cdef void json_name(json_t *json, const char *name) noexcept nogil:
    """`"name":`, with a comma before it if it is not the first."""
    if json.comma:
        json_raw(json, b",", 1)
    json.comma = True
    json_raw(json, b'"', 1)
    json_raw(json, name, strlen(name))
    json_raw(json, b'":', 2)


cdef void json_word(json_t *json, const char *name, const char *word) noexcept nogil:
    """A field whose value needs no escaping."""
    json_name(json, name)
    json_raw(json, b'"', 1)
    json_raw(json, word, strlen(word))
    json_raw(json, b'"', 1)


cdef void json_string(json_t *json, const char *name, slice_t value, size_t most) noexcept nogil:
    """A field of which at most so many bytes are shown."""
    json_name(json, name)
    json_raw(json, b'"', 1)
    json_text(json, value.data, min(value.size, most))
    if value.size > most:
        json_raw(json, b"...", 3)
    json_raw(json, b'"', 1)


cdef void json_number(json_t *json, const char *name, uint64_t value) noexcept nogil:
    cdef char digits[24]
    json_name(json, name)
    json_raw(json, digits, <size_t>snprintf(digits, sizeof(digits), b"%llu", <unsigned long long>value))
