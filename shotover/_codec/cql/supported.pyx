"""See supported.pxd."""

from libc.stdint cimport uint32_t
from libc.string cimport memmove

from shotover._codec.cql.frame cimport VERSION_MAX, put_short, read_short, read_string, slice_is
from shotover._core.slice cimport slice_t


cdef bint _is_ours(const slice_t *name, const slice_t *value) noexcept nogil:
    """Whether both sides can do what a value stands for."""
    if slice_is(name, b"PROTOCOL_VERSIONS"):    # "4/v4", "6/v6-beta"
        return value.size > 1 and 48 <= value.data[0] <= 48 + VERSION_MAX and not 48 <= value.data[1] <= 57
    if slice_is(name, b"COMPRESSION"):
        return slice_is(value, b"LZ4") or slice_is(value, b"SNAPPY")
    return True


cdef size_t supported_trim(uint8_t *body, size_t size) noexcept nogil:
    """Takes out, in place, what the server can do and we cannot. Returns what is left of `size`; all of it where the body cannot
    be read."""
    cdef:
        const uint8_t *end = body + size
        const uint8_t *at = body + 2
        uint8_t       *to = body + 2
        uint8_t       *count_at
        slice_t        name, value
        uint32_t       names, left, kept, _
    if size < 2:
        return size
    names = read_short(body)
    while names:                                # first without a change: is it what it should be?
        at = read_string(at, end, &name)
        if at is NULL or end - at < 2:
            return size
        left = read_short(at)
        at += 2
        while left:
            at = read_string(at, end, &value)
            if at is NULL:
                return size
            left -= 1
        names -= 1
    at = body + 2
    for _ in range(read_short(body)):
        at = read_string(at, end, &name)
        left = read_short(at)
        memmove(to, name.data - 2, name.size + 2)
        name.data = to + 2                      # what it was may have been written over
        to += name.size + 2
        count_at = to
        to += 2
        at += 2
        kept = 0
        while left:
            at = read_string(at, end, &value)
            if _is_ours(&name, &value):
                memmove(to, value.data - 2, value.size + 2)
                to += value.size + 2
                kept += 1
            left -= 1
        put_short(count_at, kept)
    return <size_t>(to - body)
