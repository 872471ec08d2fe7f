"""Protect: the server has nothing to read, clients see what they wrote."""

from __future__ import annotations

import base64
import contextlib
import datetime
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cassandra import InvalidRequest
from cassandra.cluster import Session
from cassandra.query import BatchStatement, SimpleStatement
from support.proxy import Proxy
from support.wait import free_port

from .test_driver import cluster

pytestmark = pytest.mark.timeout(240)

Start = Callable[..., Proxy]
ROOT = Path(__file__).resolve().parents[3]
KEK = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(range(1, 33))).decode()
VERSIONS = pytest.mark.parametrize("version", [3, 4, 5])


def protect(columns: Any, keyspace: str, table: str = "t", **fields: Any) -> list[dict[str, Any]]:
    manager = {"Local": {"kek": KEK, "kek_id": "first"}}
    return [
        {
            "Protect": {
                "name": "protect",
                "keyspace_table_columns": {keyspace: {table: columns}},
                "key_manager": manager,
                **fields,
            }
        }
    ]


@contextlib.contextmanager
def protected(
    node: int, start: Start, columns: Any, version: int = 4, compression: Any = False, **fields: Any
) -> Iterator[tuple[Session, Session, str, Proxy]]:
    """(through the proxy, straight, keyspace, proxy)"""
    name = f"protected_{uuid.uuid4().hex[:12]}"
    proxy = start(node, chain=protect(columns, name, **fields))
    with (
        cluster(node) as straight,
        cluster(proxy.port, version, compression=compression) as through,
    ):
        direct = straight.connect()
        direct.execute(
            f"CREATE KEYSPACE {name} WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        direct.set_keyspace(name)
        direct.execute(
            "CREATE TABLE t (k int PRIMARY KEY, secret blob, number blob, tags blob, open text)"
        )
        session = through.connect(name)
        try:
            yield session, direct, name, proxy
        finally:
            direct.execute(f"DROP KEYSPACE {name}")


TYPES = {"secret": "text", "number": "int", "tags": "list<text>"}


@pytest.mark.parametrize(
    ("version", "compression"), [(3, False), (4, "lz4"), (4, False), (5, False), (5, "lz4")]
)
def test_what_is_written_is_read_and_the_server_has_nothing(
    node: int, start_cassandra_proxy: Start, version: int, compression: Any
) -> None:
    with protected(node, start_cassandra_proxy, TYPES, version, compression) as (
        session,
        direct,
        name,
        _proxy,
    ):
        session.execute(
            f"INSERT INTO {name}.t (k, secret, number, tags, open) "
            "VALUES (1, 'it''s plain', 42, ['a', 'b'], 'open')"
        )
        insert = session.prepare(
            "INSERT INTO t (k, secret, number, tags, open) VALUES (?, ?, ?, ?, ?)"
        )
        session.execute(insert, (2, "bound plain", -7, ["c"], "open"))
        session.execute(
            "INSERT INTO t (k, secret, open) VALUES (%s, %s, %s)", (3, "formatted plain", "open")
        )
        session.execute(insert, (4, None, None, None, "open"))
        session.execute("INSERT INTO t (k, secret) VALUES (5, null)")
        expected = {
            1: ("it's plain", 42, ["a", "b"]),
            2: ("bound plain", -7, ["c"]),
            3: ("formatted plain", None, None),
            4: (None, None, None),
            5: (None, None, None),
        }
        rows = {
            row.k: (row.secret, row.number, row.tags) for row in session.execute("SELECT * FROM t")
        }
        assert rows == expected
        select = session.prepare("SELECT number, secret AS s, k, tags FROM t WHERE k = ?")
        for k, (secret, number, tags) in expected.items():
            row = session.execute(select, (k,)).one()
            assert (row.s, row.number, row.tags) == (secret, number, tags)
        row = session.execute("SELECT secret AS open, open AS secret FROM t WHERE k = 1").one()
        assert (row.open, row.secret) == ("it's plain", "open")
        assert session.execute("SELECT count(secret) FROM t").one()[0] == 3
        raw = [
            value
            for row in direct.execute("SELECT secret, number, tags FROM t")
            for value in row
            if value
        ]
        assert len(raw) == 7
        assert all(value.startswith(b"\xd5\x50\x01") and b"plain" not in value for value in raw)
        assert len(set(raw)) == 7


def test_updates_batches_and_lightweight_transactions(
    node: int, start_cassandra_proxy: Start
) -> None:
    with protected(node, start_cassandra_proxy, TYPES) as (session, direct, _name, _proxy):
        update = session.prepare("UPDATE t SET secret = ?, open = 'x' WHERE k = ?")
        insert = session.prepare("INSERT INTO t (k, secret) VALUES (?, ?) IF NOT EXISTS")
        session.execute("UPDATE t USING TTL 1000 SET open = 'y', secret = 'one' WHERE k = 1")
        session.execute(update, ("two", 2))
        batch = BatchStatement()
        batch.add(update, ("three", 3))
        batch.add(SimpleStatement("INSERT INTO t (k, open, secret) VALUES (4, 'o', 'four')"))
        batch.add(SimpleStatement("UPDATE t SET secret = %s WHERE k = 5"), ("five",))
        session.execute(batch)
        session.execute(
            "BEGIN BATCH INSERT INTO t (k, secret) VALUES (6, 'six'); "
            "UPDATE t SET secret = 'seven' WHERE k = 7; APPLY BATCH"
        )
        assert session.execute(insert, (8, "eight")).one().applied
        refused = session.execute(insert, (8, "again")).one()
        assert (refused.applied, refused.secret) == (False, "eight")
        rows = {row.k: row.secret for row in session.execute("SELECT k, secret FROM t")}
        assert rows == dict(
            enumerate(["one", "two", "three", "four", "five", "six", "seven", "eight"], 1)
        )
        assert all(row.secret[:2] == b"\xd5\x50" for row in direct.execute("SELECT secret FROM t"))
        session.execute("DELETE secret FROM t WHERE k = 1")
        assert session.execute("SELECT secret FROM t WHERE k = 1").one().secret is None


def test_without_types_clients_see_blobs(node: int, start_cassandra_proxy: Start) -> None:
    with protected(node, start_cassandra_proxy, ["secret"]) as (session, direct, _name, _proxy):
        session.execute("INSERT INTO t (k, secret) VALUES (1, 'text')")
        session.execute("INSERT INTO t (k, secret) VALUES (2, 0x0102)")
        session.execute("INSERT INTO t (k, secret) VALUES (3, 258)")
        insert = session.prepare("INSERT INTO t (k, secret) VALUES (?, ?)")
        session.execute(insert, (4, b"\0bytes"))
        rows = {row.k: row.secret for row in session.execute("SELECT k, secret FROM t")}
        assert rows == {1: b"text", 2: b"\x01\x02", 3: (258).to_bytes(8, "big"), 4: b"\0bytes"}
        assert all(row.secret[:2] == b"\xd5\x50" for row in direct.execute("SELECT secret FROM t"))


REFUSED = {
    "in WHERE": "SELECT k FROM t WHERE secret = 'x' ALLOW FILTERING",
    "in IF": "UPDATE t SET open = 'x' WHERE k = 1 IF secret = 'x'",
    "in a function": "SELECT blobAsText(secret) FROM t",
    "part of it": "UPDATE t SET tags = tags + ['x'] WHERE k = 1",
    "fromJson": """INSERT INTO t (k, secret) VALUES (1, fromJson('"x"'))""",
    "toJson": "SELECT toJson(secret) FROM t",
    "SELECT JSON": "SELECT JSON * FROM t",
    "a function as value": "INSERT INTO t (k, secret) VALUES (1, textAsBlob('x'))",
    "of another type": "INSERT INTO t (k, number) VALUES (1, 'x')",
    "what cannot be followed": "INSERT INTO t (k, secret) VALUES (1, 'x') WITH MAGIC",
    "in a batch": "BEGIN BATCH INSERT INTO t (k, secret) VALUES (1, textAsBlob('x')); APPLY BATCH",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_would_store_it_plain_is_refused(
    node: int, start_cassandra_proxy: Start, text: str
) -> None:
    with protected(node, start_cassandra_proxy, TYPES) as (session, direct, _name, proxy):
        with pytest.raises(InvalidRequest, match="shotover: "):
            session.execute(text)
        with pytest.raises(InvalidRequest, match="shotover: "):
            session.prepare(text)
        assert list(direct.execute("SELECT k FROM t")) == []
        assert proxy.metric("shotover_refusals_count", reason="protected") == 2


def test_keys_change(node: int, start_cassandra_proxy: Start) -> None:
    """Another process with the same key reads it; with a new first key, too, as long as it has the old one."""
    with protected(node, start_cassandra_proxy, TYPES) as (session, _direct, name, _proxy):
        session.execute("INSERT INTO t (k, secret) VALUES (1, 'kept')")
        managers = [
            {"Local": {"kek": KEK, "kek_id": "first"}},
            {"Local": {"kek": OTHER, "kek_id": "second", "old_keks": {"first": KEK}}},
        ]
        for number, manager in enumerate(managers):
            other = start_cassandra_proxy(node, chain=protect(TYPES, name, key_manager=manager))
            with cluster(other.port) as made:
                again = made.connect(name)
                assert again.execute("SELECT secret FROM t WHERE k = 1").one().secret == "kept"
                again.execute(f"INSERT INTO t (k, secret) VALUES ({number + 2}, 'new')")
        stranger = start_cassandra_proxy(
            node,
            chain=protect(TYPES, name, key_manager={"Local": {"kek": OTHER, "kek_id": "first"}}),
        )
        with (
            cluster(stranger.port) as made,
            pytest.raises(Exception, match="Protect cannot open a value"),
        ):
            made.connect(name).execute("SELECT secret FROM t WHERE k = 1")
        stranger.allow_log("a data key cannot be unwrapped")


def test_what_was_moved_or_is_not_sealed(node: int, start_cassandra_proxy: Start) -> None:
    with protected(node, start_cassandra_proxy, {**TYPES, "open": "text"}) as (
        session,
        direct,
        _name,
        proxy,
    ):
        session.execute("INSERT INTO t (k, secret) VALUES (1, 'here')")
        sealed = direct.execute("SELECT secret FROM t WHERE k = 1").one().secret
        direct.execute("INSERT INTO t (k, number) VALUES (2, %s)", (sealed,))
        with pytest.raises(
            Exception, match=r"value of protected_\w+\.t\.number: it was not sealed for this column"
        ):
            session.execute("SELECT number FROM t WHERE k = 2")
        direct.execute("INSERT INTO t (k, secret) VALUES (3, 0x6f6c64)")
        assert session.execute("SELECT secret FROM t WHERE k = 3").one().secret == "old"
        assert proxy.metric("shotover_protect_unsealed_count") == 1


def test_what_is_not_sealed_can_be_refused(node: int, start_cassandra_proxy: Start) -> None:
    with protected(node, start_cassandra_proxy, TYPES, unsealed="Refuse") as (
        session,
        direct,
        _name,
        _proxy,
    ):
        direct.execute("INSERT INTO t (k, secret) VALUES (3, 0x6f6c64)")
        with pytest.raises(Exception, match="it is not sealed"):
            session.execute("SELECT secret FROM t WHERE k = 3")


def test_pages_of_many_rows(node: int, start_cassandra_proxy: Start) -> None:
    with protected(node, start_cassandra_proxy, TYPES) as (session, _direct, _name, _proxy):
        insert = session.prepare("INSERT INTO t (k, secret, number) VALUES (?, ?, ?)")
        for future in [session.execute_async(insert, (k, "x" * k, k)) for k in range(500)]:
            future.result()
        statement = SimpleStatement("SELECT k, secret, number FROM t", fetch_size=70)
        rows = {row.k: (row.secret, row.number) for row in session.execute(statement)}
        assert rows == {k: ("x" * k, k) for k in range(500)}


def test_the_key_is_not_shown(node: int, start_cassandra_proxy: Start) -> None:
    with protected(node, start_cassandra_proxy, TYPES) as (_session, _direct, _name, proxy):
        shown = subprocess.run(
            [sys.executable, "-m", "shotover", "explain", "-t", "topology.yaml"],
            cwd=proxy.directory,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "first" in shown
        assert not any(
            KEK in text
            for text in (shown, proxy.log(), proxy.http("/topology"), proxy.http("/metrics"))
        )


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The endpoint of a KMS that speaks as AWS' does."""
    from moto.server import ThreadedMotoServer

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def test_data_keys_of_aws_kms(node: int, start_cassandra_proxy: Start, kms: str) -> None:
    import boto3

    made = boto3.client("kms", region_name="us-east-1", endpoint_url=kms).create_key()
    aws = {
        "cmk_id": made["KeyMetadata"]["KeyId"],
        "region": "us-east-1",
        "endpoint": kms,
        "encryption_context": {"service": "shop"},
        "number_of_bytes": 32,
    }
    manager = {"key_manager": {"AWSKms": aws}}
    with protected(node, start_cassandra_proxy, TYPES, **manager) as (
        session,
        direct,
        name,
        _proxy,
    ):
        insert = session.prepare("INSERT INTO t (k, secret) VALUES (?, ?)")
        for k in range(20):
            session.execute(insert, (k, f"value {k}"))
        assert all(
            made["KeyMetadata"]["KeyId"].encode() in row.secret
            for row in direct.execute("SELECT secret FROM t")
        )
        other = start_cassandra_proxy(node, chain=protect(TYPES, name, **manager))
        with cluster(other.port) as again:  # which has to have the key unwrapped first
            fresh = again.connect(name)
            futures = [
                fresh.execute_async("SELECT secret FROM t WHERE k = %s", (k,)) for k in range(20)
            ]
            assert [future.result().one().secret for future in futures] == [
                f"value {k}" for k in range(20)
            ]
            assert other.metric("shotover_protect_waits_count") > 0


def test_a_key_manager_that_is_away(node: int, start_cassandra_proxy: Start, kms: str) -> None:
    """Nothing is written, and what is read is refused; nothing waits without end."""
    gone = {
        "AWSKms": {
            "cmk_id": "none",
            "region": "us-east-1",
            "endpoint": f"http://127.0.0.1:{free_port()}",
        }
    }
    with protected(node, start_cassandra_proxy, TYPES) as (session, _direct, name, _proxy):
        session.execute("INSERT INTO t (k, secret) VALUES (1, 'x')")
        proxy = start_cassandra_proxy(node, chain=protect(TYPES, name, key_manager=gone))
        proxy.allow_log("no new data key", "a data key cannot be unwrapped")
        with cluster(proxy.port) as made:
            lost = made.connect(name)
            with pytest.raises(Exception, match="Protect has no data key"):
                lost.execute("INSERT INTO t (k, secret) VALUES (2, 'y')")
            with pytest.raises(Exception, match="data key"):
                lost.execute("SELECT secret FROM t WHERE k = 1", timeout=60)
            assert lost.execute("SELECT k FROM t").one().k == 1


def test_the_topology_of_the_docs_runs(node: int) -> None:
    """configs/cassandra_protect.yaml, with the port that this test has."""
    shop = f"shop_{uuid.uuid4().hex[:12]}"
    given = yaml.safe_load(
        (ROOT / "configs" / "cassandra_protect.yaml")
        .read_text()
        .replace("9043", str(node))
        .replace("shop", shop)
    )

    def topology(listen_port: int, _upstream_port: int, **_: object) -> dict[str, Any]:
        given["sources"][0]["Cassandra"]["listen_addr"] = f"127.0.0.1:{listen_port}"
        return dict(given)

    proxy = Proxy(node, topology=topology)
    try:
        with cluster(node) as straight, cluster(proxy.port) as through:
            direct, session = straight.connect(), through.connect()
            direct.execute(
                f"CREATE KEYSPACE {shop} WITH replication = "
                "{'class': 'SimpleStrategy', 'replication_factor': 1}"
            )
            direct.execute(
                f"CREATE TABLE {shop}.customers (id int PRIMARY KEY, card blob, born blob)"
            )
            insert = session.prepare(
                f"INSERT INTO {shop}.customers (id, card, born) VALUES (?, ?, ?)"
            )
            session.execute(insert, (1, "4111", datetime.date(1815, 12, 10)))
            row = session.execute(f"SELECT card, born FROM {shop}.customers").one()
            assert (row.card, row.born.date()) == ("4111", datetime.date(1815, 12, 10))
            assert b"4111" not in direct.execute(f"SELECT card FROM {shop}.customers").one().card
            direct.execute(f"DROP KEYSPACE {shop}")
    finally:
        proxy.stop()
