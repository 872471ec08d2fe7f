"""RedisClusterPortsRewrite before nodes of a real cluster: what they say of ports, and nothing else, is changed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from support.chaos import UP, Link
from support.proxy import Proxy
from support.resp import Error, encode, parse
from support.servers import Cluster
from support.topologies import Running
from support.wait import free_port

PORT = 12345
CHAIN = [{"RedisClusterPortsRewrite": {"new_port": PORT}}]
COMMANDS = ("SLOTS", "NODES", "SHARDS", "REPLICAS", "SLAVES", "INFO", "MYID", "LINKS")


@pytest.fixture(scope="module")
def cluster(server_kind: str) -> Iterator[Cluster]:
    cluster = Cluster(6, 1, kind=server_kind)
    yield cluster
    cluster.stop()


@pytest.fixture
def proxy(cluster: Cluster, start_proxy: Callable[..., Proxy]) -> Proxy:
    """Before the first master."""
    return start_proxy(cluster.ports[0], chain=CHAIN)


def rewritten(value: Any, ports: list[int]) -> Any:
    """The value with PORT wherever one of the nodes' ports stands."""
    if isinstance(value, list):
        return type(value)(rewritten(each, ports) for each in value)
    if isinstance(value, dict):
        return {key: rewritten(each, ports) for key, each in value.items()}
    if isinstance(value, bytes):
        for port in ports:
            value = value.replace(b":%d@" % port, b":%d@" % PORT)
        return value
    return PORT if value in ports else value


def stable(command: str, value: Any) -> Any:
    """Without what changes from one moment to the next: times of pings, offsets, counts of messages."""
    if command == "NODES":
        return [line.split()[:4] + line.split()[6:] for line in value.splitlines()]
    if command in ("REPLICAS", "SLAVES"):
        return [line.split()[:4] + line.split()[6:] for line in value]
    if command in ("INFO", "LINKS"):
        return len(value) > 0
    if command != "SHARDS":
        return value
    nodes = []
    for shard in value:
        shard = (
            shard if isinstance(shard, dict) else dict(zip(shard[::2], shard[1::2], strict=True))
        )
        for node in shard[b"nodes"]:
            node = node if isinstance(node, dict) else dict(zip(node[::2], node[1::2], strict=True))
            nodes.append({**node, b"replication-offset": None})
    return nodes


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("command", COMMANDS)
def test_what_cluster_says(cluster: Cluster, proxy: Proxy, command: str, protocol: int) -> None:
    words = ["CLUSTER", command]
    if command in ("REPLICAS", "SLAVES"):
        words.append(cluster.id(0))
    with cluster.raw(0) as direct, proxy.raw() as through:
        for client in (direct, through):
            client.command("HELLO", protocol)
        before, after = direct.ask(*words), through.ask(*words)
        assert stable(command, after) == stable(command, rewritten(before, cluster.ports))
        if command in ("SLOTS", "SHARDS", "NODES", "REPLICAS"):
            assert str(PORT) in str(after)
        assert not any(str(port) in str(after) for port in cluster.ports if command != "LINKS")


def test_lower_case_and_pipelined_among_others(cluster: Cluster, proxy: Proxy) -> None:
    """Neighbours of the one that is rewritten keep their replies, in order."""
    with proxy.raw() as client:
        one = encode("ping", "a") + encode("cluster", "slots") + encode("ping", "b")
        client.send(one * 50)
        replies = [client.value() for _ in range(150)]
    assert replies[::3] == [b"a"] * 50
    assert replies[2::3] == [b"b"] * 50
    assert all(entry[2][1] == PORT for reply in replies[1::3] for entry in reply)


def elsewhere(cluster: Cluster) -> tuple[list[str], list[str]]:
    """Keys of the first master, and of others."""
    client = cluster.client()
    ours: list[str] = []
    others: list[str] = []
    for number in range(200):
        slot = client.keyslot(f"key{number}")
        (ours if cluster.owner(slot) == 0 else others).append(f"key{number}")
    client.close()
    return ours, others


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("piece_size", [0, 1, 7])
def test_moved_within_a_pipeline(
    cluster: Cluster,
    start_proxy: Callable[..., Proxy],
    start_link: Callable[[int], Link],
    protocol: int,
    piece_size: int,
) -> None:
    """Errors of commands that nobody watches, in the middle of a run, cut anywhere: their neighbours are as they were."""
    link = start_link(cluster.ports[0])
    if piece_size:
        link.split(piece_size, UP)
    proxy = start_proxy(link.port, chain=CHAIN)
    ours, others = elsewhere(cluster)
    keys = [key for pair in zip(ours * 3, others, strict=False) for key in pair]
    sent = b"".join(encode("GET", key) for key in keys)
    with cluster.raw(0) as direct, proxy.raw() as through:
        for client in (direct, through):
            client.command("HELLO", protocol)
            client.send(sent)
        before, after = direct.frames(len(keys)), through.frames(len(keys))
    assert sum(frame.startswith(b"-MOVED") for frame in before) >= len(others) // 2
    for old, new in zip(before, after, strict=True):
        assert new == (old.rpartition(b":")[0] + b":%d\r\n" % PORT if old[0] == 45 else old)


