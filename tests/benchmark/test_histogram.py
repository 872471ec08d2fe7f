"""Latency histograms: nothing falls between buckets, and percentiles are those of the values."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from shotover.benchmark.histogram import HIGHEST_NS, Histogram, bucket_bounds, merged

SIZE = 256 + 128 * 30  # HISTOGRAM_SIZE


def bucket_of(value: int) -> int:
    low, high = 0, SIZE - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if bucket_bounds(middle)[0] <= value else (low, middle - 1)
    return low


def histogram_of(values: list[int]) -> Histogram:
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    return Histogram(counts, sum(values), min(values), max(values))


LATENCIES = st.lists(st.integers(0, 10**11), min_size=1, max_size=200)


def test_buckets_follow_each_other_without_gap_up_to_the_highest() -> None:
    bounds = [bucket_bounds(index) for index in range(SIZE)]
    assert bounds[0][0] == 0
    assert all(before[1] + 1 == after[0] for before, after in pairwise(bounds))
    assert bounds[-1][1] + 1 == HIGHEST_NS


def test_a_bucket_is_narrower_than_one_part_in_128() -> None:
    assert all((high - low) * 128 <= low for low, high in map(bucket_bounds, range(256, SIZE)))


@given(values=LATENCIES, percent=st.sampled_from([1, 50, 90, 99, 99.9, 100]))
def test_a_percentile_is_that_of_the_sorted_values_within_the_bucket(
    values: list[int], percent: float
) -> None:
    rank = max(1, -(-len(values) * percent // 100))
    exact = sorted(values)[int(rank) - 1]
    assert abs(histogram_of(values).percentile(percent) - exact) <= exact / 128 + 1


@given(first=LATENCIES, second=LATENCIES)
def test_merging_is_as_if_one_had_recorded_all(first: list[int], second: list[int]) -> None:
    both, whole = (
        merged([histogram_of(first), Histogram(), histogram_of(second)]),
        histogram_of(first + second),
    )
    assert (both.counts, both.sum_ns, both.least_ns, both.most_ns) == (
        whole.counts,
        whole.sum_ns,
        whole.least_ns,
        whole.most_ns,
    )


@settings(max_examples=15, deadline=None)
@given(values=LATENCIES)
def test_an_hdr_histogram_says_the_same(values: list[int]) -> None:
    hdr = histogram_of(values).to_hdr()
    assert hdr.get_total_count() == len(values)
    for exact, told in (
        (min(values), hdr.get_min_value()),
        (max(values), hdr.get_max_value()),
        (sum(values) / len(values), hdr.get_mean_value()),
    ):
        assert abs(told - exact) <= exact / 64 + 1


def test_an_empty_histogram_has_no_latency() -> None:
    assert (Histogram().percentile(99), Histogram().mean_ns, merged([]).total) == (0.0, 0.0, 0)
