"""RESP2 and RESP3 (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from shotover._codec.codec cimport Codec, decode_t, scan_t
from shotover._codec.commands cimport command_t
from shotover._codec.lexicon cimport lexicon_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover._core.status cimport status_t


cdef class RespCodec(Codec):
    cdef lexicon_t lexicon              # what its server was found to know beyond the static table
    cdef status_t _decode_one(self, decode_t *decode) noexcept nogil
    cdef status_t _decode_inline(self, decode_t *decode) noexcept nogil
    cdef status_t _cut(self, decode_t *decode, uint8_t *at, size_t need) noexcept nogil
    cdef status_t _bad(self, decode_t *decode, const char *text) noexcept nogil
    cdef status_t _bad_type(self, decode_t *decode, uint8_t found) noexcept nogil
    cdef status_t _emit(self, decode_t *decode, uint8_t *start, uint8_t *end) noexcept nogil


cdef int resp_scan(scan_t *scan, uint8_t **at_io, uint8_t *end, uint32_t *left) noexcept nogil
cdef uint32_t resp_words(const uint8_t *at, const uint8_t *end, slice_t *words, uint32_t words_max) noexcept nogil
cdef size_t resp_frame_size(const uint8_t *at, const uint8_t *end) noexcept nogil
cdef bint resp_integer(const uint8_t *at, const uint8_t *end, int64_t *value) noexcept nogil
cdef uint8_t *resp_bulk(const uint8_t *at, const uint8_t *end, slice_t *bulk) noexcept nogil
