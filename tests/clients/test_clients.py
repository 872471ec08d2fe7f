"""Clients of other languages do their ordinary work: they must see the same through the proxy as without it.

`make test-clients` builds the clients first (build.py). What a client does stands in the program in its folder; what it
prints is compared line by line.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Container, Iterator
from typing import Any

import pytest
from support.endpoint import VARIANTS
from support.handshakes import pinned, shape
from support.proxy import Proxy
from support.resp import RawClient
from support.sentinel import NAME, Sentinels
from support.servers import PATHS, Cluster, Server

from clients import build, recorder
from clients.run import PROTOCOLS, transcript

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

every_client = pytest.mark.parametrize("client", build.chosen())
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
every_kind = pytest.mark.parametrize("kind", sorted(PATHS))


BY_DESIGN = {
    "transactions.aborted": "a transaction is sent as a whole: what a node has against a command comes with EXEC",
    "scripts.exists": "EVAL makes a script known to one node; SCRIPT EXISTS asks them all",
}
"""What differs before a cluster: RedisSinkCluster's page tells."""


def compare(alone: list[str], proxied: list[str], what: str, but: Container[str] = ()) -> None:
    alone, proxied = (
        [line for line in lines if line.partition(":")[0] not in but] for lines in (alone, proxied)
    )
    if alone != proxied:
        lines = difflib.unified_diff(
            alone, proxied, "without", "through the proxy", lineterm="", n=1
        )
        pytest.fail(f"{what}:\n" + "\n".join(line[:400] for line in lines), pytrace=False)


@every_kind
@every_protocol
@every_client
def test_one_server(
    client: str,
    protocol: str,
    kind: str,
    start_server: Callable[..., Server],
    start_proxy: Callable[..., Proxy],
) -> None:
    server = start_server(kind=kind)
    alone = transcript(client, server.port, "single", protocol)
    for name, options in VARIANTS.items():
        server.clean()
        proxy: Any = start_proxy(server.port, **options)
        compare(alone, transcript(client, proxy.port, "single", protocol), name)
        proxy.check_idle()


@every_client
def test_its_handshakes_are_those_that_are_pinned(client: str) -> None:
    """If it greets otherwise by now: `python tests/clients/recorder.py` writes what make test replays."""
    seen = {tuple(shape(each)) for each in recorder.record(client)}
    assert seen == {tuple(shape(each)) for each in pinned(client)}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(6, 1)
    yield cluster
    cluster.stop()


def emptied(cluster: Cluster, proxy: Proxy | None = None) -> None:
    """No keys, no scripts: at the nodes, and in what the proxy remembers."""
    cluster.clean()
    for port in cluster.ports:
        with RawClient(port) as raw:
            raw.command("SCRIPT", "FLUSH")
    if proxy is not None:
        with proxy.client() as client:
            client.script_flush()


def cluster_sink(cluster: Cluster, present_as: str) -> dict[str, Any]:
    return {
        "RedisSinkCluster": {
            "first_contact_points": [f"127.0.0.1:{port}" for port in cluster.ports[:2]],
            "connect_timeout_ms": 1000,
            "present_as": present_as,
        }
    }


@every_protocol
@every_client
def test_a_cluster_that_it_knows_nothing_of(
    client: str, protocol: str, cluster: Cluster, start_server: Callable[..., Server]
) -> None:
    """One server, and a cluster that looks like one."""
    alone = transcript(client, start_server().port, "plain-on-cluster", protocol)
    proxy = Proxy(0, end=cluster_sink(cluster, "standalone"))
    try:
        emptied(cluster, proxy)
        proxied = transcript(client, proxy.port, "plain-on-cluster", protocol)
        compare(alone, proxied, "one server, and a cluster behind the proxy", BY_DESIGN)
        proxy.check_idle()
    finally:
        proxy.stop()


@every_protocol
@every_client
def test_its_own_client_of_clusters(client: str, protocol: str, cluster: Cluster) -> None:
    emptied(cluster)
    alone = transcript(client, cluster.ports[0], "cluster", protocol)
    proxy = Proxy(0, end=cluster_sink(cluster, "cluster"))
    try:
        emptied(cluster, proxy)
        proxied = transcript(client, proxy.port, "cluster", protocol)
        compare(alone, proxied, "a cluster, and the proxy that looks like one", BY_DESIGN)
        requests = proxy.metric("shotover_requests_count")
        assert requests > 1000, "the client goes past the proxy"
        proxy.check_idle()
    finally:
        proxy.stop()


@every_client
def test_behind_sentinels(client: str) -> None:
    with Sentinels() as group:
        alone = transcript(client, group.primary().port, "single", "3")
        group.primary().clean()
        sink = {"sentinels": group.addresses, "master_name": NAME, "connect_timeout_ms": 1000}
        proxy = Proxy(0, end={"RedisSinkSentinel": sink})
        try:
            compare(alone, transcript(client, proxy.port, "single", "3"), "a master of sentinels")
            proxy.check_idle()
        finally:
            proxy.stop()
