"""The meters of RequestThrottling against a token bucket worked out with fractions; time is a number here."""

from __future__ import annotations

import threading
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shotover.transforms._request_throttling_meter import Meters

MS = 1_000_000
SECOND = 1000 * MS
START = 5 * SECOND


class Bucket:
    """As it is told in books: full at first, filled by time, emptied by requests."""

    def __init__(self, rate: int, burst: int, now: int) -> None:
        self.rate, self.burst, self.at = rate, burst, now
        self.tokens = Fraction(burst)

    def ask(self, now: int, wanted: int, units: int) -> int:
        self.tokens = min(
            Fraction(self.burst), self.tokens + Fraction((now - self.at) * self.rate, SECOND)
        )
        self.at = now
        granted = min(wanted, int(self.tokens // units))
        self.tokens -= granted * units
        return granted


@given(
    rate=st.sampled_from([1, 2, 8, 64, 1000]),  # ticks in a second can be divided by these
    burst=st.integers(1, 50),
    steps=st.lists(
        st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 30), st.integers(1, 20)), max_size=30
    ),
)
def test_it_is_a_token_bucket(rate: int, burst: int, steps: list[tuple[int, int, int]]) -> None:
    meters, bucket, now = Meters(float(rate), burst), Bucket(rate, burst, START), START
    for later, wanted, units in steps:
        now += later
        granted, _wait, _evicted = meters.ask(b"", now, wanted, units)
        assert granted == (bucket.ask(now, wanted, units) if units <= burst else 0)


@given(
    rate=st.floats(0.01, 1e6),
    burst=st.integers(1, 1000),
    units=st.integers(1, 1000),
    taken=st.integers(0, 1000),
)
def test_it_passes_when_it_was_said_and_not_much_earlier(
    rate: float, burst: int, units: int, taken: int
) -> None:
    meters = Meters(rate, burst)
    meters.ask(b"", START, taken)
    granted, wait, _ = meters.ask(b"", START, 1, units)
    if units > burst:
        assert (granted, wait) == (0, 0xFFFFFFFF)
    elif not granted:
        assert meters.ask(b"", START + (wait - 1) * MS - MS // 100, 1, units)[0] == 0 or wait == 1
        assert meters.ask(b"", START + wait * MS, 1, units)[0] == 1


def test_each_key_has_a_bucket() -> None:
    meters = Meters(1.0, 3, 64)
    for who in (b"a", b"b", b"c"):
        assert [meters.ask(who, START, 2)[0] for _ in range(3)] == [2, 1, 0]
    assert [meters.ask(who, START + SECOND, 2)[0] for who in (b"a", b"b")] == [1, 1]


def test_places_of_full_buckets_go_first_and_cost_nothing() -> None:
    """Ten times as many keys as there are places; only the 250 of the last second are not full."""
    meters = Meters(10.0, 10, 4096)
    now, evicted = START, 0
    for number in range(40_000):
        granted, _, evicts = meters.ask(b"%d" % number, now, 10)
        assert granted == 10
        evicted += evicts
        now += SECOND // 250
    assert evicted == 0


def test_when_all_are_in_use_the_fullest_goes() -> None:
    meters = Meters(0.01, 100, 8)
    for number in range(7):
        assert meters.ask(b"heavy %d" % number, START, 100) == (100, 100_001, False)
    evicted = [meters.ask(b"light %d" % number, START, 1)[2] for number in range(50)]
    assert evicted == [False] + [True] * 49
    for number in range(7):
        assert meters.ask(b"heavy %d" % number, START, 1)[0] == 0


def test_a_million_keys_take_no_more_memory_than_was_said() -> None:
    meters = Meters(1.0, 1, 1024)
    passed = [meters.ask(b"%d" % number, START + number * MS) for number in range(100_000)]
    assert all(granted == 1 for granted, _, _ in passed)
    assert any(evicted for _, _, evicted in passed), "so many are not in use at once by chance"


@pytest.mark.parametrize("keys", [0, 8])
def test_threads_together_get_what_one_would(keys: int) -> None:
    meters = Meters(0.001, 20_000, keys)
    counts = []

    def ask() -> None:
        counts.append(sum(meters.ask(b"one", START, 1)[0] for _ in range(10_000)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 20_000
