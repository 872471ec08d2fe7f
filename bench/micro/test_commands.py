"""What a look-up of a command costs."""

from __future__ import annotations

from typing import Any

import pytest

from shotover._codec import commands

ROUND = 100_000


@pytest.mark.parametrize(
    "name", [b"GET", b"SET", b"HGETALL", b"ZRANGEBYSCORE", b"CLIENT|ID", b"CONFIG|GET"]
)
def test_find(cost: Any, name: bytes) -> None:
    cost(f"look up {name.decode()}", ROUND, lambda: commands.find_often(name, ROUND))


def test_find_unknown(cost: Any) -> None:
    """None is found, so the misses are counted."""
    cost("look up an unknown name", ROUND, lambda: ROUND - commands.find_often(b"FT.SEARCH", ROUND))
