"""Coalesce: what is held, what sends it, and that nothing is lost or reordered."""

from __future__ import annotations

import time

from support.resp import encode
from support.wait import wait_until, wait_until_equal

from chain.bench import Bench, sink

HOUR_MS = 3_600_000


def coalesce(count: int | None = None, millis: int | None = None) -> dict:
    fields = {
        "flush_when_buffered_message_count": count,
        "flush_when_millis_since_last_flush": millis,
    }
    return {"Coalesce": {key: value for key, value in fields.items() if value is not None}}


def held(bench: Bench, count: int) -> None:
    wait_until_equal(
        lambda: bench.sample("shotover_coalesce_held_requests"), count, "requests held"
    )


def test_a_count_sends_what_is_held(run, start_server) -> None:
    server = start_server()
    bench = run(coalesce(count=5), sink(server.port))
    first, second = bench.client(), bench.client()
    first.send(encode("RPUSH", "l", "1") + encode("RPUSH", "l", "2"))
    held(bench, 2)
    second.send(encode("RPUSH", "l", "3"))
    held(bench, 3)
    assert server.client().llen("l") == 0
    first.send(encode("RPUSH", "l", "4") + encode("LRANGE", "l", "0", "-1"))
    assert first.frames(3) == [b":1\r\n", b":2\r\n", b":4\r\n"]
    assert first.value() == [b"1", b"2", b"3", b"4"]
    assert second.frame() == b":3\r\n"
    assert bench.sample("shotover_coalesce_flushes_count") == 1


def test_a_real_timer_sends_what_is_held(run) -> None:
    bench = run(coalesce(millis=50), {"DebugReturner": {"Redis": "42"}})
    client = bench.client()
    start = time.monotonic()
    for _ in range(3):
        assert client.command("GET", "a") == b"$2\r\n42\r\n"
    assert time.monotonic() - start >= 0.1  # the first may wait for less than the interval


def test_a_client_that_leaves_still_has_its_writes_sent_to_its_own_database(
    run, start_server
) -> None:
    server = start_server()
    bench = run(coalesce(count=1000, millis=HOUR_MS), sink(server.port))
    client = bench.client()
    client.send(encode("SELECT", "5") + encode("SET", "a", "1") + encode("INCR", "a"))
    held(bench, 3)
    client.close()
    wait_until_equal(lambda: server.client(db=5).get("a"), b"2", "a in database 5")
    assert server.client().get("a") is None


def test_a_drain_sends_what_is_held_and_answers_it(run, start_server) -> None:
    server = start_server()
    bench = run(coalesce(count=1000), sink(server.port))
    client = bench.client()
    client.send(encode("SET", "a", "1") + encode("GET", "a"))
    held(bench, 2)
    bench.worker.drain(5000)
    assert client.frames(2) == [b"+OK\r\n", b"$1\r\n1\r\n"]
    assert client.rest() == b""


def test_a_client_that_may_send_no_more_is_not_left_waiting(run) -> None:
    bench = run(
        coalesce(count=1_000_000),
        {"DebugReturner": {"Redis": "42"}},
        source={"max_pending_requests": 100},
    )
    assert bench.play(*["GET a"] * 100) == [b"$2\r\n42\r\n"] * 100


def test_what_is_held_is_bounded_in_bytes(run) -> None:
    bench = run(coalesce(count=1_000_000), {"DebugReturner": {"Redis": "42"}})
    client = bench.client()
    client.send(encode("SET", "a", b"x" * (17 << 20)))
    assert client.frame() == b"$2\r\n42\r\n"


def test_under_an_ignoring_tee_nobody_waits_and_shutdown_sends_the_rest(run, start_server) -> None:
    """The shape of a disaster-recovery topology: the second server hears in large batches."""
    main, recovery = start_server(), start_server()
    tee = {
        "Tee": {
            "behavior": "Ignore",
            "buffer_size": 10000,
            "chain": [
                {"QueryTypeFilter": {"filter": "Read"}},
                coalesce(2000, HOUR_MS),
                {"QueryCounter": {"name": "DR"}},
                sink(recovery.port),
            ],
        }
    }
    bench = run(tee, {"QueryCounter": {"name": "main"}}, sink(main.port))
    client = bench.client()
    for index in range(1000):
        assert client.command("SET", f"k{index}", index) == b"+OK\r\n"
        assert client.command("GET", f"k{index}") == b"$%d\r\n%d\r\n" % (len(str(index)), index)
    held(bench, 1000)
    assert recovery.client().dbsize() == 0
    for index in range(1000):
        client.command("SET", f"k{index}", "again")
    wait_until_equal(lambda: recovery.client().dbsize(), 1000, "keys after the 2000th write")
    client.command("SET", "last", "1")
    held(bench, 1)
    client.close()
    wait_until(lambda: recovery.client().get("last") == b"1", "the last write")
    assert bench.sample("shotover_query_count", name="DR", query="GET") == 0
    assert bench.sample("shotover_tee_dropped_messages_count") == 0
