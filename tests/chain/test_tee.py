"""Tee: what each behavior does with the second reply, and which requests have one."""

from __future__ import annotations

import pytest
from support.resp import encode, parse
from support.wait import wait_until, wait_until_equal

from chain.bench import Bench, Silent, sink

DIFFER = b"-ERR the replies of the two chains differ (shotover: Tee, FailOnMismatch)\r\n"
ANSWER = b"$2\r\n42\r\n"


def returner(text: str) -> dict:
    return {"DebugReturner": {"Redis": text}}


def tee(behavior, *chain, **fields) -> dict:
    return {
        "Tee": {
            "name": "tee",
            "behavior": behavior,
            "buffer_size": 10000,
            "chain": list(chain),
            **fields,
        }
    }


def dropped(bench: Bench) -> float:
    return bench.sample("shotover_tee_dropped_messages_count", chain="Tee")


def mismatches(bench: Bench) -> float:
    return bench.sample("shotover_tee_mismatches_count")


# ---- the shapes of other versions' test topologies


@pytest.mark.parametrize("side", ["42", "41"])
def test_ignore_answers_from_the_main_chain(run, side) -> None:
    bench = run(
        tee("Ignore", {"QueryTypeFilter": {"filter": "Read"}}, returner(side)), returner("42")
    )
    assert bench.play("SET a 1", "GET a") == [ANSWER, ANSWER]
    assert dropped(bench) == 0


def test_fail_on_mismatch_lets_equal_replies_pass(run) -> None:
    bench = run(
        tee("FailOnMismatch", {"QueryTypeFilter": {"filter": "Read"}}, returner("42")),
        returner("42"),
    )
    assert bench.play("SET a 1", "GET a", "SET a 2") == [ANSWER, DIFFER, ANSWER]
    assert mismatches(bench) == 1


def test_fail_on_mismatch_replaces_each_differing_reply(run) -> None:
    bench = run(tee("FailOnMismatch", returner("41")), returner("42"))
    assert bench.play("SET a 1", "GET a") == [DIFFER, DIFFER]


@pytest.mark.parametrize(("side", "lines"), [("42", 0), ("41", 2)])
def test_log_warning_on_mismatch(run, side, lines) -> None:
    bench = run(tee("LogWarningOnMismatch", returner(side)), returner("42"))
    assert bench.play("SET key value", "GET key") == [ANSWER, ANSWER]
    wait_until(lambda: len(bench.log()) == lines, "log lines")
    if lines:
        assert (
            bench.log()[0]
            == 'SET "key" "value": the replies of the Tee\'s chains differ: "42" / "41"'
        )
    assert mismatches(bench) == lines


def test_long_requests_and_replies_fit_the_log(run) -> None:
    bench = run(tee("LogWarningOnMismatch", returner("y" * 5000)), returner("x" * 5000))
    bench.play(("SET", "k" * 5000, "v" * 5000))
    line = wait_until(bench.log, "a log line")[0]
    assert len(line) < 232
    assert '"' + "x" * 30 in line and '"' + "y" * 30 in line


def test_subchain_on_mismatch_sends_the_differing_requests_on(run, start_server) -> None:
    server = start_server()
    mismatch = {"SubchainOnMismatch": [{"QueryTypeFilter": {"filter": "Read"}}, sink(server.port)]}
    bench = run(
        tee(mismatch, {"QueryTypeFilter": {"filter": "Read"}}, returner("41")), returner("42")
    )
    assert bench.play("SET a 1", "GET a", "SET b 2") == [ANSWER] * 3
    assert server.client().mget("a", "b") == [
        b"1",
        b"2",
    ]  # awaited: it is there once the client is answered
    assert mismatches(bench) == 3


def test_subchain_on_mismatch_stays_quiet_when_replies_agree(run, start_server) -> None:
    server = start_server()
    bench = run(
        tee({"SubchainOnMismatch": {"chain": [sink(server.port)]}}, returner("42")), returner("42")
    )
    assert bench.play("SET a 1", "SET b 2") == [ANSWER] * 2
    assert server.client().dbsize() == 0


# ---- which replies are comparable


@pytest.fixture
def pair(run, start_server):
    """Two servers behind a Tee that fails on mismatch."""
    main, side = start_server(), start_server()
    bench = run(tee("FailOnMismatch", sink(side.port)), sink(main.port))
    return bench, main, side


