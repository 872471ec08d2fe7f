"""What requests of CQL are known to be, for tests: a client's side of CqlCodec, with a conversation that it may learn from."""

from libc.stdint cimport uint8_t, uint64_t

from shotover._codec.codec cimport limits_t
from shotover._codec.cql.attach cimport talk_t
from shotover._codec.cql.codec cimport CqlCodec
from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._net.loop cimport Loop


cdef class Client:
    cdef:
        Loop     loop
        CqlCodec codec
        slab_t   slab
        limits_t limits
        talk_t   talk
        batch_t  held
        bint     wants_facts

    cdef int _decode(self, uint8_t *data, size_t size, batch_t *batch) noexcept nogil
