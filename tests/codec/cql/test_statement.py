"""Statements of every form are followed to their end, with the table and columns that they are about; others are unknown."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.native import load

from codec.cql.statements import CHANGES, UNKNOWN, corpus, lines

cql = load("cql_probe")
STAR, JSON, DISTINCT, FILTERING, IF, EXPRESSION, FUNCTION = (1 << bit for bit in range(7))
UNSET, UNLOGGED, COUNTER, TIMESTAMP, ONCE, NAMED = (1 << bit for bit in range(7, 13))
KIND_READ, KIND_SESSION, KIND_WRITE, KIND_SCHEMA = 1, 2, 4, 5
EQ, LT, LE, GT, GE, NE, IN = range(1, 8)
ENDS = ("", ";", " ;; ", "\n-- end\n")


def parse(text: str, room: int = 256) -> dict:
    return cql.parse(text.encode(), room)


def items(text: str, role: str) -> list[dict]:
    return [one for one in parse(text)["items"] if one["role"] == role]


@pytest.mark.parametrize("kind, keyspace, table, text", corpus())
def test_a_statement_is_followed_to_its_end(
    kind: str, keyspace: str, table: str, text: str
) -> None:
    for end in ENDS:
        found = parse(text + end)
        assert found["type"] != "unknown", found
        seen = f"{found['type']} {found['object']}" if " " in kind else found["type"]
        assert (seen, found["keyspace"], found["table"]) == (kind, keyspace, table)
        assert found["binds"] == sum(one["role"] == "bind" for one in found["items"])
    for room in (0, 1, 3):
        short = parse(text, room)
        same = {"type", "kind", "object", "flags", "binds", "keyspace", "table", "other"}
        assert {name: short[name] for name in same} == {name: found[name] for name in same}
        assert short["truncated"] == (len(found["items"]) > room)


@pytest.mark.parametrize("text", lines(UNKNOWN))
def test_what_is_no_statement_is_unknown(text: str) -> None:
    found = parse(text)
    assert found["type"] == "unknown" and 0 <= found["at"] <= len(text) and found["expected"]


@pytest.mark.parametrize(
    "text, at, expected",
    [("SELECT a FROM t WHERE k = 'x", 26, "a token"), ("SELECT a FROM t x", 16, "the end"),
     ("SELEC a", 0, "a statement"), ("INSERT INTO t (a) VALUES (b)", 26, "a value"), ("", 0, "a statement")],
)  # fmt: skip
def test_where_and_why_it_is_unknown(text: str, at: int, expected: str) -> None:
    found = parse(text)
    assert found["at"] == at and found["expected"].startswith(expected)


# ---- what is found -------------------------------------------------------------------------------------------------


def test_a_select() -> None:
    text = "SELECT a, f(\"B\", c) AS x, * FROM t".replace(", *", "") + " WHERE k = ? AND c IN (1, :y) LIMIT 5"  # fmt: skip
    found = parse(text)
    assert (found["kind"], found["binds"], found["flags"] & (EXPRESSION | NAMED)) == (KIND_READ, 2,
        EXPRESSION | NAMED)  # fmt: skip
    assert [(one.get("name"), one["value"], one.get("more")) for one in items(text, "select")] == [
        ("a", "a", None), (None, 'f("B", c)', "x"),
    ]  # fmt: skip
    assert [one["name"] for one in items(text, "mention")] == ['"B"', "c"]
    where = items(text, "where")
    assert [(one["name"], one["op"], one["value"], one.get("bind")) for one in where] == [
        ("k", EQ, "?", 0), ("c", IN, "(1, :y)", 1),
    ]  # fmt: skip
    assert [one["value"] for one in items(text, "limit")] == ["5"]
    assert [(one["value"], one.get("name")) for one in items(text, "bind")] == [("?", None), (":y", "y")]  # fmt: skip


@pytest.mark.parametrize(
    "text, columns",
    [("SELECT writetime(a), b.f, c['x'], (int)d FROM t", {"a", "b", "c", "d"}),
     ("SELECT cast(a AS text), g(h(b)), [c], -d FROM t GROUP BY e ORDER BY f", set("abcdef")),
     ("SELECT a FROM t WHERE (b, c) > (1, 2) AND token(d, e) = 1 AND f['x'] = 2", set("abcdef")),
     ("UPDATE t SET a = 1, b[2] = 3, c.f = 4 WHERE d = 5 IF e = 6 AND g[1] = 2", set("abcdeg")),
     ("DELETE a, b[1], c.f FROM t WHERE d = 1", set("abcd")),
     ("INSERT INTO t (a, b, c) VALUES (1, {x: 2}, f(3))", set("abc"))],
)  # fmt: skip
def test_every_place_of_a_column_is_named(text: str, columns: set[str]) -> None:
    roles = {"select", "mention", "column", "assign", "delete", "where", "if", "order", "group"}
    named = {one.get("name", "") for one in parse(text)["items"] if one["role"] in roles}
    assert {name for name in named if name and not name.startswith("(")} == columns


def test_an_insert_joins_columns_and_values() -> None:
    text = "INSERT INTO t (a, b, c) VALUES (?, [1, ?], 'x') USING TTL ? AND TIMESTAMP 7"
    found = [(one["name"], one["value"], one.get("bind")) for one in items(text, "column")]
    assert found == [("a", "?", 0), ("b", "[1, ?]", 1), ("c", "'x'", None)]
    assert [(one["value"], one["bind"]) for one in items(text, "ttl")] == [("?", 2)]
    assert [one["value"] for one in items(text, "timestamp")] == ["7"]


def test_assignments() -> None:
    text = "UPDATE t SET a = 1, b = b + 2, c = [3] + c, d -= {4}, e[5] = 6, f.g = 7, h = h -8 WHERE k = 9"
    found = [(one["name"], one["op"], one["value"], one.get("more")) for one in items(text, "assign")]  # fmt: skip
    assert found == [
        ("a", 17, "1", None), ("b", 18, "2", None), ("c", 20, "[3]", None), ("d", 19, "{4}", None),
        ("e", 17, "6", "5"), ("f", 17, "7", "g"), ("h", 18, "-8", None),
    ]  # fmt: skip


def test_a_batch_has_its_statements() -> None:
    text = "BEGIN BATCH INSERT INTO a.b (c) VALUES (?); UPDATE d SET e = ? WHERE f = 1 APPLY BATCH"
    found = items(text, "statement")
    assert [(one.get("more"), one["name"], one["whole"]) for one in found] == [
        ("a", "b", "INSERT INTO a.b (c) VALUES (?)"), (None, "d", "UPDATE d SET e = ? WHERE f = 1"),
    ]  # fmt: skip
    assert [one["statement"] for one in parse(text)["items"]] == [1] * 3 + [2] * 4
    assert [one["bind"] for one in items(text, "bind")] == [0, 1]


def test_a_table_has_its_columns_and_key() -> None:
    text = "CREATE TABLE t (a int, b map<text, frozen<u>> STATIC, c text PRIMARY KEY, PRIMARY KEY ((d, e), f))"  # fmt: skip
    assert [(one["name"], one["value"], one.get("op", 0)) for one in items(text, "define")] == [
        ("a", "int", 0), ("b", "map<text, frozen<u>>", 1), ("c", "text", 2),
    ]  # fmt: skip
    assert [(one["name"], one.get("op", 0)) for one in items(text, "key")] == [("d", 0), ("e", 0), ("f", 1)]  # fmt: skip


@pytest.mark.parametrize(
    "text, flags",
    [("SELECT * FROM t", STAR), ("SELECT JSON DISTINCT k FROM t ALLOW FILTERING", JSON | DISTINCT | FILTERING),
     ("SELECT json FROM t", 0), ("SELECT distinct, json FROM t", 0),
     ("INSERT INTO t (a) VALUES (1)", 0), ("INSERT INTO t (a) VALUES (1) IF NOT EXISTS", IF | ONCE),
     ("INSERT INTO t (a) VALUES (now())", FUNCTION | ONCE), ("INSERT INTO t (a) VALUES (intAsBlob(1))", FUNCTION),
     ("INSERT INTO t JSON ? DEFAULT UNSET", JSON | UNSET), ("UPDATE t SET a = a + 1 WHERE k = 1", ONCE),
     ("UPDATE t USING TIMESTAMP 1 SET a = 1 WHERE k = 1", TIMESTAMP), ("DELETE a[1] FROM t WHERE k = 1", ONCE),
     ("BEGIN UNLOGGED BATCH APPLY BATCH", UNLOGGED), ("BEGIN COUNTER BATCH APPLY BATCH", COUNTER | ONCE)],
)  # fmt: skip
def test_flags(text: str, flags: int) -> None:
    assert parse(text)["flags"] == flags


@pytest.mark.parametrize(
    "text, keyspace",
    [("USE ks", "ks"), (' use /* x */ "Ks" ; ', '"Ks"'), ("USE", None), ("USE a b", None), ("SELECT a FROM t", None)],
)  # fmt: skip
def test_use(text: str, keyspace: str | None) -> None:
    assert cql.use_keyspace(text.encode()) == keyspace


# ---- whatever comes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["(", "[", "{", "(int)", "f(", "{1:", "CAST(", "- (", "((", "[{"])
def test_nesting_is_bounded(sign: str) -> None:
    for start in ("SELECT ", "SELECT a FROM t WHERE k = ", "INSERT INTO t (a) VALUES ("):
        assert parse(start + sign * 20_000)["type"] == "unknown"
    assert parse("CREATE TABLE t (k " + "list<" * 20_000)["type"] == "unknown"
    assert parse("SELECT a FROM t WHERE " + "(" * 20_000)["type"] == "unknown"


def test_a_value_may_be_replaced_by_a_mark() -> None:
    """Spans are those of whole values: what is left is still the same statement."""
    for _, _, _, text in corpus():
        for one in parse(text)["items"]:
            value = one.get("value")
            if value and value[0] != "-" and one["role"] in ("where", "assign", "column", "limit"):
                edited = text.replace(value, "?", 1) if text.count(value) == 1 else None
                if edited is not None:
                    assert parse(edited)["type"] == parse(text)["type"], edited


TEXTS = [text for *_, text in corpus()] + lines(UNKNOWN)
WORDS = st.sampled_from(sorted({word for text in TEXTS for word in text.split()}))


@given(st.lists(WORDS, max_size=12).map(" ".join) | st.text(max_size=40))
def test_any_words(text: str) -> None:
    parse(text)
    parse(text, 1)


@given(st.sampled_from(TEXTS), st.randoms())
def test_statements_that_are_broken(text: str, chance: random.Random) -> None:
    raw = bytearray(text.encode())
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(raw) + 1)
        raw[at : at + chance.randint(0, 3)] = chance.choice((b"", b"(", b"'", b" ", b",", b"-", b"\xff", b'"',
            b"/*"))  # fmt: skip
    found = cql.parse(bytes(raw))
    whole = cql.parse(bytes(raw) + b";")
    assert found["type"] == whole["type"] or b"--" in raw or b"//" in raw


def test_changes_are_writes() -> None:
    assert {parse(line.split("| ", 1)[1])["kind"] for line in lines(CHANGES)} == {KIND_WRITE}
    assert parse("USE a")["kind"] == KIND_SESSION and parse("GRANT a TO b")["kind"] == KIND_SCHEMA
