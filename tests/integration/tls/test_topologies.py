"""TLS behind the proxy in every topology: a cluster that moves, sentinels that fail over, shards."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import pytest
from redis.crc import key_slot
from support.certificates import usual
from support.proxy import Proxy
from support.sentinel import NAME, Sentinels
from support.servers import Cluster, Server
from support.wait import wait_until


@pytest.fixture
def closing() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def test_a_cluster(closing, server_kind) -> None:
    cluster = Cluster(6, 1, kind=server_kind, tls=True)
    closing.callback(cluster.stop)
    points = [f"127.0.0.1:{server.tls_port}" for server in cluster.servers[:2]]
    sink = {"RedisSinkCluster": {"first_contact_points": points, "tls": usual().sink()}}
    proxy = Proxy(0, end=sink)
    closing.callback(proxy.kill)
    client = proxy.client(socket_timeout=20)
    closing.callback(client.close)
    keys = {f"key:{number}": str(number).encode() for number in range(300)}
    client.mset(keys)
    assert client.mget(*keys) == list(keys.values())
    assert client.dbsize() == 300
    for key in list(keys)[:5]:
        slot = key_slot(key.encode())
        cluster.move_slot(slot, (cluster.owner(slot) + 1) % 3)
    with cluster.raw(3) as replica:
        assert replica.ask("CLUSTER", "FAILOVER") == b"OK"
    wait_until(lambda: cluster.role(3) == "master", "the replica has taken over")
    for key, value in keys.items():
        assert client.get(key) == value
    assert all(client.set(key, "new") for key in keys)
    assert proxy.metric("shotover_tls_handshakes_count", result="failed") == 0


def test_sentinels(closing, server_kind) -> None:
    group = Sentinels(kind=server_kind, tls=True)
    closing.callback(group.stop)
    sink = {
        "RedisSinkSentinel": {
            "sentinels": group.addresses,
            "master_name": NAME,
            "tls": usual().sink(),
            "sentinel_tls": usual().sink(),
        }
    }
    proxy = Proxy(0, end=sink)
    closing.callback(proxy.kill)
    client = proxy.client(socket_timeout=30)
    closing.callback(client.close)
    assert client.set("key", "value")
    old = group.primary()
    new = group.fail_over()
    assert new is not old
    wait_until(lambda: client.set("key", "after"), "the new master is followed")
    assert new.client().get("key") == b"after"


def test_shards(closing, server_kind) -> None:
    servers = [Server(server_kind, tls=True) for _ in range(3)]
    for server in servers:
        closing.callback(server.stop)
    lines = [f"127.0.0.1:{server.tls_port}:1" for server in servers]
    sink = {"RedisSinkShards": {"servers": lines, "tls": usual().sink()}}
    proxy = Proxy(0, end=sink)
    closing.callback(proxy.kill)
    client = proxy.client()
    closing.callback(client.close)
    # twemproxy's default hash puts keys that differ in their last characters alone on one server
    values = {hashlib.md5(bytes([n])).hexdigest(): b"%d" % n for n in range(200)}
    client.mset(values)
    assert client.mget(values) == list(values.values())
    sizes = [server.client().dbsize() for server in servers]
    assert sum(sizes) == 200
    assert min(sizes) > 0
