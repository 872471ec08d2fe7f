"""What real servers do not show cheaply: statements that are not known, losses in the midst of requests, rings that change."""

from __future__ import annotations

import random
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from integration.cassandra_cluster.conftest import Start
from support.cassandra import (
    ERROR,
    EVENT,
    EXECUTE,
    PREPARE,
    QUERY,
    READY,
    REGISTER,
    RESULT,
    SERVER,
    CqlClient,
    Reply,
    frame,
    query,
    string,
)
from support.cassandra_ring import Member, cluster_sink
from support.cassandra_script import BOOTSTRAPPING, UNPREPARED, VOID, Script, ScriptedNode, error
from support.certificates import usual
from support.proxy import Proxy, cassandra_topology
from support.wait import free_port, wait_until

from shotover._codec.cql.selecting import read_rows

COUNT = 3
INSERT = "INSERT INTO ks.t (k, v) VALUES (?, ?)"
SELECT = "SELECT v FROM ks.t WHERE k = {}"
LOST = "cannot connect to the node"


@pytest.fixture
def scripts() -> Iterator[Any]:
    made: list[Script] = []

    def make(**options: Any) -> Script:
        made.append(Script(COUNT, **options))
        return made[-1]

    yield make
    for script in made:
        script.end()


def serve(script: Script, start_proxies: Start, workers: int = 1, **fields: Any) -> Proxy:
    """A proxy that knows all nodes and has a connection to each."""
    (proxy,) = start_proxies(
        script,
        arguments=["--core-threads", str(workers)],
        **{"heartbeat_interval": 0.5, **fields},
    )
    with CqlClient(proxy.port) as client:
        client.open()
        wait_until(
            lambda: (
                proxy.metric("shotover_cluster_nodes", name="sink") == workers * len(script.members)
                and proxy.metric("shotover_cluster_nodes_down", name="sink") == 0
            ),
            "all nodes are known and there",
        )
        wait_until(
            lambda: all(spread(client, script)), "there is a connection to each", deadline_s=10
        )
    for node in script.nodes:
        node.asked.clear()
    return proxy


def spread(client: CqlClient, script: Script) -> list[int]:
    """Asks for many rows; how many each node was asked for."""
    for key in range(40):
        assert client.ask(QUERY, query(SELECT.format(key))).opcode == RESULT
    return [len(asked) for asked in script.asked(QUERY)]


def prepare(client: CqlClient, text: str = INSERT) -> bytes:
    reply = client.ask(PREPARE, struct.pack(">i", len(text)) + text.encode())
    assert reply.opcode == RESULT, reply
    return reply.body[6:22]


def values(id: bytes, key: int, consistency: int = 1) -> bytes:
    """Body of an EXECUTE."""
    body = string(id) + struct.pack(">HBH", consistency, 1, 2)
    return body + struct.pack(">ii", 4, key) + struct.pack(">i", 1) + b"x"


def ask_all(client: CqlClient, opcode: int, bodies: list[bytes]) -> list[Reply]:
    """All at once; the replies in the order of the requests."""
    for stream, body in enumerate(bodies):
        client.send(frame(opcode, body, stream))
    found = {}
    for _ in bodies:
        reply = client.read()
        assert reply is not None and reply.stream not in found
        found[reply.stream] = reply
    return [found[stream] for stream in range(len(bodies))]


def test_a_statement_is_prepared_where_it_is_not_known(scripts: Any, start_proxies: Start) -> None:
    """Once at each node, however many wait for it; the client sees nothing of it."""
    script = scripts()
    proxy = serve(script, start_proxies)
    with CqlClient(proxy.port) as client:
        id = prepare(client.open())
        assert sum(len(asked) for asked in script.asked(PREPARE)) == 1
        replies = ask_all(client, EXECUTE, [values(id, key) for key in range(60)])
        assert [reply.opcode for reply in replies] == [RESULT] * 60
        assert [len(asked) for asked in script.asked(PREPARE)] == [1] * COUNT
        assert sum(len(asked) for asked in script.asked(EXECUTE)) == 60
        assert all(script.asked(EXECUTE))
        assert proxy.metric("shotover_cluster_repairs_count", name="sink") == COUNT - 1
        script.nodes[1].prepared.clear()  # a server that has forgotten
        replies = ask_all(client, EXECUTE, [values(id, key) for key in range(60)])
        assert [reply.opcode for reply in replies] == [RESULT] * 60
        assert [len(asked) for asked in script.asked(PREPARE)] == [1, 2, 1]


