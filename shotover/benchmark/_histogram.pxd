"""Latencies in log-linear buckets: 128 steps an octave, so a figure read back is within 0.4 % of what was recorded.

The layout is that of HdrHistogram with unit magnitude 0; `histogram.py` knows it too and turns the counts into an
HdrHistogram. Only inline functions: there is no module of this name at run time.
"""

from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #define histogram_top_bit(value) (63u - (uint32_t)__builtin_clzll(value))
    """
    uint32_t histogram_top_bit(uint64_t value) noexcept nogil

cdef enum:
    HISTOGRAM_STEP_BITS = 7                    # 2**7 steps an octave
    HISTOGRAM_OCTAVES = 30                     # above the first 256 ns
    HISTOGRAM_SIZE = 256 + 128 * 30            # buckets; the last one ends at 2**38 ns, 4.5 minutes

ctypedef struct histogram_t:
    uint64_t counts[4096]                      # HISTOGRAM_SIZE
    uint64_t total                             # latencies recorded
    uint64_t sum_ns
    uint64_t least_ns                          # of those recorded; UINT64_MAX when none was
    uint64_t most_ns


cdef inline uint32_t histogram_index(uint64_t value_ns) noexcept nogil:
    """The bucket of a latency; latencies past the last bucket go into the last."""
    cdef uint32_t shift
    if value_ns < 256:
        return <uint32_t>value_ns
    shift = histogram_top_bit(value_ns) - HISTOGRAM_STEP_BITS
    if shift > HISTOGRAM_OCTAVES:
        return HISTOGRAM_SIZE - 1
    return 256 + (shift - 1) * 128 + (<uint32_t>(value_ns >> shift) - 128)


cdef inline void histogram_add(histogram_t *histogram, uint64_t value_ns) noexcept nogil:
    histogram.counts[histogram_index(value_ns)] += 1
    histogram.total += 1
    histogram.sum_ns += value_ns
    if value_ns < histogram.least_ns:
        histogram.least_ns = value_ns
    if value_ns > histogram.most_ns:
        histogram.most_ns = value_ns
