"""Transforms before a real Cassandra: conditions on statements, faults, what holds requests back or spreads them."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from cassandra import InvalidRequest
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import NoHostAvailable
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement, ConsistencyLevel, SimpleStatement
from support.cassandra import (
    AUTH_RESPONSE,
    AUTHENTICATE,
    ERROR,
    EXECUTE,
    OPTIONS,
    OVERLOADED,
    QUERY,
    RESULT,
    SERVER,
    STARTUP,
    CqlClient,
    frame,
    query,
    string_map,
)
from support.proxy import Proxy
from support.wait import wait_until

from .test_driver import cluster, keyspace
from .test_statements import execute, prepare

pytestmark = pytest.mark.timeout(240)
LOCAL = "SELECT key FROM system.local"
Start = Callable[..., Proxy]


def fault(**how: Any) -> dict[str, Any]:
    return {"FaultInjection": {"seed": 1, "faults": [how]}}


@pytest.mark.parametrize(
    ("conditions", "hit", "spared"),
    [
        ({"statements": ["INSERT"]}, "INSERT INTO {}.t (k) VALUES (1)", "SELECT k FROM {}.t"),
        ({"tables": ["t"]}, "SELECT k FROM {}.t", "SELECT key FROM system.local"),
        ({"tables": ["system.local"]}, LOCAL, "SELECT k FROM {}.t"),
        ({"keyspaces": ["system"]}, LOCAL, "SELECT k FROM {}.t"),
        ({"query_types": ["Read"]}, "SELECT k FROM {}.t", "UPDATE {}.t SET v = 'a' WHERE k = 1"),
        (
            {"statements": ["CREATE TABLE"]},
            "CREATE TABLE {}.u (k int PRIMARY KEY)",
            "CREATE TYPE IF NOT EXISTS {}.x (a int)",
        ),
    ],
)
def test_a_condition_on_a_statement_holds_for_it_alone(
    node: int, start_cassandra_proxy: Start, conditions: dict[str, Any], hit: str, spared: str
) -> None:
    proxy = start_cassandra_proxy(node, chain=[fault(error="INVALID struck", **conditions)])
    with cluster(node) as direct:
        owner = direct.connect()
        with keyspace(owner) as name, CqlClient(proxy.port) as client:
            client.open()
            for _ in range(2):
                reply = client.ask(QUERY, query(hit.format(name)))
                assert (reply.opcode, reply.message) == (ERROR, "struck")
                assert client.ask(QUERY, query(spared.format(name))).opcode == RESULT
            if "CREATE" not in hit:
                id = prepare(client, hit.format(name))
                assert client.ask(EXECUTE, execute(id)).message == "struck"
            if "tables" in conditions and "t" in conditions["tables"]:
                client.ask(QUERY, query(f"USE {name}"))
                assert client.ask(QUERY, query("SELECT k FROM t")).message == "struck"


def test_a_condition_on_consistency(node: int, start_cassandra_proxy: Start) -> None:
    chain = [fault(error="UNAUTHORIZED no", consistency=["ALL", "QUORUM"], keyspaces="system")]
    proxy = start_cassandra_proxy(node, chain=chain)
    with cluster(proxy.port) as made:
        session = made.connect()
        for level in (ConsistencyLevel.ALL, ConsistencyLevel.QUORUM):
            with pytest.raises(Exception, match="no"):
                session.execute(SimpleStatement(LOCAL, consistency_level=level))
        prepared = session.prepare(LOCAL)
        prepared.consistency_level = ConsistencyLevel.ALL
        with pytest.raises(Exception, match="no"):
            session.execute(prepared)
        assert session.execute(LOCAL).one().key == "local"


def test_a_batch_falls_under_what_one_of_its_statements_does(
    node: int, start_cassandra_proxy: Start
) -> None:
    proxy = start_cassandra_proxy(node, chain=[fault(error="INVALID struck", tables=["u"])])
    with cluster(node) as direct, cluster(proxy.port) as made:
        owner, session = direct.connect(), made.connect()
        with keyspace(owner) as name:
            owner.execute("CREATE TABLE u (k int PRIMARY KEY)")
            session.set_keyspace(name)
            one, both = BatchStatement(), BatchStatement()
            for batch in (one, both):
                batch.add("INSERT INTO t (k) VALUES (1)")
            both.add("INSERT INTO u (k) VALUES (1)")
            session.execute(one)
            with pytest.raises(InvalidRequest, match="struck"):
                session.execute(both)


def test_a_condition_on_the_user(login_node: int, start_cassandra_proxy: Start) -> None:
    chain = [fault(error="INVALID not you", users=["cassandra"], statements="SELECT", tables="system.paxos")]  # fmt: skip
    proxy = start_cassandra_proxy(login_node, chain=chain)
    with cluster(proxy.port, auth_provider=PlainTextAuthProvider("cassandra", "cassandra")) as made:
        session = made.connect()
        with pytest.raises(InvalidRequest, match="not you"):
            session.execute("SELECT * FROM system.paxos")
        session.execute("DROP ROLE IF EXISTS other")
        session.execute(
            "CREATE ROLE other WITH PASSWORD = 'other' AND LOGIN = true AND SUPERUSER = true"
        )
        with cluster(proxy.port, auth_provider=PlainTextAuthProvider("other", "other")) as others:
            others.connect().execute("SELECT * FROM system.paxos")
        session.execute("DROP ROLE other")


def test_a_delayed_request_holds_back_no_other(node: int, start_cassandra_proxy: Start) -> None:
    chain = [fault(delay_ms=400, tables=["system.local"]), fault(delay_ms=100, tables="system.peers")]  # fmt: skip
    proxy = start_cassandra_proxy(node, chain=chain)
    with CqlClient(proxy.port) as client:
        client.open()
        began = time.monotonic()
        for stream, table in ((1, "local"), (2, "peers"), (3, "peers_v2"), (4, "local")):
            client.send(frame(QUERY, query(f"SELECT * FROM system.{table}"), stream))
        order = []
        for _ in range(4):
            reply = client.read()
            assert reply is not None and reply.opcode == RESULT
            order.append(reply.stream)
        assert order[:2] == [3, 2] and sorted(order[2:]) == [1, 4]
        assert time.monotonic() - began >= 0.4


def test_errors_have_codes(node: int, start_cassandra_proxy: Start) -> None:
    faults = [
        {"error": "OVERLOADED busy", "tables": ["a"]},
        {"error": "SYNTAX bad", "tables": ["b"]},
        {"error": "just a text", "tables": ["c"]},
    ]
    proxy = start_cassandra_proxy(node, chain=[{"FaultInjection": {"faults": faults}}])
    with CqlClient(proxy.port) as client:
        client.open()
        for table, code, text in (("a", OVERLOADED, "busy"), ("b", 0x2000, "bad"), ("c", SERVER, "just a text")):  # fmt: skip
            reply = client.ask(QUERY, query(f"SELECT * FROM x.{table}"))
            assert (reply.code, reply.message) == (code, text)


def test_spoiled_values_are_well_formed_and_wrong(node: int, start_cassandra_proxy: Start) -> None:
    proxy = start_cassandra_proxy(
        node, chain=[fault(corrupt="value", statements=["SELECT"], tables=["t"])]
    )
    with cluster(node) as direct, cluster(proxy.port) as made:
        owner, session = direct.connect(), made.connect()
        with keyspace(owner) as name:
            owner.execute("CREATE TABLE b (k int PRIMARY KEY, v blob)")
            owner.execute("INSERT INTO t (k, v) VALUES (7, 'aaaa')")
            with CqlClient(proxy.port) as client, CqlClient(node) as plain:
                text = f"SELECT k FROM {name}.t"
                good = plain.open().ask(QUERY, query(text))
                bad = client.open().ask(QUERY, query(text))
                assert len(bad.body) == len(good.body) and bad.body[:-4] == good.body[:-4]
                changed = int.from_bytes(bad.body[-4:], "big") ^ 7
                assert changed.bit_count() == 1
            assert session.execute(f"SELECT k FROM {name}.b").one() is None


def test_a_spoiled_frame_ends_the_conversation(node: int, start_cassandra_proxy: Start) -> None:
    chain = [fault(corrupt="frame", tables=["system.peers"])]
    proxy = start_cassandra_proxy(node, chain=chain)
    with CqlClient(proxy.port) as client:
        client.open()
        assert client.ask(QUERY, query("SELECT * FROM system.peers")).version == 0xC4


def test_a_connection_closed_on_purpose(node: int, start_cassandra_proxy: Start) -> None:
    proxy = start_cassandra_proxy(node, chain=[fault(close="before", tables=["system.peers"])])
    with CqlClient(proxy.port) as client, CqlClient(proxy.port) as other:
        client.open()
        other.open()
        client.send(frame(QUERY, query("SELECT * FROM system.peers")))
        assert client.read() is None
        assert other.ask(QUERY, query(LOCAL)).opcode == RESULT


@pytest.mark.parametrize(
    "chain",
    [
        [{"Coalesce": {"flush_when_buffered_message_count": 50, "flush_when_millis_since_last_flush": 5}}],
        [{"DebugPrinter": {}}],
        [{"QueryCounter": {}}, {"QueryTypeFilter": {"DenyList": ["PubSubMessage"]}}, fault(delay_ms=1)],
    ],
    ids=["coalesce", "debug_printer", "several"],
)  # fmt: skip
@pytest.mark.parametrize("version", [4, 5])
def test_a_driver_does_not_notice(
    node: int, start_cassandra_proxy: Start, chain: list[Any], version: int
) -> None:
    proxy = start_cassandra_proxy(node, chain=chain)
    proxy.allow_log("log lines were dropped", "similar lines suppressed")
    work_through(proxy, version)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("fields", [
    {"LoadBalance": {"max_connections": 24}}, {"ParallelMap": {"parallelism": 3}}
])  # fmt: skip
def test_a_driver_does_not_notice_an_end(
    node: int, start_cassandra_proxy: Start, fields: dict[str, Any], version: int
) -> None:
    [(kind, more)] = fields.items()
    sink = {"CassandraSinkSingle": {"remote_address": f"127.0.0.1:{node}"}}
    proxy = start_cassandra_proxy(node, end={kind: {**more, "chain": [sink]}})
    work_through(proxy, version)


def work_through(proxy: Proxy, version: int) -> None:
    """A driver's ordinary work, in several conversations."""
    for _ in range(3):
        with cluster(proxy.port, version, compression="lz4") as made:
            session = made.connect()
            with keyspace(session):
                insert = session.prepare("INSERT INTO t (k, v) VALUES (?, ?)")
                for future in [session.execute_async(insert, (k, "x" * k)) for k in range(200)]:
                    future.result()
                found = [row.k for row in session.execute("SELECT k FROM t")]
                assert sorted(found) == list(range(200))
                with pytest.raises(SyntaxException):
                    session.execute("SELEKT")


