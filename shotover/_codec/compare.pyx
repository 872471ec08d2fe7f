"""See compare.pxd."""

from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp

from shotover._codec.resp cimport resp_frame_size


cdef bint replies_agree(const slice_t *one, const slice_t *other, uint8_t how) noexcept nogil:
    """Two whole replies."""
    cdef:
        bint     one_fails, other_fails
        uint64_t one_sum = 0, other_sum = 0
    if one.size == 0 or other.size == 0:
        return one.size == other.size
    if one.size == other.size and memcmp(one.data, other.data, one.size) == 0:
        return True
    one_fails = one.data[0] == b'-' or one.data[0] == b'!'
    other_fails = other.data[0] == b'-' or other.data[0] == b'!'
    if how == COMPARE_OUTCOME:
        return one_fails == other_fails
    if how == COMPARE_EXACT or one.size != other.size or one_fails or other_fails:
        return False
    return _sum(one, &one_sum) and _sum(other, &other_sum) and one_sum == other_sum


cdef bint _sum(const slice_t *reply, uint64_t *total) noexcept nogil:
    """The sum of the hashes of an aggregate's header and elements, which does not depend on their order."""
    cdef:
        uint8_t *at = reply.data
        uint8_t *end = reply.data + reply.size
        uint8_t *line
        size_t   size
    if at[0] != b'*' and at[0] != b'~' and at[0] != b'%':
        return False
    line = <uint8_t *>memchr(at, b'\n', reply.size)
    if line is NULL:
        return False
    total[0] += _hash(at, <size_t>(line - at))
    at = line + 1
    while at < end:
        size = resp_frame_size(at, end)
        if size == 0:
            return False
        total[0] += _hash(at, size)
        at += size
    return True


cdef uint64_t _hash(const uint8_t *at, size_t size) noexcept nogil:
    cdef:
        uint64_t hash = 14695981039346656037u
        size_t   index
    for index in range(size):
        hash = (hash ^ at[index]) * 1099511628211u
    return (hash ^ hash >> 29) * 0x9E3779B97F4A7C15u
