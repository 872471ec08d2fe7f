"""What requests of CQL are known to be: by their text, by what was prepared, through compression, keyspaces and restarts."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from cassandra.protocol import BatchMessage, ExecuteMessage, PrepareMessage, QueryMessage
from cassandra.query import BatchType
from hypothesis import given
from hypothesis import strategies as st
from support.cassandra import (
    AUTH_RESPONSE,
    ERROR,
    EXECUTE,
    PREPARE,
    QUERY,
    RESULT,
    STARTUP,
    frame,
    string,
    string_map,
)
from support.native import load

probe = load("facts_probe")
segment = load("segment_probe")
VERSIONS = pytest.mark.parametrize("version", [3, 4, 5])

BATCH, AUTH_SUCCESS = 13, 16
UNKNOWN, READ, SESSION, WRITE, SCHEMA = 0, 1, 2, 4, 5
SELECT, INSERT, UPDATE, TYPE_BATCH, USE, CREATE = 1, 2, 3, 5, 7, 8
NOT_IDEMPOTENT = 1 << 11
UNPREPARED = 0x2500


def message(message: Any, version: int = 4, **how: Any) -> bytes:
    out = io.BytesIO()
    message.send_body(out, version)
    opcode = {
        QueryMessage: QUERY,
        ExecuteMessage: EXECUTE,
        PrepareMessage: PREPARE,
        BatchMessage: BATCH,
    }[type(message)]
    return frame(opcode, out.getvalue(), version=version, **how)


def query(text: str, version: int = 4, consistency: int = 1) -> bytes:
    return message(QueryMessage(text, consistency), version)


def prepared(
    id: bytes,
    columns: list[tuple[str, int]],
    keys: list[int],
    version: int = 4,
    table: tuple[str, str] = ("ks", "t"),
) -> bytes:
    """The reply to a PREPARE."""
    body = struct.pack(">i", 4) + string(id) + (string(b"meta") if version >= 5 else b"")
    body += struct.pack(">ii", 1, len(columns))
    if version >= 4:
        body += struct.pack(f">i{len(keys)}H", len(keys), *keys)
    body += string(table[0]) + string(table[1])
    body += b"".join(string(name) + struct.pack(">H", type) for name, type in columns)
    body += struct.pack(">ii", 4, 0)
    return frame(RESULT, body, version=0x80 | version)


def set_keyspace(name: str) -> bytes:
    return frame(RESULT, struct.pack(">i", 3) + string(name), version=0x84)


def prepare(
    client: Any,
    text: str,
    id: bytes,
    columns: list[tuple[str, int]],
    keys: list[int],
    version: int = 4,
) -> dict:
    [seen] = client.send(message(PrepareMessage(text), version))
    assert client.answer(prepared(id, columns, keys, version))
    return seen


# ---- texts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "kind", "type", "keyspace", "table"), [
    ("SELECT a FROM Ks.\"T\" WHERE k = 1", READ, SELECT, b"ks", b"T"),
    ("insert into T (k) values (1)", WRITE, INSERT, b"", b"t"),
    ("CREATE TABLE a.b (k int PRIMARY KEY)", SCHEMA, CREATE, b"a", b"b"),
    ("USE \"Mine\"", SESSION, USE, b"Mine", b""),
    ("SELECT FROM WHERE", UNKNOWN, 0, b"", b""),
    ("", UNKNOWN, 0, b"", b""),
])  # fmt: skip
def test_a_query_is_what_its_text_says(
    text: str, kind: int, type: int, keyspace: bytes, table: bytes
) -> None:
    [seen] = probe.Client().send(query(text))
    facts = seen["facts"]
    assert (seen["kind"], facts["kind"], facts["type"]) == (kind, kind, type)
    assert (facts["keyspace"], facts["table"], facts["text"]) == (keyspace, table, text.encode())


def test_nothing_is_looked_at_where_nobody_asks() -> None:
    client = probe.Client(wants_facts=False)
    [seen] = client.send(query("SELECT a FROM t"))
    assert seen["facts"] is None and seen["kind"] == UNKNOWN
    assert client.shelves[0] == (0, 0, 0, 0)


def test_a_text_is_parsed_twice_at_most() -> None:
    client = probe.Client()
    first, second, third = client.send(query("SELECT a FROM t") * 3)
    assert first["facts"]["where"] != second["facts"]["where"] == third["facts"]["where"]
    assert client.shelves[0][:3] == (1, 1, 2)


@VERSIONS
def test_a_custom_payload_stands_before_the_statement(version: int) -> None:
    plain = query("SELECT a FROM t", version)
    payload = struct.pack(">H", 1) + string("k") + struct.pack(">i", 3) + b"abc"
    [seen] = probe.Client().send(frame(QUERY, payload + plain[9:], version=version, flags=4))
    assert seen["facts"]["table"] == b"t" and seen["consistency"] == 1


def test_texts_that_come_once_do_not_push_out_those_that_come_again() -> None:
    client = probe.Client()
    often = b"".join(query(f"SELECT a FROM t{n}") for n in range(100))
    client.send(often * 2)
    client.forget()
    for n in range(20_000):
        client.send(query(f"SELECT a FROM t WHERE k = {n}"))
        if n % 2000 == 0:
            client.send(often)
            client.forget()
    hits = client.shelves[0][1]
    client.send(often)
    assert client.shelves[0][1] == hits + 100
    client.forget()
    assert client.alive[0] == 0 and client.alive[2] == client.shelves[0][0] <= 4096


def test_what_is_long_is_not_kept() -> None:
    client = probe.Client()
    [seen] = client.send(query(f"SELECT a FROM t WHERE k = '{'x' * 20_000}'"))
    assert seen["facts"]["type"] == SELECT
    client.forget()
    assert client.alive[2] == 0


# ---- keyspaces -----------------------------------------------------------------------------------------------------


def test_unqualified_names_are_in_the_keyspace_of_the_client() -> None:
    client = probe.Client()
    [seen] = client.send(query("SELECT a FROM t"))
    assert seen["facts"]["keyspace"] == b""
    client.send(query("USE Mine"))
    assert client.answer(set_keyspace("mine"))
    own, other = client.send(query("SELECT a FROM t") + query("SELECT a FROM their.t"))
    assert (own["facts"]["keyspace"], other["facts"]["keyspace"]) == (b"mine", b"their")
    assert client.keyspace == b"mine"


def test_use_that_failed_changes_nothing() -> None:
    client = probe.Client()
    client.send(query("USE nowhere"))
    client.answer(frame(ERROR, struct.pack(">i", 0x2200) + string("no"), version=0x84))
    [seen] = client.send(query("SELECT a FROM t"))
    assert client.keyspace == b"" and seen["facts"]["keyspace"] == b""


def test_a_request_of_version_5_may_name_its_keyspace() -> None:
    client = probe.Client()
    client.send(query("USE mine"))
    client.answer(set_keyspace("mine"))
    asked = QueryMessage("SELECT a FROM t", 1)
    asked.keyspace = "theirs"
    batch = BatchMessage(
        BatchType.LOGGED, [(False, "INSERT INTO t (k) VALUES (1)", [])], 1, keyspace="theirs"
    )
    for one in (asked, PrepareMessage("SELECT a FROM t", keyspace="theirs"), batch):
        [seen] = client.send(message(one, 5))
        assert (seen["facts"]["keyspace"], seen["facts"]["table"]) == (b"theirs", b"t")


def test_a_text_in_two_keyspaces_has_two_entries() -> None:
    client = probe.Client()
    for name in ("one", "two", "one", "two"):
        client.send(query(f"USE {name}"))
        client.answer(set_keyspace(name))
        [seen] = client.send(query("SELECT a FROM t"))
        assert seen["facts"]["keyspace"] == name.encode()


# ---- prepared statements -------------------------------------------------------------------------------------------


@VERSIONS
def test_an_execute_is_what_it_executes(version: int) -> None:
    client = probe.Client()
    seen = prepare(
        client, "INSERT INTO t (k, v) VALUES (?, ?)", b"id-1", [("k", 9), ("v", 13)], [0], version
    )
    assert seen["kind"] == SESSION and seen["facts"]["kind"] == WRITE
    execute = ExecuteMessage(b"id-1", [b"\0\0\0\7", b"x"], 6, result_metadata_id=b"meta")
    [seen] = client.send(message(execute, version))
    assert (seen["kind"], seen["consistency"], seen["left"]) == (WRITE, 6, 1)
    assert (seen["facts"]["keyspace"], seen["facts"]["table"], seen["facts"]["id"]) == (
        b"ks",
        b"t",
        b"id-1",
    )
    assert seen["key"] == (b"\0\0\0\7" if version >= 4 else None)


def test_the_key_of_several_columns_and_of_named_values() -> None:
    client = probe.Client()
    prepare(
        client,
        "SELECT a FROM t WHERE b = ? AND c = ? AND a = ?",
        b"i",
        [("b", 13), ("c", 9), ("a", 13)],
        [2, 0],
    )
    [seen] = client.send(message(ExecuteMessage(b"i", [b"bb", b"\0\0\0\1", b"aaa"], 1)))
    assert seen["key"] == b"\0\3aaa\0\0\2bb\0"
    values = b"".join(
        string(n) + struct.pack(">i", len(v)) + v
        for n, v in ((b"a", b"A"), (b"c", b"1234"), (b"b", b"B"))
    )
    body = string(b"i") + struct.pack(">HBH", 1, 0x41, 3) + values
    [seen] = client.send(frame(EXECUTE, body))
    assert seen["key"] == b"\0\1A\0\0\1B\0"
    [seen] = client.send(message(ExecuteMessage(b"i", [b"bb", b"\0\0\0\1", None], 1)))
    assert seen["key"] is None


@VERSIONS
def test_an_id_that_nobody_prepared_here_is_told_to_the_client(version: int) -> None:
    client = probe.Client()
    execute = message(ExecuteMessage(b"lost", [], 1, result_metadata_id=b"m"), version, stream=77)
    batch = message(BatchMessage(BatchType.LOGGED, [(True, b"lost", [])], 1), version, stream=78)
    for seen, stream in zip(client.send(execute + batch), (77, 78), strict=True):
        reply = seen["reply"]
        assert seen["left"] == 0 and seen["facts"] is None
        assert (reply[0], reply[4], struct.unpack(">h", reply[2:4])[0]) == (
            0x80 | version,
            ERROR,
            stream,
        )
        assert struct.unpack(">i", reply[5:9])[0] == len(reply) - 9
        assert struct.unpack(">i", reply[9:13])[0] == UNPREPARED and reply.endswith(string(b"lost"))


def test_prepared_statements_are_bounded() -> None:
    client = probe.Client(max_prepared_statements=50)
    for n in range(200):
        prepare(client, f"SELECT a FROM t{n} WHERE k = ?", b"id-%d" % n, [("k", 9)], [0])
        client.forget()
    known = 0
    for n in range(200):
        [seen] = client.send(message(ExecuteMessage(b"id-%d" % n, [b"k"], 1)))
        known += seen["left"]
        assert n < 199 or seen["facts"]["table"] == b"t199"
    assert known == 50 == client.shelves[1][0]


def test_what_the_server_says_last_holds_but_version_3_says_less() -> None:
    client = probe.Client()
    prepare(client, "SELECT a FROM t WHERE k = ?", b"i", [("k", 9)], [0], 4)
    prepare(client, "SELECT a FROM t WHERE k = ?", b"i", [("k", 9)], [0], 3)
    [seen] = client.send(message(ExecuteMessage(b"i", [b"abcd"], 1)))
    assert seen["key"] == b"abcd"
    prepare(client, "SELECT a FROM t WHERE k = ?", b"i", [("k", 13)], [0], 3)
    [seen] = client.send(message(ExecuteMessage(b"i", [b"abcd"], 1)))
    assert seen["key"] is None and client.shelves[1][0] == 1


# ---- batches -------------------------------------------------------------------------------------------------------


def test_a_batch_is_as_strict_as_its_strictest_statement() -> None:
    client = probe.Client()
    prepare(client, "UPDATE ks.u SET n = n + 1 WHERE k = ?", b"up", [("k", 9)], [0])
    inserts = [(False, f"INSERT INTO ks.t (k) VALUES ({n})", []) for n in range(3)]
    both = BatchMessage(BatchType.LOGGED, [*inserts, (True, b"up", [b"abcd"])], 4)
    [seen] = client.send(message(both))
    facts = seen["facts"]
    assert (seen["kind"], facts["type"], facts["parts"], facts["text"]) == (
        WRITE,
        TYPE_BATCH,
        4,
        None,
    )
    assert (facts["keyspace"], facts["table"], seen["consistency"]) == (b"ks", b"", 4)
    assert facts["flags"] & NOT_IDEMPOTENT
    found = [(t["type"], t["keyspace"], t["table"], t["count"]) for t in facts["touches"]]
    assert found == [(INSERT, b"ks", b"t", 3), (UPDATE, b"ks", b"u", 1)]
    assert seen["statements"] == 4
    [seen] = client.send(
        message(BatchMessage(BatchType.LOGGED, [*inserts, (False, "what?", [])], 4))
    )
    assert seen["kind"] == UNKNOWN


def test_a_batch_that_is_a_text() -> None:
    text = "BEGIN BATCH INSERT INTO a.t (k) VALUES (1); UPDATE U SET v = 1 WHERE k = 2; APPLY BATCH"
    client = probe.Client()
    client.send(query("USE b"))
    client.answer(set_keyspace("b"))
    [seen] = client.send(query(text))
    found = [(t["type"], t["keyspace"], t["table"]) for t in seen["facts"]["touches"]]
    assert found == [(INSERT, b"a", b"t"), (UPDATE, b"b", b"u")]
    assert (seen["kind"], seen["statements"]) == (WRITE, 2)


@pytest.mark.parametrize("count", [40, 3000])
def test_a_batch_of_more_tables_than_are_listed_says_so(count: int) -> None:
    client = probe.Client()
    texts = [f"INSERT INTO ks.t{n} (k) VALUES (1)" for n in range(count)]
    [seen] = client.send(
        message(BatchMessage(BatchType.LOGGED, [(False, text, []) for text in texts], 1))
    )
    assert (
        seen["facts"]["more"]
        and len(seen["facts"]["touches"]) == 32
        and seen["statements"] == count
    )
    [seen] = client.send(query("BEGIN BATCH " + "; ".join(texts) + " APPLY BATCH"))
    assert seen["facts"]["more"] and seen["kind"] == WRITE


def test_an_empty_batch() -> None:
    [seen] = probe.Client().send(message(BatchMessage(BatchType.LOGGED, [], 1)))
    assert seen["facts"]["type"] == TYPE_BATCH and seen["kind"] == WRITE


# ---- compression ---------------------------------------------------------------------------------------------------


def lz4(frame_: bytes) -> bytes:
    """The frame with a compressed body, as one literal run of LZ4."""
    body = frame_[9:]
    left, head = len(body) - 15, b""
    if left < 0:
        block = bytes([len(body) << 4]) + body
    else:
        while left >= 255:
            head, left = head + b"\xff", left - 255
        block = b"\xf0" + head + bytes([left]) + body
    packed = struct.pack(">I", len(body)) + block
    return (
        frame_[:1] + bytes([frame_[1] | 1]) + frame_[2:5] + struct.pack(">i", len(packed)) + packed
    )


def startup(client: Any, compression: str = "lz4") -> None:
    client.send(frame(STARTUP, string_map(CQL_VERSION="3.0.0", COMPRESSION=compression)))


def test_compressed_requests_go_on_plain() -> None:
    client = probe.Client()
    startup(client)
    plain = query("SELECT a FROM t")
    [seen] = client.send(lz4(plain))
    assert seen["wire"] == plain and seen["facts"]["table"] == b"t"


def test_a_compressed_reply_to_prepare_is_read() -> None:
    client = probe.Client()
    startup(client)
    client.send(lz4(message(PrepareMessage("SELECT a FROM t WHERE k = ?"))))
    assert client.answer(lz4(prepared(b"i", [("k", 9)], [0])))
    [seen] = client.send(message(ExecuteMessage(b"i", [b"abcd"], 1)))
    assert seen["kind"] == READ


@pytest.mark.parametrize(("body", "code"), [
    (struct.pack(">I", 1 << 30) + b"\0" * (1 << 23), 0x2200),
    (struct.pack(">I", 100) + b"\xff" * 20, 0x0A),
    (b"\0", 0x0A),
])  # fmt: skip
def test_bombs_and_rubbish_are_refused_one_by_one(body: bytes, code: int) -> None:
    client = probe.Client()
    startup(client)
    bad, good = client.send(frame(QUERY, body, 5, flags=1) + query("SELECT a FROM t"))
    assert bad["left"] == 0 and struct.unpack(">i", bad["reply"][9:13])[0] == code
    assert good["facts"]["table"] == b"t"


def test_a_compressed_frame_without_an_agreement_is_refused() -> None:
    [bad] = probe.Client().send(lz4(query("SELECT a FROM t")))
    assert bad["left"] == 0 and struct.unpack(">i", bad["reply"][9:13])[0] == 0x0A


# ---- who it is, and bad bodies -------------------------------------------------------------------------------------


def test_the_user_is_known_once_the_server_agrees() -> None:
    client = probe.Client()
    token = b"\0alice\0secret"
    client.send(frame(AUTH_RESPONSE, struct.pack(">i", len(token)) + token))
    client.answer(frame(ERROR, struct.pack(">i", 0x100) + string("no"), version=0x84))
    assert client.user == b""
    client.send(frame(AUTH_RESPONSE, struct.pack(">i", len(token)) + token))
    client.answer(frame(AUTH_SUCCESS, struct.pack(">i", -1), version=0x84))
    assert client.user == b"alice"


@VERSIONS
@given(data=st.data())
def test_whatever_a_body_is_nothing_is_made_up_or_left(version: int, data: Any) -> None:
    client = probe.Client()
    prepare(client, "SELECT a FROM t WHERE k = ?", b"i", [("k", 9)], [0], version)
    client.forget()
    texts = [query("SELECT a FROM t", version), message(ExecuteMessage(b"i", [b"abcd"], 1, result_metadata_id=b"m"), version),
             message(BatchMessage(BatchType.LOGGED, [(True, b"i", [b"abcd"])], 1), version)]  # fmt: skip
    whole = bytearray(data.draw(st.sampled_from(texts)))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(9, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(9, len(whole)))
    body = bytes(whole[9:cut])
    [seen] = client.send(
        frame(whole[4], body, version=version, flags=data.draw(st.sampled_from([0, 4])))
    )
    assert seen["facts"] is not None or seen["kind"] == UNKNOWN
    client.forget()
    assert client.alive[:2] == (0, 0)
    client.let_go()
    assert client.alive == (0, 0, 0, 0)
