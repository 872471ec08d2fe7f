"""NullSink: answers every request with an error; ends a chain without a server."""

from shotover._proxy.step cimport Step


cdef class NullSink(Step):
    pass
