"""A hierarchical timer wheel: O(1) to set and cancel, one tick of 2**20 ns (about a millisecond) exact.

Levels of 64 slots: level 0 spans 67 ms, 1: 4.3 s, 2: 4.6 min, 3: 4.9 h, 4: 13 days; later deadlines wait in the last slot
and are placed again when it comes round. A timer never fires early.
"""

from libc.stdint cimport int64_t, uint64_t


cdef enum:
    WHEEL_LEVELS = 5
    WHEEL_SLOTS = 64
    WHEEL_TICK_SHIFT = 20       # log2 of nanoseconds a tick

cdef struct timer_t:            # intrusive; zeroed by its owner before first use
    timer_t  *next
    timer_t **home              # what points to us; NULL: not set
    uint64_t  deadline_ns
    void    (*fire)(timer_t *timer) noexcept nogil
    void     *owner

cdef struct wheel_t:
    uint64_t tick               # all before this tick has fired
    uint64_t count              # timers set
    uint64_t occupied[WHEEL_LEVELS]     # a bit per slot that may hold timers
    timer_t *slots[WHEEL_LEVELS][WHEEL_SLOTS]


cdef void wheel_init(wheel_t *wheel, uint64_t now_ns) noexcept nogil
cdef void timer_set(wheel_t *wheel, timer_t *timer, uint64_t deadline_ns) noexcept nogil
cdef void timer_cancel(wheel_t *wheel, timer_t *timer) noexcept nogil
cdef void wheel_advance(wheel_t *wheel, uint64_t now_ns) noexcept nogil
cdef int64_t wheel_wait_ns(wheel_t *wheel, uint64_t now_ns) noexcept nogil
