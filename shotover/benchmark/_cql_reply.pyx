"""See _cql_reply.pxd."""

from libc.string cimport memcmp

from shotover.benchmark._cql_flow cimport CQL_HEAD, OP_ERROR, OP_RESULT, RESULT_ROWS, RESULT_VOID, int_at, short_at
from shotover.benchmark._reply cimport EXPECT_ROW, KEY_BYTES, REPLY_ERROR, REPLY_NIL, REPLY_WRONG, key_write

cdef enum:
    FLAG_WARNINGS = 8


cdef const uint8_t *behind_warnings(const cql_frame_t *frame) noexcept nogil:
    """Where the body proper begins; the end of the frame where what stands before it is cut."""
    cdef:
        const uint8_t *at = frame.data + CQL_HEAD
        const uint8_t *end = frame.data + frame.size
        uint32_t       left
    if not frame.data[1] & FLAG_WARNINGS:
        return at
    if end - at < 2:
        return end
    left = short_at(at)
    at += 2
    while left:
        if end - at < 2 or end - at - 2 < short_at(at):
            return end
        at += 2 + short_at(at)
        left -= 1
    return at


cdef uint8_t cql_reply_flags(
    const cql_frame_t *frame, const expect_t *expect, uint64_t key, const char **text, size_t *text_size
) noexcept nogil:
    """reply_flag bits, 0 for what it must be; of an ERROR, its message too.

    A row is one of one column, whose value is the end of the frame: of the expected size, and it begins with its key.
    """
    cdef:
        const uint8_t *end = frame.data + frame.size
        const uint8_t *at = behind_warnings(frame)
        char           mark[KEY_BYTES]
    text_size[0] = 0
    if end - at < 4:
        return REPLY_WRONG
    if frame.data[4] == OP_ERROR:
        if end - at >= 6:
            text[0] = <const char *>at + 6
            text_size[0] = min(<size_t>short_at(at + 4), <size_t>(end - at - 6))
        return REPLY_ERROR
    if frame.data[4] != OP_RESULT:
        return REPLY_WRONG
    if expect.kind != EXPECT_ROW:
        return 0 if int_at(at) == RESULT_VOID else REPLY_WRONG
    if int_at(at) != RESULT_ROWS or end - at < 16:
        return REPLY_WRONG
    if int_at(end - 4) == 0:                        # no rows: their count is the last there is
        return REPLY_NIL
    if <uint64_t>(end - at) < expect.bulk_bytes + 16 or int_at(end - expect.bulk_bytes - 4) != expect.bulk_bytes:
        return REPLY_WRONG
    if expect.marked:
        key_write(mark, key)
        if memcmp(end - expect.bulk_bytes, mark, KEY_BYTES) != 0:
            return REPLY_WRONG
    return 0
