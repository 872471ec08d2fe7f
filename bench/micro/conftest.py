"""Fixture `cost`: times a loop over many small things and tells what one of them costs, in a table at the end.

Nothing here passes or fails by its time: machines differ. What is asserted is that the work was done. Times are the
thread's own CPU time, which cares little for who else is busy.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.append(str(ROOT))  # last: an installed shotover goes before the checkout

ROUNDS = 30
ROWS: list[tuple[str, float, float]] = []
"""(what, least ns, median ns) of one of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.benchmark(timer=time.thread_time))


@pytest.fixture
def cost(benchmark: Any) -> Callable[..., None]:
    """cost(what, count, call): `call` does the thing `count` times and returns how often it did."""

    def measure(what: str, count: int, call: Callable[[], int]) -> None:
        assert benchmark.pedantic(call, rounds=ROUNDS, warmup_rounds=2) == count
        if benchmark.stats is not None:
            note(what, [1e9 * each / count for each in benchmark.stats.stats.data])
            benchmark.extra_info["ns"] = ROWS[-1][2]

    return measure


def note(what: str, ns: list[float]) -> None:
    ROWS.append((what, min(ns), statistics.median(ns)))


@pytest.fixture
def noted() -> Callable[[str, list[float]], None]:
    """noted(what, ns): a row of figures that a test has worked out by itself."""
    return note


@pytest.fixture
def worker() -> Iterator[Any]:
    """A worker that is never run: chains can be built on it."""
    from shotover._proxy.worker import Worker

    yield Worker(0, poller="epoll" if sys.platform == "linux" else "auto")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not ROWS:
        return
    width = max(len(what) for what, _, _ in ROWS)
    terminalreporter.write_sep("-", f"nanoseconds for one, of {ROUNDS} rounds")
    terminalreporter.write_line(
        f"| {'what':{width}} | least | median |\n|{'-' * (width + 2)}|---:|---:|"
    )
    for what, least, median in ROWS:
        terminalreporter.write_line(f"| {what:{width}} | {least:.1f} | {median:.1f} |")