def test_a_statement_that_cannot_be_prepared_again(scripts: Any, start_proxies: Start) -> None:
    """Its client hears it."""
    script = scripts()
    proxy = serve(script, start_proxies)
    with CqlClient(proxy.port) as client:
        id = prepare(client.open())
        script.decide = lambda _node, opcode, _text: (
            error(0x2200, "unconfigured table t") if opcode == PREPARE else (RESULT, VOID)
        )
        replies = ask_all(client, EXECUTE, [values(id, key) for key in range(30)])
        assert {reply.opcode for reply in replies} == {RESULT, ERROR}
        assert {reply.code for reply in replies if reply.opcode == ERROR} == {UNPREPARED}


def test_rows_go_where_they_are(scripts: Any, start_proxies: Start) -> None:
    """Prepared, in a query, bound or literal, in a batch: the same server for the same key."""
    script = scripts()
    proxy = serve(script, start_proxies)
    with CqlClient(proxy.port) as client:
        id = prepare(client.open())
        for key in range(12):
            for node in script.nodes:
                node.asked.clear()
            bound = query("SELECT v FROM ks.t WHERE k = ?")[:-1]
            batch = b"\0\0\1\1" + values(id, key)[:18] + values(id, key)[21:] + b"\0\1\0"
            fixed = prepare(client, SELECT.format(key) + " ALLOW FILTERING")
            requests = [
                (EXECUTE, values(id, key)),
                (EXECUTE, string(fixed) + b"\0\1\0"),
                (QUERY, query(SELECT.format(key))),
                (QUERY, query(f"SELECT v FROM ks.t WHERE v = 'a' AND k IN ({key})")),
                (QUERY, bound + b"\1\0\1" + struct.pack(">ii", 4, key)),
                (QUERY, query(f"UPDATE ks.t SET v = 'y' WHERE k = {key}")),
                (13, batch),
            ]
            for opcode, body in requests:
                reply = client.ask(opcode, body)
                assert reply.opcode == RESULT, reply
            found = [len(node.asked) - len(node.texts(PREPARE)) for node in script.nodes]
            assert sorted(found)[:-1] == [0] * (COUNT - 1), (key, found)


def test_a_request_that_was_lost(scripts: Any, start_proxies: Start) -> None:
    """A read is sent again; what may not be carried out twice is answered with an error, once."""
    script = scripts(copies=2)
    proxy = serve(script, start_proxies)
    died = threading.Event()

    def decide(node: ScriptedNode, opcode: int, _text: str) -> Any:
        if died.is_set() or opcode == PREPARE:
            return RESULT, VOID
        died.set()
        node.hang_up()
        return None

    script.decide = decide
    with CqlClient(proxy.port) as client:
        client.open()
        assert client.ask(QUERY, query(SELECT.format(1))).opcode == RESULT
        assert died.is_set() and sum(len(asked) for asked in script.asked(QUERY)) == 2
        for text in (
            "UPDATE ks.t SET n = n + 1 WHERE k = 1",
            "INSERT INTO ks.t (k, v) VALUES (1, 'a') IF NOT EXISTS",
            "INSERT INTO ks.t (k, v) VALUES (uuid(), 'a')",
            "GRANT SELECT ON ks.t TO x",
        ):
            died.clear()
            for node in script.nodes:
                node.asked.clear()
            reply = client.ask(QUERY, query(text))
            assert reply.code == SERVER and "lost" in reply.message
            assert sum(len(asked) for asked in script.asked(QUERY)) <= 1, text


