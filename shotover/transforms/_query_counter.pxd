"""QueryCounter: counts requests by command."""

from libc.stdint cimport uint32_t, uint64_t

from shotover._proxy.step cimport Step


cdef class QueryCounter(Step):
    cdef:
        str       counter_name
        uint64_t *counts        # by id of the command's first word; one more, the last, for what is unknown
        uint32_t  known         # commands that have a count of their own
