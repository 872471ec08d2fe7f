"""A real cluster of three masters, each with a replica, and the proxy before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.proxy import Proxy
from support.servers import Cluster


def cluster_sink(cluster: Cluster, **fields: Any) -> dict[str, Any]:
    return {
        "RedisSinkCluster": {
            "name": "sink",
            "first_contact_points": [f"127.0.0.1:{port}" for port in cluster.ports[:2]],
            "connect_timeout_ms": 1000,
            **fields,
        }
    }


class Front:
    """The proxy before a cluster."""

    def __init__(self, cluster: Cluster, **fields: Any) -> None:
        self.cluster = cluster
        self.proxy = Proxy(0, end=cluster_sink(cluster, **fields))

    def client(self, **options: Any) -> Any:
        return self.proxy.client(**options)

    def stop(self) -> None:
        self.proxy.stop()


@pytest.fixture(scope="session")
def shared_cluster(server_kind: str) -> Iterator[Cluster]:
    """For tests that leave its nodes and slots as they are."""
    cluster = Cluster(6, 1, kind=server_kind)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def shared_front(shared_cluster: Cluster) -> Iterator[Front]:
    front = Front(shared_cluster)
    yield front
    front.stop()


@pytest.fixture
def front(shared_front: Front) -> Iterator[Front]:
    """An empty cluster behind the proxy."""
    shared_front.cluster.clean()
    yield shared_front
    shared_front.proxy.check_idle()


@pytest.fixture
def make_front(server_kind: str) -> Iterator[Callable[..., Front]]:
    """A cluster and a proxy of the test's own: make_front((6, 1), retry_timeout=1.0)."""
    made: list[Front] = []

    def make(shape: tuple[int, int] = (3, 0), *options: str, **fields: Any) -> Front:
        cluster = Cluster(*shape, *options, kind=server_kind)
        try:
            made.append(Front(cluster, **fields))
        except BaseException:
            cluster.stop()
            raise
        return made[-1]

    yield make
    for front in made:
        front.proxy.kill()
        front.cluster.stop()
