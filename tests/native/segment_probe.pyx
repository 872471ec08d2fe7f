"""See segment_probe.pxd."""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from shotover._codec.cql.compression cimport body_pack, body_room, body_size, body_unpack
from shotover._codec.cql.segment cimport (
    segment_head,
    segment_open,
    segment_room,
    segment_seal,
    segment_t,
    segment_write,
)
from shotover._core.status cimport NEED_DATA, OK

cdef extern from "shotover/_codec/crc32.h" nogil:
    uint32_t crc32_add(uint32_t crc, const uint8_t *data, size_t size)
    uint32_t crc32_by_tables(uint32_t crc, const uint8_t *data, size_t size)


cdef uint8_t *_exact(bytes data) except NULL:
    """A copy that ends where its memory does; to be freed."""
    cdef uint8_t *copy = <uint8_t *>malloc(max(len(data), 1))
    if copy is NULL:
        raise MemoryError
    memcpy(copy, <const char *>data, len(data))
    return copy


def sums(bytes data not None):
    """The CRC-32 of `data`, by the fastest way and by tables."""
    cdef:
        uint8_t *copy = _exact(data)
        uint32_t fast = ~crc32_add(<uint32_t>0xffffffff, copy, <size_t>len(data))
        uint32_t slow = ~crc32_by_tables(<uint32_t>0xffffffff, copy, <size_t>len(data))
    free(copy)
    return fast, slow


def write(bytes payload not None, bint alone, bint lz4):
    """One segment, sealed in place if it is plain."""
    cdef:
        size_t   size = len(payload)
        uint8_t *copy = _exact(payload)
        uint8_t *out = <uint8_t *>malloc(segment_room(size))
        size_t   written = segment_write(out, copy, size, alone, lz4)
        bytes    segment = (<char *>out)[:written]
    if not lz4:
        memcpy(out + 6, copy, size)
        segment_seal(out, size, alone)
        assert segment == (<char *>out)[:written]
    free(out)
    free(copy)
    return segment


def read(bytes data not None, bint lz4):
    """(payload, alone, bytes of the segment) of the first segment; None: more is needed; ValueError: it is broken."""
    cdef:
        uint8_t  *copy = _exact(data)
        uint8_t  *out
        segment_t segment
    try:
        status = segment_head(&segment, copy, <size_t>len(data), lz4)
        if status == NEED_DATA or (status == OK and segment.whole > <size_t>len(data)):
            return None
        if status != OK:
            raise ValueError("header")
        out = <uint8_t *>malloc(max(segment.payload, 1))
        try:
            if segment_open(&segment, copy, out) != OK:
                raise ValueError("payload")
            return (<char *>out)[:segment.payload], bool(segment.alone), segment.whole
        finally:
            free(out)
    finally:
        free(copy)


def pack(int compression, bytes plain not None, room=None):
    """The compressed body; None: it does not fit into `room`."""
    cdef:
        uint8_t *copy = _exact(plain)
        size_t   most = body_room(compression, <size_t>len(plain)) if room is None else <size_t>room
        uint8_t *out = <uint8_t *>malloc(max(most, 1))
        size_t   size = body_pack(compression, copy, <size_t>len(plain), out, most)
        bytes    body = (<char *>out)[:size]
    free(out)
    free(copy)
    return body or None


def unpack(int compression, bytes body not None, size_t most=1 << 28):
    """The body; ValueError: it is not compressed so, or becomes more than `most`."""
    cdef:
        uint8_t *copy = _exact(body)
        uint8_t *out = NULL
        size_t   size
    try:
        if body_size(compression, copy, <size_t>len(body), most, &size) != OK:
            raise ValueError("size")
        out = <uint8_t *>malloc(max(size, 1))
        if body_unpack(compression, copy, <size_t>len(body), out, size) != OK:
            raise ValueError("body")
        return (<char *>out)[:size]
    finally:
        free(out)
        free(copy)


def pack_often(int compression, bytes plain not None, uint32_t rounds):
    """Compresses `rounds` times, for benchmarks; the size."""
    cdef:
        uint8_t *copy = _exact(plain)
        size_t   size = len(plain)
        size_t   most = body_room(compression, size)
        uint8_t *out = <uint8_t *>malloc(most)
        size_t   total = 0
        uint32_t _
    with nogil:
        for _ in range(rounds):
            total = body_pack(compression, copy, size, out, most)
    free(out)
    free(copy)
    return total


def unpack_often(int compression, bytes body not None, uint32_t rounds):
    """Decompresses `rounds` times, for benchmarks; the size."""
    cdef:
        uint8_t *copy = _exact(body)
        size_t   given = len(body)
        size_t   size = 0
        uint8_t *out
        uint32_t _
    if body_size(compression, copy, given, <size_t>1 << 30, &size) != OK:
        raise ValueError
    out = <uint8_t *>malloc(max(size, 1))
    with nogil:
        for _ in range(rounds):
            body_unpack(compression, copy, given, out, size)
    free(out)
    free(copy)
    return size


def segment_often(bytes payload not None, bint lz4, uint32_t rounds):
    """Writes and opens `rounds` segments, for benchmarks; bytes of one."""
    cdef:
        uint8_t  *copy = _exact(payload)
        size_t    size = len(payload)
        uint8_t  *out = <uint8_t *>malloc(segment_room(size))
        uint8_t  *back = <uint8_t *>malloc(max(size, 1))
        size_t    written = 0
        segment_t segment
        uint32_t  _
    with nogil:
        for _ in range(rounds):
            written = segment_write(out, copy, size, True, lz4)
            segment_head(&segment, out, written, lz4)
            segment_open(&segment, out, back)
    free(back)
    free(out)
    free(copy)
    return written
