"""RequestThrottling with nothing but max_requests_per_second: one meter over all clients and all workers.

With `limits` it is another class, see _request_throttling_limits.
"""

from libc.stdint cimport uint32_t, uint64_t

from shotover._proxy.refusing cimport RefusingStep


cdef class Limiter:
    """What all copies of one RequestThrottling meter by (GCRA): one number, changed by compare and swap."""
    cdef:
        uint64_t until          # theoretical arrival time of the next request, in ticks of 1/16 ns
        uint64_t interval       # ticks a request takes
        uint64_t burst          # ticks that `until` may lie ahead of now

    cdef uint32_t take(self, uint64_t now_ns, uint32_t wanted) noexcept nogil    # how many may pass; they are counted

cdef class RequestThrottling(RefusingStep):
    cdef:
        Limiter  limiter
        uint64_t throttled_total
