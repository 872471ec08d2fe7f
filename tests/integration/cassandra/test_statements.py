"""Transforms that look at statements, before a real Cassandra: what drivers see, and what is counted."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from cassandra import InvalidRequest
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement, SimpleStatement
from support.cassandra import (
    ERROR,
    EXECUTE,
    INVALID,
    PREPARE,
    QUERY,
    RESULT,
    CqlClient,
    query,
    string,
)
from support.proxy import Proxy

from .test_driver import cluster, keyspace

pytestmark = pytest.mark.timeout(240)
VERSIONS = pytest.mark.parametrize("version", [3, 4, 5])
FILTERED = "Message was filtered out by shotover"


def prepare(client: CqlClient, text: str) -> bytes:
    """The id that the server gives it."""
    reply = client.ask(PREPARE, struct.pack(">i", len(text)) + text.encode())
    assert reply.opcode == RESULT
    return reply.body[6 : 6 + struct.unpack_from(">H", reply.body, 4)[0]]


def execute(id: bytes) -> bytes:
    return string(id) + struct.pack(">HB", 1, 0)


@VERSIONS
@pytest.mark.parametrize("compression", [False, "lz4"])
def test_writes_are_refused_however_they_come(
    node: int, start_cassandra_proxy: Callable[..., Proxy], version: int, compression: bool | str
) -> None:
    proxy = start_cassandra_proxy(node, chain=[{"QueryTypeFilter": {"DenyList": ["Write"]}}])
    with cluster(node) as direct, cluster(proxy.port, version, compression=compression) as made:
        owner, session = direct.connect(), made.connect()
        with keyspace(owner) as name:
            owner.execute("INSERT INTO t (k, v) VALUES (1, 'a')")
            session.set_keyspace(name)
            insert = session.prepare("INSERT INTO t (k, v) VALUES (?, ?)")
            select = session.prepare("SELECT v FROM t WHERE k = ?")
            batch = BatchStatement()
            batch.add(insert, (2, "b"))
            batch.add("UPDATE t SET v = 'c' WHERE k = 3")
            for write in (
                "INSERT INTO t (k, v) VALUES (2, 'b')",
                "/* SELECT */ DELETE FROM t WHERE k = 1",
                "TRUNCATE t",
                "BEGIN BATCH UPDATE t SET v = 'x' WHERE k = 1 APPLY BATCH",
                insert.bind((2, "b")),
                batch,
            ):
                with pytest.raises(InvalidRequest, match=FILTERED):
                    session.execute(write)
            with pytest.raises(InvalidRequest, match=FILTERED):
                session.execute("INSRT whatever")
            assert [row.k for row in owner.execute("SELECT k FROM t")] == [1]
            assert session.execute("SELECT v FROM t WHERE k = 1").one().v == "a"
            assert session.execute(select, (1,)).one().v == "a"
            session.execute("CREATE TABLE more (k int PRIMARY KEY)")


def test_only_reads_are_let_through(node: int, start_cassandra_proxy: Callable[..., Proxy]) -> None:
    proxy = start_cassandra_proxy(node, chain=[{"QueryTypeFilter": {"AllowList": ["Read"]}}])
    with CqlClient(proxy.port) as client:
        client.open()
        assert client.ask(QUERY, query("SELECT key FROM system.local")).opcode == RESULT
        assert client.ask(QUERY, query("USE system")).opcode == RESULT
        assert client.ask(QUERY, query("SELECT key FROM local")).opcode == RESULT
        for text in ("CREATE ROLE r", "GRANT a TO b", "TRUNCATE system.local", "what"):
            reply = client.ask(QUERY, query(text), stream=9)
            assert (reply.code, reply.message, reply.stream) == (INVALID, FILTERED, 9)
    assert proxy.metric("shotover_refusals_count", reason="filtered") == 4


def test_statements_are_counted_by_what_they_are(
    node: int, start_cassandra_proxy: Callable[..., Proxy]
) -> None:
    chain = [
        {"QueryCounter": {"name": "counted", "counter_name": "all", "tables": 100}},
        {"QueryCounter": {"name": "bounded", "counter_name": "few", "tables": 1}},
    ]
    proxy = start_cassandra_proxy(node, chain=chain)
    with cluster(proxy.port, schema_metadata_enabled=False, token_metadata_enabled=False) as made:
        session = made.connect()
        with keyspace(session) as name:
            insert = session.prepare("INSERT INTO t (k, v) VALUES (?, ?)")
            for k in range(10):
                session.execute(insert, (k, "v"))
            batch = BatchStatement()
            for k in range(5):
                batch.add(insert, (k, "w"))
            batch.add(SimpleStatement("DELETE FROM t WHERE k = 9"))
            session.execute(batch)
            with pytest.raises(SyntaxException):
                session.execute("WHAT is this")
            counts = {
                word: proxy.metric("shotover_query_count", name="all", query=word, type="cassandra")
                for word in ("INSERT", "DELETE", "CREATE TABLE", "CREATE KEYSPACE", "unknown")
            }
            assert counts == {"INSERT": 15, "DELETE": 1, "CREATE TABLE": 1, "CREATE KEYSPACE": 1, "unknown": 1}  # fmt: skip
            tables = [
                proxy.metric(
                    "shotover_table_query_count", name="all", keyspace=name, table="t", query=word
                )
                for word in ("INSERT", "DELETE")
            ]
            assert tables == [15, 1]
            assert proxy.metric("shotover_table_query_count", name="few", query="other") >= 16


def test_an_id_of_before_the_proxy_started_is_prepared_again(
    node: int, start_cassandra_proxy: Callable[..., Proxy]
) -> None:
    """The server knows it, the proxy does not: it asks the client rather than guess."""
    with CqlClient(node) as direct:
        id = prepare(direct.open(), "SELECT key FROM system.local")
    proxy = start_cassandra_proxy(node, chain=[{"QueryTypeFilter": {"DenyList": ["Write"]}}])
    with CqlClient(proxy.port) as client:
        client.open()
        reply = client.ask(EXECUTE, execute(id), stream=5)
        assert (reply.opcode, reply.code, reply.stream) == (ERROR, 0x2500, 5)
        assert reply.body.endswith(string(id))
        assert prepare(client, "SELECT key FROM system.local") == id
        assert client.ask(EXECUTE, execute(id)).opcode == RESULT


def test_a_driver_does_not_notice_that_statements_are_forgotten(
    node: int, start_cassandra_proxy: Callable[..., Proxy]
) -> None:
    chain = [{"QueryTypeFilter": {"DenyList": ["SchemaChange"]}}]
    first = start_cassandra_proxy(node, chain=chain, source={"max_prepared_statements": 2})
    with cluster(first.port) as made:
        session = made.connect()
        wanted = [
            session.prepare(f"SELECT key, (int){n} AS n FROM system.local") for n in range(10)
        ]
        for _ in range(3):
            assert [session.execute(each).one().n for each in wanted] == list(range(10))
