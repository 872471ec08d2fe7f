"""CassandraPeersRewrite before one server of a real ring: other ports, and nothing else."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from integration.cassandra_cluster.test_shown_ring import Rows, execute
from support.cassandra import (
    ERROR,
    EVENT,
    PREPARE,
    QUERY,
    READY,
    REGISTER,
    RESULT,
    CqlClient,
    query,
    string,
)
from support.cassandra_ring import Ring, rows_of
from support.cassandra_script import Script
from support.proxy import ROOT, Proxy, cassandra_topology

from shotover._codec.cql.selecting import read_rows

pytestmark = pytest.mark.timeout(300)

PORT = struct.pack(">i", 9043)
REWRITE = {"CassandraPeersRewrite": {"port": 9043}}


def before(host: str, port: int) -> Proxy:
    sink = {"remote_address": f"{host}:{port}"}
    return Proxy(0, topology=cassandra_topology, chain=[REWRITE], sink=sink)


@pytest.fixture
def proxy(ring: Ring) -> Iterator[Proxy]:
    started = before(ring.nodes[0].host, ring.port)
    yield started
    started.stop()


def both(ring: Ring, proxy: Proxy, text: str) -> tuple[Rows, Rows]:
    """The rows as the server has them, and as they are through the proxy."""
    with CqlClient(proxy.port) as client:
        reply = client.open().ask(QUERY, query(text))
        assert reply.opcode == RESULT, reply
        return ring.nodes[0].ask(text), rows_of(reply)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("SELECT * FROM system.peers_v2", {"native_port"}),
        ("SELECT native_port, peer FROM system.peers_v2", {"native_port"}),
        ("SELECT peer_port, native_port AS p FROM system.peers_v2", {"p"}),
        ("SELECT native_port, native_port AS q, rack FROM system.peers_v2 LIMIT 1", {"native_port", "q"}),
        ("SELECT peer_port AS native_port FROM system.peers_v2", set()),
        ("SELECT * FROM system.peers", set()),
        ("SELECT * FROM system.local", {"rpc_port"}),
        ("SELECT count(*), native_port FROM system.peers_v2", {"native_port"}),
        ("SELECT keyspace_name FROM system_schema.keyspaces", set()),
    ],
)  # fmt: skip
def test_ports(ring: Ring, proxy: Proxy, text: str, ports: set[str]) -> None:
    real, shown = both(ring, proxy, text)
    assert real and len(real) == len(shown)
    order = sorted(real[0])
    for one, other in zip(*([sorted(r, key=repr) for r in (real, shown)]), strict=True):
        assert {name: one[name] for name in order if name not in ports} == {
            name: other[name] for name in order if name not in ports
        }
        assert all(one[name] != PORT and other[name] == PORT for name in ports)


def test_prepared_and_compressed(ring: Ring, proxy: Proxy) -> None:
    from lz4.block import decompress

    text = b"SELECT * FROM system.peers_v2"
    with CqlClient(proxy.port) as client:
        client.open(COMPRESSION="lz4")
        reply = client.ask(QUERY, query(text.decode()))
        body = decompress(reply.body[4:], int.from_bytes(reply.body[:4], "big")) if reply.flags & 1 else reply.body  # fmt: skip
        found = read_rows(body, 4)[1]
        assert len(found) == 2 and all(row["native_port"] == PORT for row in found)
    with CqlClient(proxy.port) as client:
        prepared = client.open().ask(PREPARE, struct.pack(">i", len(text)) + text)
        assert prepared.opcode == RESULT
        found = read_rows(execute(client, prepared).body, 4)[1]
        assert len(found) == 2 and all(row["native_port"] == PORT for row in found)
        assert client.ask(QUERY, query("SELECT nothing FROM system.peers_v2")).opcode == ERROR


def test_in_the_keyspace_system(ring: Ring, proxy: Proxy) -> None:
    with CqlClient(proxy.port) as client:
        assert client.open().ask(QUERY, query("USE system")).opcode == RESULT
        reply = client.ask(QUERY, query("SELECT native_port FROM peers_v2"))
        assert [row["native_port"] for row in read_rows(reply.body, 4)[1]] == [PORT, PORT]


def test_events() -> None:
    script = Script(2)
    proxy = before(script.nodes[0].host, script.port)
    try:
        with CqlClient(proxy.port) as client:
            kinds = (b"STATUS_CHANGE", b"TOPOLOGY_CHANGE")
            body = struct.pack(">H", 2) + b"".join(string(kind) for kind in kinds)
            assert client.open().ask(REGISTER, body).opcode == READY
            for kind, change in (("STATUS_CHANGE", "DOWN"), ("TOPOLOGY_CHANGE", "NEW_NODE")):
                script.tell(kind, change, script.nodes[1])
                event = client.read()
                assert event is not None and event.opcode == EVENT
                assert event.body.startswith(string(kind) + string(change) + b"\4")
                assert event.body.endswith(PORT)
    finally:
        proxy.stop()
        script.end()


def test_the_topology_of_the_docs_runs(ring: Ring) -> None:
    text = (ROOT / "configs" / "cassandra_peers_rewrite.yaml").read_text()
    text = re.sub(r"127\.0\.1\.1:9042", f"{ring.nodes[0].host}:{ring.port}", text)

    def topology(listen_port: int, _upstream_port: int, **_: object) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(text.replace("127.0.0.1:9043", f"127.0.0.1:{listen_port}"))  # fmt: skip
        return found

    proxy = Proxy(0, topology=topology)
    try:
        with CqlClient(proxy.port) as client:
            reply = client.open().ask(QUERY, query("SELECT native_port FROM system.peers_v2"))
            assert [row["native_port"] for row in read_rows(reply.body, 4)[1]] == [PORT, PORT]
    finally:
        proxy.stop()
