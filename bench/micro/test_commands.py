"""What a look-up of a command costs. Each round is 100,000 look-ups: divide by that."""

from __future__ import annotations

from typing import Any

import pytest

from shotover._codec import commands

ROUND = 100_000


@pytest.mark.parametrize("name", [b"GET", b"SET", b"HGETALL", b"ZRANGEBYSCORE", b"CLIENT|ID", b"CONFIG|GET"])
def test_find(benchmark: Any, name: bytes) -> None:
    assert benchmark(commands.find_often, name, ROUND) == ROUND


def test_find_unknown(benchmark: Any) -> None:
    assert benchmark(commands.find_often, b"FT.SEARCH", ROUND) == 0
