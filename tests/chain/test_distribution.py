"""Which server has a key: what holds of every distribution, and rendezvous as its page defines it.

Ketama and modula are held against twemproxy itself in tests/integration/redis/test_placing.py.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
import xxhash

from shotover.sinks._redis_distribution import Distribution

KEYS = [b"key:%d" % index for index in range(20_000)]
THREE = [(b"one", 1), (b"two", 2), (b"three", 5)]
EVEN = [(b"node%d" % index, 1) for index in range(7)]
MASK = 0xFFFFFFFFFFFFFFFF


def places(distribution: Distribution) -> list[Any]:
    return [distribution.place_of(key) for key in KEYS]


def mix64(x: int) -> int:
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def bits_lost(h: int) -> int:
    """64 - log2(h) in units of 2**-20, as _redis_distribution.pxd has it."""
    h |= 1
    top = h.bit_length() - 1
    x = h << (63 - top) >> 32
    places = 0
    for _ in range(20):
        x = x * x >> 31
        carry = x >> 32
        x >>= carry
        places = places * 2 + carry
    return ((64 - top) << 20) - places


def rendezvous(key: bytes, servers: list[tuple[bytes, int]]) -> int:
    """By exact fractions, over all servers."""

    def rank(index: int) -> tuple[float, int]:
        from fractions import Fraction

        name, weight = servers[index]
        h = mix64(xxhash.xxh64_intdigest(key) ^ xxhash.xxh64_intdigest(name))
        return (Fraction(bits_lost(h), weight), -h)  # type: ignore[return-value]

    return min(range(len(servers)), key=rank)


@pytest.mark.parametrize("servers", [THREE, EVEN], ids=["weighted", "even"])
def test_rendezvous_is_what_its_definition_says(servers: list[tuple[bytes, int]]) -> None:
    distribution = Distribution("rendezvous", servers)
    source = random.Random(1)
    for key in [b"", *(source.randbytes(source.randint(1, 80)) for _ in range(2000))]:
        assert distribution.place_of(key) == rendezvous(key, servers), key


@pytest.mark.parametrize("kind", ["ketama", "modula", "rendezvous"])
def test_shares_follow_the_weights(kind: str) -> None:
    counts = Counter(places(Distribution(kind, THREE, hash="murmur")))
    allowed = 0.25 if kind == "ketama" else 0.05  # ketama's points are few
    for index, (_, weight) in enumerate(THREE):
        assert counts[index] == pytest.approx(len(KEYS) * weight / 8, rel=allowed)


@pytest.mark.parametrize("kind", ["ketama", "modula", "rendezvous"])
def test_the_order_of_listing_decides_nothing(kind: str) -> None:
    turned = [*THREE[1:], THREE[0]]
    before = places(Distribution(kind, THREE))
    after = places(Distribution(kind, turned))
    assert [THREE[place] for place in before] == [turned[place] for place in after]


@pytest.mark.parametrize("kind", ["ketama", "rendezvous"])
def test_only_the_keys_of_a_server_that_leaves_move(kind: str) -> None:
    distribution = Distribution(kind, EVEN[:4])  # ketama: 160 points each, of 4 as of 3
    before = places(distribution)
    distribution.set_live([True, False, True, True])
    after = places(distribution)
    assert 1 not in after
    assert all(now == was for was, now in zip(before, after, strict=True) if was != 1)
    assert len({now for was, now in zip(before, after, strict=True) if was == 1}) == 3
    distribution.set_live([True] * 4)
    assert places(distribution) == before


def test_rendezvous_moves_only_what_a_weight_gains() -> None:
    before = places(Distribution("rendezvous", THREE))
    heavier = places(Distribution("rendezvous", [(b"one", 4), *THREE[1:]]))
    moved = [now for was, now in zip(before, heavier, strict=True) if was != now]
    assert moved and set(moved) == {0}


@pytest.mark.parametrize("kind", ["ketama", "modula", "random", "rendezvous"])
def test_without_live_servers_no_key_has_a_place(kind: str) -> None:
    distribution = Distribution(kind, THREE)
    distribution.set_live([False] * 3)
    assert distribution.place_of(b"key") is None
    distribution.set_live([False, True, False])
    assert distribution.place_of(b"key") == 1


def test_random_spreads_and_repeats_from_the_same_seed() -> None:
    distribution = Distribution("random", THREE, seed=7)
    counts = Counter(distribution.place_of(b"key") for _ in range(30_000))
    assert all(counts[index] == pytest.approx(10_000, rel=0.05) for index in range(3))
    first, second = (Distribution("random", THREE, seed=8) for _ in range(2))
    assert places(first) == places(second)


def test_one_server_has_all() -> None:
    for kind in ("ketama", "modula", "random", "rendezvous"):
        assert set(places(Distribution(kind, [(b"alone", 3)]))) == {0}


@pytest.mark.parametrize(
    ("servers", "options"),
    [
        ([], {}),
        ([(b"a", 0)], {}),
        ([(b"a", 1_000_001)], {}),
        ([(b"", 1)], {}),
        ([(b"a" * 256, 1)], {}),
        (THREE, {"pair": "{"}),
        (THREE, {"hash": "sha1"}),
    ],
)
def test_what_cannot_be_is_refused(servers: list[tuple[bytes, int]], options: Any) -> None:
    with pytest.raises(ValueError):
        Distribution("ketama", servers, **options)
