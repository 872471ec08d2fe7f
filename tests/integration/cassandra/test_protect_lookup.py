"""Protect: equal values are found by a keyed hash in a column beside them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cassandra import InvalidRequest
from cassandra.cluster import Session
from cassandra.query import BatchStatement, SimpleStatement
from support.proxy import Proxy

from .test_driver import cluster
from .test_protect import protect, protected

pytestmark = pytest.mark.timeout(240)

Start = Callable[..., Proxy]
KEY = bytes(range(2, 34))
FIELDS = {"lookup_key": base64.b64encode(KEY).decode()}
COLUMNS = {"secret": {"type": "text", "lookup": "secret_hash"}, "number": "int"}


def hash_of(keyspace: str, value: str, table: str = "t") -> bytes:
    told = f"{keyspace}\0{table}\0secret\0{value}".encode()
    return hmac.new(KEY, told, hashlib.sha256).digest()[:16]


@contextlib.contextmanager
def looked_up(
    node: int, start: Start, version: int = 4, compression: Any = False
) -> Iterator[tuple[Session, Session, str, Proxy]]:
    """As `protected`, with an index on t.secret_hash."""
    with protected(node, start, COLUMNS, version, compression, **FIELDS) as given:
        given[1].execute("ALTER TABLE t ADD secret_hash blob")
        given[1].execute("CREATE INDEX ON t (secret_hash)")
        yield given


def keys(session: Session, query: Any, *values: Any) -> list[int]:
    return sorted(row.k for row in session.execute(query, *values))


@pytest.mark.parametrize(
    ("version", "compression"), [(3, False), (4, "lz4"), (4, False), (5, False), (5, "lz4")]
)
def test_equal_values_are_found(
    node: int, start_cassandra_proxy: Start, version: int, compression: Any
) -> None:
    with looked_up(node, start_cassandra_proxy, version, compression) as (
        session,
        direct,
        name,
        _proxy,
    ):
        session.execute("INSERT INTO t (k, secret) VALUES (1, 'red')")
        insert = session.prepare(
            "INSERT INTO t (secret, k, open, number) VALUES (?, ?, ?, ?) USING TTL ?"
        )
        assert [each.name for each in insert.column_metadata] == [
            "secret",
            "k",
            "open",
            "number",
            "[ttl]",
        ]
        session.execute(insert, ("red", 2, "o", 7, 1000))
        session.execute(insert, ("blue", 3, "o", None, 1000))
        session.execute("INSERT INTO t (k, secret) VALUES (%s, %s)", (4, "blue"))
        update = session.prepare("UPDATE t SET secret = :s, open = :o WHERE k = :k")
        session.execute(update, {"k": 5, "o": "o", "s": "red"})
        session.execute("UPDATE t SET secret = 'it''s', open = 'x' WHERE k = 6")
        select = session.prepare("SELECT k, secret FROM t WHERE secret = ?")
        assert [each.name for each in select.column_metadata] == ["secret"]
        for value, expected in (
            ("red", [1, 2, 5]),
            ("blue", [3, 4]),
            ("it's", [6]),
            ("none", []),
        ):
            assert keys(session, select, (value,)) == expected
            assert keys(session, "SELECT k FROM t WHERE secret = %s", (value,)) == expected
        assert {row.secret for row in session.execute(select, ("red",))} == {"red"}
        stored = {row.k: row for row in direct.execute("SELECT * FROM t")}
        assert stored[1].secret_hash == hash_of(name, "red") == stored[5].secret_hash
        assert stored[1].secret != stored[5].secret and stored[1].secret[:2] == b"\xd5\x50"
        assert (stored[5].open, stored[2].open, stored[2].k) == ("o", "o", 2)
        assert session.execute("SELECT number FROM t WHERE k = 2").one().number == 7


def test_the_hash_goes_with_its_value(node: int, start_cassandra_proxy: Start) -> None:
    """Updates, batches, nulls, values that are not set, deletions."""
    with looked_up(node, start_cassandra_proxy) as (session, direct, _name, _proxy):
        by_hash = "SELECT k FROM t WHERE secret = %s"
        insert = session.prepare("INSERT INTO t (k, secret) VALUES (?, ?)")
        update = session.prepare("UPDATE t USING TTL ? SET secret = ? WHERE k = ?")
        batch = BatchStatement()
        batch.add(insert, (1, "a"))
        batch.add(update, (1000, "a", 2))
        batch.add(SimpleStatement("INSERT INTO t (k, secret) VALUES (%s, 'a')"), (3,))
        batch.add(SimpleStatement("UPDATE t SET secret = 'a' WHERE k = 4"))
        session.execute(batch)
        session.execute(
            "BEGIN BATCH INSERT INTO t (k, secret) VALUES (5, 'a'); "
            "UPDATE t SET secret = 'a' WHERE k = 6; APPLY BATCH"
        )
        assert keys(session, by_hash, ("a",)) == [1, 2, 3, 4, 5, 6]
        session.execute(update, (1000, "b", 1))
        session.execute(insert, (2, None))
        session.execute("UPDATE t SET secret = null WHERE k = 3")
        session.execute("DELETE secret FROM t WHERE k = 4")
        session.execute(insert, [5])  # its second value is not set, and stays
        session.execute("DELETE FROM t WHERE k = 6")
        assert keys(session, by_hash, ("a",)) == [5]
        assert keys(session, by_hash, ("b",)) == [1]
        rows = direct.execute("SELECT k, secret, secret_hash FROM t")
        assert all((row.secret is None) == (row.secret_hash is None) for row in rows)


def test_a_table_by_hash(node: int, start_cassandra_proxy: Start) -> None:
    """The look-up column as partition key: rows are found without an index, by IN as well, and under a condition."""
    with looked_up(node, start_cassandra_proxy) as (_session, direct, name, _proxy):
        direct.execute(
            "CREATE TABLE by_secret (secret_hash blob, k int, secret blob, PRIMARY KEY (secret_hash, k))"
        )
        proxy = start_cassandra_proxy(node, chain=protect(COLUMNS, name, "by_secret", **FIELDS))
        with cluster(proxy.port) as made:
            session = made.connect(name)
            insert = session.prepare(
                "INSERT INTO by_secret (secret, k) VALUES (?, ?) IF NOT EXISTS"
            )
            for k, value in enumerate(["a", "b", "c", "a"]):
                session.execute(insert, (value, k))
            listed = session.prepare("SELECT k FROM by_secret WHERE secret IN ?")
            assert listed.column_metadata[0].name == "in(secret)"
            assert keys(session, listed, (["a", "c"],)) == [0, 2, 3]
            assert keys(session, listed, ([],)) == []
            both = session.prepare("SELECT k FROM by_secret WHERE secret IN (?, 'b') AND k >= ?")
            assert keys(session, both, ("a", 1)) == [1, 3]
            assert keys(session, "SELECT k FROM by_secret WHERE secret IN ('b', 'x')") == [1]
            change = session.prepare("DELETE FROM by_secret WHERE secret = ? AND k = ?")
            session.execute(change, ("a", 0))
            assert keys(session, "SELECT k FROM by_secret") == [1, 2, 3]
            assert direct.execute(
                "SELECT k FROM by_secret WHERE secret_hash = %s", (hash_of(name, "c", "by_secret"),)
            ).one() == (2,)


REFUSED = {
    "by order": "SELECT k FROM t WHERE secret > 'x' ALLOW FILTERING",
    "in IF": "UPDATE t SET open = 'x' WHERE k = 1 IF secret = 'x'",
    "what is not declared": "SELECT k FROM t WHERE number = 1 ALLOW FILTERING",
    "in a tuple": "SELECT k FROM t WHERE (secret) = ('x') ALLOW FILTERING",
    "a function": "SELECT k FROM t WHERE secret = textAsBlob('x')",
    "null": "SELECT k FROM t WHERE secret = null",
    "its hash inserted": "INSERT INTO t (k, secret_hash) VALUES (1, 0x00)",
    "its hash updated": "UPDATE t SET secret_hash = 0x00 WHERE k = 1",
    "its hash deleted": "DELETE secret_hash FROM t WHERE k = 1",
    "sorted": "SELECT k FROM t WHERE k = 1 ORDER BY secret",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_all_else_is_refused(node: int, start_cassandra_proxy: Start, text: str) -> None:
    with looked_up(node, start_cassandra_proxy) as (session, _direct, _name, proxy):
        for ask in (session.execute, session.prepare):
            with pytest.raises(InvalidRequest, match="shotover: "):
                ask(text)
        assert proxy.metric("shotover_refusals_count", reason="protected") == 2
