"""Audit before a real Cassandra, into a file and into a real Redis."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cassandra import InvalidRequest
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import NoHostAvailable
from cassandra.query import BatchStatement, SimpleStatement
from support.cassandra import QUERY, RESULT, CqlClient, query
from support.proxy import Proxy
from support.topologies import Running
from support.wait import wait_until

from .test_driver import cluster, keyspace

pytestmark = pytest.mark.timeout(240)
Start = Callable[..., Proxy]
SECRET = "hunter2-of-the-test"


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("compression", [False, "lz4"])
def test_statements_with_their_outcome(
    node: int, start_cassandra_proxy: Start, tmp_path: Path, version: int, compression: Any
) -> None:
    trail = tmp_path / "trail"
    with cluster(node) as direct:
        owner = direct.connect()
        with keyspace(owner) as name:
            only = [{"keyspaces": [name]}, {"statements": ["UNKNOWN"]}]
            proxy = start_cassandra_proxy(
                node, chain=[{"Audit": {"file": str(trail), "only": only}}]
            )
            with cluster(proxy.port, version, compression=compression) as made:
                session = made.connect(name)
                insert = session.prepare("INSERT INTO t (k, v) VALUES (?, ?)")
                session.execute(insert, (1, SECRET))
                session.execute(f"UPDATE T SET v = '{SECRET}' WHERE k = 77001")
                session.execute(f"SELECT v FROM {name}.t /* {SECRET} */")
                with pytest.raises(InvalidRequest):
                    session.execute("SELECT nothing FROM t")
                batch = BatchStatement()
                for k in range(3):
                    batch.add(insert, (k, SECRET))
                batch.add(SimpleStatement("DELETE FROM t WHERE k = 5"))
                session.execute(batch)
                with pytest.raises(Exception, match="SELEKT"):
                    session.execute(f"SELEKT '{SECRET}'")
            wait_until(lambda: len(records(trail)) >= 7, "all are written")
            found = [
                (r["request"], r["type"], r.get("statement"), r["outcome"], r.get("rows"))
                for r in records(trail)
                if r["type"] != "USE"
            ]
            assert found == [
                ("EXECUTE", "INSERT", "INSERT INTO t (k, v) VALUES (?, ?)", "ok", None),
                ("QUERY", "UPDATE", "UPDATE T SET v = ? WHERE k = ?", "ok", None),
                ("QUERY", "SELECT", f"SELECT v FROM {name}.t", "ok", None if compression and version < 5 else 2),
                ("QUERY", "SELECT", "SELECT nothing FROM t", "error", None),
                ("BATCH", "BATCH", None, "ok", None),
                ("QUERY", "unknown", "SELEKT ?", "error", None),
            ]  # fmt: skip
            assert SECRET not in trail.read_text() and "77001" not in trail.read_text()
            by_type = {record["request"]: record for record in records(trail)}
            assert by_type["BATCH"]["statements"] == [
                {"type": "INSERT", "keyspace": name, "table": "t", "count": 3},
                {"type": "DELETE", "keyspace": name, "table": "t", "count": 1},
            ]
            execute = by_type["EXECUTE"]
            assert (execute["keyspace"], execute["table"]) == (name, "t")
            assert execute["consistency"] == "LOCAL_ONE"
            errors = [r["code"] for r in records(trail) if "code" in r]
            assert errors == ["0x2200", "0x2000"] or (compression and version < 5 and errors == [])


def test_logins_and_who_did_what(
    login_node: int, start_cassandra_proxy: Start, tmp_path: Path
) -> None:
    trail = tmp_path / "trail"
    proxy = start_cassandra_proxy(login_node, chain=[{"Audit": {"file": str(trail)}}])
    with cluster(proxy.port, auth_provider=PlainTextAuthProvider("cassandra", "cassandra")) as made:
        session = made.connect()
        session.execute("ALTER ROLE cassandra WITH PASSWORD = 'cassandra'")
    with (
        cluster(proxy.port, auth_provider=PlainTextAuthProvider("mallory", SECRET)) as wrong,
        pytest.raises(NoHostAvailable),
    ):
        wrong.connect()

    def logins() -> set[tuple[str, str]]:
        return {(r["login"], r["outcome"]) for r in records(trail) if "login" in r}

    wait_until(
        lambda: logins() == {("cassandra", "ok"), ("mallory", "error")}, "logins are written"
    )
    [altered] = [r for r in records(trail) if r.get("type") == "ALTER"]
    assert altered["user"] == "cassandra" and altered["object"] == "ROLE"
    assert altered["statement"] == "ALTER ROLE cassandra WITH PASSWORD = ?"
    assert SECRET not in trail.read_text()


def test_records_in_a_stream_of_redis(node: int, start_server: Any, tmp_path: Path) -> None:
    """configs/cassandra_audit.yaml: Cassandra's requests, recorded by XADD."""
    redis = start_server()
    with (
        Running(
            "cassandra_audit",
            tmp_path,
            CASSANDRA=node,
            REDIS=redis.port,
            AUDIT=str(tmp_path / "trail"),
        ) as running,
        CqlClient(running.port) as client,
    ):
        client.open()
        for _ in range(5):
            assert (
                client.ask(QUERY, query("SELECT key FROM system.local WHERE key = 'local'")).opcode
                == RESULT
            )
        wait_until(lambda: redis.client().xlen("audit") == 5, "all have come")
        wait_until(lambda: len(records(tmp_path / "trail")) == 5, "all are written")
        found = [json.loads(fields[b"record"]) for _id, fields in redis.client().xrange("audit")]
        assert found == records(tmp_path / "trail")
        assert {record["statement"] for record in found} == {
            "SELECT key FROM system.local WHERE key = ?"
        }


