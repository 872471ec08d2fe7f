"""A ring of real nodes, and proxies before it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import DCAwareRoundRobinPolicy, FallthroughRetryPolicy, TokenAwarePolicy
from support.cassandra_ring import Member, Ring, cluster_sink, shared_ring
from support.proxy import Proxy, cassandra_topology
from support.wait import free_port

Start = Callable[..., list[Proxy]]


def run_place(factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run share."""
    base = factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base


@pytest.fixture(scope="session")
def whole_ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ring]:
    with shared_ring(run_place(tmp_path_factory)) as ring:
        yield ring


@pytest.fixture
def ring(whole_ring: Ring) -> Iterator[Ring]:
    """Nobody harms it meanwhile."""
    with whole_ring.using():
        yield whole_ring


@pytest.fixture
def start_proxies() -> Iterator[Start]:
    """Starts the proxies of one ring; each must end cleanly, with nothing undeclared in its log."""
    started: list[Proxy] = []

    def start(
        ring: Ring, *places: tuple[str, str], source: dict[str, Any] | None = None, **fields: Any
    ) -> list[Proxy]:
        port = free_port()
        members = [
            Member(f"127.0.0.{index + 1}", port, center, rack)
            for index, (center, rack) in enumerate(places or [("dc1", "r1")])
        ]
        found = []
        for own, member in enumerate(members):
            proxy = Proxy(
                0,
                topology=cassandra_topology,
                port=port,
                source={"listen_addr": f"{member.host}:{port}", **(source or {})},
                end=cluster_sink(ring, members, own, **fields),
            )
            found.append(proxy)
            started.append(proxy)
        return found

    yield start
    errors = []
    for proxy in started:
        try:
            proxy.stop()
        except AssertionError as error:
            errors.append(str(error))
    assert not errors, "\n".join(errors)


@contextlib.contextmanager
def connected(
    host: str, port: int, version: int = 4, center: str = "dc1", **options: Any
) -> Iterator[Session]:
    """A driver that knows where rows are, and tries nothing twice."""
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(center)),
        retry_policy=FallthroughRetryPolicy(),
        request_timeout=30,
    )
    cluster = Cluster(
        [host],
        port=port,
        protocol_version=version,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        connect_timeout=20,
        control_connection_timeout=20,
        **{"compression": False, **options},
    )
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()
