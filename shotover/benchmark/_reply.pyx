"""Cuts a byte stream into replies, wherever the reads happened to cut it, and judges each against what was expected.

    between replies --header--> in a reply --header of a bulk--> in its body --CRLF--> in a reply ... --last--> done

Nested arrays are counted flat: an array of n adds n headers to those still to come, whatever its depth.
"""

from libc.string cimport memchr, memcmp, memcpy


cdef inline uint32_t line_keep(reply_t *reply, const char *data, size_t size) noexcept nogil:
    """Adds a piece of a cut line to what is kept of it; what is past LINE_BYTES_MAX is dropped. Returns the new size."""
    cdef size_t room = LINE_BYTES_MAX - reply.line_size
    if size > room:
        size = room
    memcpy(reply.line + reply.line_size, data, size)
    reply.line_size += <uint32_t>size
    return reply.line_size


cdef inline bint length_read(const char *line, size_t size, long long *length) noexcept nogil:
    """The decimal number behind a header's type byte, up to its CR. False when there is none."""
    cdef:
        long long number = 0
        size_t at = 1
        bint negative = False
    if size > 1 and line[1] == c"-":
        negative = True
        at = 2
    if at >= size or line[at] < c"0" or line[at] > c"9":
        return False
    while at < size and c"0" <= line[at] <= c"9" and number < 1000000000000LL:
        number = number * 10 + (line[at] - c"0")
        at += 1
    length[0] = -number if negative else number
    return at < size and line[at] == c"\r"


cdef inline void first_header_judge(
    reply_t *reply, const expect_t *expect, const char *line, size_t size, long long length
) noexcept nogil:
    """The reply's own type and length, before anything inside it."""
    reply.started = 1
    if line[0] == c"-" or line[0] == c"!":
        reply.flags |= REPLY_ERROR
    elif expect.kind == EXPECT_OK:
        if size < 4 or line[0] != c"+" or line[1] != c"O" or line[2] != c"K" or line[3] != c"\r":
            reply.flags |= REPLY_WRONG
    elif expect.kind == EXPECT_ARRAY:
        if line[0] != c"*" or length != expect.elements:
            reply.flags |= REPLY_WRONG
    elif line[0] != c"$" and line[0] != c"_":
        reply.flags |= REPLY_WRONG


cdef inline void bulk_judge(
    reply_t *reply, const expect_t *expect, uint64_t key_first, uint64_t key_count,
    const char *body, size_t seen, long long length
) noexcept nogil:
    """A bulk's size and, where its first KEY_BYTES have come with its header, whose value it is."""
    cdef char key[16]
    if reply.flags & REPLY_ERROR:
        return
    if <uint64_t>length != expect.bulk_bytes:
        reply.flags |= REPLY_WRONG
    elif expect.marked and seen >= KEY_BYTES:
        key_write(key, (key_first + <uint64_t>reply.bulk_index * KEY_STRIDE) % key_count)
        if memcmp(key, body, KEY_BYTES) != 0:
            reply.flags |= REPLY_WRONG


cdef inline scan_status header_take(
    reply_t *reply, const expect_t *expect, uint64_t key_first, uint64_t key_count,
    const char *line, size_t size, const char *body, size_t seen
) noexcept nogil:
    """One header line, LF excluded; `body` are the `seen` bytes behind it."""
    cdef:
        char kind = line[0] if size > 0 else c"\0"
        long long length = 0
        bint counted = kind in (c"$", c"*", c"%", c"~", c"=", c"!")

    if counted and not length_read(line, size, &length):
        return SCAN_GARBAGE
    if not counted and kind not in (c"+", c"-", c":", c"_", c",", c"#", c"("):
        return SCAN_GARBAGE
    if not reply.started:
        first_header_judge(reply, expect, line, size, length)
    reply.elements_left -= 1
    if kind == c"*" or kind == c"~" or kind == c"%":
        if length > 0:
            reply.elements_left += <uint64_t>length * (2 if kind == c"%" else 1)
        elif length < 0:
            reply.flags |= REPLY_NIL
    elif kind == c"_" or (counted and length < 0):
        reply.flags |= REPLY_NIL
        reply.bulk_index += 1
    elif counted:
        bulk_judge(reply, expect, key_first, key_count, body, seen, length)
        reply.bulk_index += 1
        reply.body_left = <uint64_t>length + 2
    return SCAN_MORE


cdef scan_status reply_scan(
    reply_t *reply, const expect_t *expect, uint64_t key_first, uint64_t key_count,
    const char *data, size_t size, size_t *used,
) noexcept nogil:
    """Goes on with `reply` through `data`, to its end or the data's; `used` says how far. Keeps no pointer into `data`.

    SCAN_DONE: `reply.flags` is the verdict; the caller zeroes `reply` before the next one.
    """
    cdef:
        const char *at = data
        const char *end = data + size
        const char *line
        const char *newline
        size_t step
        size_t line_size

    if not reply.started and reply.elements_left == 0:
        reply.elements_left = 1
    while at < end:
        if reply.body_left > 0:
            step = <size_t>(end - at)
            if step > reply.body_left:
                step = <size_t>reply.body_left
            at += step
            reply.body_left -= step
        else:
            newline = <const char *>memchr(at, c"\n", <size_t>(end - at))
            if newline is NULL:
                line_keep(reply, at, <size_t>(end - at))
                at = end
                break
            line = at
            line_size = <size_t>(newline - at)
            if reply.line_size > 0:
                line_size = line_keep(reply, at, line_size)
                line = reply.line
            at = newline + 1
            if header_take(reply, expect, key_first, key_count, line, line_size, at, <size_t>(end - at)) != SCAN_MORE:
                used[0] = <size_t>(at - data)
                return SCAN_GARBAGE
            if reply.flags & REPLY_ERROR and line is not reply.line:
                line_keep(reply, line, line_size)         # kept for the report; the reply ends here
            elif not reply.flags & REPLY_ERROR:
                reply.line_size = 0
        if reply.elements_left == 0 and reply.body_left == 0:
            used[0] = <size_t>(at - data)
            return SCAN_DONE
    used[0] = size
    return SCAN_MORE
