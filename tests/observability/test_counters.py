"""The histograms of the data plane: bounds, clamps, sums."""

from __future__ import annotations

import random

import pytest

from shotover._core.counters import (
    BOUNDS_SECONDS,
    BOUNDS_SIZE,
    Histogram,
    histogram_add_rounds,
    histogram_of_sizes,
)

WIDTH = 0.125  # a bucket's width as a share of its lower edge


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


def test_an_empty_histogram_counts_nothing() -> None:
    assert Histogram().value() == (0, 0.0, (0,) * len(BOUNDS_SECONDS))
    assert Histogram().quantile_ns(0.99) == 0


def test_count_and_sum_are_exact_whatever_the_value() -> None:
    values = [0, 1, 1023, 1024, 999_999, 2**36 - 1, 2**36, 2**44]
    count, total, _ = filled(values).value()
    assert count == len(values)
    assert total == pytest.approx(sum(values) / 1e9)


@pytest.mark.parametrize("bound", BOUNDS_SECONDS)
def test_a_value_clear_of_a_bound_is_counted_on_its_side(bound: float) -> None:
    index = BOUNDS_SECONDS.index(bound)
    below, above = filled([int(bound * 1e9 * 0.87)]), filled([int(bound * 1e9 * 1.13)])
    assert below.value()[2][index:] == (1,) * (len(BOUNDS_SECONDS) - index)
    assert above.value()[2][index] == 0


@pytest.mark.parametrize("seed", range(5))
def test_cumulative_counts_stay_within_one_bucket_of_the_truth(seed: int) -> None:
    chance = random.Random(seed)
    values = [int(chance.lognormvariate(12, 2.5)) for _ in range(5_000)]
    count, _, cumulative = filled(values).value()
    assert list(cumulative) == sorted(cumulative)
    assert cumulative[-1] <= count == len(values)
    for bound, counted in zip(BOUNDS_SECONDS, cumulative, strict=True):
        least = sum(value <= bound * 1e9 * (1 - WIDTH) for value in values)
        most = sum(value <= bound * 1e9 * (1 + WIDTH) for value in values)
        assert least <= counted <= most


def test_cumulative_counts_never_go_backwards_while_values_arrive() -> None:
    chance = random.Random(7)
    histogram = Histogram()
    before = histogram.value()[2]
    for _ in range(2_000):
        histogram.add(int(chance.lognormvariate(11, 2)))
        after = histogram.value()[2]
        assert all(new >= old for new, old in zip(after, before, strict=True))
        before = after


def test_a_value_past_the_last_bound_is_only_in_the_count() -> None:
    count, _, cumulative = filled([90 * 10**9]).value()
    assert (count, cumulative[-1]) == (1, 0)


def test_many_equal_values_are_one_addition() -> None:
    one_by_one, at_once = filled([30_000] * 1_000), Histogram()
    at_once.add(30_000, 1_000)
    assert at_once.value() == one_by_one.value()


def test_merging_is_as_if_one_had_counted_all() -> None:
    chance = random.Random(3)
    values = [chance.randrange(1, 10**10) for _ in range(500)]
    merged = filled(values[:200])
    merged.merge(filled(values[200:]))
    assert merged.value() == filled(values).value()
    with pytest.raises(TypeError):
        merged.merge(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.9, 0.99, 0.999, 1.0])
def test_a_quantile_is_right_to_one_bucket(quantile: float) -> None:
    chance = random.Random(11)
    values = sorted(int(chance.lognormvariate(13, 1.5)) + 1024 for _ in range(10_000))
    truth = values[min(int(quantile * len(values)), len(values) - 1)]
    assert truth <= filled(values).quantile_ns(quantile) <= truth * (1 + WIDTH) + 1


def test_sizes_have_exact_bounds_at_powers_of_two() -> None:
    sizes = [0, 1, 2, 3, 4, 5, 8, 9, 8192, 8193, 10**12]
    count, total, cumulative = histogram_of_sizes(sizes)
    assert (count, total) == (len(sizes), sum(sizes))
    assert cumulative == tuple(sum(size <= bound for size in sizes) for bound in BOUNDS_SIZE)


def test_counting_without_the_gil_loses_nothing() -> None:
    count, total = histogram_add_rounds(100_000)
    assert count == 100_000
    assert total > 0