def test_what_is_printed_has_no_secrets(login_node: int, start_cassandra_proxy: Start) -> None:
    proxy = start_cassandra_proxy(login_node, chain=[{"DebugPrinter": {}}])
    with CqlClient(proxy.port) as client:
        assert client.ask(STARTUP, string_map(CQL_VERSION="3.0.0")).opcode == AUTHENTICATE
        token = b"\0cassandra\0cassandra"
        client.ask(AUTH_RESPONSE, struct.pack(">i", len(token)) + token)
        client.ask(QUERY, query("ALTER ROLE cassandra WITH PASSWORD = 'cassandra'"))
        client.ask(QUERY, query("SELECT role FROM system_auth.roles WHERE role = 'cassandra'"))
    wanted = [
        "Request: AUTH_RESPONSE (not shown)",
        "Request: QUERY ALTER (its text is not shown) (ONE, 0 values)",
        "Request: QUERY SELECT role FROM system_auth.roles WHERE role = 'cassandra' (ONE, 0 values)",
        "Response: RESULT of 1 rows, 1 columns",
    ]
    wait_until(
        lambda: set(wanted) <= {line.message for line in proxy.log_lines()}, "all is printed"
    )
    assert "PASSWORD" not in proxy.log()


def test_everybody_is_failed(start_cassandra_proxy: Start) -> None:
    proxy = start_cassandra_proxy(0, end={"DebugReturner": {"Fail": True}})
    with CqlClient(proxy.port) as client:
        for opcode, body in ((OPTIONS, b""), (STARTUP, string_map(CQL_VERSION="3.0.0"))):
            reply = client.ask(opcode, body, stream=4)
            assert (reply.code, reply.stream) == (SERVER, 4)
            assert "Intentional Fail" in reply.message
    with cluster(proxy.port) as made, pytest.raises(NoHostAvailable):
        made.connect()


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("step", ["DebugForceParse", "DebugForceEncode"])
def test_what_is_read_and_written_anew_says_the_same(
    node: int, start_cassandra_proxy: Start, step: str, version: int
) -> None:
    """All kinds of requests and results: as without, and none that cannot be read."""
    verb = step.removeprefix("DebugForce").lower()
    forced = {step: {f"{verb}_requests": True, f"{verb}_responses": True}}
    proxy = start_cassandra_proxy(node, chain=[forced])
    with cluster(node) as direct, cluster(proxy.port, version) as made:
        owner, session = direct.connect(), made.connect()
        with keyspace(owner) as name:
            session.set_keyspace(name)
            session.execute("CREATE TYPE place (street text, number int)")
            session.execute(
                "CREATE TABLE all_of_it (k int PRIMARY KEY, l list<frozen<map<text, int>>>, p frozen<place>, "
                "t tuple<int, text>, u uuid, n varint, x vector<float, 2>, d duration, b blob)"
            )
            session.execute(
                "INSERT INTO all_of_it (k, l, p, t, u, n, x, b) VALUES (1, [{'a': 1}, {}], {street: 'x', number: 2}, "
                "(1, 'b'), uuid(), 123456789012345678901234567890, [1.5, 2.5], 0x00ff)"
            )
            select = session.prepare("SELECT * FROM all_of_it WHERE k = ?")
            expected = owner.execute(f"SELECT * FROM {name}.all_of_it WHERE k = 1").one()
            assert session.execute(select, (1,)).one() == expected
            insert = session.prepare("INSERT INTO t (k, v) VALUES (?, ?)")
            batch = BatchStatement(serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL)
            for k in range(20):
                batch.add(insert, (k, None if k % 2 else "v"))
            batch.add(SimpleStatement("INSERT INTO t (k) VALUES (%s)"), (100,))
            session.execute(batch)
            pages = SimpleStatement("SELECT k FROM t", fetch_size=6)
            assert sorted(row.k for row in session.execute(pages)) == [*range(20), 100]
            assert not session.execute("INSERT INTO t (k) VALUES (1) IF NOT EXISTS").was_applied
            traced = session.execute("SELECT v FROM t WHERE k = 1", trace=True)
            assert traced.get_query_trace() is not None
            for wrong in (
                "SELECT nothing FROM t",
                "SELEKT",
                f"CREATE KEYSPACE {name} WITH replication = {{}}",
            ):
                with pytest.raises(Exception) as through:
                    session.execute(wrong)
                with pytest.raises(type(through.value)):
                    owner.execute(wrong.replace("FROM t", f"FROM {name}.t"))
    assert proxy.metric("shotover_debug_forced_count", outcome="done") > 60
    assert proxy.metric("shotover_debug_forced_count", outcome="unreadable") == 0
