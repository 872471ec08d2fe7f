"""Compressed bodies of CQL v3 and v4 (native_protocol_v4.spec, section 5), of frames with the flag 0x01.

    lz4      four bytes, highest first: the body's size; then an LZ4 block
    snappy   what Snappy makes, which begins with the body's size
"""

from libc.stdint cimport uint8_t

from shotover._core.memory cimport chunk_t, pool_t
from shotover._core.status cimport status_t


cdef enum:                  # which was agreed upon by STARTUP
    COMPRESSION_NONE = 0
    COMPRESSION_LZ4 = 1
    COMPRESSION_SNAPPY = 2


cdef status_t body_size(int compression, const uint8_t *body, size_t size, size_t most, size_t *plain_size) noexcept nogil
cdef status_t body_unpack(int compression, const uint8_t *body, size_t size, uint8_t *out, size_t plain_size) noexcept nogil
cdef size_t body_room(int compression, size_t plain_size) noexcept nogil
cdef size_t body_pack(int compression, const uint8_t *plain, size_t size, uint8_t *out, size_t room) noexcept nogil
cdef status_t frame_unpack(pool_t *pool, int compression, const uint8_t *frame, size_t size, size_t most,
                           chunk_t **plain, size_t *plain_size) noexcept nogil
