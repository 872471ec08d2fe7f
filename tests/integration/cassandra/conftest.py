"""`cql_port`: the same test against the server alone and through the proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cassandra import shared_node
from support.proxy import Proxy, cassandra_topology

DIRECT, PROXY = "direct", "proxy"


def run_place(factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run share."""
    base = factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Cassandra that lets everybody in."""
    with shared_node(run_place(tmp_path_factory)) as port:
        yield port


@pytest.fixture(scope="session")
def login_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of one that asks for a password."""
    with shared_node(run_place(tmp_path_factory), login=True) as port:
        yield port


@pytest.fixture
def start_cassandra_proxy() -> Iterator[Callable[..., Proxy]]:
    """Starts proxies of the test's own before a port; each must end cleanly, with nothing undeclared in its log."""
    started: list[Proxy] = []

    def start(upstream_port: int, **options: Any) -> Proxy:
        started.append(Proxy(upstream_port, topology=cassandra_topology, **options))
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
def proxy(node: int, start_cassandra_proxy: Callable[..., Proxy]) -> Proxy:
    return start_cassandra_proxy(node)


@pytest.fixture(params=[DIRECT, PROXY])
def cql_port(
    request: pytest.FixtureRequest, node: int, start_cassandra_proxy: Callable[..., Proxy]
) -> int:
    return node if request.param == DIRECT else start_cassandra_proxy(node).port


@pytest.fixture(params=[DIRECT, PROXY])
def login_port(
    request: pytest.FixtureRequest, login_node: int, start_cassandra_proxy: Callable[..., Proxy]
) -> int:
    return login_node if request.param == DIRECT else start_cassandra_proxy(login_node).port
