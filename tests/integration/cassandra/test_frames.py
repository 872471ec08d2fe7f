"""Frames as no driver sends them, or as one does and nobody looks: ids, errors, what is shared."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from support.cassandra import (
    ERROR,
    EVENT,
    EXECUTE,
    INVALID,
    OPTIONS,
    OVERLOADED,
    PREPARE,
    PROTOCOL,
    QUERY,
    READY,
    REGISTER,
    RESULT,
    SERVER,
    STARTUP,
    SUPPORTED,
    CqlClient,
    frame,
    query,
    string,
    string_map,
)
from support.proxy import ROOT, Proxy
from support.wait import free_port, wait_until, wait_until_equal

pytestmark = pytest.mark.timeout(240)

LOCAL = "SELECT key FROM system.local"
HUGE = struct.pack(">BBhBi", 4, 0, 7, QUERY, 1 << 27)


def test_options_offer_what_both_sides_can_do(proxy: Proxy) -> None:
    with CqlClient(proxy.port) as client:
        for stream in (0, 5):
            reply = client.ask(OPTIONS, stream=stream)
            assert (reply.opcode, reply.stream, reply.version) == (SUPPORTED, stream, 0x84)
            assert b"4/v4" in reply.body and b"5/v5" in reply.body and b"v6" not in reply.body


@pytest.mark.parametrize("version", [1, 2, 6, 0x42, 0x7F])
def test_other_versions_are_told_what_is_spoken(proxy: Proxy, version: int) -> None:
    with CqlClient(proxy.port) as client:
        if version < 3:
            client.send(struct.pack(">BBbBi", version, 0, 3, OPTIONS, 0))
            head = client._read(8)
            assert head is not None and head[:4] == bytes([0x80 | version, 0, 3, ERROR])
        else:
            client.send(frame(OPTIONS, stream=3, version=version))
            reply = client.read()
            assert reply is not None and reply.code == PROTOCOL
            assert (reply.version, reply.stream) == (0x85, 3)
            assert "unsupported protocol version" in reply.message
            assert "(3/v3, 4/v4, 5/v5)" in reply.message
            assert client.read() is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(READY, stream=7), PROTOCOL),
        (frame(0x44, stream=7), PROTOCOL),
        (frame(EVENT, stream=7), PROTOCOL),
        (struct.pack(">BBhBi", 4, 0, 7, QUERY, -1), INVALID),
        (HUGE, INVALID),
        (struct.pack(">BBhBi", 0x84, 0, 7, OPTIONS, 0), PROTOCOL),
    ],
)
def test_what_breaks_the_protocol_ends_the_connection(proxy: Proxy, data: bytes, code: int) -> None:
    with CqlClient(proxy.port) as other, CqlClient(proxy.port) as client:
        other.open()
        client.send(data)
        reply = client.read()
        assert reply is not None and reply.code == code and reply.stream == 7
        assert client.read() is None
        assert other.ask(QUERY, query(LOCAL)).opcode == RESULT


def test_the_handshake_has_an_order(proxy: Proxy) -> None:
    with CqlClient(proxy.port) as client:
        assert "expecting STARTUP" in client.ask(QUERY, query(LOCAL), stream=1).message
        assert client.ask(STARTUP, b"\0\5", stream=2).code == PROTOCOL
        bad = string_map(CQL_VERSION="3.0.0", COMPRESSION="zip")
        assert "compression" in client.ask(STARTUP, bad, stream=3).message
        client.open()
        assert client.ask(STARTUP, string_map(CQL_VERSION="3.0.0")).code == PROTOCOL
        client.send(frame(QUERY, query(LOCAL), version=3, stream=9))
        reply = client.read()
        assert reply is not None and reply.code == PROTOCOL
        assert client.ask(QUERY, query(LOCAL)).opcode == RESULT


def test_every_id_at_once(proxy: Proxy) -> None:
    """As many requests as there are ids, each answered once under its own."""
    with CqlClient(proxy.port, timeout=60) as client:
        client.open()
        body = query("SELECT broadcast_port FROM system.local")
        waiting = set(range(0, 32768, 8))
        for stream in sorted(waiting):
            client.send(frame(QUERY, body, stream=stream))
        while waiting:
            reply = client.read()
            assert reply is not None
            # On a busy machine the server itself may not keep up: overloaded, or a read that timed out.
            assert reply.opcode == RESULT or reply.body[:4] in (b"\0\0\x10\x01", b"\0\0\x12\0")
            waiting.remove(reply.stream)


def test_an_id_twice_at_a_time_gets_two_replies(proxy: Proxy) -> None:
    with CqlClient(proxy.port) as client:
        client.open()
        client.send(frame(QUERY, query(LOCAL), stream=4) * 2)
        replies = [client.read(), client.read()]
        assert all(reply and (reply.stream, reply.opcode) == (4, RESULT) for reply in replies)


@pytest.mark.parametrize(
    "name",
    ["cassandra", "cassandra_key_router", "cassandra_key_router_tenants", "cassandra_statements"],
)
def test_the_topology_of_the_docs_runs(node: int, name: str) -> None:
    """configs/cassandra*.yaml, with the ports that this test has."""
    text = (ROOT / "configs" / f"{name}.yaml").read_text()
    given = yaml.safe_load(text.replace("9043", str(node)).replace("9044", str(node)))

    def topology(listen_port: int, _upstream_port: int, **_: object) -> dict[str, Any]:
        given["sources"][0]["Cassandra"]["listen_addr"] = f"127.0.0.1:{listen_port}"
        return dict(given)

    proxy = Proxy(node, topology=topology)
    try:
        with CqlClient(proxy.port) as client:
            assert client.open().ask(QUERY, query(LOCAL)).opcode == RESULT
    finally:
        proxy.stop()


def test_clients_share_connections(proxy: Proxy) -> None:
    clients = [CqlClient(proxy.port).open() for _ in range(40)]
    for client in clients:
        assert client.ask(QUERY, query(LOCAL)).opcode == RESULT
    assert proxy.metric("shotover_upstream_connections") <= 2
    for client in clients:
        client.close()
    proxy.check_idle()


def test_use_in_every_spelling(proxy: Proxy) -> None:
    with CqlClient(proxy.port) as client, CqlClient(proxy.port) as other:
        client.open()
        other.open()
        for text in (
            "USE system",
            "/* a */ use\tsystem",
            '-- x\n//y\nuSe\n"system";',
            'USE"system"',
        ):
            reply = client.ask(QUERY, query(text))
            assert reply.opcode == RESULT and reply.body[:4] == b"\0\0\0\3", text
            assert client.ask(QUERY, query("SELECT key FROM local")).opcode == RESULT
            assert "No keyspace" in other.ask(QUERY, query("SELECT key FROM local")).message
        assert client.ask(QUERY, query("USE system_schema")).opcode == RESULT
        assert client.ask(QUERY, query("SELECT keyspace_name FROM tables")).opcode == RESULT
        assert client.ask(PREPARE, struct.pack(">i", 10) + b"USE system").code == INVALID
        assert other.ask(PREPARE, struct.pack(">i", 9) + b"users are").opcode == ERROR


def test_use_of_a_keyspace_that_others_are_in_opens_no_connection(proxy: Proxy) -> None:
    """However often, by however many; and the last USE that was sent decides, whichever is answered first."""
    tables = {
        "system": "SELECT key FROM local",
        "system_schema": "SELECT keyspace_name FROM tables",
    }
    clients = [CqlClient(proxy.port).open() for _ in range(10)]
    for _ in range(3):
        for client in clients:
            for keyspace, statement in tables.items():
                assert client.ask(QUERY, query(f"USE {keyspace}")).opcode == RESULT
                assert client.ask(QUERY, query(statement)).opcode == RESULT
    switches = proxy.metric("shotover_upstream_keyspace_switches_count")
    assert switches <= 4, "one for each keyspace and shared connection"
    connections = proxy.metric("shotover_upstream_connections")
    for client in clients:
        client.send(
            b"".join(
                frame(QUERY, query(f"USE {keyspace}"), stream=stream)
                for stream, keyspace in enumerate(["system", "system_schema"] * 10)
            )
        )
        assert [getattr(client.read(), "opcode", None) for _ in range(20)] == [RESULT] * 20
        assert client.ask(QUERY, query(tables["system_schema"])).opcode == RESULT
        assert "does not exist" in client.ask(QUERY, query("USE none_such")).message
        assert client.ask(QUERY, query(tables["system_schema"])).opcode == RESULT
    assert proxy.metric("shotover_upstream_connections") <= connections + 1
    for client in clients:
        client.close()
    proxy.check_idle()


@pytest.mark.parametrize("version", [3, 4])
def test_the_flag_of_beta_versions_says_nothing_in_others(cql_port: int, version: int) -> None:
    with CqlClient(cql_port) as client:
        client.send(frame(STARTUP, string_map(CQL_VERSION="3.0.0"), version=version, flags=0x10))
        reply = client.read()
        assert reply is not None and reply.opcode == READY
        client.send(frame(QUERY, query(LOCAL), stream=3, version=version, flags=0x10))
        reply = client.read()
        assert reply is not None and (reply.opcode, reply.stream) == (RESULT, 3)


def test_events_come_once_to_who_registered(proxy: Proxy) -> None:
    clients = [CqlClient(proxy.port).open(version) for version in (3, 4, 4)]
    deaf = CqlClient(proxy.port).open()
    name = f"ev_{free_port()}"
    for client, version in zip(clients, (3, 4, 4), strict=True):
        client.about = name.encode()
        wanted = struct.pack(">H", 1) + string("SCHEMA_CHANGE")
        assert client.ask(REGISTER, wanted, version=version).opcode == READY
    assert deaf.ask(REGISTER, struct.pack(">H", 1) + string("NOTHING")).code == PROTOCOL
    made = f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
    assert deaf.ask(QUERY, query(made)).opcode == RESULT
    for client, version in zip(clients, (3, 4, 4), strict=True):
        event = client.read()
        assert event is not None and (event.opcode, event.stream) == (EVENT, -1)
        assert event.version == 0x80 | version and name.encode() in event.body
        assert client.ask(QUERY, query(LOCAL), version=version).opcode == RESULT
    assert deaf.ask(QUERY, query(f"DROP KEYSPACE {name}")).opcode == RESULT
    for client in (*clients, deaf):
        client.close()


def test_a_server_that_is_away(start_cassandra_proxy: Callable[..., Proxy]) -> None:
    proxy = start_cassandra_proxy(free_port())
    proxy.allow_log("cannot connect to the upstream")
    with CqlClient(proxy.port) as client:
        reply = client.ask(OPTIONS, stream=3)
        assert (reply.code, reply.stream) == (SERVER, 3) and "shotover: " in reply.message
        reply = client.ask(STARTUP, string_map(CQL_VERSION="3.0.0"), version=3, stream=9)
        assert (reply.code, reply.stream, reply.version) == (SERVER, 9, 0x83)


def test_more_than_max_pending_requests(
    node: int, start_cassandra_proxy: Callable[..., Proxy]
) -> None:
    proxy = start_cassandra_proxy(node, sink={"max_pending_requests": 4, "connection_count": 1})
    with CqlClient(proxy.port) as client:
        client.open()
        client.send(b"".join(frame(QUERY, query(LOCAL), stream=i) for i in range(50)))
        replies = [client.read() for _ in range(50)]
        good = [reply for reply in replies if reply and reply.opcode == RESULT]
        assert len(good) >= 4
        assert all(
            reply and (reply.opcode == RESULT or reply.code == OVERLOADED) for reply in replies
        )
        assert sorted(reply.stream for reply in replies if reply) == list(range(50))


def test_throttled(node: int, start_cassandra_proxy: Callable[..., Proxy]) -> None:
    proxy = start_cassandra_proxy(
        node, chain=[{"RequestThrottling": {"max_requests_per_second": 50}}]
    )
    with CqlClient(proxy.port) as client:
        client.open()
        client.send(b"".join(frame(QUERY, query(LOCAL), stream=i) for i in range(200)))
        replies = [client.read() for _ in range(200)]
        refused = [reply for reply in replies if reply and reply.opcode == ERROR]
        assert refused and {reply.code for reply in refused} == {OVERLOADED}
        assert sorted(reply.stream for reply in replies if reply) == list(range(200))


def test_null_sink_answers_each(start_cassandra_proxy: Callable[..., Proxy]) -> None:
    proxy = start_cassandra_proxy(0, end={"NullSink": {}})
    with CqlClient(proxy.port) as client:
        client.send(frame(OPTIONS, stream=1) + frame(EXECUTE, b"x", stream=2, version=3))
        for stream, version in ((1, 0x84), (2, 0x83)):
            reply = client.read()
            assert reply is not None and (reply.code, reply.stream, reply.version) == (
                SERVER,
                stream,
                version,
            )
            assert "null transform" in reply.message


def test_a_client_that_leaves_disturbs_nobody(proxy: Proxy) -> None:
    with CqlClient(proxy.port) as other:
        other.open()
        for _ in range(20):
            client = CqlClient(proxy.port).open()
            client.send(frame(QUERY, query(LOCAL), stream=1) * 30)
            client.close()
            assert other.ask(QUERY, query(LOCAL), stream=5).stream == 5
        wait_until_equal(proxy.sessions, 1.0, "only one client is left")
    wait_until(lambda: proxy.sessions() == 0, "none is left")


def checked(payload: bytes) -> bytes:
    """A plain segment of version 5 that holds whole envelopes; sums by the polynomials of the specification."""
    head = struct.pack("<I", len(payload) | 1 << 17)[:3]
    crc = 0x875060
    for byte in head:
        crc ^= byte << 16
        for _ in range(8):
            crc = (crc << 1) ^ (0x1974F0B if crc & 0x800000 else 0)
    body_crc = zlib.crc32(payload, zlib.crc32(b"\xfa\x2d\x55\xca"))
    return head + struct.pack("<I", crc)[:3] + payload + struct.pack("<I", body_crc)


def query_5(text: str, stream: int) -> bytes:
    data = text.encode()
    body = struct.pack(">i", len(data)) + data + struct.pack(">HI", 1, 0)
    return frame(QUERY, body, stream, version=5)


def test_a_segment_holds_envelopes_however_they_are_cut(proxy: Proxy) -> None:
    with CqlClient(proxy.port) as client:
        client.open(5)
        asked = query_5(LOCAL, 1) + query_5(LOCAL, 2)
        data = checked(asked) + checked(query_5(LOCAL, 3))
        for at in range(0, len(data), 7):
            client.send(data[at : at + 7])
        got = b""
        while got.count(b"\x85\0\0") < 3:
            head = client._read(6)
            assert head is not None and head[2] & 2, "whole envelopes alone"
            payload = client._read((struct.unpack("<I", head[:3] + b"\0")[0] & 0x1FFFF) + 4)
            assert payload is not None
            assert head + payload == checked(payload[:-4])
            got += payload[:-4]


@pytest.mark.parametrize("at", [0, 4, 10, -1])
def test_a_segment_whose_sum_is_wrong_ends_the_connection(proxy: Proxy, at: int) -> None:
    with CqlClient(proxy.port) as other, CqlClient(proxy.port) as client:
        other.open()
        client.open(5)
        data = bytearray(checked(query_5(LOCAL, 1)))
        data[at] ^= 0x10
        client.send(bytes(data))
        assert client._read(1) is None
        assert other.ask(QUERY, query(LOCAL)).opcode == RESULT
