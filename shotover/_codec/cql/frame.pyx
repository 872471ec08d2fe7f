"""See frame.pxd."""

from libc.string cimport memcpy, strlen


cdef size_t frame_head(uint8_t *out, uint8_t version, uint16_t stream, uint8_t opcode, size_t body_size) noexcept nogil:
    """The header of a frame without flags; `version` with IS_REPLY where it is one. Returns its size."""
    cdef uint8_t *at = out
    at[0] = version
    at[1] = 0
    if version & ~IS_REPLY < VERSION_MIN:
        at[2] = <uint8_t>stream
        at += 3
    else:
        put_short(at + 2, stream)
        at += 4
    at[0] = opcode
    put_int(at + 1, <uint32_t>body_size)
    return <size_t>(at + 5 - out)


cdef size_t frame_error(
    uint8_t *out, size_t room, uint8_t version, uint16_t stream, uint32_t code, const char *text, size_t text_size
) noexcept nogil:
    """An ERROR frame that has no more than a code and a message, cut to fit. Returns its size."""
    cdef size_t size
    text_size = min(text_size, room - HEADER_SIZE - 6, <size_t>0x7fff)
    size = frame_head(out, version | IS_REPLY, stream, OP_ERROR, text_size + 6)
    put_int(out + size, code)
    put_string(out + size + 4, text, text_size)
    return size + 6 + text_size


cdef const uint8_t *read_string(const uint8_t *at, const uint8_t *end, slice_t *string) noexcept nogil:
    """A [string] at `at`. Returns what follows it; NULL: it is cut, or `at` is NULL."""
    if at is NULL or end - at < 2 or end - at - 2 < read_short(at):
        return NULL
    string.data = <uint8_t *>at + 2
    string.size = read_short(at)
    return at + 2 + string.size


cdef uint8_t *put_string(uint8_t *out, const void *text, size_t size) noexcept nogil:
    """A [string]; returns what follows it."""
    put_short(out, <uint32_t>size)
    memcpy(out + 2, text, size)
    return out + 2 + size


cdef bint slice_is(const slice_t *slice, const char *text) noexcept nogil:
    """The same letters but for their case; `text` is upper case, ASCII."""
    cdef:
        size_t  index
        uint8_t letter
    if slice.size != strlen(text):
        return False
    for index in range(slice.size):
        letter = slice.data[index]
        if b'a' <= letter <= b'z':
            letter -= 32
        if letter != <uint8_t>text[index]:
            return False
    return True
