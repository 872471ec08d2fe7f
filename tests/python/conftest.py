"""Python transforms before a real server, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from support.inprocess import Served, inline, sink
from support.servers import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server("redis")
    yield server
    server.stop()


@pytest.fixture
def second(start_server: Callable[..., Server]) -> Server:
    return start_server()


@pytest.fixture
def serve(server: Server) -> Iterator[Callable[..., Served]]:
    """serve(Transform, ...): a proxy with these before a real server that is empty."""
    with redis.Redis(port=server.port) as direct:
        direct.flushall()
    started: list[Served] = []

    def start(*steps: Any, **fields: Any) -> Served:
        models = [
            step if not isinstance(step, type) else inline(step, f"py{index or ''}", **fields)
            for index, step in enumerate(steps)
        ]
        started.append(Served([*models, sink(server.port)]))
        return started[-1]

    yield start
    for served in started:
        served.end()


@pytest.fixture
def direct(server: Server) -> Iterator[redis.Redis]:
    """The server itself."""
    with redis.Redis(port=server.port) as client:
        yield client
