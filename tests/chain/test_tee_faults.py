"""Tee before second chains that are slow, silent, dead or die: clients notice nothing, memory is bounded."""

from __future__ import annotations

import time

import pytest
from support.resp import encode
from support.wait import wait_until, wait_until_equal

from chain.bench import Silent, sink
from chain.test_tee import dropped, returner, tee

DIFFER = b"-ERR the replies of the two chains differ (shotover: Tee, FailOnMismatch)\r\n"


@pytest.fixture
def silent():
    server = Silent()
    yield server
    server.close()


@pytest.fixture
def frozen():
    """It accepts and does not even read."""
    server = Silent(reads=False)
    yield server
    server.close()


def test_a_silent_side_holds_up_nobody(run, start_server, silent) -> None:
    main = start_server()
    bench = run(tee("Ignore", sink(silent.port, read_timeout=1), buffer_size=5), sink(main.port))
    clients = [bench.client() for _ in range(20)]
    for _ in range(50):
        for client in clients:
            client.send(encode("INCR", "a"))
        for client in clients:
            client.frame()
    assert main.client().get("a") == b"1000"
    assert dropped(bench) == 20 * (50 - 6)  # one batch of each client is under way, five wait
    for client in clients:
        client.close()
    bench.settle()


def test_the_order_of_what_a_slow_side_gets_is_kept(run, start_server) -> None:
    main, side = start_server(), start_server()
    bench = run(tee("Ignore", sink(side.port)), sink(main.port))
    side.client().client_pause(300)
    client = bench.client()
    for index in range(500):
        client.command("RPUSH", "l", index)
    wait_until_equal(lambda: side.client().llen("l"), 500, "elements on the side")
    assert side.client().lrange("l", 0, -1) == main.client().lrange("l", 0, -1)
    assert dropped(bench) == 0


def test_a_dead_side_holds_up_nobody(run, start_server) -> None:
    main = start_server()
    bench = run(tee("Ignore", sink(1)), sink(main.port))
    client = bench.client()
    for index in range(200):
        assert client.command("INCR", "a") == b":%d\r\n" % (index + 1)
    assert client.command("MULTI") == b"+OK\r\n"
    assert client.command("INCR", "a") == b"+QUEUED\r\n"
    assert client.command("EXEC") == b"*1\r\n:201\r\n"
    assert client.command("SELECT", "3") == b"+OK\r\n"
    assert client.command("GET", "a") == b"$-1\r\n"


def test_a_side_that_dies_in_a_transaction_hurts_nobody(run, start_server) -> None:
    main, side = start_server(), start_server()
    bench = run(tee("Ignore", sink(side.port)), sink(main.port))
    client = bench.client()
    assert client.command("MULTI") == b"+OK\r\n"
    assert client.command("SET", "a", "1") == b"+QUEUED\r\n"
    wait_until(
        lambda: (
            "multi=1" in str(side.client().execute_command("CLIENT LIST", parse=None))
            or any(c["multi"] == "1" for c in side.client().client_list())
        ),
        "queued on the side",
    )
    side.restart()
    wait_until_equal(lambda: bench.sample("shotover_leases"), 1, "leases: only the main one")
    assert client.command("SET", "b", "1") == b"+QUEUED\r\n"
    assert client.command("EXEC") == b"*2\r\n+OK\r\n+OK\r\n"
    assert client.command("SET", "c", "1") == b"+OK\r\n"
    wait_until(
        lambda: client.command("SET", "c", "1") and side.client().get("c") == b"1",
        "the side hears again",
    )
    assert side.client().mget("a", "b") == [None, None]  # never the half of a transaction


def test_memory_is_bounded_when_the_side_does_not_read(run, frozen) -> None:
    bench = run(
        tee("Ignore", sink(frozen.port, read_timeout=4), buffer_size=1_000_000), returner("42")
    )
    client = bench.client()
    value = b"x" * 1_000_000
    for _ in range(100):
        assert client.command("SET", "a", value) == b"$2\r\n42\r\n"
    assert bench.sample("shotover_tee_held_bytes") <= 64 << 20
    assert bench.sample("shotover_memory_bytes") <= 160 << 20
    assert dropped(bench) >= 100 - 68
    client.close()
    bench.settle()
    assert bench.sample("shotover_tee_held_bytes") == 0


