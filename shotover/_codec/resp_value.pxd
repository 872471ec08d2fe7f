"""RESP values as Python values and back; for transforms written in Python. Everything here needs the GIL."""

from libc.stdint cimport uint8_t


cdef object resp_decode(const uint8_t *data, size_t size)
cdef bytes resp_encode(object value, int protocol)
cdef bytes resp_error_text(object error)
cdef bytes word_of(object value)
