"""Clusters that are not there yet, not there any more, or out of memory: clear errors, and recovery without a restart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from integration.cluster.conftest import Front, cluster_sink
from support.proxy import Proxy
from support.servers import Cluster
from support.wait import free_port, wait_until

pytestmark = pytest.mark.timeout(120)


def all_slots_served(front: Front) -> bool:
    with front.proxy.raw() as raw:
        return all(raw.command("SET", f"k{index}", "v") == b"+OK\r\n" for index in range(50))


def test_all_nodes_gone_and_back(make_front: Callable[..., Front]) -> None:
    front = make_front((3, 0), retry_timeout=0.3)
    front.proxy.allow_log("cannot connect", "lost")
    assert all_slots_served(front)
    for index in range(3):
        front.cluster.kill(index)
    with front.proxy.raw() as raw:
        reply = raw.command("GET", "k1")
        assert reply.startswith(b"-ERR shotover: upstream"), reply
        assert raw.command("PING").startswith(b"-ERR shotover: ")
        for index in range(3):
            front.cluster.restart(index)
        front.cluster.wait_ok()
        wait_until(lambda: raw.command("SET", "k1", "v") == b"+OK\r\n", "the same client is served")
    wait_until(lambda: all_slots_served(front), "all slots are served")


def test_a_proxy_that_is_there_before_its_cluster(server_kind: str) -> None:
    """Its contact points refuse connections, then know of no slots, then form a cluster."""
    ports = [free_port() for _ in range(2)]
    proxy = Proxy(
        0,
        end={
            "RedisSinkCluster": {
                "first_contact_points": [f"127.0.0.1:{port}" for port in ports],
                "retry_timeout": 0.2,
                "connect_timeout_ms": 500,
            }
        },
    )
    proxy.allow_log("cannot connect", "lost", "cannot be used")
    cluster = None
    try:
        with proxy.raw() as raw:
            assert raw.command("GET", "a").startswith(b"-ERR shotover: ")
        proxy.kill()
        cluster = Cluster(3, kind=server_kind, form=False)
        proxy = Proxy(0, end=cluster_sink(cluster, retry_timeout=0.2))
        with proxy.raw() as raw:
            refused = raw.command("GET", "a")
            assert refused.startswith((b"-CLUSTERDOWN", b"-ERR shotover: ")), refused
            cluster.form()
            wait_until(lambda: raw.command("GET", "a") == b"$-1\r\n", "it is served")
    finally:
        proxy.kill()
        if cluster is not None:
            cluster.stop()


def test_out_of_memory_is_the_servers_word(make_front: Callable[..., Front]) -> None:
    front = make_front((3, 0))
    client = front.client()
    client.set("k1", "v")
    client.config_set("maxmemory", "1")
    with front.proxy.raw() as raw:
        assert raw.command("SET", "k1", "x").startswith(b"-OOM")
        assert raw.command("GET", "k1") == b"$1\r\nv\r\n"
        assert raw.command("MSET", "a", 1, "b", 2, "c", 3).startswith(b"-OOM")
        raw.command("MULTI")
        assert raw.command("SET", "k1", "x") == b"+QUEUED\r\n"
        assert raw.command("EXEC").startswith(b"-EXECABORT Transaction discarded because of: OOM")
        client.config_set("maxmemory", "0")
        assert raw.command("SET", "k1", "x") == b"+OK\r\n"
    client.close()


def test_a_wrong_contact_point(make_front: Callable[..., Front], server_kind: str) -> None:
    """A server that is no cluster: the error says what it says."""
    from support.servers import Server

    server = Server(server_kind)
    proxy = Proxy(
        0,
        end={
            "RedisSinkCluster": {
                "first_contact_points": [f"127.0.0.1:{server.port}"],
                "retry_timeout": 0.2,
            }
        },
    )
    proxy.allow_log("cannot be used", "no map")
    try:
        with proxy.raw() as raw:
            assert raw.command("GET", "a").startswith(b"-ERR shotover: no server is known")
        wait_until(lambda: "cluster support disabled" in proxy.log(), "the log says why")
    finally:
        proxy.kill()
        server.stop()