def test_a_server_that_takes_its_time_gets_a_rival(scripts: Any, start_proxies: Start) -> None:
    """Only for what may be carried out twice; the late reply goes nowhere."""
    script = scripts(copies=2)
    proxy = serve(script, start_proxies, speculative_delay_ms=20, speculative_percent=100)
    go_on, begun = threading.Event(), threading.Event()

    def decide(_node: ScriptedNode, opcode: int, _text: str) -> Any:
        if opcode != PREPARE and not begun.is_set():
            begun.set()  # the first one that is asked
            assert go_on.wait(20)
            return error(0x1001, "late, and of no use")
        return RESULT, VOID

    def raced() -> float:
        return proxy.metric("shotover_cluster_speculative_requests_count", name="sink")

    script.decide = decide
    with CqlClient(proxy.port, timeout=20) as client:
        assert client.open().ask(QUERY, query(SELECT.format(1))).opcode == RESULT
        assert sum(len(asked) for asked in script.asked(QUERY)) == 2 and all(
            len(asked) <= 1 for asked in script.asked(QUERY)
        )
        assert raced() == 1
        assert proxy.metric("shotover_cluster_speculative_replies_count", name="sink") == 1
        go_on.set()
        for text in (
            "UPDATE ks.t SET n = n + 1 WHERE k = 1",
            "INSERT INTO ks.t (k, v) VALUES (1, 'a') IF NOT EXISTS",
        ):
            begun.clear()
            go_on.clear()
            client.send(frame(QUERY, query(text), 7))
            assert begun.wait(20)
            before = proxy.metric("shotover_loop_turns_count")
            wait_until(
                lambda before=before: proxy.metric("shotover_loop_turns_count") > before + 5,
                "the proxy has had time to look for late ones",
            )
            go_on.set()
            reply = client.read()
            assert reply is not None and reply.stream == 7 and reply.code == 0x1001
        assert raced() == 1
        assert spread(client, script)


def test_without_retries(scripts: Any, start_proxies: Start) -> None:
    script = scripts(copies=2)
    proxy = serve(script, start_proxies, retry_percent=0)
    script.decide = lambda node, _opcode, _text: node.hang_up()  # type: ignore[func-returns-value]
    with CqlClient(proxy.port) as client:
        assert client.open().ask(QUERY, query(SELECT.format(1))).code == SERVER
    assert sum(len(asked) for asked in script.asked(QUERY)) == 1


def test_a_server_that_is_starting(scripts: Any, start_proxies: Start) -> None:
    script = scripts(copies=2)
    proxy = serve(script, start_proxies)
    script.decide = lambda node, _opcode, _text: (
        error(BOOTSTRAPPING, "not yet") if node.index == 0 else (RESULT, VOID)
    )
    with CqlClient(proxy.port) as client:
        client.open()
        for key in range(20):
            assert client.ask(QUERY, query(f"UPDATE ks.t SET n = n + 1 WHERE k = {key}")).opcode == RESULT  # fmt: skip


def test_lightweight_transactions_meet_at_one_server(scripts: Any, start_proxies: Start) -> None:
    script = scripts(copies=3)
    proxy = serve(script, start_proxies)
    with CqlClient(proxy.port) as client:
        client.open()
        for text in (SELECT.format(5), "INSERT INTO ks.t (k, v) VALUES (5, 'a') IF NOT EXISTS"):
            for node in script.nodes:
                node.asked.clear()
            replies = ask_all(client, QUERY, [query(text)] * 30)
            assert all(reply.opcode == RESULT for reply in replies)
            used = sum(1 for asked in script.asked(QUERY) if asked)
            assert used == (1 if "IF" in text else COUNT)


def test_the_rack_comes_first(scripts: Any, start_proxies: Start) -> None:
    script = scripts(copies=3, racks=3)
    proxy = serve_rack(script, start_proxies)
    with CqlClient(proxy.port) as client:
        client.open()
        assert spread(client, script) == [40, 0, 0]
        proxy.allow_log(LOST)
        script.nodes[0].end()
        wait_until(
            lambda: proxy.metric("shotover_cluster_nodes_down", name="sink") == 1, "it is down"
        )
        for node in script.nodes:
            node.asked.clear()
        found = spread(client, script)
        assert found[0] == 0 and sum(found) == 40 and min(found[1:]) > 0
        script.nodes[0].listen()
        wait_until(
            lambda: proxy.metric("shotover_cluster_nodes_down", name="sink") == 0, "it is back"
        )
        for node in script.nodes:
            node.asked.clear()
        assert spread(client, script) == [40, 0, 0]


