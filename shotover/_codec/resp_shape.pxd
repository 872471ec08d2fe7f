"""What the reply to a request looks like in RESP3, where that differs from RESP2: a number for each *shape* there is.

From a table by command (resp_shapes.h), and from the words of the request where options decide. resp_upgrade writes
replies by these numbers.
"""

from libc.stdint cimport uint8_t, uint32_t

from shotover._codec.commands cimport command_t
from shotover._core.slice cimport slice_t


cdef extern from "shotover/_codec/resp_shapes.h" nogil:
    enum:                   # those that somebody names; resp_shapes.h has all of them
        SHAPE_ANY
        SHAPE_SET
        SHAPE_MAP
        SHAPE_DOUBLE
        SHAPE_SCORES
        SHAPE_VALUES
        SHAPE_ONE_SCORE
        SHAPE_HELLO
        SHAPE_PUSH
        SHAPE_PONG
        SHAPE_PING_TEXT
        SHAPE_EXEC
        SHAPE_COUNT

cdef enum:                  # instead of a shape
    SHAPE_UNKNOWN = 255     # the command is in no table: a module's, or a newer server's
    SHAPE_TRACKING_REFUSED = 254    # invalidations come to connections of RESP3 alone
    SHAPE_SCRIPT_REFUSED = 253      # a script that makes replies of RESP3
    SHAPE_REFUSED = 252
    SHAPE_LAST = 251        # the greatest number that may be a shape

cdef enum:
    SHAPE_WORDS = 64        # of a request, that are looked at


cdef bint shape_varies(const command_t *command) noexcept nogil
cdef uint8_t reply_shape(const command_t *command, const uint8_t *at, const uint8_t *end) noexcept nogil
