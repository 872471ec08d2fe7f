"""Transforms in Python before a real Cassandra: what they see of requests and replies, and what they may do."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from cassandra import InvalidRequest
from cassandra.auth import PlainTextAuthProvider
from cassandra.query import BatchStatement, SimpleStatement
from support.cassandra import ERROR, PREPARE, QUERY, RESULT, CqlClient, frame, query, silent_server
from support.proxy import Proxy
from support.wait import wait_until

from .test_driver import cluster, keyspace

pytestmark = pytest.mark.timeout(240)
Start = Callable[..., Proxy]
LOCAL = "SELECT key FROM system.local"


@pytest.fixture
def guest(node: int, start_cassandra_proxy: Start, tmp_path: Path) -> Callable[[str], Proxy]:
    """guest(code) -> a proxy with the class Guest of that code in its chain."""

    def start(code: str, upstream_port: int = node, **fields: Any) -> Proxy:
        (tmp_path / "guest.py").write_text("from shotover import Transform\n" + dedent(code))
        step = {
            "Python": {
                "name": "guest",
                "path": str(tmp_path / "guest.py"),
                "class": "Guest",
                **fields,
            }
        }
        return start_cassandra_proxy(upstream_port, chain=[step])

    return start


SEES = """
class Guest(Transform):
    commands = ["EXECUTE", "INSERT", "BATCH"]
    def on_request(self, request):
        self.log("seen", what=repr((request.command, request.statement_kind, request.keyspace, request.table, request.kind,
                                    request.text, request.consistency, request.values, request.key, request.texts,
                                    request.tables, request.user)))
"""


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("compression", [False, "lz4"])
def test_what_a_hook_sees(guest: Any, version: int, compression: Any) -> None:
    proxy = guest(SEES)
    with cluster(proxy.port, version, compression=compression) as made:
        session = made.connect()
        with keyspace(session) as name:
            insert = session.prepare("INSERT INTO t (k, v) VALUES (?, ?)")
            session.execute(insert, (7, "seven"))
            session.execute("INSERT INTO t (k) VALUES (1)")
            batch = BatchStatement()
            batch.add(insert, (8, None))
            batch.add(SimpleStatement("DELETE FROM t WHERE k = 1"))
            session.execute(batch)
            assert session.execute("SELECT k FROM t").one() is not None

    def seen() -> list[tuple[Any, ...]]:
        import json

        found = []
        for line in proxy.log().split("\n")[:-1]:
            fields = json.loads(line)["fields"]
            if fields["message"] == "seen":
                found.append(eval(fields["what"]))
        return found

    wait_until(lambda: len(seen()) == 3, "three were seen")
    text = "INSERT INTO t (k, v) VALUES (?, ?)"
    one, two, three = seen()
    assert one == (
        b"EXECUTE", "INSERT", name, "t", "write", text, "LOCAL_ONE", [7, "seven"], b"\0\0\0\7", [text],
        [("INSERT", name, "t", 1)], "anonymous",
    )  # fmt: skip
    assert two[:6] == (b"QUERY", "INSERT", name, "t", "write", "INSERT INTO t (k) VALUES (1)")
    assert three[:6] == (b"BATCH", "BATCH", name, "t", "write", None)
    assert three[9] == [text, "DELETE FROM t WHERE k = 1"]


EDITS = """
class Guest(Transform):
    def on_request(self, request):
        if request.text and "ghost" in request.text and request.command != b"EXECUTE":
            request.text = request.text.replace("ghost", "t")
            assert "ghost" not in request.text
"""


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_text_that_is_edited(guest: Any, version: int) -> None:
    proxy = guest(EDITS)
    with cluster(proxy.port, version) as made:
        session = made.connect()
        with keyspace(session):
            insert = session.prepare("INSERT INTO ghost (k, v) VALUES (?, ?)")
            session.execute(insert, (1, "a"))
            session.execute("INSERT INTO ghost (k, v) VALUES (%s, %s)", (2, "b"))
            found = session.execute("SELECT k, v FROM ghost")
            assert sorted((row.k, row.v) for row in found) == [(1, "a"), (2, "b")]


DECIDES = """
import asyncio
class Guest(Transform):
    def on_request(self, request):
        if request.table == "peers":
            request.refuse("not the peers", code="UNAUTHORIZED")
        elif request.table == "paxos":
            request.answer()
        elif request.table == "batches":
            raise RuntimeError("on purpose")
        elif request.text == "held":
            request.hold().refuse("held, then refused", code="INVALID")
        elif request.text == "words":
            request.args
