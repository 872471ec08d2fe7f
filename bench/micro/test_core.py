"""Small things that every request pays for."""

from __future__ import annotations

from typing import Any

from support.native import load

ROUND = 100_000


def test_histogram_add(cost: Any) -> None:
    cost("count a latency in a histogram", ROUND, lambda: load("chain_probe").add_often(ROUND))
