"""Where a statement goes: what it is, the key that it names, the servers that have it."""

from __future__ import annotations

import struct

import pytest
from cassandra.metadata import Murmur3Token
from hypothesis import given
from hypothesis import strategies as st
from support.cassandra import query, string
from support.native import load

from shotover._codec.cql.ring import Ring
from shotover.sinks._cassandra_schema import Schema

probe = load("route_probe")
ANY, HOME, TABLE = range(3)
TOKENS = [-6000000000000000000, -1000000000000000000, 1000000000000000000, 6000000000000000000]
RING = Ring(
    "Murmur3Partitioner",
    [(number, "dc1", f"r{number % 2}", [str(token)]) for number, token in enumerate(TOKENS)],
)
SCHEMA = Schema(
    RING,
    {
        "ks": {"class": "SimpleStrategy", "replication_factor": "2"},
        "Quoted": {"class": "NetworkTopologyStrategy", "dc1": "1"},
        "local_only": {"class": "LocalStrategy"},
    },
    {
        ("ks", "t"): (("k", "int"),),
        ("ks", "two"): (("a", "text"), ("b", "bigint")),
        ("ks", "Big"): (("Key", "uuid"),),
        ("ks", "odd"): (("k", "frozen<person>"),),
        ("local_only", "t"): (("k", "int"),),
    },
)
ONE = struct.pack(">i", 1)


def key(text: str, keyspace: str = "ks", body: bytes | None = None) -> bytes | bool | None:
    """True: it is made of literals alone; then `servers` says more."""
    found: bytes | bool | None = probe.look(SCHEMA, body or query(text), keyspace.encode())[3]
    return found


def servers(text: str) -> list[int]:
    found: list[int] = probe.look(SCHEMA, query(text), b"ks")[4]
    return found


def servers_of(raw: bytes) -> list[int]:
    token = Murmur3Token.hash_fn(raw)
    place = next((i for i, each in enumerate(TOKENS) if each >= token), 0)
    return [place, (place + 1) % len(TOKENS)]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM ks.t WHERE k = 1",
        "SELECT * FROM t WHERE v = 'a' AND k = 1 ALLOW FILTERING",
        "SELECT * FROM KS.T WHERE K IN (1, 2)",
        "INSERT INTO ks.t (v, k) VALUES ('a', 1)",
        "UPDATE ks.t SET v = 'a' WHERE k = 1 IF v = 'b'",
        "DELETE v FROM ks.t WHERE k = 1",
        "BEGIN BATCH INSERT INTO ks.t (k) VALUES (1); INSERT INTO ks.t (k) VALUES (2) APPLY BATCH",
        "BEGIN BATCH INSERT INTO t (k) VALUES (1) APPLY BATCH",
    ],
)
def test_keys(text: str) -> None:
    place, _, _, found, servers = probe.look(SCHEMA, query(text), b"ks")
    assert (place, found, servers) == (ANY, True, servers_of(ONE))


def test_keys_of_several_columns_and_other_names() -> None:
    both = b"\0\1a\0\0\x08" + struct.pack(">q", 5) + b"\0"
    assert servers("SELECT * FROM two WHERE b = 5 AND a = 'a'") == servers_of(both)
    assert servers("INSERT INTO two (b, a) VALUES (5, 'a')") == servers_of(both)
    assert key("SELECT * FROM two WHERE a = 'a'") is None
    uuid = "123e4567-e89b-12d3-a456-426614174000"
    raw = bytes.fromhex(uuid.replace("-", ""))
    assert servers(f'SELECT * FROM ks."Big" WHERE "Key" = {uuid}') == servers_of(raw)
    assert key(f"SELECT * FROM ks.Big WHERE Key = {uuid}") is None


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM ks.t",
        "SELECT * FROM ks.t WHERE k > 1",
        "SELECT * FROM ks.t WHERE token(k) = 1",
        "INSERT INTO ks.t (k) VALUES (f(1))",
        "INSERT INTO ks.t (k) VALUES (null)",
        "INSERT INTO ks.t JSON '{\"k\": 1}'",
        "SELECT * FROM ks.missing WHERE k = 1",
        "SELECT * FROM nowhere.t WHERE k = 1",
        "SELECT * FROM ks.odd WHERE k = {a: 1}",
        "SELECT * FROM ks.t WHERE k = 'text'",
        "this is no statement",
        "",
    ],
)
def test_what_has_no_key(text: str) -> None:
    assert key(text) is None


def test_without_copies_there_are_no_servers() -> None:
    assert probe.look(SCHEMA, query("SELECT * FROM local_only.t WHERE k = 1"), b"")[3:] == (None, None)  # fmt: skip


def test_bound_values() -> None:
    text = "SELECT * FROM ks.t WHERE v = ? AND k = ?"
    value = struct.pack(">i", 1) + b"a" + struct.pack(">i", 4) + ONE
    assert key("", body=query(text)[:-1] + b"\1\0\2" + value) == ONE
    null = struct.pack(">i", 1) + b"a" + b"\xff" * 4
    assert key("", body=query(text)[:-1] + b"\1\0\2" + null) is None
    text = "SELECT * FROM ks.t WHERE v = :x AND k = :y"
    named = b"\0\1y" + struct.pack(">i", 4) + ONE + b"\0\1x" + struct.pack(">i", 1) + b"a"
    assert key("", body=query(text)[:-1] + b"\x41\0\2" + named) == ONE


