"""A real server for the generator to load."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shotover.benchmark.processes import (
    Address,
    Running,
    ask,
    find_server,
    raise_descriptor_limit,
    start_server,
)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if find_server() is None:
        pytest.skip("no redis-server or valkey-server on this machine")
    running = start_server(tmp_path_factory.mktemp("server"), raise_descriptor_limit())
    yield running
    running.stop()


@pytest.fixture
def address(server: Running) -> Address:
    """The server, empty and with its counters at zero."""
    ask(server.address, b"FLUSHALL")
    ask(server.address, b"CONFIG", b"RESETSTAT")
    return server.address