def test_a_place_is_waited_for_as_long_as_allowed(run, start_server) -> None:
    main, side = start_server(), start_server()
    bench = run(
        tee("Ignore", sink(side.port), buffer_size=1, timeout_micros=5_000_000), sink(main.port)
    )
    bench.play("SET warm 1")
    wait_until(lambda: side.client().get("warm"), "connected")
    bench.settle()
    side.client().client_pause(200)
    client = bench.client()
    for index in range(5):
        client.command("RPUSH", "l", index)
    wait_until_equal(
        lambda: side.client().lrange("l", 0, -1), [b"0", b"1", b"2"], "two under way, one waiting"
    )
    assert dropped(bench) == 2


def test_who_waits_too_long_for_a_place_is_dropped(run, silent) -> None:
    bench = run(
        tee("Ignore", sink(silent.port, read_timeout=3), buffer_size=2, timeout_micros=20_000),
        returner("42"),
    )
    client = bench.client()
    for _ in range(5):
        client.command("SET", "a", "1")
    wait_until_equal(lambda: dropped(bench), 2, "dropped after 20 ms")
    client.close()
    bench.settle()


def test_failing_waits_for_a_place_at_most_so_long(run, silent) -> None:
    bench = run(
        tee(
            "FailOnMismatch",
            sink(silent.port, read_timeout=3),
            buffer_size=1,
            timeout_micros=50_000,
        ),
        returner("42"),
    )
    client = bench.client()
    start = time.monotonic()
    for count in range(1, 4):
        client.send(encode("SET", "a", "1"))
        wait_until_equal(
            lambda n=count: bench.sample("shotover_tee_held_bytes"), 27 * count, "bytes held"
        )
    wait_until_equal(lambda: dropped(bench), 1, "the third has given up")
    assert time.monotonic() - start < 2
    assert client.frames(3) == [DIFFER] * 3  # the others when the side's read timeout is over


def test_state_is_never_dropped_and_transactions_only_whole(run, start_server) -> None:
    """Were a SELECT or half a transaction dropped, the side would write what nobody asked for."""
    main, side = start_server(), start_server()
    bench = run(tee("Ignore", sink(side.port), buffer_size=1), sink(main.port))
    bench.play("SET warm 1")
    wait_until(lambda: side.client().get("warm"), "connected")
    side.client().client_pause(500)
    client = bench.client()
    for index in range(20):
        client.command("SET", "filler", index)
    assert dropped(bench) > 10
    assert client.command("SELECT", "5") == b"+OK\r\n"
    assert client.command("MULTI") == b"+OK\r\n"
    assert client.command("SET", "t", "1") == b"+QUEUED\r\n"
    wait_until_equal(lambda: side.client(db=5).ping(), True, "the pause is over")
    wait_until_equal(lambda: bench.worker.census()["requests"], 0, "caught up")
    assert client.command("SET", "u", "1") == b"+QUEUED\r\n"
    assert client.command("EXEC") == b"*2\r\n+OK\r\n+OK\r\n"
    assert client.command("SET", "v", "1") == b"+OK\r\n"
    wait_until_equal(lambda: side.client(db=5).get("v"), b"1", "v in database 5")
    assert side.client(db=5).mget("t", "u") == [None, None]
    assert main.client(db=5).mget("t", "u") == [b"1", b"1"]
    assert side.client().exists("v", "t", "u") == 0


def test_clients_that_leave_leave_nothing_behind(run, silent, start_server) -> None:
    main = start_server()
    for behavior in (
        "Ignore",
        "FailOnMismatch",
        "LogWarningOnMismatch",
        {"SubchainOnMismatch": ["NullSink"]},
    ):
        bench = run(
            tee(behavior, sink(silent.port, read_timeout=0.3), buffer_size=1), sink(main.port)
        )
        for _ in range(10):
            client = bench.client()
            client.send(encode("SET", "a", "1") * 3 + encode("MULTI") + encode("SELECT", "2"))
            client.close()
        bench.gone()
        bench.settle()
        assert bench.sample("shotover_tee_held_bytes") == 0


def test_a_tee_within_a_tee(run, start_server) -> None:
    one, two, three = start_server(), start_server(), start_server()
    inner = tee("Ignore", sink(three.port))
    inner["Tee"]["name"] = "inner"
    bench = run(tee("FailOnMismatch", inner, sink(two.port)), sink(one.port))
    client = bench.client()
    for index in range(100):
        assert client.command("RPUSH", "l", index) == b":%d\r\n" % (index + 1)
    for server in (one, two, three):
        wait_until_equal(lambda s=server: s.client().llen("l"), 100, "elements")
    for step in bench.steps():
        if step.type_name == "Tee":
            step.switched = True
    assert client.command("RPUSH", "l", "x") == b":101\r\n"
    for server in (one, two, three):
        wait_until_equal(lambda s=server: s.client().llen("l"), 101, "elements")
