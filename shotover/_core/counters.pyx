"""Reads histograms: cumulative counts for Prometheus, quantiles for people, sums over workers.

The buckets of histogram_t (powers of two) do not end where the bounds of Prometheus (25 us, 50 us ...)
stand. The one bucket that a bound cuts is shared out in proportion, rounded down: at most 12.5 % of the
bound is uncertain, and each cumulative count only ever grows, as rate() needs. The last bound, 10 s, and
+Inf are no exception: +Inf is always the number of values.
"""

from libc.string cimport memset

BOUNDS_SECONDS = (25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3,
                  0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BOUNDS_SIZE = tuple([1 << power for power in range(SIZE_HISTOGRAM_BOUNDS)])

cdef uint64_t[HISTOGRAM_BOUNDS] BOUNDS_NS     # BOUNDS_SECONDS for nogil code; written once, here
cdef int bound_index
for bound_index in range(HISTOGRAM_BOUNDS):
    BOUNDS_NS[bound_index] = <uint64_t>(BOUNDS_SECONDS[bound_index] * 1e9 + 0.5)


cdef inline uint64_t bucket_start_ns(int index) noexcept nogil:
    """The smallest value of bucket `index`; for the number of buckets, the end of the last octave."""
    cdef int octave = (index - 1) >> HISTOGRAM_SUB_LOG2
    cdef uint64_t eighth = (index - 1) & ((1 << HISTOGRAM_SUB_LOG2) - 1)
    if index == 0:
        return 0
    return (eighth + 8) << (octave + HISTOGRAM_LOW_LOG2 - HISTOGRAM_SUB_LOG2)


cdef uint64_t histogram_count(const histogram_t *histogram) noexcept nogil:
    """The number of values counted so far."""
    cdef uint64_t total = 0
    cdef int index
    for index in range(HISTOGRAM_BUCKETS):
        total += shotover_cell_get(&histogram.counts[index])
    return total


cdef uint64_t histogram_cumulative(const histogram_t *histogram, uint64_t *cumulative) noexcept nogil:
    """Writes HISTOGRAM_BOUNDS counts of values up to each bound; returns the count of all values.

    Each bucket is read once, so the counts agree with one another while the owner goes on counting.
    """
    cdef:
        uint64_t below = 0          # values in buckets already passed
        uint64_t count, start, width
        int bound = 0
        int index
    for index in range(HISTOGRAM_BUCKETS):
        count = shotover_cell_get(&histogram.counts[index])
        start = bucket_start_ns(index)
        width = bucket_start_ns(index + 1) - start
        while bound < HISTOGRAM_BOUNDS and BOUNDS_NS[bound] < start + width:
            # no product of 64-bit counts here: it could wrap, a ratio below 1 can not
            cumulative[bound] = below + <uint64_t>(
                <double>count * (<double>(BOUNDS_NS[bound] - start) / <double>width))
            bound += 1
        below += count
    return below


cdef uint64_t histogram_quantile_ns(const histogram_t *histogram, double quantile) noexcept nogil:
    """The upper edge of the bucket that holds the `quantile` (0..1); 0 when nothing was counted."""
    cdef:
        uint64_t total = histogram_count(histogram)
        uint64_t rank, seen = 0
        int index
    if total == 0:
        return 0
    rank = <uint64_t>(quantile * <double>total)
    if rank >= total:
        rank = total - 1
    for index in range(HISTOGRAM_BUCKETS):
        seen += shotover_cell_get(&histogram.counts[index])
        if seen > rank:
            return bucket_start_ns(index + 1)
    return bucket_start_ns(HISTOGRAM_BUCKETS)   # unreachable: cells never shrink


cdef object histogram_value(histogram_t *histogram):
    """`(count, sum in seconds, cumulative counts for BOUNDS_SECONDS)`, as a sample carries it."""
    cdef uint64_t[HISTOGRAM_BOUNDS] cumulative
    cdef uint64_t count = histogram_cumulative(histogram, cumulative)
    cdef int index
    return (count, <double>shotover_cell_get(&histogram.sum_ns) * 1e-9,
            tuple([cumulative[index] for index in range(HISTOGRAM_BOUNDS)]))


cdef object size_histogram_value(size_histogram_t *histogram):
    """`(count, sum, cumulative counts for BOUNDS_SIZE)`, as a sample carries it."""
    cdef uint64_t total = 0
    cdef int index
    cumulative = []
    for index in range(SIZE_HISTOGRAM_BOUNDS):
        total += shotover_cell_get(&histogram.counts[index])
        cumulative.append(total)
    total += shotover_cell_get(&histogram.counts[SIZE_HISTOGRAM_BOUNDS])
    return (total, shotover_cell_get(&histogram.sum), tuple(cumulative))


cdef void histogram_merge(histogram_t *into, const histogram_t *other) noexcept nogil:
    """Adds all values of `other` to `into`."""
    cdef int index
    shotover_cell_add(&into.sum_ns, shotover_cell_get(&other.sum_ns))
    for index in range(HISTOGRAM_BUCKETS):
        shotover_cell_add(&into.counts[index], shotover_cell_get(&other.counts[index]))


cdef class Histogram:

    def __cinit__(self):
        memset(&self.histogram, 0, sizeof(histogram_t))

    def add(self, uint64_t ns, uint64_t count=1):
        """Counts `count` values of `ns` nanoseconds each."""
        histogram_add(&self.histogram, ns, count)

    def merge(self, Histogram other not None):
        """Adds all values of `other`."""
        histogram_merge(&self.histogram, &other.histogram)

    def quantile_ns(self, double quantile):
        """Upper edge in ns of the bucket of `quantile` (0..1); 0 when empty."""
        return histogram_quantile_ns(&self.histogram, quantile)

    def value(self):
        """`(count, sum_seconds, cumulative_counts)`."""
        return histogram_value(&self.histogram)


def histogram_of_sizes(sizes):
    """The value of a size histogram that counted each of `sizes`."""
    cdef size_histogram_t histogram
    memset(&histogram, 0, sizeof(size_histogram_t))
    for size in sizes:
        size_histogram_add(&histogram, size)
    return size_histogram_value(&histogram)


def histogram_add_rounds(uint64_t rounds):
    """Counts `rounds` different values; returns (count, sum in seconds). Times histogram_add itself."""
    cdef histogram_t histogram
    cdef uint64_t _, value = 1
    memset(&histogram, 0, sizeof(histogram_t))
    with nogil:
        for _ in range(rounds):
            value ^= value << 13            # xorshift: a different bucket each time, as traffic is
            value ^= value >> 7
            value ^= value << 17
            histogram_add(&histogram, value >> 40, 1)
    return histogram_count(&histogram), histogram.sum_ns * 1e-9
