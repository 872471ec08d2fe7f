"""See segment.pxd. Pure functions: who keeps bytes of a cut segment, or of a frame that goes over several, is the caller."""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from shotover._core.status cimport BAD, NEED_DATA, OK

cdef extern from "shotover/_codec/crc.h" nogil:
    """
    #define CRC24_SHIFT(c) ((((c) << 1) ^ (((c) & 0x800000u) ? 0x1974F0Bu : 0)) & 0xffffffu)
    #define CRC24_BITS(before, next, bit) CRC24_BIT_##bit = CRC24_SHIFT(before)
    enum {
        CRC24_BIT_0 = CRC24_SHIFT(0x800000u), CRC24_BIT_1 = CRC24_SHIFT(CRC24_BIT_0),
        CRC24_BIT_2 = CRC24_SHIFT(CRC24_BIT_1), CRC24_BIT_3 = CRC24_SHIFT(CRC24_BIT_2),
        CRC24_BIT_4 = CRC24_SHIFT(CRC24_BIT_3), CRC24_BIT_5 = CRC24_SHIFT(CRC24_BIT_4),
        CRC24_BIT_6 = CRC24_SHIFT(CRC24_BIT_5), CRC24_BIT_7 = CRC24_SHIFT(CRC24_BIT_6)
    };
    #define CRC24_ENTRY(t, i) (uint32_t)( \\
        CRC_IF(i, 1, CRC24_BIT_0) ^ CRC_IF(i, 2, CRC24_BIT_1) ^ CRC_IF(i, 4, CRC24_BIT_2) ^ CRC_IF(i, 8, CRC24_BIT_3) ^ \\
        CRC_IF(i, 16, CRC24_BIT_4) ^ CRC_IF(i, 32, CRC24_BIT_5) ^ CRC_IF(i, 64, CRC24_BIT_6) ^ CRC_IF(i, 128, CRC24_BIT_7))
    static const uint32_t crc24_table[256] = {CRC_256(CRC24_ENTRY, 0)};
    """
    const uint32_t crc24_table[256]

cdef extern from "shotover/_codec/crc32.h" nogil:
    uint32_t crc32_add(uint32_t crc, const uint8_t *data, size_t size)
    uint32_t crc32_by_tables(uint32_t crc, const uint8_t *data, size_t size)

cdef extern from "shotover/_codec/lz4.h" nogil:
    int    lz4_decompress(const uint8_t *data, size_t size, uint8_t *out, size_t out_size)
    size_t lz4_compress(const uint8_t *data, size_t size, uint8_t *out, size_t room)


cdef enum:
    PACKED_HEADER = 8
    SUM_24 = 3
    PLAIN_ALONE_BIT = 17
    PACKED_ALONE_BIT = 34
    CRC24_START = 0x875060
    CRC32_START = 0xBB88812C    # as if the four bytes FA 2D 55 CA stood before the payload


cdef inline uint32_t _crc24(const uint8_t *data, size_t size) noexcept nogil:
    cdef:
        uint32_t crc = CRC24_START
        size_t   at
    for at in range(size):
        crc = ((crc << 8) ^ crc24_table[(crc >> 16) ^ data[at]]) & 0xffffff
    return crc


cdef inline uint32_t _crc32(const uint8_t *payload, size_t size) noexcept nogil:
    return ~crc32_add(<uint32_t>CRC32_START, payload, size)


cdef inline uint64_t _number(const uint8_t *at, size_t size) noexcept nogil:
    cdef:
        uint64_t number = 0
        size_t   index
    for index in range(size):
        number |= <uint64_t>at[index] << (8 * index)
    return number


cdef inline void _put_number(uint8_t *at, uint64_t number, size_t size) noexcept nogil:
    cdef size_t index
    for index in range(size):
        at[index] = <uint8_t>(number >> (8 * index))