def test_moved_while_a_lease_is_held_and_in_a_transaction(cluster: Cluster, proxy: Proxy) -> None:
    _, others = elsewhere(cluster)
    with proxy.raw() as client:
        assert client.ask("MULTI") == b"OK"
        error = client.ask("SET", others[0], "v")
        assert isinstance(error, Error)
        assert error.startswith("MOVED")
        assert error.endswith(f":{PORT}")
        assert client.ask("EXEC").startswith("EXECABORT")
        client.command("HELLO", 3)
        client.command("CLIENT", "TRACKING", "ON")
        assert client.ask("SET", others[0], "v").endswith(f":{PORT}")
        assert client.ask("SSUBSCRIBE", others[0]).endswith(f":{PORT}")


def test_ask(cluster: Cluster, proxy: Proxy) -> None:
    ours, _ = elsewhere(cluster)
    client = cluster.client()
    slot = client.keyslot(ours[0])
    with cluster.raw(0) as source, cluster.raw(1) as target:
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.id(0))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", cluster.id(1))
        try:
            with proxy.raw() as through:
                assert through.ask("GET", ours[0]) == Error(f"ASK {slot} 127.0.0.1:{PORT}")
        finally:
            source.command("CLUSTER", "SETSLOT", slot, "STABLE")
            target.command("CLUSTER", "SETSLOT", slot, "STABLE")
            client.close()


def test_errors_pass(start_proxy: Callable[..., Proxy], start_server: Callable[..., Any]) -> None:
    server = start_server("--requirepass", "secret")
    proxy = start_proxy(server.port, chain=CHAIN)
    with proxy.raw() as client, server.raw() as direct:
        for words in (("CLUSTER", "SLOTS"), ("AUTH", "wrong"), ("AUTH", "secret"),
                      ("CLUSTER", "NODES"), ("CLUSTER", "SHARDS", "more"), ("CLUSTER",)):  # fmt: skip
            assert client.command(*words) == direct.command(*words)


def test_a_queued_one_is_answered_as_queued(cluster: Cluster, proxy: Proxy) -> None:
    with proxy.raw() as client:
        client.send(encode("MULTI") + encode("CLUSTER", "MYID") + encode("CLUSTER", "SLOTS"))
        assert client.frames(3) == [b"+OK\r\n", b"+QUEUED\r\n", b"+QUEUED\r\n"]
        assert len(parse(client.command("DISCARD"))) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="needs 127.0.0.2 and on")
def test_a_cluster_client_goes_through_the_proxies_alone(
    tmp_path_factory: pytest.TempPathFactory, server_kind: str
) -> None:
    """A proxy beside each node, all on one port: the driver finds them by what the nodes say, and follows MOVED."""
    hosts = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
    port = free_port()
    cluster = Cluster(3, kind=server_kind, hosts=hosts)
    running: list[Running] = []
    try:
        for host, node in zip(hosts, cluster.ports, strict=True):
            running.append(
                Running(
                    "cluster_ports_rewrite",
                    tmp_path_factory.mktemp("proxy"),
                    LISTEN=f"{host}:{port}",
                    REDIS=f"{host}:{node}",
                    NEW_PORT=port,
                )
            )
        client = redis.RedisCluster(host=hosts[1], port=port, protocol=2)
        assert {node.port for node in client.get_nodes()} == {port}
        assert {node.host for node in client.get_nodes()} == set(hosts)
        for number in range(100):
            assert client.set(f"key{number}", number)
        slot = client.keyslot("key7")
        cluster.move_slot(slot, (cluster.owner(slot) + 1) % 3)
        assert [client.get(f"key{number}") for number in range(100)] == [
            str(number).encode() for number in range(100)
        ]
        assert {node.port for node in client.get_nodes()} == {port}
        client.close()
    finally:
        for proxy in running:
            proxy.__exit__(None)
        cluster.stop()
