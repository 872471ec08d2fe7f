"""sketch_t: the heaviest of endlessly many keys, in fixed memory: Space-Saving, with weights.

A key that is not among the entries takes the place of the lightest and inherits its weight, which is noted as its error: so a
weight is never too low, too high by its error at most, and whoever has more than total / SKETCH_ENTRIES is among them.
One thread writes. Others read by sketch_guard_t: the owner brackets its changes, a reader copies and tries again where it
met one.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    SKETCH_ENTRIES = 256
    SKETCH_HINTS = 1024         # a power of two
    SKETCH_KEY_MAX = 96         # bytes of a key that are kept to be shown; it is known by all of it

cdef struct sketch_key_t:
    uint64_t error              # of its weight: what it may have too much
    uint32_t size               # of the whole key, bytes
    uint8_t  bytes[SKETCH_KEY_MAX]

cdef struct sketch_t:
    uint64_t weights[SKETCH_ENTRIES]    # apart from the keys, for they are looked through
    uint64_t hashes[SKETCH_ENTRIES]
    uint64_t total              # of all weights, also of those that are no entries any more
    uint32_t count              # entries
    uint16_t hints[SKETCH_HINTS]        # where a key of this hash was last; looked at first
    sketch_key_t keys[SKETCH_ENTRIES]

cdef extern from * nogil:
    """
    #ifndef SHOTOVER_GUARD
    #define SHOTOVER_GUARD
    #include <stdint.h>
    static inline void shotover_guard_open(uint64_t *guard) {
        __atomic_store_n(guard, *guard + 1, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_RELEASE);
    }
    static inline void shotover_guard_close(uint64_t *guard) {
        __atomic_store_n(guard, *guard + 1, __ATOMIC_RELEASE);
    }
    static inline uint64_t shotover_guard_begin(uint64_t *guard) {
        return __atomic_load_n(guard, __ATOMIC_ACQUIRE);
    }
    static inline int shotover_guard_held(uint64_t *guard, uint64_t seen) {
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        return !(seen & 1) && __atomic_load_n(guard, __ATOMIC_RELAXED) == seen;
    }
    #endif
    """
    void guard_open "shotover_guard_open"(uint64_t *guard)      # the owner: what follows changes
    void guard_close "shotover_guard_close"(uint64_t *guard)    # ... and is whole again
    uint64_t guard_begin "shotover_guard_begin"(uint64_t *guard)                # a reader, before it copies
    bint guard_held "shotover_guard_held"(uint64_t *guard, uint64_t seen)       # ... and after: the copy is good


cdef uint64_t sketch_hash(const uint8_t *key, size_t size) noexcept nogil
cdef void sketch_add(sketch_t *sketch, const uint8_t *key, size_t size, uint64_t hash, uint64_t weight) noexcept nogil
cdef void sketch_halve(sketch_t *sketch) noexcept nogil
cdef list sketch_entries(const sketch_t *sketch)
cdef uint32_t sample_skip(uint64_t *state, double log_of_rest) noexcept nogil


cdef class Sketch:
    cdef:
        sketch_t *sketch

cdef class Sampler:
    cdef:
        uint64_t state
        double   log_of_rest
