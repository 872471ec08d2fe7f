"""QueryTypeFilter: which types are refused, and that a transaction is never carried out in part."""

from __future__ import annotations

import pytest

from chain.bench import sink

REFUSED = b"-ERR Message was filtered out by shotover\r\n"
ANSWER = b"$2\r\n42\r\n"
ABORTED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
READ, WRITE, SCHEMA, PUBSUB, SCRIPT, UNKNOWN = (
    "GET a",
    "APPEND a b",
    "SCRIPT FLUSH",
    "PUBLISH a b",
    "EVAL x 0",
    "MODULE.THING a",
)
ALL = (READ, WRITE, SCHEMA, PUBSUB, SCRIPT, UNKNOWN)
SESSION = ("PING", "AUTH a", "HELLO 2", "SELECT 1", "MULTI", "DISCARD", "ECHO a")


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"filter": "Read"}, {READ}),
        ({"filter": "Write"}, {WRITE, SCRIPT, UNKNOWN}),
        ({"DenyList": ["SchemaChange"]}, {SCHEMA}),
        ({"DenyList": ["PubSubMessage"]}, {PUBSUB}),
        ({"DenyList": ["ReadWrite"]}, {SCRIPT, UNKNOWN}),
        ({"DenyList": ["Read", "PubSubMessage"]}, {READ, PUBSUB}),
        ({"AllowList": ["Read"]}, {WRITE, SCHEMA, PUBSUB, SCRIPT, UNKNOWN}),
        ({"AllowList": ["Write"]}, {READ, SCHEMA, PUBSUB, SCRIPT, UNKNOWN}),
        ({"AllowList": ["Write", "ReadWrite"]}, {READ, SCHEMA, PUBSUB}),
        ({"AllowList": ["SchemaChange"]}, {READ, WRITE, PUBSUB, SCRIPT, UNKNOWN}),
    ],
)
def test_types(run, fields, refused) -> None:
    bench = run({"QueryTypeFilter": fields}, {"DebugReturner": {"Redis": "42"}})
    replies = dict(zip(ALL, bench.play(*ALL), strict=True))
    assert {request for request, reply in replies.items() if reply == REFUSED} == refused
    assert {reply for request, reply in replies.items() if request not in refused} <= {ANSWER}
    assert bench.sample("shotover_refusals_count", reason="filtered") == len(refused)


def test_the_connections_own_business_always_passes(run) -> None:
    bench = run(
        {"QueryTypeFilter": {"AllowList": ["SchemaChange"]}}, {"DebugReturner": {"Redis": "42"}}
    )
    assert bench.play(*SESSION) == [ANSWER] * len(SESSION)


def test_orders_to_the_server_count_as_writes(run) -> None:
    bench = run({"QueryTypeFilter": {"filter": "Write"}}, {"DebugReturner": {"Redis": "42"}})
    assert bench.play("CONFIG SET a b", "SHUTDOWN", "FLUSHALL", "INFO") == [REFUSED] * 3 + [ANSWER]


def test_a_pipeline_keeps_its_order_around_refusals(run) -> None:
    bench = run({"QueryTypeFilter": {"filter": "Write"}}, {"DebugReturner": {"Redis": "42"}})
    requests = ["GET a", "GET b", "SET a 1", "SET b 1", "GET c", "SET c 1", "EXISTS a", "TTL a"]
    assert bench.play(*requests) == [REFUSED if r.startswith("SET") else ANSWER for r in requests]


def test_refusals_count_as_failures(run) -> None:
    bench = run({"QueryTypeFilter": {"filter": "Write"}}, "NullSink")
    bench.play("SET a 1", "SET a 1", "GET a")
    assert bench.sample("shotover_transform_failures_count", transform="QueryTypeFilter") == 2


def test_a_transaction_with_a_refused_command_is_discarded_whole(run, start_server) -> None:
    server = start_server()
    bench = run({"QueryTypeFilter": {"filter": "SchemaChange"}}, sink(server.port))
    assert bench.play("MULTI", "SET a 1", "SCRIPT FLUSH", "SET a 2", "EXEC", "GET a") == [
        b"+OK\r\n",
        b"+QUEUED\r\n",
        REFUSED,
        b"+QUEUED\r\n",
        ABORTED,
        b"$-1\r\n",
    ]


def test_the_transaction_after_a_discarded_one_is_carried_out(run, start_server) -> None:
    server = start_server()
    bench = run({"QueryTypeFilter": {"filter": "SchemaChange"}}, sink(server.port))
    client = bench.client()
    for ending, reply in (("EXEC", ABORTED), ("DISCARD", b"+OK\r\n"), ("RESET", b"+RESET\r\n")):
        assert client.command("MULTI") == b"+OK\r\n"
        assert client.command("SCRIPT", "FLUSH") == REFUSED
        assert client.command(ending) == reply
        assert client.command("MULTI") == b"+OK\r\n"
        assert client.command("SET", "a", "1") == b"+QUEUED\r\n"
        assert client.command("EXEC") == b"*1\r\n+OK\r\n"


def test_exec_without_multi_says_so_after_a_refusal(run, start_server) -> None:
    server = start_server("--requirepass", "x")
    bench = run({"QueryTypeFilter": {"filter": "Write"}}, sink(server.port))
    client = bench.client()
    assert client.command("MULTI").startswith(b"-NOAUTH")
    assert client.command("SET", "a", "1") == REFUSED
    assert client.command("AUTH", "x") == b"+OK\r\n"
    assert client.command("EXEC") == b"-ERR EXEC without MULTI\r\n"


def test_watched_keys_are_forgotten_with_a_discarded_transaction(run, start_server) -> None:
    server = start_server()
    bench = run({"QueryTypeFilter": {"filter": "SchemaChange"}}, sink(server.port))
    client = bench.client()
    client.command("WATCH", "a")
    client.command("MULTI")
    client.command("SCRIPT", "FLUSH")
    server.client().set("a", "other")
    assert client.command("EXEC") == ABORTED
    client.command("MULTI")
    client.command("SET", "a", "mine")
    assert client.command("EXEC") == b"*1\r\n+OK\r\n"
