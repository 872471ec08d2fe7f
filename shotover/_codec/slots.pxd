"""Where a key belongs in a Redis Cluster: its slot, and the part of it that decides.

    slot = CRC-16/XMODEM(tag) mod 16384

The tag is what stands between the first `{` and the first `}` after it, or the whole key where there is no such pair or
nothing between them. Twemproxy's rule is the same with any two characters, also with twice the same one.
"""

from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memchr

from shotover._core.slice cimport slice_t

cdef enum:
    SLOT_COUNT = 16384


cdef inline slice_t key_tag(const uint8_t *key, size_t size, uint8_t opening, uint8_t closing) noexcept nogil:
    """The part of `key` that decides where it belongs; lies in `key`."""
    cdef:
        slice_t        tag
        const uint8_t *start = <const uint8_t *>memchr(key, opening, size)
        const uint8_t *end
    tag.data = <uint8_t *>key
    tag.size = size
    if start is NULL:
        return tag
    start += 1
    end = <const uint8_t *>memchr(start, closing, <size_t>(key + size - start))
    if end is not NULL and end != start:
        tag.data = <uint8_t *>start
        tag.size = <size_t>(end - start)
    return tag


cdef uint16_t crc16(const uint8_t *data, size_t size) noexcept nogil
cdef uint16_t key_slot(const uint8_t *key, size_t size) noexcept nogil
