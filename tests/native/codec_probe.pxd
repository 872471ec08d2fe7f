"""What tests see of the codec: a client's and a server's bytes, fed in pieces as the proxy gets them."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.codec cimport follow_t, limits_t, resume_t, scan_t
from shotover._codec.resp cimport RespCodec
from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t
from shotover._core.status cimport status_t
from shotover._net.loop cimport Loop, stream_t


cdef class Decoder:
    cdef:
        Loop      loop
        RespCodec codec
        slab_t    slab
        stream_t  stream            # only its stash is used
        resume_t  resume
        follow_t  follow
        limits_t  limits
        uint64_t  stream_min        # 0: nothing is given out by its head
        bytearray coming            # of a request whose head was given out; None: of none
        tuple     head              # what was seen of it
        readonly uint64_t heads     # given out
        batch_t   held              # requests kept on purpose
        bint      hold
        uint8_t   merge
        readonly status_t status
        readonly bytes    error     # what the client would be told
        readonly uint64_t bytes_peak    # of the pool
        readonly uint64_t requests

    cdef status_t _decode(self, uint8_t *data, size_t size, batch_t *batch) noexcept nogil


cdef class Scanner:
    cdef:
        Loop      loop
        RespCodec codec
        stream_t  stream
        scan_t    scan
        uint32_t  run
        uint32_t  left
        size_t    scanned
        bytearray reply             # of it, so far
        readonly bint broken
        readonly bint pushed        # stopped before a push
        readonly bint framed

    cdef int _stream(self, uint8_t *at, size_t size, list seen) except -1
    cdef int _frames(self, uint8_t *data, size_t size, list seen) except -1
