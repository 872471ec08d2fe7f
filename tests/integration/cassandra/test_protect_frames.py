"""Protect, frame by frame: statements however they are written, values by name, and replies that say anything."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

import pytest
from support.cassandra import ERROR, PREPARE, QUERY, RESULT, CqlClient, query, string
from support.cassandra_script import BATCH, VOID, Script, ScriptedNode
from support.proxy import Proxy

from .test_protect import protect
from .test_protect_lookup import COLUMNS, FIELDS, hash_of, looked_up

pytestmark = pytest.mark.timeout(240)

Start = Callable[..., Proxy]
MARKER = "PLAINTEXT"
NAMED = 0x40


def named_query(text: str, *more: tuple[str, bytes], **values: bytes) -> bytes:
    pairs = [*values.items(), *more]
    body = (
        struct.pack(">i", len(text)) + text.encode() + struct.pack(">HBH", 1, 1 | NAMED, len(pairs))
    )
    for name, value in pairs:
        body += string(name) + struct.pack(">i", len(value)) + value
    return body


def test_values_by_name(node: int, start_cassandra_proxy: Start) -> None:
    with looked_up(node, start_cassandra_proxy) as (session, direct, name, proxy):
        k1, k2 = struct.pack(">i", 1), struct.pack(">i", 2)
        with CqlClient(proxy.port) as client:
            client.open()
            insert = f"INSERT INTO {name}.t (k, secret, open) VALUES (:k, :s, :o)"
            assert client.ask(QUERY, named_query(insert, o=b"o", s=b"red", k=k1)).opcode == RESULT
            update = f"UPDATE {name}.t SET secret = :s, open = :o WHERE k = :k"
            assert client.ask(QUERY, named_query(update, s=b"red", k=k2, o=b"p")).opcode == RESULT
            select = f"SELECT k FROM {name}.t WHERE secret = :s"
            found = client.ask(QUERY, named_query(select, s=b"red")).body
            assert found.endswith(k1) or found.endswith(k2)
            shared = f"INSERT INTO {name}.t (k, secret, open) VALUES (:k, :s, :s)"
            often = [("s", b"x")] * 5000
            for body in (named_query(shared, k=k1, s=b"x"), named_query(insert, *often, k=k1)):
                refused = client.ask(QUERY, body)
                assert refused.opcode == ERROR and "shotover: " in refused.message
        rows = {row.k: (row.secret_hash, row.open) for row in direct.execute("SELECT * FROM t")}
        assert rows == {1: (hash_of(name, "red"), "o"), 2: (hash_of(name, "red"), "p")}
        assert {row.secret for row in session.execute("SELECT secret FROM t")} == {"red"}


@pytest.fixture
def script() -> Iterator[Script]:
    script = Script(1)
    try:
        yield script
    finally:
        script.end()


def before(script: Script, start: Start) -> Proxy:
    sink = {
        "CassandraSinkSingle": {
            "name": "sink",
            "remote_address": f"{script.nodes[0].host}:{script.port}",
            "connect_timeout_ms": 3000,
        }
    }
    return start(script.port, chain=protect(COLUMNS, "ks", **FIELDS), end=sink)


STATEMENTS = (
    "INSERT~INTO~ks.t~(~k~,~secret~)~VALUES~(~1~,~@~)",
    'INSERT INTO~"ks" . "t"~( "secret",k,open )VALUES(@,1,~\'o\')~IF~NOT~EXISTS',
    "UPDATE~ks.t~USING~TTL~10~SET~secret~=~@~,~open='x'~WHERE~k=1",
    "UPDATE~ks . t~SET~open='x',~Secret=@~WHERE~k=1~IF~open~=~'y'",
    "INSERT~INTO~ks.t~JSON~#",
    "BEGIN~BATCH~INSERT~INTO~ks.t~(k,secret)~VALUES~(1,@)~;~UPDATE~ks.t~SET~secret=@~WHERE~k=2~APPLY~BATCH",
    "BEGIN~UNLOGGED~BATCH~INSERT~INTO~ks.t~JSON~#;~APPLY~BATCH;",
    "SELECT~*~FROM~ks.t~WHERE~secret~=~@~ALLOW~FILTERING",
    "SELECT~k~FROM~ks.t~WHERE~secret~IN~(~@~,~@~)~LIMIT~5",
    "DELETE~secret~FROM~ks.t~WHERE~k=1~IF~secret~=~@",
    "SELECT~k~FROM~ks.t~WHERE~secret~>~@~ALLOW~FILTERING",
    "INSERT~INTO~ks.t~(k,secret)~VALUES~(1,textAsBlob(@))",
    "INSERT~INTO~ks.t~(k,secret)~VALUES~(1,(blob)@)~WITH~x",
    "DESCRIBE~ks.t~@",
)
SPACES = (" ", "\t", "\n", "  ", " /* INSERT ' */ ", " -- $$ it's\n", "\r\n")


def written(random: random.Random, text: str) -> str:
    """One of the ways to write a statement that servers take for the same."""
    said = ""
    quoted = False  # a name, whose case counts
    for part in text:
        quoted ^= part == '"'
        if part == "~":
            said += random.choice(SPACES)
        elif part == "@":
            value = MARKER + random.choice(("", "x", "''", "''y"))
            said += f"'{value}'" if random.random() < 0.7 else f"$${value}$$"
        elif part == "#":
            key = random.choice(('"secret"', '"SECRET"', '"\\u0073ecret"', '"\\"secret\\""'))
            row = f'{{{random.choice(SPACES[:3])}"k": 1, {key}\n: "{MARKER}\\n"}}'
            said += f"'{row}'" if random.random() < 0.7 else f"$${row}$$"
        else:
            said += part.upper() if random.random() < 0.3 and not quoted else part
    return said


@pytest.mark.parametrize("seed", range(4))
def test_no_way_to_write_it_passes_plain(
    script: Script, start_cassandra_proxy: Start, seed: int
) -> None:
    """The server never sees the value, whether the statement is followed or refused."""
    draw = random.Random(seed)
    proxy = before(script, start_cassandra_proxy)
    sealed = 0
    with CqlClient(proxy.port) as client:
        client.open()
        for number in range(300):
            text = written(draw, STATEMENTS[number % len(STATEMENTS)])
            how = draw.choice((QUERY, PREPARE, BATCH))
            if how == BATCH:
                one = b"\0" + query(text)[:-3] + b"\0\0"
                body = b"\0\0\1" + one + struct.pack(">HB", 1, 0)
            else:
                body = query(text) if how == QUERY else query(text)[:-3]
            reply = client.ask(how, body, number)
            assert reply.stream == number
            sealed += reply.opcode == RESULT
    asked = script.nodes[0].asked
    assert [text for _, text in asked if MARKER in text] == []
    assert not any(MARKER.encode().hex() in text for _, text in asked)
    assert sealed > 120 and len([text for _, text in asked if "0xd55001" in text]) > 60


def metadata(draw: random.Random, bound: bool) -> bytes:
    names = draw.sample(["k", "secret", "secret_hash", "number", "open", "in(secret_hash)", "x"], 4)
    count = draw.choice((4, 4, 4, 3, 5, 0, -1, 1 << 20))
    said = struct.pack(">ii", 1, count)
    if bound:
        said += struct.pack(">iHH", 2, draw.randrange(6), draw.randrange(6))
    said += string("ks") + string("t")
    kinds = (b"\0\3", b"\0\x0d", b"\0\x20\0\3", b"\0\x21\0\3\0\3")
    return said + b"".join(string(name) + draw.choice(kinds) for name in names)


def anything(draw: random.Random) -> bytes:
    """A RESULT that is nearly sound, or not at all."""
    if draw.random() < 0.5:
        body = (
            struct.pack(">i", 4)
            + string(draw.randbytes(16))
            + metadata(draw, True)
            + metadata(draw, False)
        )
    else:
        body = (
            struct.pack(">i", 2)
            + metadata(draw, False)
            + struct.pack(">i", draw.choice((1, 2, 0, -1, 9999)))
        )
        for _ in range(4 * draw.randrange(3)):
            cell = b"\xd5\x50\x01" * draw.randrange(2) + draw.randbytes(draw.randrange(120))
            body += struct.pack(">i", draw.choice((len(cell), len(cell), -1))) + cell
    spoiled = bytearray(body)
    for _ in range(draw.choice((0, 0, 1, 3))):
        spoiled[draw.randrange(len(spoiled))] = draw.randrange(256)
    return bytes(spoiled)[
        : draw.choice((len(spoiled), len(spoiled), draw.randrange(len(spoiled) + 1)))
    ]


@pytest.mark.parametrize("seed", range(3))
def test_replies_that_say_anything(script: Script, start_cassandra_proxy: Start, seed: int) -> None:
    """Each request gets one answer, and the proxy goes on."""
    draw = random.Random(seed)
    proxy = before(script, start_cassandra_proxy)

    def decide(_node: ScriptedNode, _opcode: int, _text: str) -> tuple[int, bytes]:
        return RESULT, anything(draw)

    script.decide = decide
    texts = (
        "INSERT INTO ks.t (k, secret, open) VALUES (?, ?, ?)",
        "UPDATE ks.t SET secret = ?, number = ? WHERE k = ?",
        "SELECT k FROM ks.t WHERE secret IN ? AND k = ?",
        "SELECT k, secret, number, open FROM ks.t",
        "SELECT * FROM ks.t WHERE secret = 'x'",
    )
    with CqlClient(proxy.port) as client:
        client.open()
        for number in range(400):
            text = texts[number % len(texts)]
            how = PREPARE if "?" in text or draw.random() < 0.3 else QUERY
            reply = client.ask(how, query(text) if how == QUERY else query(text)[:-3], number)
            assert reply.stream == number and reply.opcode in (RESULT, ERROR)
        script.decide = lambda _node, _opcode, _text: (RESULT, VOID)
        assert client.ask(QUERY, query("SELECT * FROM ks.t"), 1).body == VOID
