"""ParallelMap and LoadBalance: who is sent where, in which order things happen, how many connections there are."""

from __future__ import annotations

from support.resp import encode, parse
from support.wait import wait_until, wait_until_equal

from chain.bench import Silent, sink


def parallel(port: int, copies: int = 4, *steps) -> dict:
    return {
        "ParallelMap": {
            "name": "map",
            "parallelism": copies,
            "ordered_results": True,
            "chain": [*steps, sink(port)],
        }
    }


def test_keyed_requests_are_spread_and_replies_keep_their_order(run, start_server) -> None:
    server = start_server()
    bench = run(parallel(server.port))
    requests = [
        request for index in range(200) for request in (f"SET k{index} {index}", f"GET k{index}")
    ]
    replies = bench.play(*requests)
    assert replies[0::2] == [b"+OK\r\n"] * 200
    assert [parse(reply) for reply in replies[1::2]] == [
        str(index).encode() for index in range(200)
    ]
    assert bench.sample("shotover_upstream_connections") == 4


def test_commands_on_all_keys_wait_for_what_is_before_and_hold_what_is_after(
    run, start_server
) -> None:
    server = start_server()
    bench = run(parallel(server.port))
    for _ in range(20):
        replies = bench.play(
            *[f"SET k{i} 1" for i in range(20)],
            "DBSIZE",
            "FLUSHALL",
            "SET a 1",
            ("MGET", *[f"k{i}" for i in range(20)], "a"),
            "DEL a",
            "DBSIZE",
        )
        assert replies[21] == b"+OK\r\n"
        assert parse(replies[23]) == [None] * 20 + [b"1"]
        assert replies[24] == b":1\r\n"


def test_session_state_stays_on_one_copy(run, start_server) -> None:
    server = start_server()
    bench = run(parallel(server.port))
    replies = bench.play(
        "SET a 0", "SELECT 3", "SET a 3", "GET a", "MULTI", "INCR a", "INCR b", "EXEC", "GET b"
    )
    assert replies == [
        b"+OK\r\n",
        b"+OK\r\n",
        b"+OK\r\n",
        b"$1\r\n3\r\n",
        b"+OK\r\n",
        b"+QUEUED\r\n",
        b"+QUEUED\r\n",
        b"*2\r\n:4\r\n:1\r\n",
        b"$1\r\n1\r\n",
    ]
    assert server.client().get("a") == b"0"


def test_a_copy_that_fails_loses_no_reply(run, start_server) -> None:
    bench = run(parallel(1, 3))  # nothing listens on port 1
    replies = bench.play(*[f"GET k{index}" for index in range(50)])
    assert len(replies) == 50
    assert {reply[:23] for reply in replies} == {b"-ERR shotover: upstream"}


def test_clients_that_leave_while_copies_are_silent_leave_nothing(run) -> None:
    silent = Silent()
    bench = run(
        {
            "ParallelMap": {
                "name": "map",
                "parallelism": 3,
                "ordered_results": True,
                "chain": [sink(silent.port, read_timeout=0.5)],
            }
        }
    )
    for _ in range(5):
        client = bench.client()
        client.send(encode("GET", "a") + encode("FLUSHALL") + encode("GET", "b") + encode("MULTI"))
        wait_until(lambda: b"GET" in silent.received, "the request arrives")
        client.close()
    bench.settle()
    silent.close()


def test_load_balance_passes_everything_and_shares(run, start_server) -> None:
    server = start_server()
    bench = run(
        {
            "ConnectionBalanceAndPool": {
                "name": "pool",
                "max_connections": 3,
                "chain": [sink(server.port)],
            }
        }
    )
    clients = [bench.client() for _ in range(20)]
    for index, client in enumerate(clients):
        assert client.command("SET", f"k{index}", index) == b"+OK\r\n"
        assert client.ask("GET", f"k{index}") == str(index).encode()
    assert bench.sample("shotover_upstream_connections") <= 3


def test_load_balance_bounds_upstream_connections(run, start_server) -> None:
    server = start_server()
    bench = run(
        {"LoadBalance": {"name": "pool", "max_connections": 2, "chain": [sink(server.port)]}}
    )
    blocked, refused, plain = bench.client(), bench.client(), bench.client()
    assert plain.command("PING") == b"+PONG\r\n"
    blocked.send(encode("BLPOP", "l", "0"))
    wait_until_equal(lambda: bench.sample("shotover_leases"), 1, "leases")
    assert refused.command("BLPOP", "l", "0").startswith(
        b"-ERR shotover: upstream unavailable: as many connections as may be are open (max_connections)"
    )
    assert plain.command("RPUSH", "l", "x") == b":1\r\n"
    assert blocked.value() == [b"l", b"x"]
    assert refused.command("PING") == b"+PONG\r\n"
