"""The real clock, for measuring ourselves. What traffic does depends on loop.now alone, which may be a simulated one."""

from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <time.h>
    static inline uint64_t shotover_clock_ns(void) {
        struct timespec at;
        clock_gettime(CLOCK_MONOTONIC, &at);
        return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
    }
    static inline uint64_t shotover_clock_wall_ns(void) {
        struct timespec at;
        clock_gettime(CLOCK_REALTIME, &at);
        return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
    }
    """
    uint64_t clock_ns "shotover_clock_ns"() noexcept nogil      # about 30 ns
    uint64_t clock_wall_ns "shotover_clock_wall_ns"() noexcept nogil    # since 1970, for people; it may be set back
