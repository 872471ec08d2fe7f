"""Reads from replicas, logins, and what clients are told of the cluster."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from integration.cluster.conftest import Front, cluster_sink
from support.proxy import Proxy
from support.servers import Cluster
from support.wait import wait_until, wait_until_equal

pytestmark = pytest.mark.timeout(120)  # a failover takes its time


def commands_of(front: Front, index: int, name: str) -> int:
    """How often a node has carried out a command."""
    with front.cluster.raw(index) as raw:
        for line in raw.ask("INFO", "commandstats").decode().splitlines():
            if line.startswith(f"cmdstat_{name}:calls="):
                return int(line.partition("=")[2].partition(",")[0])
    return 0


@pytest.mark.parametrize("read_from", ["prefer_replica", "replica", "nearest"])
def test_reads_go_where_they_should(make_front: Callable[..., Front], read_from: str) -> None:
    front = make_front((6, 1), read_from=read_from)
    client = front.client()
    for index in range(100):
        client.set(f"k{index}", index)
    client.wait(1, 5000)
    wait_until(
        lambda: (
            [client.get(f"k{index}") for index in range(100)]
            == [b"%d" % index for index in range(100)]
        ),
        "replicas have it all",
    )
    masters = sum(commands_of(front, index, "get") for index in range(3))
    replicas = sum(commands_of(front, index, "get") for index in range(3, 6))
    assert client.mget("k1", "k2", "k3") == [b"1", b"2", b"3"]
    if read_from == "nearest":
        assert masters + replicas >= 100
    else:
        assert replicas >= 100
        assert masters == 0
    client.close()


def test_without_replicas_a_preference_is_all_it_is(make_front: Callable[..., Front]) -> None:
    front = make_front((3, 0), read_from="prefer_replica")
    client = front.client()
    client.set("k", "v")
    assert client.get("k") == b"v"
    client.close()


def test_logins_are_the_clients_own(make_front: Callable[..., Front]) -> None:
    """Nobody gets further than the cluster lets him; the map is asked for as one of those who may."""
    front = make_front((3, 0))
    for index in range(3):
        with front.cluster.raw(index) as raw:
            raw.command("ACL", "SETUSER", "app", "on", ">pass", "~app:*", "+@all", "-config")
            raw.command("CONFIG", "SET", "requirepass", "secret")
    front.proxy.kill()
    front.proxy = Proxy(0, end=cluster_sink(front.cluster))
    with front.proxy.raw() as raw:
        assert raw.command("GET", "a").startswith(b"-NOAUTH")
        assert raw.command("AUTH", "wrong").startswith(b"-WRONGPASS")
        assert raw.command("GET", "a").startswith(b"-NOAUTH")
        assert raw.command("AUTH", "app", "pass") == b"+OK\r\n"
        assert raw.command("SET", "app:1", "v") == b"+OK\r\n"
        assert raw.command("GET", "other").startswith(b"-NOPERM")
        assert raw.command("CONFIG", "GET", "x").startswith(b"-NOPERM")
    everything = front.client(username="default", password="secret")
    for index in range(100):
        everything.set(f"k{index}", index)
    assert everything.dbsize() == 101
    with front.proxy.raw() as raw:
        assert raw.command("GET", "a").startswith(b"-NOAUTH")
    everything.close()


def test_the_proxy_logs_in_for_itself(make_front: Callable[..., Front]) -> None:
    front = make_front((3, 0))
    for index in range(3):
        with front.cluster.raw(index) as raw:
            raw.command("CONFIG", "SET", "requirepass", "secret")
    front.proxy.kill()
    front.proxy = Proxy(0, end=cluster_sink(front.cluster, password="secret"))
    wait_until_equal(
        lambda: front.proxy.metric("shotover_cluster_masters"), 3.0, "the map is known"
    )
    with front.proxy.raw() as raw:
        assert raw.command("GET", "a").startswith(b"-NOAUTH")


def test_clients_that_know_of_clusters(make_front: Callable[..., Front]) -> None:
    front = make_front((3, 0), present_as="cluster")
    client = redis.RedisCluster(host="127.0.0.1", port=front.proxy.port, protocol=2)
    for index in range(50):
        client.set(f"k{index}", index)
    assert [client.get(f"k{index}") for index in range(50)] == [b"%d" % i for i in range(50)]
    assert client.mget_nonatomic("k1", "k2") == [b"1", b"2"]
    nodes = {node.port for node in client.get_nodes()}
    assert nodes == {front.proxy.port}, "somebody could go past the proxy"
    with front.proxy.raw() as raw:
        assert raw.ask("CLUSTER", "KEYSLOT", "foo") == 12182
        assert raw.ask("CLUSTER", "SLOTS")[0][:2] == [0, 16383]
        assert b"cluster_state:ok" in raw.ask("CLUSTER", "INFO")
        assert raw.ask("CLUSTER", "MYID") in raw.ask("CLUSTER", "NODES")
        assert raw.command("CLUSTER", "FORGET", "x").startswith(b"-ERR CLUSTER FORGET")
        raw.command("HELLO", "3")
        assert raw.command("CLUSTER", "SHARDS").startswith(b"*1\r\n%2\r\n")
    client.close()


def test_others_see_one_server(front: Front) -> None:
    with front.proxy.raw() as raw:
        assert (
            raw.command("CLUSTER", "SLOTS")
            == b"-ERR This instance has cluster support disabled\r\n"
        )


def test_the_nodes_with_other_ports(shared_cluster: Cluster) -> None:
    """What stands before the sink rewrites what a node says."""
    proxy = Proxy(
        0,
        end=cluster_sink(shared_cluster),
        chain=[{"RedisClusterPortsRewrite": {"new_port": 1234}}],
    )
    try:
        with proxy.raw() as raw:
            slots = raw.ask("CLUSTER", "SLOTS")
            assert len(slots) == 3
            assert {node[1] for entry in slots for node in entry[2:]} == {1234}
            assert raw.command("SET", "a", "v") == b"+OK\r\n"
    finally:
        proxy.kill()
