"""Replies as the load generator sees them: where each one ends, and whether it is what the request asked for.

Nothing is kept of a reply but a few counters and the beginning of a line that was cut, so a 1 MiB value costs no copy.
Deliberately not Shotover's own codec: an instrument that shares code with what it measures shares its faults.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum expect_kind:
    EXPECT_OK                       # +OK
    EXPECT_BULK                     # one bulk of bulk_size bytes
    EXPECT_ARRAY                    # an array of `elements` such bulks
    EXPECT_ROW                      # CQL: one row of one column, a value of bulk_size bytes
    EXPECT_VOID                     # CQL: done

cdef enum reply_flag:
    REPLY_ERROR = 1                 # the server answered with an error
    REPLY_WRONG = 2                 # another type, size, count or key than asked for
    REPLY_NIL = 4                   # a key that was not there

cdef enum scan_status:
    SCAN_MORE                       # the bytes end before the reply does
    SCAN_DONE
    SCAN_GARBAGE                    # not a reply of RESP; the connection is of no more use

cdef enum:
    LINE_BYTES_MAX = 64             # of a line: what is kept when it is cut, and of an error, for the report
    KEY_BYTES = 16                  # "key:" and twelve digits
    KEY_STRIDE = 7919               # from one key of an MGET to the next; prime

ctypedef struct expect_t:
    expect_kind kind
    uint32_t    elements            # EXPECT_ARRAY: its length
    uint64_t    bulk_bytes          # size of each bulk
    bint        marked              # values begin with the text of their key, so a swapped reply is noticed

ctypedef struct reply_t:
    uint64_t body_left              # of a bulk: bytes still to come, its CRLF included
    uint64_t elements_left          # headers still to come; 0 = between replies
    uint32_t bulk_index             # bulks seen in this reply
    uint8_t  flags                  # reply_flag
    uint8_t  started                # the reply's first header was seen
    uint32_t line_size              # bytes kept of a cut line
    char     line[64]               # LINE_BYTES_MAX


cdef inline void key_write(char *to, uint64_t number) noexcept nogil:
    """Writes KEY_BYTES: the key of that number."""
    cdef int place
    to[0] = c"k"
    to[1] = c"e"
    to[2] = c"y"
    to[3] = c":"
    for place in range(15, 3, -1):
        to[place] = <char>(48 + number % 10)
        number = number // 10


cdef scan_status reply_scan(
    reply_t *reply, const expect_t *expect, uint64_t key_first, uint64_t key_count,
    const char *data, size_t size, size_t *used,
) noexcept nogil
