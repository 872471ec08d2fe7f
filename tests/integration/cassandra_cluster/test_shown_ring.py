"""The ring that drivers see: proxies in place of servers, with the tokens of the servers that each stands for."""

from __future__ import annotations

import ipaddress
import re
import struct
import uuid
from typing import Any

import pytest
import yaml
from cassandra import ConsistencyLevel, InvalidRequest
from integration.cassandra_cluster.conftest import Start, connected
from support.cassandra import (
    ERROR,
    EVENT,
    EXECUTE,
    INVALID,
    PREPARE,
    QUERY,
    READY,
    REGISTER,
    RESULT,
    CqlClient,
    Reply,
    frame,
    query,
    string,
)
from support.cassandra_ring import Ring, host_id
from support.proxy import ROOT, Proxy
from support.wait import wait_until

from shotover._codec.cql.selecting import read_rows

pytestmark = pytest.mark.timeout(300)

R1, R2, OTHER = ("dc1", "r1"), ("dc1", "r2"), ("dc2", "r1")
Rows = list[dict[str, bytes | None]]


def rows(client: CqlClient, text: str) -> Rows:
    reply = client.ask(QUERY, query(text))
    assert reply.opcode == RESULT, reply
    return read_rows(reply.body, 4)[1]


def address(raw: bytes | None) -> str:
    assert raw is not None
    return str(ipaddress.ip_address(raw))


