"""Shared by all tests: where the support modules are, markers, and limits on time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.append(str(HERE.parent))  # last: an installed shotover goes before the checkout

from support.chaos import Link  # noqa: E402
from support.proxy import Proxy  # noqa: E402
from support.servers import PATHS, Server  # noqa: E402

TEST_S = 30  # what a test may take, unless it says otherwise


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--server", choices=sorted(PATHS), default="redis", help="the server behind the proxy"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "integration" in item.path.parts and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_S))


@pytest.fixture(scope="session")
def server_kind(request: pytest.FixtureRequest) -> str:
    """The server behind the proxy: "redis", or what --server says."""
    return str(request.config.getoption("--server"))


@pytest.fixture
def start_server(server_kind: str) -> Iterator[Callable[..., Server]]:
    """Starts servers of the test's own: start_server("--requirepass", "x")."""
    started: list[Server] = []

    def start(*options: str, kind: str = server_kind, port: int = 0) -> Server:
        started.append(Server(kind, *options, port=port))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def start_proxy() -> Iterator[Callable[..., Proxy]]:
    """Starts proxies of the test's own;

    Each must end cleanly, with nothing undeclared in its log.
    """
    started: list[Proxy] = []

    def start(upstream_port: int, **options: Any) -> Proxy:
        started.append(Proxy(upstream_port, **options))
        return started[-1]

    yield start
    errors = []
    for proxy in started:
        try:
            proxy.stop()
        except AssertionError as error:
            errors.append(str(error))
    assert not errors, "\n".join(errors)


@pytest.fixture
def start_link() -> Iterator[Callable[[int], Link]]:
    """Puts chaos links before ports: start_link(server.port)."""
    started: list[Link] = []

    def start(target_port: int) -> Link:
        started.append(Link(target_port))
        return started[-1]

    yield start
    for link in started:
        link.close()
