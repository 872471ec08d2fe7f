"""Which partitions a statement names: told where they can be, never guessed."""

from __future__ import annotations

import struct

import pytest
from support.native import load

probe = load("keys_probe")
ONE = [(b"k", b"int")]
TWO = [(b"tenant", b"text"), (b"Day", b"date")]


def number(value: int) -> bytes:
    return struct.pack(">i", value)


@pytest.mark.parametrize(
    ("text", "values", "keys"),
    [
        (b"SELECT * FROM t WHERE k = 1", None, [[number(1)]]),
        (b"SELECT * FROM t WHERE c > 2 AND k = -1 LIMIT 3", None, [[number(-1)]]),
        (b"SELECT * FROM t WHERE K = 1", None, [[number(1)]]),
        (b"SELECT * FROM t WHERE k = ? AND c = ?", [number(7), b"x"], [[number(7)]]),
        (b"SELECT * FROM t WHERE c = ? AND k = ?", [b"x", number(7)], [[number(7)]]),
        (b"SELECT * FROM t WHERE k = :a", [(b"b", b"x"), (b"a", number(7))], [[number(7)]]),
        (b"SELECT * FROM t WHERE k = :a", [number(7)], [[number(7)]]),
        (b"SELECT * FROM t WHERE k IN (1, 2)", None, [[number(1)], [number(2)]]),
        (
            b"SELECT * FROM t WHERE k IN (?, 2, ?)",
            [number(8), number(9)],
            [[number(8)], [number(2)], [number(9)]],
        ),
        (b"SELECT * FROM t WHERE k IN ()", None, []),
        (
            b"DELETE FROM t WHERE k IN ?",
            [number(2) + number(4) + number(5) + number(4) + number(6)],
            [[number(5)], [number(6)]],
        ),
        (b"INSERT INTO t (c, k) VALUES ('x', 4)", None, [[number(4)]]),
        (b"INSERT INTO t (c, k) VALUES (?, ?) IF NOT EXISTS", [b"x", number(4)], [[number(4)]]),
        (b"UPDATE t SET v = v + ? WHERE k = ?", [b"v", number(3)], [[number(3)]]),
        (b"DELETE v['a'] FROM t WHERE k = 3 IF v = ?", [b"q"], [[number(3)]]),
    ],
)
def test_one_column(text: bytes, values: list | None, keys: list) -> None:
    assert probe.keys(text, ONE, values) == keys


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"SELECT * FROM t", None),
        (b"SELECT * FROM t WHERE c = 1 ALLOW FILTERING", None),
        (b"SELECT * FROM t WHERE k > 1 ALLOW FILTERING", None),
        (b"SELECT * FROM t WHERE token(k) = 1", None),
        (b"SELECT * FROM t WHERE (k) = (1)", None),
        (b"SELECT * FROM t WHERE k = 1 AND k = 2", None),
        (b"SELECT * FROM t WHERE k = f(1)", None),
        (b"SELECT * FROM t WHERE k = (int) 1", None),
        (b"SELECT * FROM t WHERE k = 1 + 1", None),
        (b"SELECT * FROM t WHERE k = 'one'", None),
        (b"SELECT * FROM t WHERE k = 99999999999", None),
        (b"SELECT * FROM t WHERE k = null", None),
        (b"SELECT * FROM t WHERE k = ?", None),
        (b"SELECT * FROM t WHERE k = ?", []),
        (b"SELECT * FROM t WHERE k = ?", [None]),
        (b"SELECT * FROM t WHERE k = :a", [(b"b", number(1))]),
        (b"SELECT * FROM t WHERE k IN (1, f(2))", None),
        (b"SELECT * FROM t WHERE k IN ?", [b"\0\0\0\2" + number(4) + number(5)]),
        (b'SELECT * FROM t WHERE "K" = 1', None),
        (b"INSERT INTO t (c) VALUES (1)", None),
        (b"INSERT INTO t JSON '{\"k\": 1}'", None),
        (b"INSERT INTO t (k, k) VALUES (1, 2)", None),
        (b"UPDATE t SET k = 1 WHERE c = 1", None),
    ],
)
def test_what_cannot_be_told(text: bytes, values: list | None) -> None:
    assert probe.keys(text, ONE, values) is None


def test_several_columns_in_the_order_of_the_key() -> None:
    text = b"SELECT * FROM t WHERE \"Day\" IN ('1970-01-01', ?) AND tenant IN ('a', 'b''c')"
    day = [(1 << 31).to_bytes(4, "big"), b"\x80\x00\x00\x05"]
    found = probe.keys(text, TWO, [day[1]])
    assert sorted(found) == sorted([a, b] for a in (b"a", b"b'c") for b in day)


def test_statements_of_a_batch() -> None:
    text = b"""BEGIN BATCH
        INSERT INTO t (k, v) VALUES (1, ?);
        UPDATE t SET v = 1 WHERE k = ?;
        DELETE FROM t WHERE k = 3
    APPLY BATCH"""
    values = [b"x", number(2)]
    found = [probe.keys(text, ONE, values, which) for which in (1, 2, 3)]
    assert found == [[[number(1)]], [[number(2)]], [[number(3)]]]


def test_bounds() -> None:
    many = b", ".join(b"%d" % index for index in range(128))
    assert len(probe.keys(b"SELECT * FROM t WHERE k IN (" + many + b")", ONE)) == 128
    assert probe.keys(b"SELECT * FROM t WHERE k IN (" + many + b", 5)", ONE) is None
    squared = b"SELECT * FROM t WHERE k IN (%s) AND c IN (%s)" % (many[:100], many[:100])
    assert probe.keys(squared, [*ONE, (b"c", b"int")]) is None
    wide = b"SELECT * FROM t WHERE k = '" + b"x" * 4097 + b"'"
    assert probe.keys(wide, [(b"k", b"text")]) is None
    # A statement that was not kept whole is not half known.
    assert probe.keys(b"SELECT a, b, c FROM t WHERE k = 1", ONE, room=3) is None
