"""A ring of real nodes, and proxies before it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import DCAwareRoundRobinPolicy, FallthroughRetryPolicy, TokenAwarePolicy
from support.cassandra_ring import Cluster as Servers
from support.cassandra_ring import Member, Ring, cluster_sink, shared_ring
from support.proxy import Proxy, cassandra_topology
from support.wait import free_port


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


class Start:
    """Starts the proxies of one ring: one for each (data center, rack), at 127.0.0.1, .2 and so on, on one port."""

    def __init__(self) -> None:
        self.started: list[Proxy] = []
        self.how: dict[int, dict[str, Any]] = {}

    def __call__(
        self,
        ring: Servers,
        *places: tuple[str, str],
        source: dict[str, Any] | None = None,
        arguments: Sequence[str] = (),
        **fields: Any,
    ) -> list[Proxy]:
        port = free_port()
        members = [
            Member(f"127.0.0.{index + 1}", port, center, rack)
            for index, (center, rack) in enumerate(places or [("dc1", "r1")])
        ]
        return [
            self._start(
                port=port,
                arguments=arguments,
                source={"listen_addr": f"{member.host}:{port}", **(source or {})},
                end=cluster_sink(ring, members, own, **fields),
            )
            for own, member in enumerate(members)
        ]

    def _start(self, **how: Any) -> Proxy:
        proxy = Proxy(0, topology=cassandra_topology, **how)
        self.started.append(proxy)
        self.how[id(proxy)] = how
        return proxy

    def again(self, proxy: Proxy) -> Proxy:
        """The same once more, after it was stopped or killed."""
        return self._start(**self.how[id(proxy)])

    def end(self) -> None:
        errors = []
        for proxy in self.started:
            if len(self.started) > 1:  # they end one after the other
                proxy.allow_log("another proxy cannot be reached")
            try:
                proxy.stop()
            except AssertionError as error:
                errors.append(str(error))
        assert not errors, "\n".join(errors)


@pytest.fixture
def start_proxies() -> Iterator[Start]:
    """Each must end cleanly, with nothing undeclared in its log."""
    start = Start()
    yield start
    start.end()


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
