"""Coalesce: holds requests back and sends them on together."""

from libc.stdint cimport uint64_t

from shotover._core.request cimport batch_t, request_t
from shotover._net.timers cimport timer_t
from shotover._proxy.step cimport Step


cdef class Coalesce(Step):
    cdef:
        uint64_t count_max      # requests held that trigger sending; 0: no such trigger
        uint64_t interval_ns    # since the last sending; 0: no such trigger
        batch_t  held           # in order of arrival, owned
        uint64_t held_count     # requests, not runs
        uint64_t held_bytes
        uint64_t flushed_ns     # when it last sent
        uint64_t flushes_total
        bint     draining       # holds nothing any more
        timer_t  timer

    cdef bint _holds(self, void *session) noexcept nogil
    cdef bint _hold(self, request_t *request) noexcept nogil
    cdef void flush(self) noexcept nogil
