"""The meter of RequestThrottling (GCRA), and many of them by 64-bit tags, shared by all workers.

A meter is one number, `until`: when the next request would come if all came at the very rate. So long as that lies no
further ahead of now than `burst`, requests pass. A meter whose `until` is not ahead at all remembers nothing: so a place
in the table is taken from the tag that is nearest to that, and as a rule nothing is lost by it.

Any number of threads may use a table at once. None waits for another; who takes a place from a tag at the very moment
that another thread charges it may get that charge, or forgive it: one request.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from * nogil:
    """
    #define meter_get(p) __atomic_load_n((p), __ATOMIC_RELAXED)
    #define meter_put(p, value) __atomic_store_n((p), (value), __ATOMIC_RELAXED)
    #define meter_sub(p, less) __atomic_fetch_sub((p), (less), __ATOMIC_RELAXED)
    #define meter_swap(p, expected, desired) \
        __atomic_compare_exchange_n((p), (expected), (desired), 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
    """
    uint64_t meter_get(const uint64_t *at)
    void meter_put(uint64_t *at, uint64_t value)
    void meter_sub(uint64_t *at, uint64_t less)
    bint meter_swap(uint64_t *at, uint64_t *expected, uint64_t desired)

cdef enum:
    TICKS_SHIFT = 4         # log2 of ticks in a nanosecond
    METER_WAYS = 8          # places that a tag may have: two cache lines
    METER_HEAVY = 0xffffffff

cdef struct meter_t:
    uint64_t tag            # whose it is; 0: nobody's
    uint64_t until          # in ticks

cdef class Meters:
    """Meters of one rate and burst."""
    cdef:
        void    *memory
        meter_t *places
        uint64_t mask           # of sets of METER_WAYS places; 0 with `single`
        bint     single         # one meter for all tags
        uint64_t interval       # ticks that a unit takes
        uint64_t burst          # ticks that `until` may lie ahead of now
        uint64_t burst_units

    cdef meter_t *find(self, uint64_t tag, uint64_t now, bint *evicts) noexcept nogil
    cdef uint32_t wait_ms(self, const meter_t *meter, uint64_t now, uint64_t units) noexcept nogil


cdef inline uint64_t meter_tag(uint64_t hash) noexcept nogil:
    return hash + (hash == 0)


cdef inline uint32_t meter_take(uint64_t *until, uint64_t now, uint64_t interval, uint64_t burst,
                                uint32_t wanted) noexcept nogil:
    """How many of `wanted` requests, of `interval` ticks each, may pass now; they are counted as passed. Any thread."""
    cdef:
        uint64_t ahead = meter_get(until)
        uint64_t start, room
        uint32_t granted
    while True:
        start = ahead if <int64_t>(ahead - now) > 0 else now
        room = (now + burst - start) // interval if start - now < burst else 0
        granted = wanted if wanted <= room else <uint32_t>room
        if granted == 0 or meter_swap(until, &ahead, start + granted * interval):
            return granted
