"""Sketches of heavy keys: what their weights promise, and that a sample of one in a hundred finds what is hot."""

from __future__ import annotations

import bisect
import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotover._core.sketch import Sampler, Sketch

ENTRIES = 256
adds = st.lists(st.tuples(st.integers(0, 600), st.integers(0, 10_000)), max_size=2_000)


def key(number: int) -> bytes:
    """Some of them longer than what is kept of a key, and alike as far as that goes."""
    return b"%d" % number if number % 3 else b"x" * 200 + b"%d" % number


@given(adds=adds)
def test_a_weight_is_never_too_low_and_too_high_by_its_error_at_most(
    adds: list[tuple[int, int]],
) -> None:
    sketch, true = Sketch(), Counter[bytes]()
    for number, weight in adds:
        sketch.add(key(number), weight)
        true[key(number)] += weight
    entries = sketch.entries()
    assert sketch.total == sum(true.values())
    assert len(entries) <= ENTRIES
    assert [entry[2] for entry in entries] == sorted((entry[2] for entry in entries), reverse=True)
    if len(true) <= ENTRIES:
        assert all(error == 0 for *_, error in entries)
    for shown, size, weight, error in entries:
        if size <= 96:
            assert true[shown] <= weight <= true[shown] + error


@given(adds=adds)
def test_who_has_more_than_its_share_is_there(adds: list[tuple[int, int]]) -> None:
    sketch, true = Sketch(), Counter[bytes]()
    for number, weight in adds:
        sketch.add(key(number), weight)
        true[key(number)] += weight
    kept = Counter((shown, size) for shown, size, _, _ in sketch.entries())
    for name, weight in true.items():
        if weight * ENTRIES > sketch.total:
            assert kept[(name[:96], len(name))] >= 1


def test_keys_that_differ_where_nobody_looks_are_different_keys() -> None:
    sketch = Sketch()
    sketch.add(b"x" * 500 + b"a", 3)
    sketch.add(b"x" * 500 + b"b", 4)
    assert [(size, weight) for _, size, weight, _ in sketch.entries()] == [(501, 4), (501, 3)]


def test_what_was_counts_half() -> None:
    sketch = Sketch()
    sketch.add(b"old", 100)
    sketch.halve()
    sketch.add(b"new", 60)
    assert [entry[0] for entry in sketch.entries()] == [b"new", b"old"]
    assert sketch.total == 110


@pytest.mark.parametrize("chance", [0.001, 0.01, 0.3, 1.0])
def test_a_sampler_takes_the_share_that_it_was_told(chance: float) -> None:
    sampler = Sampler(chance, seed=7)
    rounds = 20_000
    passed = sum(sampler.skip() + 1 for _ in range(rounds))
    assert passed * chance == pytest.approx(rounds, rel=0.05)


def test_a_sample_of_one_in_a_hundred_finds_the_ten_hottest_keys() -> None:
    """Ten million requests over 100,000 keys by Zipf's law: which ten are the hottest is known to 95 %."""
    keys, requests, runs, exponent = 100_000, 10_000_000, 5, 1.1
    ends = list(itertools.accumulate(1 / rank**exponent for rank in range(1, keys + 1)))
    found = 0
    for run in range(runs):
        chooser = random.Random(run)
        names = list(range(keys))
        chooser.shuffle(names)
        sampler, sketch, at = Sampler(0.01, seed=run + 1), Sketch(), 0
        while True:
            at += sampler.skip() + 1
            if at > requests:  # those that are passed over need not be drawn: they are independent
                break
            rank = bisect.bisect(ends, chooser.random() * ends[-1])
            sketch.add(b"key:%d" % names[min(rank, keys - 1)])
        hottest = {b"key:%d" % name for name in names[:10]}
        found += len(hottest & {entry[0] for entry in sketch.entries()[:10]})
    assert found >= 0.95 * 10 * runs