def test_equal_servers_agree(pair) -> None:
    bench, main, side = pair
    replies = bench.play(
        "SET a 1",
        "INCR a",
        ("MSET", *(f"k{i}" for i in range(100))),
        "DEL a",
        "HSET h a 1 b 2",
        "HGETALL h",
        "SADD s x y z",
        "SMEMBERS s",
        "ZADD z 1 a 2 b",
        "ZRANGE z 0 -1",
        "NOSUCH a",
        "GET h",
        "ECHO hi",
    )
    assert DIFFER not in replies
    assert main.client().dbsize() == side.client().dbsize() == 53


def test_what_servers_call_nondeterministic_need_not_agree(pair) -> None:
    bench, main, side = pair
    main.client().set("only", "here")
    side.client().set("ttl", 1, ex=1000)
    main.client().set("ttl", 1, ex=2000)
    replies = bench.play(
        "INFO",
        "TIME",
        "RANDOMKEY",
        "CLIENT ID",
        "HELLO 2",
        "TTL ttl",
        "PING",
        "CLIENT LIST",
        "CONFIG GET port",
        "LASTSAVE",
        "SCAN 0",
    )
    assert DIFFER not in replies


def test_order_does_not_matter_where_servers_have_none(run, start_server) -> None:
    main, side = start_server(), start_server()
    words = [f"member-{index}" for index in range(300)]
    main.client().sadd("s", *words)
    side.client().sadd("s", *reversed(words))
    main.client().rpush("l", "a", "b")
    side.client().rpush("l", "b", "a")
    bench = run(tee("FailOnMismatch", sink(side.port)), sink(main.port))
    members, listed = bench.play("SMEMBERS s", "LRANGE l 0 -1")
    assert sorted(parse(members)) == sorted(word.encode() for word in words)
    assert listed == DIFFER
    side.client().srem("s", "member-7")
    assert bench.play("SMEMBERS s") == [DIFFER]


def test_transactions_are_carried_out_in_both(pair) -> None:
    bench, main, side = pair
    assert bench.play("WATCH a", "MULTI", "SET a 1", "INCR a", "EXEC", "GET a") == [
        b"+OK\r\n",
        b"+OK\r\n",
        b"+QUEUED\r\n",
        b"+QUEUED\r\n",
        b"*2\r\n+OK\r\n:2\r\n",
        b"$1\r\n2\r\n",
    ]
    assert main.client().get("a") == side.client().get("a") == b"2"


def test_a_mismatch_in_a_transaction_is_told_at_its_exec(pair) -> None:
    bench, _main, side = pair
    side.client().set("a", 10)
    client = bench.client()
    assert [client.command(*words) for words in (("MULTI",), ("INCR", "a"), ("EXEC",))] == [
        b"+OK\r\n",
        b"+QUEUED\r\n",
        DIFFER,
    ]
    assert client.command("MULTI") == b"+OK\r\n"
    assert client.command("EXEC") == b"*0\r\n"


def test_a_side_that_refuses_a_transaction_fails_its_exec_only(run, start_server) -> None:
    main = start_server()
    bench = run(tee("FailOnMismatch", returner("42")), sink(main.port))
    assert bench.play("MULTI", "SET a 1", "EXEC", "MULTI", "SET b 1", "DISCARD") == [
        b"+OK\r\n",
        b"+QUEUED\r\n",
        DIFFER,
        b"+OK\r\n",
        b"+QUEUED\r\n",
        DIFFER,
    ]
    assert main.client().get("b") is None


def test_random_commands_in_a_transaction_need_not_agree(pair) -> None:
    bench, *_ = pair
    assert DIFFER not in bench.play("MULTI", "TIME", "INFO", "EXEC")


def test_a_client_told_that_select_failed_is_closed(run, start_server) -> None:
    main = start_server()
    bench = run(tee("FailOnMismatch", returner("42")), sink(main.port))
    client = bench.client()
    client.send(encode("SELECT", "1"))
    assert client.rest() == DIFFER


def test_session_state_goes_to_both(pair) -> None:
    bench, main, side = pair
    assert bench.play("SELECT 7", "SET a 1", "GET a") == [b"+OK\r\n", b"+OK\r\n", b"$1\r\n1\r\n"]
    assert main.client(db=7).get("a") == side.client(db=7).get("a") == b"1"


# ---- pub/sub


def test_messages_come_once_from_the_chain_that_answers(pair) -> None:
    bench, main, side = pair
    client = bench.client()
    assert client.ask("SUBSCRIBE", "c", "d") == [b"subscribe", b"c", 1]
    assert client.value() == [b"subscribe", b"d", 2]
    assert (
        bench.client().command("PUBLISH", "c", "hello") == DIFFER
    )  # one has a subscriber, the other has none
    assert client.value() == [b"message", b"c", b"hello"]
    side.client().publish("c", "from the side")
    main.client().publish("c", "from the main")
    assert client.value() == [b"message", b"c", b"from the main"]
    assert client.ask("PING") == [b"pong", b""]
    assert client.ask("UNSUBSCRIBE", "c") == [b"unsubscribe", b"c", 1]


