"""What it costs to split an MGET by its keys' targets, and to join the replies: of one key."""

from __future__ import annotations

from typing import Any

import pytest
from support.native import load
from support.resp import encode

ROUND = 20_000  # keys
KEYS = (2, 100, 10_000)
VALUE = b"$64\r\n" + b"v" * 64 + b"\r\n"

load("fuzz_probe")  # fan_probe has it compiled in
probe = load("fan_probe")


def mget(count: int) -> bytes:
    """Keys whose last bytes take turns, three values in all."""
    return encode("MGET", *[f"key:{index:08}:{index % 3}" for index in range(count)])


@pytest.mark.parametrize("count", KEYS)
def test_split(cost: Any, count: int) -> None:
    wire, rounds, parts = mget(count), ROUND // count, min(count, 3)
    cost(
        f"split an MGET of {count} keys over 3 targets, a key",
        rounds * count,
        lambda: probe.split_often(wire, 3, rounds) // parts * count,
    )


@pytest.mark.parametrize("count", KEYS)
def test_one_target(cost: Any, count: int) -> None:
    wire, rounds = mget(count), ROUND // count
    cost(
        f"see that an MGET of {count} keys has one target, a key",
        rounds * count,
        lambda: probe.split_often(wire, 1, rounds) * count,
    )


def test_split_by_slot(cost: Any) -> None:
    """Every key a target of its own, three homes: as in a cluster."""
    wire = encode("MGET", *[b"key:%08d:%c" % (index, index) for index in range(50, 150)])
    cost(
        "split an MGET of 100 keys over 100 targets at 3 homes, a key",
        200 * 100,
        lambda: probe.split_often(wire, 251, 200, 3),
    )


@pytest.mark.parametrize("count", KEYS)
def test_join(cost: Any, count: int) -> None:
    wire, rounds = mget(count), ROUND // count
    size = len(b"*%d\r\n" % count) + count * len(VALUE)
    cost(
        f"join the replies to an MGET of {count} keys, 64 bytes each, a key",
        rounds * count,
        lambda: rounds * count if probe.join_often(wire, 3, VALUE, rounds) == size else 0,
    )
