"""See compression.pxd."""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from shotover._codec.cql.frame cimport FLAG_COMPRESSED, HEADER_SIZE, put_int
from shotover._core.memory cimport chunk_data, chunk_put, pool_take
from shotover._core.status cimport BAD, LIMIT, NO_MEMORY, OK

cdef extern from "shotover/_codec/lz4.h" nogil:
    enum:
        LZ4_RATIO_MAX
    int    lz4_decompress(const uint8_t *data, size_t size, uint8_t *out, size_t out_size)
    size_t lz4_compress(const uint8_t *data, size_t size, uint8_t *out, size_t room)
    size_t lz4_bound(size_t size)

cdef extern from "shotover/_codec/snappy.h" nogil:
    enum:
        SNAPPY_RATIO_MAX
    size_t snappy_size(const uint8_t *data, size_t size, size_t *out_size)
    int    snappy_decompress(const uint8_t *data, size_t size, uint8_t *out, size_t out_size)
    size_t snappy_compress(const uint8_t *data, size_t size, uint8_t *out, size_t room)
    size_t snappy_bound(size_t size)


cdef enum:
    LZ4_PREFIX = 4


cdef status_t body_size(int compression, const uint8_t *body, size_t size, size_t most, size_t *plain_size) noexcept nogil:
    """How large the body is, before memory is taken for it. BAD: it is not compressed so, or claims to become more than
    `most`, or more than so few bytes can become."""
    cdef size_t ratio
    if compression == COMPRESSION_LZ4:
        if size < LZ4_PREFIX:
            return BAD
        plain_size[0] = <uint32_t>body[0] << 24 | <uint32_t>body[1] << 16 | <uint32_t>body[2] << 8 | body[3]
        ratio = LZ4_RATIO_MAX
    elif compression == COMPRESSION_SNAPPY:
        if snappy_size(body, size, plain_size) == 0:
            return BAD
        ratio = SNAPPY_RATIO_MAX
    else:
        return BAD
    return OK if plain_size[0] <= most and plain_size[0] <= size * ratio else BAD


cdef status_t body_unpack(int compression, const uint8_t *body, size_t size, uint8_t *out, size_t plain_size) noexcept nogil:
    """Writes the body to `out`: as many bytes as body_size has told. BAD: it is not compressed so."""
    cdef size_t claimed, prefix
    if compression == COMPRESSION_LZ4:
        if size == LZ4_PREFIX:
            return OK if plain_size == 0 else BAD       # what some drivers make of an empty body
        return OK if lz4_decompress(body + LZ4_PREFIX, size - LZ4_PREFIX, out, plain_size) == 0 else BAD
    prefix = snappy_size(body, size, &claimed)
    if prefix == 0 or claimed != plain_size:
        return BAD
    return OK if snappy_decompress(body + prefix, size - prefix, out, plain_size) == 0 else BAD


cdef size_t body_room(int compression, size_t plain_size) noexcept nogil:
    """The most that body_pack writes."""
    if compression == COMPRESSION_LZ4:
        return LZ4_PREFIX + lz4_bound(plain_size)
    if compression == COMPRESSION_SNAPPY:
        return snappy_bound(plain_size)
    return plain_size


cdef size_t body_pack(int compression, const uint8_t *plain, size_t size, uint8_t *out, size_t room) noexcept nogil:
    """Compresses a body of `size` < 2^32 bytes; returns what it takes, 0: it does not fit into `room`."""
    cdef size_t block
    if compression == COMPRESSION_LZ4:
        if room < LZ4_PREFIX:
            return 0
        out[0] = <uint8_t>(size >> 24)
        out[1] = <uint8_t>(size >> 16)
        out[2] = <uint8_t>(size >> 8)
        out[3] = <uint8_t>size
        block = lz4_compress(plain, size, out + LZ4_PREFIX, room - LZ4_PREFIX)
        return LZ4_PREFIX + block if block else 0
    if compression == COMPRESSION_SNAPPY:
        return snappy_compress(plain, size, out, room)
    if size > room:
        return 0
    memcpy(out, plain, size)
    return size


cdef status_t frame_unpack(pool_t *pool, int compression, const uint8_t *frame, size_t size, size_t most,
                           chunk_t **plain, size_t *plain_size) noexcept nogil:
    """A compressed frame with its body as it was, and without the flag. BAD, LIMIT (a body larger than `most`), NO_MEMORY:
    there is no such frame, *plain is NULL."""
    cdef size_t body
    plain[0] = NULL
    if compression == COMPRESSION_NONE or size < HEADER_SIZE or \
            body_size(compression, frame + HEADER_SIZE, size - HEADER_SIZE, <size_t>-1, &body) != OK:
        return BAD
    if body > most:
        return LIMIT
    plain[0] = pool_take(pool, HEADER_SIZE + body)
    if plain[0] is NULL:
        return NO_MEMORY
    memcpy(chunk_data(plain[0]), frame, HEADER_SIZE)
    chunk_data(plain[0])[1] &= ~FLAG_COMPRESSED
    put_int(chunk_data(plain[0]) + 5, <uint32_t>body)
    if body_unpack(compression, frame + HEADER_SIZE, size - HEADER_SIZE, chunk_data(plain[0]) + HEADER_SIZE, body) != OK:
        chunk_put(pool, plain[0])
        plain[0] = NULL
        return BAD
    plain_size[0] = HEADER_SIZE + body
    return OK
