"""Fixture `run`: a topology on a worker of its own, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chain.bench import Bench


@pytest.fixture
def run() -> Iterator[Callable[..., Bench]]:
    """run(chain) -> a Bench; at the end of the test nothing of its traffic may be left."""
    started: list[Bench] = []

    def start(*chain: Any, **options: Any) -> Bench:
        started.append(Bench(list(chain), **options))
        return started[-1]

    yield start
    for bench in started:
        bench.close()
