"""Who has a row: as drivers work it out, and as the servers' own rules say."""

from __future__ import annotations

import pytest
from cassandra.connection import DefaultEndPoint
from cassandra.metadata import (
    BytesToken,
    MD5Token,
    Murmur3Token,
    NetworkTopologyStrategy,
    SimpleStrategy,
)
from cassandra.policies import SimpleConvictionPolicy
from cassandra.pool import Host
from hypothesis import given
from hypothesis import strategies as st

from shotover._codec.cql.ring import Placement, Ring

TOKENS = st.integers(-(1 << 63) + 1, (1 << 63) - 1)
CENTERS, RACKS = ["dc1", "dc2", "dc3"], ["a", "b", "c", "d"]
SIMPLE = "org.apache.cassandra.locator.SimpleStrategy"
NETWORK = "org.apache.cassandra.locator.NetworkTopologyStrategy"


@st.composite
def servers(draw: st.DrawFn) -> list[tuple[int, str, str, list[str]]]:
    """Up to 12, in up to 3 data centers, with up to 4 tokens each."""
    tokens = draw(st.lists(TOKENS, min_size=1, max_size=48, unique=True))
    count = draw(st.integers(1, min(12, len(tokens))))
    return [
        (
            number,
            draw(st.sampled_from(CENTERS)),
            draw(st.sampled_from(RACKS)),
            [str(token) for token in tokens[number::count]],
        )
        for number in range(count)
    ]


def hosts(given_servers: list[tuple[int, str, str, list[str]]]) -> dict[Murmur3Token, Host]:
    """What the driver makes its maps from."""
    found = {}
    for number, center, rack, tokens in given_servers:
        host = Host(DefaultEndPoint(f"10.0.0.{number}"), SimpleConvictionPolicy)
        host.set_location_info(center, rack)
        found.update({Murmur3Token(int(token)): host for token in tokens})
    return found


def numbers(found: list[Host]) -> list[int]:
    return [int(host.address.rpartition(".")[2]) for host in found]


@given(servers(), st.integers(1, 5))
def test_the_simple_strategy(ring_of: list[tuple[int, str, str, list[str]]], copies: int) -> None:
    ring = Ring("Murmur3Partitioner", ring_of)
    placement = Placement(ring, {"class": SIMPLE, "replication_factor": str(copies)})
    owners = hosts(ring_of)
    theirs = SimpleStrategy({"replication_factor": str(copies)}).make_token_replica_map(
        owners, sorted(owners)
    )
    for place, token in enumerate(sorted(owners)):
        assert placement.at(place) == numbers(theirs[token])


@given(servers(), st.dictionaries(st.sampled_from(CENTERS), st.integers(0, 4), min_size=1))
def test_the_strategy_of_racks(
    ring_of: list[tuple[int, str, str, list[str]]], counts: dict[str, int]
) -> None:
    ring = Ring("Murmur3Partitioner", ring_of)
    replication = {name: str(count) for name, count in counts.items()}
    placement = Placement(ring, {"class": NETWORK, **replication})
    owners = hosts(ring_of)
    theirs = NetworkTopologyStrategy(replication).make_token_replica_map(owners, sorted(owners))
    for place, token in enumerate(sorted(owners)):
        mine = placement.at(place)
        assert len(set(mine)) == len(mine)
        assert set(mine) == set(numbers(theirs[token]))  # the driver has them in another order
        assert mine == by_the_rules(ring_of, counts, place)


def by_the_rules(
    ring_of: list[tuple[int, str, str, list[str]]], counts: dict[str, int], place: int
) -> list[int]:
    """As the servers do it: round the ring, and in a rack that has a copy only so often as there are racks too few."""
    ring = sorted((int(token), server) for server in ring_of for token in server[3])
    found: list[int] = []
    racks: set[tuple[str, str]] = set()
    of = {name: [server for server in ring_of if server[1] == name] for name in CENTERS}
    left = {name: min(counts.get(name, 0), len(of[name])) for name in CENTERS}
    again = {
        name: counts.get(name, 0) - len({server[2] for server in of[name]}) for name in CENTERS
    }
    for _token, (number, center, rack, _) in ring[place:] + ring[:place]:
        if number in found or left[center] <= 0:
            continue
        if (center, rack) in racks:
            if again[center] <= 0:
                continue
            again[center] -= 1
        racks.add((center, rack))
        found.append(number)
        left[center] -= 1
    return found


@given(st.lists(TOKENS, min_size=1, max_size=40, unique=True), st.binary(min_size=1, max_size=30))
def test_the_place_of_a_key(tokens: list[int], key: bytes) -> None:
    ring = Ring("Murmur3Partitioner", [(0, "dc1", "a", [str(token) for token in tokens])])
    token = Murmur3Token.hash_fn(key)
    order = sorted(tokens)
    assert ring.place(key) == next((i for i, each in enumerate(order) if each >= token), 0)


@given(
    st.lists(st.integers(0, 1 << 127), min_size=1, max_size=40, unique=True), st.binary(max_size=30)
)
def test_the_place_of_a_key_in_a_random_ring(tokens: list[int], key: bytes) -> None:
    ring = Ring("RandomPartitioner", [(0, "dc1", "a", [str(token) for token in tokens])])
    token = MD5Token.hash_fn(key)
    order = sorted(tokens)
    assert ring.place(key) == next((i for i, each in enumerate(order) if each >= token), 0)


@given(
    st.lists(st.binary(min_size=1, max_size=6), min_size=1, max_size=40, unique=True),
    st.binary(max_size=6),
)
def test_the_place_of_a_key_in_an_ordered_ring(tokens: list[bytes], key: bytes) -> None:
    ring = Ring("ByteOrderedPartitioner", [(0, "dc1", "a", [token.hex() for token in tokens])])
    order = sorted(tokens)
    assert BytesToken.from_string(order[0].hex()).value == order[0]
    assert ring.place(key) == next((i for i, each in enumerate(order) if each >= key), 0)


def test_what_is_no_ring() -> None:
    for text in ("x", str(1 << 63), ""):
        with pytest.raises(ValueError):
            Ring("Murmur3Partitioner", [(0, "dc1", "a", [text])])
    unknown = Ring("org.example.Partitioner", [])
    assert (unknown.partitioner, unknown.count, unknown.place(b"k")) == (0, 0, None)
    ring = Ring("Murmur3Partitioner", [(0, "dc1", "a", ["1"])])
    for name in ("LocalStrategy", "EverywhereStrategy", ""):
        with pytest.raises(ValueError, match="where a row is"):
            Placement(ring, {"class": name})
    assert Placement(ring, {"class": NETWORK, "dc9": "3"}).at(0) == []
    assert Placement(ring, {"class": NETWORK, "dc1": "3/1"}).at(0) == [0]
    assert Placement(ring, {"class": NETWORK, "dc1": "1"}).at(7) == []


def test_a_big_ring() -> None:
    """As many tokens as there may be: its making must end soon, and every row has its copies."""
    count, tokens = 120, 64
    step = (1 << 64) // (count * tokens)
    ring_of = [
        (
            number,
            CENTERS[number % 2],
            RACKS[number % 3],
            [str(-(1 << 63) + step * (number + count * i)) for i in range(tokens)],
        )
        for number in range(count)
    ]
    placement = Placement(
        Ring("Murmur3Partitioner", ring_of), {"class": NETWORK, "dc1": "3", "dc2": "2"}
    )
    for place in range(0, count * tokens, 97):
        found = placement.at(place)
        assert [CENTERS[number % 2] for number in found].count("dc1") == 3
        assert [CENTERS[number % 2] for number in found].count("dc2") == 2
