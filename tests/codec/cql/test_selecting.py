"""A SELECT over rows at hand answers as a server's would: names, values, conditions; what it cannot do it says."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotover._codec.cql.selecting import Select, read_rows

TEXT, INT, INET = b"\0\x0d", b"\0\x09", b"\0\x10"
TABLE: tuple[str, str, list[tuple[str, bytes]], list[dict[str, bytes | None]]] = (
    "system",
    "peers",
    [("peer", INET), ("rack", TEXT), ("n", INT)],
    [
        {"peer": bytes([127, 0, 0, 1]), "rack": b"r1", "n": struct.pack(">i", 1)},
        {"peer": bytes([127, 0, 0, 2]), "rack": b"r2", "n": struct.pack(">i", 2)},
        {"peer": bytes([127, 0, 0, 3]), "rack": b"r1"},
    ],
)


def ask(text: str, *bound: bytes | None) -> tuple[list[str], list[list[bytes | None]]]:
    columns, rows, paging = read_rows(Select(text.encode()).answer(TABLE, list(bound)), 4)
    assert paging is None
    return [name for name, _ in columns], [[row[name] for name, _ in columns] for row in rows]


def racks(text: str, *bound: bytes | None) -> list[bytes | None]:
    names, rows = ask(text, *bound)
    assert names == ["rack"]
    return [row[0] for row in rows]


def test_columns() -> None:
    names, rows = ask("SELECT * FROM system.peers")
    assert names == ["peer", "rack", "n"] and len(rows) == 3 and rows[2][2] is None
    names, rows = ask('SELECT n, rack AS "Where" FROM system.peers')
    assert names == ["n", "Where"] and rows[1] == [struct.pack(">i", 2), b"r2"]
    body = Select(b"SELECT n, n FROM peers").answer(TABLE, [])
    assert body.count(b"\0\1n\0\x09") == 2
    assert len(Select(b"SELECT n FROM peers").answer(TABLE, [], True)) < len(body)


def test_conditions() -> None:
    assert racks("SELECT rack FROM system.peers WHERE peer = '127.0.0.2'") == [b"r2"]
    assert racks("SELECT rack FROM system.peers WHERE n = 1 ALLOW FILTERING") == [b"r1"]
    assert racks("SELECT rack FROM system.peers WHERE n IN (1, 2)") == [b"r1", b"r2"]
    assert racks("SELECT rack FROM system.peers WHERE n IN (?, 2)", struct.pack(">i", 1)) == [
        b"r1",
        b"r2",
    ]
    one = struct.pack(">iii", 1, 4, 2)
    assert racks("SELECT rack FROM system.peers WHERE n IN ?", one) == [b"r2"]
    assert racks("SELECT rack FROM system.peers WHERE n = ?", None) == []
    assert racks("SELECT rack FROM system.peers LIMIT 1") == [b"r1"]
    assert racks("SELECT rack FROM system.peers LIMIT ?", struct.pack(">i", 2)) == [b"r1", b"r2"]
    assert Select(b"SELECT rack FROM peers WHERE n = :a AND peer = ?").marks == ["a", ""]


def test_counts() -> None:
    assert ask("SELECT count(*) FROM system.peers")[1] == [[struct.pack(">q", 3)]]
    names, rows = ask("SELECT COUNT( 1 ) AS c FROM system.peers WHERE rack = 'r1' LIMIT 1")
    assert (names, rows) == (["c"], [[struct.pack(">q", 2)]])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT x FROM peers", "Undefined column name x"),
        ("SELECT n FROM peers WHERE x = 1", "Undefined column name x"),
        ("SELECT n FROM peers WHERE n > 1", "only = and IN"),
        ("SELECT n FROM peers WHERE n = 'x'", "no value for that column"),
        ("SELECT n FROM peers WHERE n = f(1)", "no value for that column"),
        ("SELECT n FROM peers WHERE token(peer) = 1", "only = and IN"),
        ("SELECT n FROM peers WHERE n = ?", "fewer values"),
        ("SELECT writetime(n) FROM peers", "only columns"),
        ("SELECT JSON * FROM peers", "JSON"),
        ("SELECT n FROM peers ORDER BY n", "ORDER BY"),
        ("SELECT n FROM peers LIMIT 0", "strictly positive"),
        ("SELECT FROM", "cannot be read"),
        ("TRUNCATE peers", "cannot be read"),
    ],
)
def test_what_is_not_done_is_said(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("(", r"\(")):
        Select(text.encode()).answer(TABLE, [])


@given(st.binary(max_size=60))
def test_what_a_server_says_is_read_or_refused(body: bytes) -> None:
    try:
        columns, rows, _ = read_rows(struct.pack(">i", 2) + body, 4)
    except ValueError:
        return
    assert all(set(row) == {name for name, _ in columns} for row in rows)
