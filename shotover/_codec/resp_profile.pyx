"""See resp_profile.pxd. HELLO may log in, too, and so may AUTH after it: their order is kept, and the last one holds."""

from libc.string cimport memcmp, memcpy

from shotover._codec.commands cimport word_is
from shotover._codec.resp cimport resp_frame_size, resp_words

cdef enum:
    WORDS = 3


cdef size_t profile_compact(uint8_t *out, const uint8_t *old, size_t size) noexcept nogil:
    """Writes to `out` (as large as `old`) what is left when all of them have succeeded. Returns its size."""
    cdef:
        slice_t  words[WORDS]
        slice_t  later[WORDS]
        uint32_t count, count_later
        const uint8_t *at = old
        const uint8_t *end = old + size
        const uint8_t *after
        size_t   used = 0, frame, frame_later
        bint     replaced
    while at < end:
        frame = resp_frame_size(at, end)
        if frame == 0:
            break
        count = resp_words(at, at + frame, words, WORDS)
        after = at + frame
        replaced = False
        while after < end and not replaced:
            frame_later = resp_frame_size(after, end)
            if frame_later == 0:
                break
            count_later = resp_words(after, after + frame_later, later, WORDS)
            replaced = _replaces(later, count_later, words, count)
            after += frame_later
        if not replaced:
            memcpy(out + used, at, frame)
            used += frame
        at += frame
    return used


cdef size_t profile_without(uint8_t *out, const uint8_t *old, size_t size, const slice_t *wire) noexcept nogil:
    """Writes to `out` what is left without the first that is just these bytes. Returns its size."""
    cdef:
        const uint8_t *at = old
        const uint8_t *end = old + size
        size_t   used = 0, frame
        bint     found = False
    while at < end:
        frame = resp_frame_size(at, end)
        if frame == 0:
            break
        if not found and frame == wire.size and memcmp(at, wire.data, frame) == 0:
            found = True
        else:
            memcpy(out + used, at, frame)
            used += frame
        at += frame
    return used


cdef bint _replaces(slice_t *words, uint32_t count, slice_t *before, uint32_t count_before) noexcept nogil:
    """Whether the older one has nothing to say any more."""
    if count == 0 or count_before == 0 or not _same(&words[0], &before[0]):
        return False
    if not word_is(&words[0], b"CLIENT", 6):
        return True
    if count < 3 or count_before < 3 or not _same(&words[1], &before[1]):
        return False
    return not word_is(&words[1], b"SETINFO", 7) or _same(&words[2], &before[2])


cdef bint _same(slice_t *one, slice_t *other) noexcept nogil:
    """Two words, but for case."""
    cdef size_t at
    if one.size != other.size:
        return False
    for at in range(one.size):
        if one.data[at] & 223 != other.data[at] & 223:
            return False
    return True
