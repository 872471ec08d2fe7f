"""Segments: what carries the frames of CQL v5 once STARTUP has been answered (native_protocol_v5.spec, section 2).

    plain        LLLLLLLL LLLLLLLL -----ALL | CRC24 | payload | CRC32       L: bytes of payload, A: whole frames, alone
    compressed   the same with 17 bits of the payload's size as sent, 17 of its size before compression (0: it is sent as
                 it was), then A; five bytes

All numbers lie lowest byte first. The first sum is of the header, the second of the payload as sent. A segment with A
holds one or more whole frames; one without it holds a part of a frame that is larger than a segment, and nothing else.
"""

from libc.stdint cimport uint8_t, uint32_t

from shotover._core.status cimport status_t


cdef enum:
    SEGMENT_PAYLOAD_MAX = 131071    # bytes, before compression and as sent
    SEGMENT_PLAIN_HEADER = 6
    SEGMENT_TRAILER = 4
    SEGMENT_AROUND_MAX = 12         # header and trailer

cdef struct segment_t:
    uint32_t header                 # bytes before the payload
    uint32_t sent                   # bytes of the payload as it lies there
    uint32_t payload                # ... and as it was before compression
    uint32_t whole                  # bytes of the segment
    bint     packed                 # it is compressed
    bint     alone                  # whole frames, and not a part of one


cdef status_t segment_head(segment_t *segment, const uint8_t *at, size_t size, bint lz4) noexcept nogil
cdef status_t segment_open(const segment_t *segment, const uint8_t *at, uint8_t *out) noexcept nogil
cdef status_t segment_check(const segment_t *segment, const uint8_t *at) noexcept nogil
cdef size_t segment_room(size_t payload) noexcept nogil
cdef size_t segment_write(uint8_t *out, const uint8_t *payload, size_t size, bint alone, bint lz4) noexcept nogil
cdef void segment_seal(uint8_t *out, size_t size, bint alone) noexcept nogil