@pytest.mark.parametrize(
    ("text", "keyspace", "place"),
    [
        ("SELECT * FROM system.local", "", TABLE),
        ("SELECT * FROM peers_v2", "system", TABLE),
        ("SELECT * FROM peers", "ks", ANY),
        ('SELECT * FROM "System".local', "", ANY),
        ("SELECT * FROM system.compaction_history", "", HOME),
        ("SELECT * FROM system_schema.tables", "", HOME),
        ("SELECT * FROM systems.t", "", ANY),
        ("CREATE TABLE ks.x (k int PRIMARY KEY)", "", HOME),
        ("DROP KEYSPACE ks", "", HOME),
        ("GRANT SELECT ON ks.t TO a", "", HOME),
        ("TRUNCATE ks.t", "", HOME),
    ],
)
def test_places(text: str, keyspace: str, place: int) -> None:
    assert probe.look(SCHEMA, query(text), keyspace.encode())[0] == place


@pytest.mark.parametrize(
    ("text", "ordered", "idempotent"),
    [
        ("SELECT * FROM ks.t WHERE k = 1", False, True),
        ("INSERT INTO ks.t (k, v) VALUES (1, 'a')", False, True),
        ("INSERT INTO ks.t (k, v) VALUES (1, 'a') IF NOT EXISTS", True, False),
        ("INSERT INTO ks.t (k, v) VALUES (uuid(), 'a')", False, False),
        ("UPDATE ks.t SET n = n + 1 WHERE k = 1", False, False),
        ("UPDATE ks.t SET l = l + ['a'] WHERE k = 1", False, False),
        ("DELETE FROM ks.t WHERE k = 1", False, True),
        ("BEGIN COUNTER BATCH UPDATE ks.t SET n = n + 1 WHERE k = 1; APPLY BATCH", False, False),
        ("TRUNCATE ks.t", False, False),
        ("this is no statement", False, False),
    ],
)
def test_what_may_be_sent_twice(text: str, ordered: bool, idempotent: bool) -> None:
    assert probe.look(SCHEMA, query(text), b"ks")[1:3] == (ordered, idempotent)


@given(st.binary(max_size=120))
def test_any_bytes(body: bytes) -> None:
    found = probe.look(SCHEMA, body, b"ks")
    assert found is None or found[0] in (ANY, HOME, TABLE)


# ---- prepared ------------------------------------------------------------------------------------


def prepared(columns: list[tuple[str, bytes]], keys: list[int], version: int) -> bytes:
    """Body of the reply to a PREPARE of a statement on ks.two with these values."""
    body = struct.pack(">i", 4) + string("id") + struct.pack(">ii", 1, len(columns))
    if version >= 4:
        body += struct.pack(f">i{len(keys)}H", len(keys), *keys)
    body += string("ks") + string("two")
    for name, kind in columns:
        body += string(name) + kind
    return body + struct.pack(">ii", 4, 0)


TEXT, BIGINT = b"\0\x0d", b"\0\x02"
FIVE = struct.pack(">q", 5)
BOTH = b"\0\1a\0\0\x08" + FIVE + b"\0"


def routed(text: str, reply: bytes, body: bytes, version: int = 4) -> bytes | bool | None:
    found = probe.look_prepared(
        SCHEMA, text.encode(), reply, string("id") + b"\0\1" + body, version
    )
    assert (found[3] is None) == (found[4] is None) and found[4] in (None, servers_of(BOTH))
    key: bytes | bool | None = found[3]
    return key


def sent(*values: bytes) -> bytes:
    return b"".join(struct.pack(">i", len(value)) + value for value in values)


@pytest.mark.parametrize("version", [3, 4])
def test_the_key_of_a_prepared_statement(version: int) -> None:
    """As the server tells it; or, in version 3, where the text has it."""
    reply = prepared([("v", TEXT), ("b", BIGINT), ("a", TEXT)], [2, 1], version)
    text = "UPDATE ks.two SET v = ? WHERE b = ? AND a = ?"
    assert routed(text, reply, b"\1\0\3" + sent(b"value", FIVE, b"a"), version) == BOTH
    named = b"\0\1a" + sent(b"a") + b"\0\1b" + sent(FIVE) + b"\0\1v" + sent(b"value")
    assert routed(text, reply, b"\x41\0\3" + named, version) == BOTH
    assert routed(text, reply, b"\1\0\3" + sent(b"value", FIVE) + b"\xff" * 4, version) is None


@pytest.mark.parametrize("version", [3, 4])
def test_a_prepared_statement_whose_key_is_in_its_text(version: int) -> None:
    """All of it, or a part."""
    nothing = prepared([], [], version)
    assert routed("SELECT * FROM ks.two WHERE a = 'a' AND b = 5", nothing, b"\0", version) is True
    reply = prepared([("v", TEXT)], [], version)
    text = "UPDATE ks.two SET v = ? WHERE b = 5 AND a = 'a'"
    assert routed(text, reply, b"\1\0\1" + sent(b"value"), version) is True
    reply = prepared([("a", TEXT)], [], version)
    text = "SELECT * FROM ks.two WHERE b = 5 AND a = ?"
    assert routed(text, reply, b"\1\0\1" + sent(b"a"), version) == BOTH
    text = "SELECT * FROM ks.two WHERE b > 5 AND a = ?"
    assert routed(text, reply, b"\1\0\1" + sent(b"a"), version) is None
