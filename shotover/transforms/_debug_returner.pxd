"""DebugReturner: answers every request alike."""

from libc.stdint cimport uint8_t

from shotover._proxy.step cimport Step


cdef class DebugReturner(Step):
    cdef:
        bytes    reply          # whole, as it goes out
        uint8_t *reply_data     # its bytes
        size_t   reply_size
        bint     fail