def tokens(raw: bytes | None) -> set[str]:
    assert raw is not None
    found, at = set(), 4
    while at < len(raw):
        size = struct.unpack_from(">i", raw, at)[0]
        found.add(raw[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return found


def tokens_of(ring: Ring, *nodes: int) -> set[str]:
    return set().union(*(tokens(ring.nodes[i].ask("SELECT tokens FROM system.local")[0]["tokens"]) for i in nodes))  # fmt: skip


def test_one_proxy_is_the_whole_ring(ring: Ring, start_proxies: Start) -> None:
    (proxy,) = start_proxies(ring)
    with CqlClient(proxy.port) as client:
        client.open()
        (local,) = rows(client, "SELECT * FROM system.local WHERE key = 'local'")
        for name in ("rpc_address", "broadcast_address", "listen_address"):
            assert address(local[name]) == "127.0.0.1"
        assert local["rpc_port"] == struct.pack(">i", proxy.port)
        assert local["host_id"] == uuid.UUID(host_id(0)).bytes
        assert (local["data_center"], local["rack"]) == (b"dc1", b"r1")
        assert tokens(local["tokens"]) == tokens_of(ring, 0, 1)
        real = ring.nodes[0].ask("SELECT schema_version, partitioner FROM system.local")[0]
        assert local["schema_version"] == real["schema_version"]
        assert local["partitioner"] == real["partitioner"]
        assert rows(client, "SELECT * FROM system.peers") == []
        assert rows(client, "SELECT peer FROM system.peers_v2") == []
        assert rows(client, "SELECT count(*) FROM system.peers") == [{"count": bytes(8)}]
        assert rows(client, "select rack AS a, \"rack\" AS b from SYSTEM.Local") == [{"a": b"r1", "b": b"r1"}]  # fmt: skip
        refused = client.ask(QUERY, query("SELECT nothing FROM system.local"))
        assert refused.code == INVALID and "nothing" in refused.message
        refused = client.ask(QUERY, query("SELECT JSON * FROM system.peers"))
        assert refused.code == INVALID and "JSON" in refused.message


def test_in_the_keyspace_system(ring: Ring, start_proxies: Start) -> None:
    (proxy,) = start_proxies(ring)
    with CqlClient(proxy.port) as client:
        client.open()
        assert client.ask(QUERY, query("USE system")).opcode == RESULT
        assert (
            address(rows(client, "SELECT rpc_address FROM local")[0]["rpc_address"]) == "127.0.0.1"
        )
        assert rows(client, "SELECT peer FROM peers_v2") == []


def execute(client: CqlClient, prepared: Reply, *values: bytes) -> Reply:
    size = struct.unpack_from(">H", prepared.body, 4)[0]
    id = prepared.body[6 : 6 + size]
    body = string(id) + struct.pack(">HBH", 1, 1, len(values))
    return client.ask(EXECUTE, body + b"".join(struct.pack(">i", len(v)) + v for v in values))


def test_prepared(ring: Ring, start_proxies: Start) -> None:
    """Drivers that prepare everything are shown the same."""
    (proxy,) = start_proxies(ring)
    with CqlClient(proxy.port) as client:
        client.open()
        text = b"SELECT rpc_address, host_id FROM system.local WHERE key = ?"
        prepared = client.ask(PREPARE, struct.pack(">i", len(text)) + text)
        assert prepared.opcode == RESULT
        (row,) = read_rows(execute(client, prepared, b"local").body, 4)[1]
        assert address(row["rpc_address"]) == "127.0.0.1"
        assert row["host_id"] == uuid.UUID(host_id(0)).bytes
        assert read_rows(execute(client, prepared, b"other").body, 4)[1] == []


def test_several_proxies(ring: Ring, start_proxies: Start) -> None:
    """Each has the tokens of its rack, and drivers that know where a row is go to the proxy that is next to it."""
    first, second, third = start_proxies(ring, R1, R2, OTHER)
    assert first.port == second.port == third.port
    with CqlClient(first.port) as client:
        client.open()
        wait_until(
            lambda: len(rows(client, "SELECT peer FROM system.peers")) == 2, "all proxies are seen"
        )
        (local,) = rows(client, "SELECT tokens FROM system.local")
        assert tokens(local["tokens"]) == tokens_of(ring, 0)
        for table, name in (("peers", "rpc_address"), ("peers_v2", "native_address")):
            found = {
                address(row[name]): row for row in rows(client, f"SELECT * FROM system.{table}")
            }
            assert set(found) == {"127.0.0.2", "127.0.0.3"}
            assert tokens(found["127.0.0.2"]["tokens"]) == tokens_of(ring, 1)
            assert tokens(found["127.0.0.3"]["tokens"]) == tokens_of(ring, 2)
            assert found["127.0.0.3"]["data_center"] == b"dc2"
            assert found["127.0.0.2"]["host_id"] == uuid.UUID(host_id(1)).bytes
    with connected("127.0.0.1", first.port) as session:
        hosts = {host.address: host.rack for host in session.cluster.metadata.all_hosts()}
        assert hosts == {"127.0.0.1": "r1", "127.0.0.2": "r2", "127.0.0.3": "r1"}
        name = f"ks_{uuid.uuid4().hex[:12]}"
        copies = "{'class': 'NetworkTopologyStrategy', 'dc1': 1}"
        session.execute(f"CREATE KEYSPACE {name} WITH replication = {copies}")
        session.execute(f"CREATE TABLE {name}.t (k int PRIMARY KEY)")
        select = session.prepare(f"SELECT * FROM {name}.t WHERE k = ?")
        behind = {"127.0.0.1": ring.nodes[0].host, "127.0.0.2": ring.nodes[1].host}
        used = set()
        for turn in range(2):  # the first opens what connections it needs
            for key in range(10):
                future = session.execute_async(select, (key,), trace=True)
                future.result()
                trace = future.get_query_trace(query_cl=ConsistencyLevel.ONE)
                proxy = future.coordinator_host.address
                used.add(proxy)
                assert turn == 0 or behind[proxy] == trace.coordinator
        assert used == set(behind)
        session.execute(f"DROP KEYSPACE {name}")


def test_a_proxy_that_is_down_disappears(ring: Ring, start_proxies: Start) -> None:
    first, second = start_proxies(ring, R1, R2)
    with CqlClient(first.port) as client, CqlClient(first.port) as watcher:
        client.open()
        watcher.open()
        wait_until(
            lambda: len(rows(client, "SELECT peer FROM system.peers")) == 1, "the other is seen"
        )
        kinds = (b"TOPOLOGY_CHANGE", b"STATUS_CHANGE")
        body = struct.pack(">H", 2) + b"".join(string(kind) for kind in kinds)
        assert watcher.ask(REGISTER, body).opcode == READY
        second.kill()
        wait_until(lambda: rows(client, "SELECT peer FROM system.peers") == [], "it has gone")
        (local,) = rows(client, "SELECT tokens FROM system.local")
        assert tokens(local["tokens"]) == tokens_of(ring, 0, 1), "somebody must have its tokens"
        for change in ("DOWN", "REMOVED_NODE"):
            event = watcher.read()
            assert event is not None and event.opcode == EVENT
            assert string(change) in event.body
            assert event.body.endswith(bytes([4, 127, 0, 0, 2]) + struct.pack(">i", second.port))
        start_proxies.again(second)
        wait_until(lambda: len(rows(client, "SELECT peer FROM system.peers")) == 1, "it is back")
        for change in ("NEW_NODE", "UP"):
            event = watcher.read()
            assert event is not None and string(change) in event.body
        (local,) = rows(client, "SELECT tokens FROM system.local")
        assert tokens(local["tokens"]) == tokens_of(ring, 0)


def test_events_come_once(ring: Ring, start_proxies: Start) -> None:
    (proxy,) = start_proxies(ring)
    with (
        CqlClient(proxy.port) as one,
        CqlClient(proxy.port) as two,
        CqlClient(proxy.port) as client,
    ):
        for each in (one, two, client):
            each.open()
        for each in (one, two):
            assert (
                each.ask(REGISTER, struct.pack(">H", 1) + string("SCHEMA_CHANGE")).opcode == READY
            )
        rows(client, "SELECT key FROM system.local")  # from here on the proxy hears of changes
        name = f"ks_{uuid.uuid4().hex[:12]}"
        text = "CREATE KEYSPACE {} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        for statement in (text.format(name), f"DROP KEYSPACE {name}"):
            reply = client.ask(QUERY, query(statement))
            assert reply.opcode == RESULT, reply
        for each in (one, two):
            each.send(frame(QUERY, query("SELECT key FROM system.local")))
            found = []
            while (reply := each.read()) is not None and reply.opcode == EVENT:
                if string(name) in reply.body:  # others use the ring, too
                    assert reply.version == 0x84
                    found.append(reply.body)
            assert reply is not None and reply.opcode == RESULT
            assert len(found) == 2, "each came once"
            for body, change in zip(found, ("CREATED", "DROPPED"), strict=True):
                assert body.startswith(string("SCHEMA_CHANGE") + string(change))


def test_what_nobody_prepared_here(ring: Ring, start_proxies: Start) -> None:
    """Its client is asked to prepare it, as by a server."""
    (proxy,) = start_proxies(ring)
    with CqlClient(proxy.port) as client:
        client.open()
        rows(client, "SELECT key FROM system.local")
        id = bytes(range(16))
        reply = client.ask(EXECUTE, string(id) + struct.pack(">HB", 1, 0))
        assert reply.opcode == ERROR and reply.code == 0x2500
        assert reply.body.endswith(string(id))


def test_a_driver_that_prepared_at_another_proxy(ring: Ring, start_proxies: Start) -> None:
    """It prepares again, and its user does not notice; nor when the proxy was started anew."""
    (proxy,) = start_proxies(ring)
    with connected("127.0.0.1", proxy.port) as session:
        select = session.prepare("SELECT cluster_name FROM system.local WHERE key = ?")
        names = session.prepare("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?")  # fmt: skip
        assert session.execute(names, ("system",)).one().keyspace_name == "system"
        proxy.stop()
        start_proxies.again(proxy)

        def goes_on() -> bool:
            try:
                return bool(session.execute(names, ("system",)).one().keyspace_name == "system")
            except InvalidRequest:
                raise
            except Exception:
                return False  # not connected again yet

        wait_until(goes_on, "the driver is back", deadline_s=30)
        assert session.execute(select, ("local",)).one().cluster_name == "test"


@pytest.mark.parametrize(
    ("name", "own", "rack"),
    [("cassandra_cluster", 1, b"r1"), ("cassandra_cluster_racks", 2, b"r2")],
)
def test_the_topologies_of_the_docs_run(ring: Ring, name: str, own: int, rack: bytes) -> None:
    """With the addresses that this test has, and nothing else changed."""
    text = (ROOT / "configs" / f"{name}.yaml").read_text()
    text = re.sub(r"127\.0\.1\.(\d):9042", rf"{ring.prefix}\1:{ring.port}", text)

    def topology(listen_port: int, _upstream_port: int, **_: object) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(text.replace(":9042", f":{listen_port}"))
        return found

    proxy = Proxy(0, topology=topology)
    try:
        with CqlClient(proxy.port, host=f"127.0.0.{own}") as client:
            client.open()
            (local,) = rows(client, "SELECT rack, rpc_address FROM system.local")
            assert (local["rack"], address(local["rpc_address"])) == (rack, f"127.0.0.{own}")
            schema = "SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'system'"
            assert len(rows(client, schema)) == 1
    finally:
        proxy.stop()
