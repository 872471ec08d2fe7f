"""Protect: rows that are written as JSON."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from cassandra import InvalidRequest
from cassandra.query import BatchStatement, SimpleStatement
from support.proxy import Proxy

from .test_protect import TYPES, protected
from .test_protect_lookup import hash_of, looked_up

pytestmark = pytest.mark.timeout(240)

Start = Callable[..., Proxy]

ROWS = {
    1: """{"k": 1, "secret": "it''s", "number": 42, "tags": ["a", "b''"], "open": "it''s"}""",
    2: """ { "open" : "o" , "SECRET" : "\\u0069t''s \\ud83d\\ude00 \\"\\\\\\/\\n", "k" : 2, "number":"-7" } """,
    3: """{"k": 3, "\\"secret\\"": "exact", "tags": [], "number": null}""",
    4: """{"k": 4, "\\u0073ecret": ""}""",
    5: """{"k": 5, "open": "{\\"secret\\": \\"x\\"}"}""",
}
READ = {
    1: ("it's", 42, ["a", "b'"], "it's"),
    2: ("it's \U0001f600 \"\\/\n", -7, None, "o"),
    3: ("exact", None, [], None),
    4: ("", None, None, None),
    5: (None, None, None, '{"secret": "x"}'),
}


@pytest.mark.parametrize("form", ["literal", "dollars", "bound", "named", "batch", "text batch"])
def test_rows_as_json(node: int, start_cassandra_proxy: Start, form: str) -> None:
    with protected(node, start_cassandra_proxy, TYPES) as (session, direct, _name, _proxy):
        bound = session.prepare("INSERT INTO t JSON ?")
        named = session.prepare("INSERT INTO t JSON :row DEFAULT UNSET USING TTL 1000")
        for text in ROWS.values():
            plain = text.replace("''", "'")
            if form == "literal":
                session.execute(f"INSERT INTO t JSON '{text}'")
            elif form == "dollars":
                session.execute(f"INSERT INTO t JSON $${plain}$$")
            elif form == "bound":
                session.execute(bound, (plain,))
            elif form == "named":
                session.execute(named, {"row": plain})
            elif form == "batch":
                batch = BatchStatement()
                batch.add(bound, (plain,))
                batch.add(SimpleStatement(f"INSERT INTO t JSON '{text}'"))
                session.execute(batch)
            else:
                session.execute(
                    f"BEGIN BATCH INSERT INTO t JSON '{text}'; UPDATE t SET open = 'x' WHERE k = 9; APPLY BATCH"
                )
        rows = {
            row.k: (row.secret, row.number, row.tags, row.open)
            for row in session.execute("SELECT * FROM t")
        }
        rows.pop(9, None)
        empty = {3: ("exact", None, [], None)}
        assert rows == {**READ, **empty}
        stored = direct.execute("SELECT secret, number, tags FROM t")
        sealed = [value for row in stored for value in row if value is not None]
        assert len(sealed) == 8 and all(value.startswith(b"\xd5\x50\x01") for value in sealed)


def test_values_of_many_types(node: int, start_cassandra_proxy: Start) -> None:
    types: dict[str, Any] = {
        "boolean": (True, True),
        "bigint": (1 << 60, 1 << 60),
        "double": (1.5, 1.5),
        "uuid": (str(uuid.UUID(int=7)), uuid.UUID(int=7)),
        "blob": ("0x0aff", b"\x0a\xff"),
        "date": ("2020-02-29", datetime.date(2020, 2, 29)),
        "inet": ("10.0.0.1", "10.0.0.1"),
        "map<text, int>": ({"it's": 1}, {"it's": 1}),
        "set<int>": ([3], {3}),
        "list<text>": (["a", 'b"'], ["a", 'b"']),
    }
    for written, (given, expected) in types.items():
        with protected(node, start_cassandra_proxy, {"secret": written}) as (session, *_rest):
            insert = session.prepare("INSERT INTO t JSON ?")
            session.execute(insert, (json.dumps({"k": 1, "secret": given}),))
            found = session.execute("SELECT secret FROM t").one().secret
            assert (found.date() if written == "date" else found) == expected, written


def test_the_hash_of_a_row_as_json(node: int, start_cassandra_proxy: Start) -> None:
    with looked_up(node, start_cassandra_proxy) as (session, direct, name, _proxy):
        session.execute("""INSERT INTO t JSON '{"k": 1, "secret": "it''s"}'""")
        session.execute(session.prepare("INSERT INTO t JSON ?"), ('{"secret":"it\'s","k":2}',))
        session.execute("""INSERT INTO t JSON '{"k": 3, "secret": null}'""")
        found = session.execute("SELECT k FROM t WHERE secret = %s", ("it's",))
        assert sorted(row.k for row in found) == [1, 2]
        hashes = {row.k: row.secret_hash for row in direct.execute("SELECT k, secret_hash FROM t")}
        assert hashes == {1: hash_of(name, "it's"), 2: hash_of(name, "it's"), 3: None}
        with pytest.raises(InvalidRequest, match="look-up column is written by Protect alone"):
            session.execute("""INSERT INTO t JSON '{"k": 1, "secret_hash": "0x00"}'""")


REFUSED = {
    "no JSON": '{"k": 1, "secret": x}',
    "no object": '["secret"]',
    "something behind it": '{"k": 1, "secret": "x"} {}',
    "twice": '{"k": 1, "secret": "x", "SECRET": "y"}',
    "half a pair": '{"k": 1, "secret": "\\ud83d"}',
    "of another type": '{"k": 1, "number": "x"}',
    "a number as text": '{"k": 1, "secret": 5}',
    "a letter that has another lower case": '{"k": 1, "\u212aey": 5}',
    "no end": '{"k": 1, "secret": "x"',
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_json_that_cannot_be_followed(node: int, start_cassandra_proxy: Start, text: str) -> None:
    with protected(node, start_cassandra_proxy, TYPES) as (session, direct, _name, _proxy):
        insert = session.prepare("INSERT INTO t JSON ?")
        with pytest.raises(InvalidRequest, match="shotover: "):
            session.execute(insert, (text,))
        with pytest.raises(InvalidRequest, match="shotover: "):
            session.execute(f"INSERT INTO t JSON '{text}'")
        assert list(direct.execute("SELECT k FROM t")) == []