"""


def test_what_a_hook_decides(guest: Any) -> None:
    proxy = guest(DECIDES)
    proxy.allow_log("transform .* failed")
    with CqlClient(proxy.port) as client:
        client.open()
        reply = client.ask(QUERY, query("SELECT * FROM system.peers"), stream=300)
        assert (reply.code, reply.message, reply.stream) == (0x2100, "not the peers", 300)
        reply = client.ask(QUERY, query("SELECT * FROM system.paxos"), stream=301)
        assert (reply.opcode, reply.body, reply.stream) == (RESULT, b"\0\0\0\1", 301)
        reply = client.ask(QUERY, query("SELECT * FROM system.batches"), stream=302)
        assert (reply.opcode, reply.code, reply.stream) == (ERROR, 0, 302)
        assert "failed: RuntimeError" in reply.message
        reply = client.ask(QUERY, query("held"), stream=303)
        assert (reply.code, reply.message, reply.stream) == (0x2200, "held, then refused", 303)
        assert "failed: TypeError" in client.ask(QUERY, query("words")).message
        assert client.ask(QUERY, query(LOCAL)).opcode == RESULT
        text = b"SELECT * FROM system.peers"
        reply = client.ask(PREPARE, struct.pack(">i", len(text)) + text)
        assert reply.code == 0x2100


REPLIES = """
class Guest(Transform):
    def on_reply(self, request, reply):
        if request.statement_kind == "SELECT" and request.table == "t":
            rows = reply.value
            if rows is None:
                return  # of a PREPARE
            self.log("rows", what=repr(rows), error=reply.is_error)
            if len(rows) == 1:
                reply.raw = reply.raw.replace(b"visible", b"hidden!")
        elif request.statement_kind == "unknown":
            self.log("rows", what=repr((reply.value.code, reply.is_error)))
"""


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("compression", [False, "lz4"])
def test_replies_as_values_and_as_bytes(guest: Any, version: int, compression: Any) -> None:
    proxy = guest(REPLIES)
    with cluster(proxy.port, version, compression=compression) as made:
        session = made.connect()
        with keyspace(session):
            session.execute("INSERT INTO t (k, v) VALUES (1, 'visible')")
            text = session.execute("SELECT v FROM t WHERE k = 1").one().v
            assert text == "hidden!"  # LZ4 leaves short texts as they are
            session.execute("INSERT INTO t (k) VALUES (2)")
            select = session.prepare("SELECT k, v FROM t")
            assert len(session.execute(select).all()) == 2
            with pytest.raises(Exception, match="SELEKT"):
                session.execute("SELEKT")
    wait_until(lambda: proxy.log().count('"rows"') == 3, "all are in the log")
    log = proxy.log()
    assert "[{'v': 'visible'}]" in log and "{'k': 2, 'v': None}" in log and "(8192, True)" in log


ASYNC = """
import asyncio
class Guest(Transform):
    async def on_request(self, request):
        if request.table == "local":
            await asyncio.sleep(0)
            if request.consistency == "ALL":
                request.refuse("not at ALL", code="INVALID")
"""


def test_a_coroutine_decides(guest: Any) -> None:
    proxy = guest(ASYNC)
    with cluster(proxy.port) as made:
        session = made.connect()
        for _ in range(20):
            assert session.execute(LOCAL).one().key == "local"
        with pytest.raises(InvalidRequest, match="not at ALL"):
            session.execute(SimpleStatement(LOCAL, consistency_level=5))


def test_many_at_once_are_each_answered_once(guest: Any) -> None:
    proxy = guest(DECIDES)
    with CqlClient(proxy.port, timeout=30) as client:
        client.open()
        texts = ["SELECT * FROM system.paxos", LOCAL, "SELECT * FROM system.peers", "held"]
        client.send(b"".join(frame(QUERY, query(texts[n % 4]), n) for n in range(2000)))
        got = [client.read() for _ in range(2000)]
        assert sorted(reply.stream for reply in got if reply) == list(range(2000))
        assert all(reply and (reply.opcode == ERROR) == (reply.stream % 4 >= 2) for reply in got)


SENDS = """
class Guest(Transform):
    commands = ["SELECT", "INSERT"]
    def on_request(self, request):
        if request.command != b"PREPARE" and request.table == "t":
            request.send("second")
"""


@pytest.mark.parametrize("version", [3, 4, 5])
def test_requests_sent_down_another_chain(
    guest: Any, node: int, login_node: int, version: int
) -> None:
    """Its server knows the client, its keyspace and its statements."""
    second = [
        {"QueryCounter": {"name": "second", "counter_name": "second"}},
        {"CassandraSinkSingle": {"remote_address": f"127.0.0.1:{login_node}"}},
    ]
    proxy = guest(SENDS, upstream_port=login_node, chains={"second": second})
    login = PlainTextAuthProvider("cassandra", "cassandra")
    with (
        cluster(login_node, auth_provider=login) as direct,
        cluster(proxy.port, version, auth_provider=login) as made,
    ):
        owner, session = direct.connect(), made.connect()
        with keyspace(owner) as name:
            session.set_keyspace(name)
            insert = session.prepare("INSERT INTO t (k, v) VALUES (?, 'x')")
            for k in range(10):
                session.execute(insert, (k,))
            session.execute("INSERT INTO t (k) VALUES (10)")
            assert len(session.execute("SELECT k FROM t").all()) == 11
            assert len(owner.execute(f"SELECT k FROM {name}.t").all()) == 11
    assert proxy.metric("shotover_query_count", name="second", query="INSERT") >= 11
    assert proxy.metric("shotover_query_count", name="second", query="SELECT") >= 1


def test_a_silent_chain_of_a_guest_keeps_nobody_out(guest: Any) -> None:
    with silent_server() as silent:
        sink = {"CassandraSinkSingle": {"remote_address": f"127.0.0.1:{silent}"}}
        proxy = guest(SENDS, chains={"second": [sink]})
        proxy.allow_log("upstream")
        with CqlClient(proxy.port) as client:
            client.open()
            assert client.ask(QUERY, query(LOCAL)).opcode == RESULT
            assert client.ask(QUERY, query("SELECT * FROM t")).opcode == ERROR
