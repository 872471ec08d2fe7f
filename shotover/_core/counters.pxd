"""Histograms that the data plane fills without the GIL and observability reads while it does.

One writer (the worker that owns the struct), any number of readers, no lock. Each cell is loaded and
stored whole (relaxed atomics: plain moves on the machines we run on), so a reader sees values that were
true a moment ago and that never go backwards.

histogram_t        latencies: each octave of nanoseconds cut into 8 equal parts, so a value is known
                   to 12.5 % or better; below 1.024 us everything is one bucket, above 68.7 s another.
size_histogram_t   counts of things (requests in a batch): one bucket a power of two, bounds exact.
"""

from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    /* Position of the highest set bit; x must not be 0. */
    #define shotover_log2_u64(x) (63 - __builtin_clzll((unsigned long long)(x)))
    #define shotover_cell_get(p) __atomic_load_n((p), __ATOMIC_RELAXED)
    #define shotover_cell_add(p, n) \
        __atomic_store_n((p), __atomic_load_n((p), __ATOMIC_RELAXED) + (n), __ATOMIC_RELAXED)
    """
    int shotover_log2_u64(uint64_t x) noexcept nogil
    uint64_t shotover_cell_get(const uint64_t *cell) noexcept nogil
    void shotover_cell_add(uint64_t *cell, uint64_t n) noexcept nogil

cdef enum:
    HISTOGRAM_LOW_LOG2 = 10         # 2**10 ns: what is shorter is counted as "below"
    HISTOGRAM_HIGH_LOG2 = 36        # 2**36 ns = 68.7 s: what is longer is counted as "above"
    HISTOGRAM_SUB_LOG2 = 3          # 2**3 buckets an octave
    # below, then 26 octaves of 8, then above
    HISTOGRAM_BUCKETS = 210
    HISTOGRAM_BOUNDS = 18           # len(BOUNDS_SECONDS)
    SIZE_HISTOGRAM_BOUNDS = 14      # len(BOUNDS_SIZE): 1, 2, 4 ... 8192
    SIZE_HISTOGRAM_BUCKETS = 15     # the same and one for what is larger

ctypedef struct histogram_t:
    uint64_t sum_ns                         # of all values, unclamped; wraps after 584 years of waiting
    uint64_t counts[HISTOGRAM_BUCKETS]      # values per bucket; their sum is the number of values

ctypedef struct size_histogram_t:
    uint64_t sum                            # of all values
    uint64_t counts[SIZE_HISTOGRAM_BUCKETS]     # values per bucket

cdef inline int histogram_index(uint64_t ns) noexcept nogil:
    """The bucket `ns` falls in; 0 <= result < HISTOGRAM_BUCKETS."""
    cdef int octave
    if ns < <uint64_t>1 << HISTOGRAM_LOW_LOG2:
        return 0
    if ns >= <uint64_t>1 << HISTOGRAM_HIGH_LOG2:
        return HISTOGRAM_BUCKETS - 1
    octave = shotover_log2_u64(ns)
    # the shifted value lies in 8..15: its upper bit carries the "+ 1" of the bucket called below
    return (((octave - HISTOGRAM_LOW_LOG2) << HISTOGRAM_SUB_LOG2)
            + <int>(ns >> (octave - HISTOGRAM_SUB_LOG2)) - 7)

cdef inline void histogram_add(histogram_t *histogram, uint64_t ns, uint64_t count) noexcept nogil:
    """Counts `count` values of `ns` nanoseconds each. Owner's thread only."""
    shotover_cell_add(&histogram.sum_ns, ns * count)
    shotover_cell_add(&histogram.counts[histogram_index(ns)], count)

cdef inline void size_histogram_add(size_histogram_t *histogram, uint64_t size) noexcept nogil:
    """Counts one value of `size` things. Owner's thread only."""
    cdef int index = 0
    if size > 1:
        index = shotover_log2_u64(size - 1) + 1
        if index > SIZE_HISTOGRAM_BOUNDS:
            index = SIZE_HISTOGRAM_BOUNDS
    shotover_cell_add(&histogram.sum, size)
    shotover_cell_add(&histogram.counts[index], 1)

# All of these read `histogram` only; any thread may call them at any time.
cdef uint64_t histogram_count(const histogram_t *histogram) noexcept nogil
cdef uint64_t histogram_cumulative(const histogram_t *histogram, uint64_t *cumulative) noexcept nogil
cdef uint64_t histogram_quantile_ns(const histogram_t *histogram, double quantile) noexcept nogil
cdef object histogram_value(histogram_t *histogram)
cdef object size_histogram_value(size_histogram_t *histogram)

# Owner's thread of `into` only.
cdef void histogram_merge(histogram_t *into, const histogram_t *other) noexcept nogil


cdef class Histogram:
    """A histogram_t for Python: rare latencies that Python itself measures, and tests."""
    cdef histogram_t histogram
