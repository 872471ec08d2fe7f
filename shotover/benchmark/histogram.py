"""Latency histograms in Python: percentiles, sums, and the way out to HdrHistogram."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hdrh.histogram import HdrHistogram

STEPS = 128  # an octave, as in _histogram.pxd
HIGHEST_NS = 2**38


def bucket_bounds(index: int) -> tuple[int, int]:
    """Lowest and highest latency, in ns, that fall into a bucket."""
    if index < 2 * STEPS:
        return index, index
    octave, step = divmod(index - 2 * STEPS, STEPS)
    low = (STEPS + step) << (octave + 1)
    return low, low + (1 << (octave + 1)) - 1


class Histogram:
    """Counts by bucket of `_histogram.pxd`; all times in nanoseconds."""

    def __init__(
        self,
        counts: dict[int, int] | None = None,
        sum_ns: int = 0,
        least_ns: int = 0,
        most_ns: int = 0,
    ) -> None:
        self.counts = dict(counts or {})
        self.sum_ns = sum_ns
        self.least_ns = least_ns
        self.most_ns = most_ns

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def mean_ns(self) -> float:
        return self.sum_ns / self.total if self.counts else 0.0

    def percentile(self, percent: float) -> float:
        """Nanoseconds that `percent` of the latencies do not exceed: the middle of that bucket; 0 when empty."""
        total = self.total
        rank = max(1, -(-total * percent // 100))
        passed = 0
        for index in sorted(self.counts):
            passed += self.counts[index]
            if passed >= rank:
                low, high = bucket_bounds(index)
                return min(max((low + high) / 2, self.least_ns), self.most_ns)
        return 0.0

    def curve(self, percents: Iterable[float]) -> list[tuple[float, float]]:
        """(percent, ns) for each, for a plot."""
        return [(percent, self.percentile(percent)) for percent in percents]

    def to_hdr(self) -> HdrHistogram:
        """The same counts as an HdrHistogram of 3 digits, 1 ns to HIGHEST_NS. Needs the `bench` extra."""
        from hdrh.histogram import HdrHistogram

        hdr = HdrHistogram(1, HIGHEST_NS, 3)
        for index, count in self.counts.items():
            low, high = bucket_bounds(index)
            hdr.record_value(max(1, (low + high) // 2), count)
        return hdr


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """One histogram of all of them."""
    whole = Histogram()
    for one in histograms:
        if not one.counts:
            continue
        whole.least_ns = min(whole.least_ns, one.least_ns) if whole.counts else one.least_ns
        whole.most_ns = max(whole.most_ns, one.most_ns)
        whole.sum_ns += one.sum_ns
        for index, count in one.counts.items():
            whole.counts[index] = whole.counts.get(index, 0) + count
    return whole
