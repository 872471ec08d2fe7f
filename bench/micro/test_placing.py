"""What it costs to find a key's server."""

from __future__ import annotations

from typing import Any

import pytest

from shotover._codec import hashes, slots
from shotover.sinks._redis_distribution import Distribution

ROUND = 100_000
KEY = b"user:000000000012345"
HASHES = (
    "one_at_a_time", "md5", "crc16", "crc32", "crc32a", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "hsieh",
    "murmur", "jenkins", "xxh64",
)  # fmt: skip
SERVERS = {
    "3 servers": [(b"node%d" % index, 1) for index in range(3)],
    "3 weighted servers": [(b"node%d" % index, 1 + index) for index in range(3)],
    "100 servers": [(b"node%d" % index, 1) for index in range(100)],
}


def done(_result: int) -> int:
    return ROUND


@pytest.mark.parametrize("key", [KEY, b"{user:00000000000012}.followers"])
def test_slot(cost: Any, key: bytes) -> None:
    assert 0 <= slots.slot_often(key, 1) < 16384
    cost(f"slot of {key.decode()}", ROUND, lambda: done(slots.slot_often(key, ROUND)))


@pytest.mark.parametrize("name", HASHES)
def test_hash(cost: Any, name: str) -> None:
    cost(f"{name} of 20 bytes", ROUND, lambda: done(hashes.hash_often(name, KEY, ROUND)))


@pytest.mark.parametrize("servers", SERVERS)
@pytest.mark.parametrize("kind", ["ketama", "modula", "random", "rendezvous"])
def test_place(cost: Any, kind: str, servers: str) -> None:
    distribution = Distribution(kind, SERVERS[servers])
    cost(f"{kind}, {servers}", ROUND, lambda: done(distribution.place_often(KEY, ROUND)))