def serve_rack(script: Script, start_proxies: Start) -> Proxy:
    (proxy,) = start_proxies(script)
    wait_until(
        lambda: (
            proxy.metric("shotover_cluster_nodes", name="sink") == COUNT
            and proxy.metric("shotover_cluster_nodes_down", name="sink") == 0
        ),
        "all nodes are known and there",
    )
    return proxy


def test_a_server_that_leaves_and_one_that_comes(scripts: Any, start_proxies: Start) -> None:
    """Rows are where the ring says; drivers hear that the tokens of the proxy have changed."""
    script = scripts()
    proxy = serve(script, start_proxies)
    with CqlClient(proxy.port) as client, CqlClient(proxy.port) as watcher:
        client.open()
        body = struct.pack(">H", 1) + string("TOPOLOGY_CHANGE")
        assert watcher.open().ask(REGISTER, body).opcode == READY
        script.members.remove(2)
        script.tell("TOPOLOGY_CHANGE", "REMOVED_NODE", script.nodes[2])
        event = watcher.read()
        assert event is not None and event.opcode == EVENT
        assert string("NEW_NODE") in event.body and bytes([4, 127, 0, 0, 1]) in event.body
        for node in script.nodes:
            node.asked.clear()
        found = spread(client, script)
        assert found[2] == 0 and sum(found) == 40
        script.members.append(2)
        script.tell("TOPOLOGY_CHANGE", "NEW_NODE", script.nodes[2])
        assert watcher.read() is not None
        wait_until(lambda: spread(client, script)[2] > 0, "it has rows again", deadline_s=10)


def test_home_is_lost(scripts: Any, start_proxies: Start) -> None:
    """Another server becomes it; who has registered goes on, and hears what happens from there."""
    script = scripts()
    proxy = serve(script, start_proxies)
    proxy.allow_log(LOST)
    with CqlClient(proxy.port) as client, CqlClient(proxy.port) as watcher:
        client.open()
        body = struct.pack(">H", 2) + string("SCHEMA_CHANGE") + string("TOPOLOGY_CHANGE")
        assert watcher.open().ask(REGISTER, body).opcode == READY
        before = [len(node.watchers) for node in script.nodes]
        (home,) = [node for node, count in zip(script.nodes, before, strict=True) if count]
        home.end()
        wait_until(
            lambda: sum(len(node.watchers) for node in script.nodes) == sum(before) + 1,
            "there is another control connection",
        )
        with CqlClient(proxy.port) as fresh:
            fresh.open()
        wait_until(
            lambda: client.ask(QUERY, query("SELECT key FROM system.local")).opcode == RESULT,
            "the ring is shown",
        )
        script.members.remove(home.index)
        script.tell("TOPOLOGY_CHANGE", "REMOVED_NODE", home)
        event = watcher.read()
        assert event is not None and string("NEW_NODE") in event.body


def test_every_request_has_one_answer(scripts: Any, start_proxies: Start) -> None:
    """Whatever is lost, and whoever asks."""
    script = scripts(copies=2)
    proxy = serve(script, start_proxies, heartbeat_interval=0.2)
    proxy.allow_log(LOST)
    proxy.allow_log("cannot be used")
    chance = random.Random(7)
    lock = threading.Lock()

    def decide(node: ScriptedNode, _opcode: int, _text: str) -> Any:
        with lock:
            drawn = chance.random()
        if drawn < 0.01:
            node.hang_up()
            return None
        if drawn < 0.03:
            node.prepared.clear()
        return (RESULT, VOID) if drawn < 0.95 else error(BOOTSTRAPPING, "not yet")

    script.decide = decide
    failed: list[str] = []

    def work(seed: int) -> None:
        try:
            with CqlClient(proxy.port, timeout=20) as client:
                id = prepare_somehow(client.open())
                for turn in range(12):
                    bodies = [values(id, 100 * seed + turn + key) for key in range(40)]
                    replies = ask_all(client, EXECUTE, bodies)
                    codes = {reply.code for reply in replies if reply.opcode == ERROR}
                    assert codes <= {SERVER, UNPREPARED, BOOTSTRAPPING}, codes
                    if UNPREPARED in codes:
                        id = prepare_somehow(client)
        except Exception as found:
            failed.append(repr(found))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    script.decide = lambda _node, _opcode, _text: (RESULT, VOID)
    wait_until(
        lambda: all(proxy.metric("shotover_upstream_requests", node=f"{node.host}:{script.port}") == 0 for node in script.nodes),
        "nothing is left under way",
    )  # fmt: skip


