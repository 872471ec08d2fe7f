"""See resp_again.pxd. `out` has as many bytes as are read: nothing is written longer than it came.

Both return how many bytes they have written; 0: it is not what it should be.
"""

from libc.string cimport memchr, memcpy

from libc.stdint cimport uint64_t

from shotover._codec.resp_edit cimport resp_put_head


cdef const uint8_t *_line(const uint8_t *at, const uint8_t *end, bint *plain, uint64_t *number) noexcept nogil:
    """Behind the line at `at`; NULL: it does not end. `plain`: behind its sign stands a `number` without one."""
    cdef:
        const uint8_t *close = <const uint8_t *>memchr(at, b'\n', <size_t>(end - at)) if at < end else NULL
        const uint8_t *digit = at + 1
    if close is NULL or close - at < 2 or (close - 1)[0] != b'\r':
        return NULL
    number[0] = 0
    plain[0] = 0 < close - 1 - digit < 19
    while digit < close - 1:
        if not b'0' <= digit[0] <= b'9':
            plain[0] = False
        number[0] = number[0] * 10 + (digit[0] - 48)
        digit += 1
    return close + 1


cdef size_t _again(const uint8_t *at, const uint8_t *end, uint8_t *out, bint request) noexcept nogil:
    cdef:
        const uint8_t *following
        uint8_t       *to = out
        uint8_t        sign
        uint64_t       number
        bint           plain
    while at < end:
        sign = at[0]
        following = _line(at, end, &plain, &number)
        if following is NULL or (request and not plain):
            return 0
        if sign in b"$=!" and plain:                    # so many bytes, and a line's end
            if <uint64_t>(end - following) < number + 2 or following[number] != b'\r' or following[number + 1] != b'\n':
                return 0
            to = resp_put_head(to, sign, number)
            memcpy(to, following, number + 2)
            to += number + 2
            following += number + 2
        elif sign in b"*%~>|" and plain:
            to = resp_put_head(to, sign, number)
        elif request or sign not in b"+-:,#_($*%~>|=!.;":
            return 0
        else:
            memcpy(to, at, <size_t>(following - at))    # a line of its own, null, or of a size that is told at its end
            to += following - at
        at = following
    return <size_t>(to - out)


cdef size_t resp_request_again(const uint8_t *at, const uint8_t *end, uint8_t *out) noexcept nogil:
    """An array of bulk strings."""
    return _again(at, end, out, True) if at < end and at[0] == b'*' else 0


cdef size_t resp_reply_again(const uint8_t *at, const uint8_t *end, uint8_t *out) noexcept nogil:
    return _again(at, end, out, False)