def test_the_cache_and_the_trail_together(node: int, start_server: Any, tmp_path: Path) -> None:
    """configs/cassandra_cached_audited.yaml: what comes from Redis leaves a record like what comes from Cassandra."""
    redis = start_server()
    trail = tmp_path / "trail"
    text = "SELECT name FROM shop.customers WHERE id = 1"
    with (
        Running(
            "cassandra_cached_audited",
            tmp_path,
            CASSANDRA=node,
            REDIS=redis.port,
            AUDIT=str(trail),
        ) as running,
        cluster(node) as straight,
        cluster(running.port) as through,
    ):
        direct, session = straight.connect(), through.connect()
        direct.execute("DROP KEYSPACE IF EXISTS shop")
        direct.execute(
            "CREATE KEYSPACE shop WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        direct.execute("CREATE TABLE shop.customers (id int PRIMARY KEY, name text)")
        session.execute("INSERT INTO shop.customers (id, name) VALUES (1, 'Ada')")
        asked = 0

        def from_redis() -> bool:
            nonlocal asked
            asked += 1
            assert session.execute(text).one().name == "Ada"
            return any(
                key.startswith(b"shotover:e:shop.customers:") for key in redis.client().scan_iter()
            )

        wait_until(from_redis, "the row is in Redis")
        direct.execute("INSERT INTO shop.customers (id, name) VALUES (1, 'unseen')")
        assert session.execute(text).one().name == "Ada"
        session.execute("UPDATE shop.customers SET name = 'Grace' WHERE id = 1")
        assert session.execute(text).one().name == "Grace"

        def recorded() -> list[dict[str, Any]]:
            return [r for r in records(trail) if r.get("table") == "customers"]

        wait_until(lambda: len(recorded()) == asked + 4, "all are written")
        assert [r["type"] for r in recorded() if r["type"] != "SELECT"] == ["INSERT", "UPDATE"]
        assert all(r["outcome"] == "ok" for r in recorded())
        direct.execute("DROP KEYSPACE shop")


def test_nothing_passes_without_a_record(
    node: int, start_cassandra_proxy: Start, tmp_path: Path
) -> None:
    """The trail's folder is not there any more."""
    folder = tmp_path / "folder"
    folder.mkdir()
    fields = {
        "file": str(folder / "trail"),
        "queue_bytes": 65536,
        "when_full": "refuse",
        "rotate_bytes": 65536,
    }
    proxy = start_cassandra_proxy(node, chain=[{"Audit": fields}])
    proxy.allow_log("audit records cannot be written")
    with CqlClient(proxy.port) as client:
        client.open()
        (folder / "trail").unlink()
        folder.rmdir()
        replies = [client.ask(QUERY, query("SELECT key FROM system.local")) for _ in range(1200)]
        refused = [reply for reply in replies if reply.opcode != RESULT]
        assert refused and all("audit trail has no room" in reply.message for reply in refused)
        folder.mkdir()
        wait_until(
            lambda: client.ask(QUERY, query("SELECT key FROM system.local")).opcode == RESULT,
            "it goes on when records can be written",
        )