def prepare_somehow(client: CqlClient) -> bytes:
    while True:
        reply = client.ask(PREPARE, struct.pack(">i", len(INSERT)) + INSERT.encode())
        if reply.opcode == RESULT:
            return reply.body[6:22]


def test_proxies_that_are_only_named(scripts: Any) -> None:
    """Several that listen at one address: all are shown, and each has its share of the tokens."""
    script = scripts()
    port = free_port()
    members = [Member("127.0.0.1", port)] * 3
    proxy = Proxy(0, topology=cassandra_topology, port=port, end=cluster_sink(script, members, 0))
    try:
        with CqlClient(port) as client:
            client.open()
            found = read_rows(client.ask(QUERY, query("SELECT * FROM system.peers_v2")).body, 4)[1]
            own = read_rows(client.ask(QUERY, query("SELECT * FROM system.local")).body, 4)[1]
        assert len({row["host_id"] for row in found + own}) == 3
        assert len({row["tokens"] for row in found + own}) == 3
        assert [row["native_port"] for row in found] == [struct.pack(">i", port)] * 2
    finally:
        proxy.stop()


def test_tls_names_each_server(scripts: Any, start_proxies: Start) -> None:
    """Each has a certificate for its own address, and is believed to be no other."""
    script = scripts(tls=True)
    proxy = serve(script, start_proxies, tls=usual().sink())
    with CqlClient(proxy.port) as client:
        client.open()
        assert all(spread(client, script))
        script.nodes[2].end()
        script.nodes[2].context = script.nodes[1].context
        proxy.allow_log(LOST)
        script.nodes[2].listen()
        wait_until(lambda: "IP address mismatch" in proxy.log(), "it is found out")
        assert proxy.metric("shotover_cluster_nodes_down", name="sink") == 1


def test_two_workers(scripts: Any, start_proxies: Start) -> None:
    """Each knows by itself what was prepared; a client that comes to the other one prepares once more."""
    script = scripts()
    proxy = serve(script, start_proxies, workers=2)
    clients = [CqlClient(proxy.port).open() for _ in range(12)]
    id = prepare(clients[0])
    answers = [client.ask(EXECUTE, values(id, 1)) for client in clients]
    assert {answer.opcode for answer in answers} == {RESULT, ERROR}
    for client, answer in zip(clients, answers, strict=True):
        if answer.opcode == ERROR:
            assert answer.code == UNPREPARED
            assert prepare(client) == id
        assert client.ask(EXECUTE, values(id, 1)).opcode == RESULT
        client.close()


def test_a_home_that_says_nothing(scripts: Any, start_proxies: Start) -> None:
    """Who shakes hands with it is let in by the next one; what is under way at it is answered elsewhere."""
    script = scripts(copies=2)
    proxy = serve(script, start_proxies)
    proxy.allow_log(LOST)
    (home,) = [node for node in script.nodes if node.watchers]
    with CqlClient(proxy.port) as known, CqlClient(proxy.port, timeout=20) as fresh:
        known.open()
        home.mute = True
        fresh.open(CLIENT="another")  # in a state of its own: it must shake hands
        replies = ask_all(known, QUERY, [query(SELECT.format(key)) for key in range(20)])
        assert all(reply.opcode == RESULT for reply in replies)
        assert fresh.ask(QUERY, query("SELECT key FROM system.local")).opcode == RESULT
        home.mute = False
        wait_until(
            lambda: proxy.metric("shotover_cluster_nodes_down", name="sink") == 0, "it is back"
        )
