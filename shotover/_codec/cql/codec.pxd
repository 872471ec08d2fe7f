"""CqlCodec: the Cassandra native protocol, of which only headers are looked at, unless a step wants facts (attach.pxd).

A frame is a request: there are no runs. In version 5 codecs see envelopes, which look like the frames of version 4; what
they travel in, segments, is a layer's business.
"""

from libc.stdint cimport uint8_t, uint32_t

from shotover._codec.codec cimport Codec, decode_t
from shotover._codec.cql.library cimport library_t
from shotover._core.memory cimport pool_t
from shotover._core.request cimport request_t
from shotover._core.status cimport status_t


cdef int startup_framing(const uint8_t *body, size_t size) noexcept nogil

cdef class CqlCodec(Codec):
    cdef library_t library              # statements that its clients have sent, if a step wants facts
    cdef uint32_t prepared_most         # prepared ones that it keeps; set by a step before the source is there
    cdef status_t _refuse(self, decode_t *decode, uint32_t code, const char *text) noexcept nogil
    cdef status_t _refuse_version(self, decode_t *decode) noexcept nogil
    cdef status_t _cut(self, decode_t *decode, size_t need) noexcept nogil
