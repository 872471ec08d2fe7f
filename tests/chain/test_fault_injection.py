"""FaultInjection: what each fault does, for whom, how often, and that order and transactions survive it."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from support.resp import RawClient, encode, parse
from support.wait import wait_until_equal

from chain.bench import Bench, sink

DELAY_S = 0.06
EXECABORT = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
LOST = b"-ERR shotover: connection lost (FaultInjection)\r\n"


def faults(*entries: dict[str, Any], seed: int | None = 1) -> dict[str, Any]:
    return {"FaultInjection": {"seed": seed, "faults": list(entries)}}


def injected(bench: Bench, fault: str) -> float:
    return bench.sample("shotover_faults_injected_count", fault=fault)


def refused(replies: list[bytes]) -> list[int]:
    return [index for index, reply in enumerate(replies) if reply == b"-ERR no\r\n"]


def test_a_delay_holds_up_what_is_behind_it_and_nobody_else(run, start_server) -> None:
    server = start_server()
    bench = run(
        faults({"delay_ms": DELAY_S * 1000, "commands": "INCR", "count": 1}), sink(server.port)
    )
    slow, other = bench.client(), bench.client()
    start = time.monotonic()
    slow.send(encode("SET", "a", 1) + encode("INCR", "a") + encode("SET", "a", 7))
    assert slow.frame() == b"+OK\r\n"
    wait_until_equal(lambda: bench.sample("shotover_faults_held_requests"), 2, "requests held")
    assert other.command("GET", "a") == b"$1\r\n1\r\n"
    assert time.monotonic() - start < DELAY_S, "the machine was too busy for this test"
    assert slow.frames(2) == [b":2\r\n", b"+OK\r\n"]
    assert time.monotonic() - start >= DELAY_S
    assert server.client().get("a") == b"7"


def test_delays_add_up_and_a_range_has_both_ends(run) -> None:
    bench = run(
        faults({"delay_ms": 20}, {"delay_ms": [20, 30]}), {"DebugReturner": {"Redis": "42"}}
    )
    client = bench.client()
    start = time.monotonic()
    client.command("GET", "a")
    assert time.monotonic() - start >= 0.04


def test_the_same_seed_strikes_the_same_requests(run) -> None:
    returner = {"DebugReturner": {"Redis": "42"}}
    seen = []
    for seed in (7, 7, 8):
        bench = run(faults({"error": "ERR no", "percent": 30}, seed=seed), returner)
        seen.append(refused(bench.play(*["GET a"] * 400)))
        assert injected(bench, "error") == len(seen[-1])
    assert seen[0] == seen[1] != seen[2]
    assert all(70 <= len(struck) <= 170 for struck in seen)


def test_a_count_ends_it(run) -> None:
    bench = run(faults({"error": "ERR no", "count": 3}), {"DebugReturner": {"Redis": "42"}})
    assert refused(bench.play(*["GET a"] * 9)) == [0, 1, 2]


def test_commands_types_and_subcommands(run, start_server) -> None:
    bench = run(
        faults(
            {"error": "ERR read", "query_types": ["Read"], "commands": ["GET", "MGET", "SET"]},
            {"error": "ERR client", "commands": ["client list", "nosuchcommand"]},
            {"error": "ERR config", "commands": "CONFIG"},
        ),
        sink(start_server().port),
    )
    replies = bench.play(
        "GET a", "SET a 1", "EXISTS a", "CLIENT ID", "CLIENT LIST", "NOSUCHCOMMAND", "CONFIG GET x"
    )
    assert [reply[:5] for reply in replies] == [
        b"-ERR ", b"+OK\r\n", b":1\r\n", replies[3], b"-ERR ", b"-ERR ", b"-ERR ",
    ]  # fmt: skip
    assert replies[0] == b"-ERR read\r\n"
    assert replies[3].startswith(b":")
    assert replies[4] == replies[5] == b"-ERR client\r\n"
    assert replies[6] == b"-ERR config\r\n"


def test_clients_by_their_address(run) -> None:
    bench = run(
        faults({"error": "ERR no", "clients": ["127.0.0.2/31", "fd00::/8"]}),
        {"DebugReturner": {"Redis": "42"}},
    )
    assert bench.client().command("GET", "a") == b"$2\r\n42\r\n"
    for last, struck in ((2, True), (3, True), (4, False)):
        with socket.socket() as other:
            other.bind((f"127.0.0.{last}", 0))
            other.connect(("127.0.0.1", bench.port))
            other.sendall(encode("GET", "a"))
            assert (other.recv(100) == b"-ERR no\r\n") == struck
    bench.settle()


def test_users_from_the_reply_to_their_login_on(run, start_server) -> None:
    server = start_server()
    server.client().execute_command("ACL SETUSER batch on >pw ~* +@all")
    bench = run(faults({"error": "ERR no", "users": ["batch"]}), sink(server.port))
    client = bench.client()
    assert client.command("GET", "a") == b"$-1\r\n"
    assert client.command("AUTH", "batch", "wrong").startswith(b"-WRONGPASS")
    assert client.command("GET", "a") == b"$-1\r\n"
    assert client.command("AUTH", "batch", "pw") == b"+OK\r\n"
    assert client.command("GET", "a") == b"-ERR no\r\n"
    assert client.command("RESET") == b"+RESET\r\n"
    assert client.command("GET", "a") == b"$-1\r\n"
    hello = bench.client()
    hello.command("HELLO", "3", "AUTH", "batch", "pw")
    assert hello.command("GET", "a") == b"-ERR no\r\n"


def test_a_transaction_with_a_refused_command_is_void(run, start_server) -> None:
    server = start_server()
    bench = run(faults({"error": "ERR no", "commands": "INCR"}), sink(server.port))
    replies = bench.play("MULTI", "SET a 1", "INCR a", "EXEC", "GET a")
    assert replies == [b"+OK\r\n", b"+QUEUED\r\n", b"-ERR no\r\n", EXECABORT, b"$-1\r\n"]


def test_a_delayed_transaction_is_carried_out_in_order(run, start_server) -> None:
    bench = run(
        faults({"delay_ms": [0, 3], "percent": 50}, {"error": "ERR no", "commands": "MULTI"}),
        sink(start_server().port),
    )
    for value in range(20):
        replies = bench.play("MULTI", f"SET a {value}", "INCR a", "EXEC", "GET a")
        assert replies[3] == b"*2\r\n+OK\r\n:%d\r\n" % (value + 1)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_close_takes_the_place_of_a_reply(run, start_server, when) -> None:
    server = start_server()
    bench = run(faults({"close": when, "commands": "INCR"}), sink(server.port))
    client = bench.client()
    client.send(encode("SET", "a", 1) + encode("INCR", "a") + encode("SET", "b", 1))
    assert client.rest() == b"+OK\r\n"
    bench.settle()
    assert server.client().get("a") == (b"2" if when == "after" else b"1")
    if when == "before":
        assert server.client().get("b") is None
    assert bench.client().command("GET", "a").startswith(b"$1")


def test_in_a_tee_an_error_stands_for_the_close(run, start_server) -> None:
    main, side = start_server(), start_server()
    tee = {
        "Tee": {
            "behavior": "FailOnMismatch",
            "chain": [faults({"close": "before", "commands": "GET"}), sink(side.port)],
        }
    }
    bench = run(tee, sink(main.port))
    client = bench.client()
    assert client.command("SET", "a", 1) == b"+OK\r\n"
    assert client.command("GET", "a").startswith(b"-ERR")
    assert client.command("PING") == b"+PONG\r\n"
    assert injected(bench, "close") == 1


def test_a_spoiled_value_is_well_formed_and_wrong(run, start_server) -> None:
    server = start_server()
    bench = run(faults({"corrupt": "value", "query_types": ["Read"]}), sink(server.port))
    through, direct = bench.client(), RawClient(server.port)
    for client in (through, direct):
        client.command("HELLO", 3)
    direct.send(
        b"".join(
            [
                encode("MSET", "a", "hello", "n", "19"),
                encode("HSET", "h", "f", "v", "g", "w"),
                encode("RPUSH", "l", "one", "", "three"),
                encode("ZADD", "z", "9", "m"),
            ]
        )
    )
    direct.frames(4)
    for words in ("GET a", "STRLEN a", "HGETALL h", "LRANGE l 0 -1", "ZSCORE z m", "TYPE a"):
        spoiled, sound = (client.command(*words.split()) for client in (through, direct))
        assert len(spoiled) == len(sound)
        assert sum(one != other for one, other in zip(spoiled, sound, strict=True)) == 1, words
        parse(spoiled)
    for words in ("GET none", "LRANGE none 0 -1"):
        assert through.command(*words.split()) == direct.command(*words.split())
    direct.close()


def test_a_spoiled_frame_is_none(run, start_server) -> None:
    bench = run(faults({"corrupt": "frame", "commands": "GET"}), sink(start_server().port))
    client = bench.client()
    client.send(encode("SET", "a", 1) + encode("GET", "a"))
    assert client.exactly(12) == b"+OK\r\n?1\r\n1\r\n"


def test_what_is_delayed_for_a_client_that_leaves_is_still_sent_to_its_own_database(
    run, start_server
) -> None:
    server = start_server()
    bench = run(faults({"delay_ms": 3_600_000, "commands": "SET"}), sink(server.port))
    client = bench.client()
    client.send(encode("SELECT", 5) + encode("SET", "a", 1) + encode("INCR", "a"))
    wait_until_equal(lambda: bench.sample("shotover_faults_held_requests"), 2, "requests held")
    client.reset()
    wait_until_equal(lambda: server.client(db=5).get("a"), b"2", "a in database 5")


def test_a_drain_lets_everything_go(run, start_server) -> None:
    bench = run(faults({"delay_ms": 3_600_000}), sink(start_server().port))
    client = bench.client()
    client.send(encode("SET", "a", 1) + encode("GET", "a"))
    wait_until_equal(lambda: bench.sample("shotover_faults_held_requests"), 2, "requests held")
    bench.worker.drain(5000)
    assert client.frames(2) == [b"+OK\r\n", b"$1\r\n1\r\n"]


def test_a_big_request_waits_too_and_goes_when_its_client_does(run, start_server) -> None:
    server = start_server()
    bench = run(
        faults({"delay_ms": 30, "count": 1}, {"delay_ms": 3_600_000, "commands": "APPEND"}),
        sink(server.port),
    )
    value = b"x" * 300_000
    client = bench.client()
    assert client.command("SET", "a", value) == b"+OK\r\n"
    assert client.command("STRLEN", "a") == b":300000\r\n"
    client.send(encode("APPEND", "a", value)[:200_000])
    wait_until_equal(lambda: bench.sample("shotover_faults_held_requests"), 1, "requests held")
    client.reset()
    bench.gone()
    assert server.client().strlen("a") == 300_000
