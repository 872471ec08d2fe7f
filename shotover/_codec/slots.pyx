"""See slots.pxd."""

from libc.stdint cimport uint32_t

cdef extern from "shotover/_codec/crc.h" nogil:
    const uint16_t crc16_table[8][256]

cdef extern from *:
    """
    #define SLOT_FORGET(x) __asm__ volatile("" : "+r"(x))    /* what the compiler knew of x; for measuring */
    """
    void SLOT_FORGET(const uint8_t *) noexcept nogil


cdef uint16_t crc16(const uint8_t *data, size_t size) noexcept nogil:
    """CRC-16/XMODEM."""
    cdef uint32_t crc = 0
    while size >= 8:
        crc = (crc16_table[7][data[0] ^ (crc >> 8)] ^ crc16_table[6][data[1] ^ (crc & 0xff)]
               ^ crc16_table[5][data[2]] ^ crc16_table[4][data[3]] ^ crc16_table[3][data[4]]
               ^ crc16_table[2][data[5]] ^ crc16_table[1][data[6]] ^ crc16_table[0][data[7]])
        data += 8
        size -= 8
    if size >= 4:
        crc = (crc16_table[3][data[0] ^ (crc >> 8)] ^ crc16_table[2][data[1] ^ (crc & 0xff)]
               ^ crc16_table[1][data[2]] ^ crc16_table[0][data[3]])
        data += 4
        size -= 4
    while size:
        crc = (crc << 8 & 0xff00) ^ crc16_table[0][data[0] ^ (crc >> 8)]
        data += 1
        size -= 1
    return <uint16_t>crc


cdef uint16_t key_slot(const uint8_t *key, size_t size) noexcept nogil:
    """0 <= result < SLOT_COUNT; 0 for the empty key. 7 ns for one of 20 bytes."""
    cdef slice_t tag = key_tag(key, size, c'{', c'}')
    return crc16(tag.data, tag.size) % SLOT_COUNT


def slot_of(bytes key not None):
    """The slot of `key`."""
    return key_slot(<const uint8_t *><const char *>key, <size_t>len(key))


def tag_of(bytes key not None, str pair not None = "{}"):
    """The part of `key` that decides where it belongs; `pair`: the two characters around it."""
    cdef:
        bytes   ends = pair.encode("ascii")
        slice_t tag
    if len(ends) != 2:
        raise ValueError("expected two characters")
    tag = key_tag(<const uint8_t *><const char *>key, <size_t>len(key), ends[0], ends[1])
    return tag.data[:tag.size]


def slot_often(bytes key not None, uint32_t rounds):
    """Takes the slot of `key` `rounds` times, for benchmarks."""
    cdef:
        const uint8_t *data = <const uint8_t *><const char *>key
        size_t   size = len(key)
        uint32_t _, total = 0
    with nogil:
        for _ in range(rounds):
            SLOT_FORGET(data)
            total += key_slot(data, size)
    return total