def test_blocking_commands_are_mirrored(pair) -> None:
    bench, main, side = pair
    client = bench.client()
    client.send(encode("BLPOP", "l", "0"))
    wait_until(lambda: side.client().info("clients")["blocked_clients"] == 1, "blocked on the side")
    wait_until(lambda: main.client().info("clients")["blocked_clients"] == 1, "blocked on the main")
    assert bench.client().command("RPUSH", "l", "x") == b":1\r\n"
    assert client.value() == [b"l", b"x"]
    assert main.client().llen("l") == side.client().llen("l") == 0


def test_a_blocked_client_that_leaves_is_cancelled_on_both(pair) -> None:
    bench, main, side = pair
    client = bench.client()
    client.send(encode("BLPOP", "l", "0"))
    for server in (main, side):
        wait_until(lambda s=server: s.client().info("clients")["blocked_clients"] == 1, "blocked")
    client.close()
    for server in (main, side):
        wait_until_equal(
            lambda s=server: s.client().info("clients")["blocked_clients"], 0, "blocked clients"
        )
    bench.settle()


# ---- the switch


def test_switching_changes_who_answers(run) -> None:
    bench = run(tee("Ignore", returner("b")), returner("a"))
    step = bench.step("Tee")
    client = bench.client()
    for _ in range(3):
        assert client.command("GET", "k") == b"$1\r\na\r\n"
        step.switched = True
        assert client.command("GET", "k") == b"$1\r\nb\r\n"
        assert bench.play("GET k", "GET k", "GET k") == [b"$1\r\nb\r\n"] * 3
        step.switched = False
    assert step.switched is False


@pytest.mark.parametrize("behavior", [{"SubchainOnMismatch": ["NullSink"]}, "LogWarningOnMismatch"])
def test_switching_with_two_replies(run, behavior) -> None:
    bench = run(tee(behavior, returner("b")), returner("a"))
    bench.step("Tee").switched = True
    assert bench.play("GET k", "GET l") == [b"$1\r\nb\r\n"] * 2
    assert mismatches(bench) == 2
    bench.step("Tee").switched = False
    assert bench.play("GET k", "GET l") == [b"$1\r\na\r\n"] * 2


def test_both_servers_hear_everything_while_switched_back_and_forth(run, start_server) -> None:
    main, side = start_server(), start_server()
    bench = run(tee("Ignore", sink(side.port)), sink(main.port))
    client = bench.client()
    for index in range(200):
        bench.step("Tee").switched = index % 3 == 0
        assert client.command("RPUSH", "l", index) == b":%d\r\n" % (index + 1)
    wait_until_equal(lambda: main.client().llen("l"), 200, "main")
    wait_until_equal(lambda: side.client().llen("l"), 200, "side")
    assert main.client().lrange("l", 0, -1) == side.client().lrange("l", 0, -1)


def test_a_transaction_is_answered_by_the_chain_that_began_it(run, start_server) -> None:
    main, side = start_server(), start_server()
    side.client().set("a", 10)
    bench = run(tee("Ignore", sink(side.port)), sink(main.port))
    client = bench.client()
    assert client.command("MULTI") == b"+OK\r\n"
    bench.step("Tee").switched = True
    assert client.command("INCR", "a") == b"+QUEUED\r\n"
    assert client.command("EXEC") == b"*1\r\n:1\r\n"
    wait_until_equal(lambda: side.client().get("a"), b"11", "a on the side")
    assert client.command("INCR", "a") == b":12\r\n"


def test_a_switched_client_blocks_and_subscribes_on_the_side(run, start_server) -> None:
    main, side = start_server(), start_server()
    bench = run(tee("Ignore", sink(side.port)), sink(main.port))
    bench.step("Tee").switched = True
    client = bench.client()
    assert client.ask("SUBSCRIBE", "c") == [b"subscribe", b"c", 1]
    main.client().publish("c", "main")
    side.client().publish("c", "side")
    assert client.value() == [b"message", b"c", b"side"]


def test_a_silent_main_chain_holds_up_nobody_while_switched(run, start_server) -> None:
    silent, side = Silent(), start_server()
    bench = run(tee("Ignore", sink(side.port), buffer_size=2), sink(silent.port, read_timeout=2))
    bench.step("Tee").switched = True
    client = bench.client()
    for index in range(100):
        assert client.command("INCR", "a") == b":%d\r\n" % (index + 1)
    assert dropped(bench) == 97
    client.close()
    bench.settle()
    silent.close()