cdef status_t segment_head(segment_t *segment, const uint8_t *at, size_t size, bint lz4) noexcept nogil:
    """Reads the header of the segment that begins at `at`, of which `size` bytes are there.

    OK: how large it is is known, whether it is all there or not; NEED_DATA: for its header; BAD: its sum is wrong, or it
    says what cannot be.
    """
    cdef uint64_t word
    segment.header = PACKED_HEADER if lz4 else SEGMENT_PLAIN_HEADER
    if size < segment.header:
        return NEED_DATA
    word = _number(at, segment.header - SUM_24)
    if _crc24(at, segment.header - SUM_24) != _number(at + segment.header - SUM_24, SUM_24):
        return BAD
    segment.sent = word & SEGMENT_PAYLOAD_MAX
    if lz4:
        segment.payload = (word >> 17) & SEGMENT_PAYLOAD_MAX
        segment.packed = segment.payload != 0
        segment.alone = (word >> PACKED_ALONE_BIT) & 1
        if not segment.packed:
            segment.payload = segment.sent
    else:
        segment.payload = segment.sent
        segment.packed = False
        segment.alone = (word >> PLAIN_ALONE_BIT) & 1
    segment.whole = segment.header + segment.sent + SEGMENT_TRAILER
    return OK


cdef status_t segment_check(const segment_t *segment, const uint8_t *at) noexcept nogil:
    """BAD: the payload's sum is not what its trailer says. `at` is where the segment begins; all of it must be there."""
    cdef const uint8_t *payload = at + segment.header
    return OK if _crc32(payload, segment.sent) == _number(payload + segment.sent, SEGMENT_TRAILER) else BAD


cdef status_t segment_open(const segment_t *segment, const uint8_t *at, uint8_t *out) noexcept nogil:
    """Writes the payload, segment.payload bytes, to `out`. BAD: its sum is wrong, or it cannot be decompressed."""
    cdef const uint8_t *payload = at + segment.header
    if segment_check(segment, at) != OK:
        return BAD
    if not segment.packed:
        memcpy(out, payload, segment.sent)
    elif lz4_decompress(payload, segment.sent, out, segment.payload) != 0:
        return BAD
    return OK


cdef size_t segment_room(size_t payload) noexcept nogil:
    """The most that a segment of so large a payload takes."""
    return payload + SEGMENT_AROUND_MAX


cdef size_t segment_write(uint8_t *out, const uint8_t *payload, size_t size, bint alone, bint lz4) noexcept nogil:
    """Writes a segment with these `size` <= SEGMENT_PAYLOAD_MAX bytes to `out`, which has segment_room for it. Returns its
    size. What does not become smaller by compression is sent as it is."""
    cdef:
        size_t header = PACKED_HEADER if lz4 else SEGMENT_PLAIN_HEADER
        size_t sent = 0
    if lz4:
        sent = lz4_compress(payload, size, out + header, size)      # not one byte more than it was
        _put_number(out, sent | size << 17 if sent else size, header - SUM_24)
        if alone:
            out[PACKED_ALONE_BIT // 8] |= 1 << PACKED_ALONE_BIT % 8
    else:
        _put_number(out, size | <size_t>alone << PLAIN_ALONE_BIT, header - SUM_24)
    if sent == 0:
        sent = size
        memcpy(out + header, payload, size)
    _put_number(out + header - SUM_24, _crc24(out, header - SUM_24), SUM_24)
    _put_number(out + header + sent, _crc32(out + header, sent), SEGMENT_TRAILER)
    return header + sent + SEGMENT_TRAILER


cdef void segment_seal(uint8_t *out, size_t size, bint alone) noexcept nogil:
    """Makes a plain segment of a payload that lies already where it belongs, SEGMENT_PLAIN_HEADER bytes behind `out`; there
    must be room for the SEGMENT_TRAILER behind it."""
    _put_number(out, size | <size_t>alone << PLAIN_ALONE_BIT, SEGMENT_PLAIN_HEADER - SUM_24)
    _put_number(out + SEGMENT_PLAIN_HEADER - SUM_24, _crc24(out, SEGMENT_PLAIN_HEADER - SUM_24), SUM_24)
    _put_number(out + SEGMENT_PLAIN_HEADER + size, _crc32(out + SEGMENT_PLAIN_HEADER, size), SEGMENT_TRAILER)
