"""Fixture `run`: a topology on a worker of its own, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.servers import Server

from chain.bench import Bench
from chain.multi import NAMES, Multi


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


@pytest.fixture
def multi(run: Callable[..., Bench], start_server: Callable[..., Server]) -> Callable[..., Multi]:
    """multi(*server_options, sinks={...}, **fields): three servers behind a scatter."""

    def make(*options: str, sinks: dict[str, Any] | None = None, **fields: Any) -> Multi:
        names = fields.pop("names", NAMES)
        servers = {name: start_server("--enable-debug-command", "yes", *options) for name in names}
        return Multi(servers, run, sinks=sinks or {}, **fields)

    return make
