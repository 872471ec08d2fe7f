"""DebugPrinter: logs each request and each reply."""

from shotover._proxy.step cimport Step


cdef class DebugPrinter(Step):
    cdef bint cql
