"""Small things that every request pays for."""

from __future__ import annotations

from typing import Any

from shotover._core import counters

ROUND = 100_000


def test_histogram_add(cost: Any) -> None:
    """A different bucket each time, as traffic is; what makes the values is in it."""
    cost("count a latency in a histogram", ROUND, lambda: counters.histogram_add_rounds(ROUND)[0])
