"""Worker: one loop with its sources and all that hangs on them. Born at start, runs in one thread without the GIL."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._net.loop cimport Loop
from shotover._net.timers cimport timer_t
from shotover._proxy.memory_watch cimport MemoryWatch
from shotover._proxy.step cimport Hub


cdef class Worker:
    cdef:
        readonly int index
        readonly Loop loop
        readonly Hub hub
        readonly list sources           # also those that have been replaced, or whose door is closed, as long as they last
        uint32_t leaving_count          # how many those are
        list     abandoned              # lists of steps that were built for nothing, until the loop knows nothing of them
        list     calls                  # Call, of other threads
        dict     retired                # samples of sources that are over, by name and labels: counts do not go back
        readonly MemoryWatch memory
        timer_t  deadline               # of a drain
        uint8_t  want_drain, want_stop, want_probe, want_call   # set by other threads, read by ours
        uint8_t  draining, stopping
        uint64_t drain_ns

    cdef int _run(self) noexcept nogil
    cdef int _turn(self) noexcept nogil
    cdef void _begin_drain(self) noexcept nogil
    cdef void _probe(self) noexcept nogil
    cdef bint _has_retired(self) noexcept nogil
    cdef void _attend(self) noexcept
    cdef bint _let_go(self, list steps) noexcept
    cdef bint _drained(self) noexcept nogil
    cdef void _close_all(self) noexcept nogil
