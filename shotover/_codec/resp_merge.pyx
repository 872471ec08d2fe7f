"""See resp_merge.pxd."""

from libc.stdint cimport INT64_MIN
from libc.string cimport memcmp, strlen

from shotover._codec.resp cimport resp_integer

cdef enum:
    ELEMENTS_MAX = 1099511627776

cdef const char *EXCUSES[10]    # what a server says that could not do it now, whatever the command
EXCUSES = [b"-LOADING", b"-OOM", b"-READONLY", b"-MISCONF", b"-NOREPLICAS", b"-BUSY ", b"-MASTERDOWN", b"-CLUSTERDOWN",
           b"-TRYAGAIN", b"-ERR max number of clients"]
cdef const char *AWAY[4]        # ... to any command at all
AWAY = [b"-LOADING", b"-MASTERDOWN", b"-CLUSTERDOWN", b"-ERR max number of clients"]


cdef bint reply_begins(const slice_t *reply, const char *text) noexcept nogil:
    cdef size_t size = strlen(text)
    return reply.size >= size and memcmp(reply.data, text, size) == 0


cdef bint reply_is_error(const slice_t *reply) noexcept nogil:
    return reply.size == 0 or reply.data[0] == b'-' or reply.data[0] == b'!'


cdef bint reply_is_null(const slice_t *reply) noexcept nogil:
    return reply_begins(reply, b"$-1") or reply_begins(reply, b"*-1") or reply_begins(reply, b"_")


cdef bint reply_is_excuse(const slice_t *reply) noexcept nogil:
    """An error that has to do with the server's state, not with the command: another time it may be carried out."""
    cdef int index
    for index in range(10):
        if reply_begins(reply, EXCUSES[index]):
            return True
    return False


cdef bint reply_is_away(const slice_t *reply) noexcept nogil:
    """An error that says that this server serves nothing at present."""
    cdef int index
    for index in range(4):
        if reply_begins(reply, AWAY[index]):
            return True
    return False


cdef int64_t reply_integer(const slice_t *reply) noexcept nogil:
    """The number of an integer reply; the least there is for any other."""
    cdef int64_t value = INT64_MIN
    return value if resp_integer(reply.data, reply.data + reply.size, &value) else INT64_MIN


cdef int64_t reply_elements(const slice_t *reply) noexcept nogil:
    """How many elements an array or a set has; -1 for any other."""
    cdef:
        int64_t count = 0
        size_t  at = 1
    if reply.size < 4 or (reply.data[0] != b'*' and reply.data[0] != b'~') or reply.data[1] == b'-':
        return -1
    while at < reply.size and 48 <= reply.data[at] <= 57 and count < ELEMENTS_MAX:
        count = count * 10 + reply.data[at] - 48
        at += 1
    return count


cdef int vote(const slice_t **replies, int count) noexcept nogil:
    """The index of the reply that most have given; of several such, the first."""
    cdef:
        int best = 0, votes_best = 0, votes, one, other
    for one in range(count):
        votes = 0
        for other in range(count):
            if replies[one].size == replies[other].size \
                    and memcmp(replies[one].data, replies[other].data, replies[one].size) == 0:
                votes += 1
        if votes > votes_best:
            votes_best = votes
            best = one
    return best
