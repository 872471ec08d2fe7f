"""RequestThrottling: a burst of one second's worth, then errors; one meter for all its copies."""

from __future__ import annotations

import time

from support.wait import wait_until

from chain.bench import sink

OVERLOADED = b"-ERR Server overloaded (shotover: RequestThrottling)\r\n"
ANSWER = b"$2\r\n42\r\n"
RETURNER = {"DebugReturner": {"Redis": "42"}}


def throttling(rate: int) -> dict:
    return {"RequestThrottling": {"max_requests_per_second": rate}}


def test_a_pipeline_beyond_the_burst_is_refused_from_there_on(run) -> None:
    start = time.monotonic()
    replies = run(throttling(50), RETURNER).play(*["GET a"] * 120)
    passed = replies.count(ANSWER)
    assert replies == [ANSWER] * passed + [OVERLOADED] * (120 - passed)
    assert 50 <= passed <= 50 + 50 * (time.monotonic() - start) + 1


def test_a_mixed_pipeline_keeps_its_order(run, start_server) -> None:
    server = start_server()
    bench = run(throttling(50), sink(server.port))
    requests = [f"{name} k {value}".strip() for value in range(30) for name in ("SET", "APPEND")]
    replies = bench.play(*requests)
    assert replies[:50:2] == [b"+OK\r\n"] * 25
    assert replies[-1] == OVERLOADED
    assert bench.sample("shotover_throttled_requests_count") == replies.count(OVERLOADED)


def test_requests_pass_again_when_time_has_passed(run) -> None:
    bench = run(throttling(1000), RETURNER)
    client = bench.client()
    for _ in range(3):
        client.send(b"PING\r\n" * 1500)
        assert OVERLOADED in client.frames(1500)
    wait_until(lambda: client.command("GET", "a") == ANSWER, "a request passes")


def test_the_rate_is_kept_over_a_while(run) -> None:
    bench = run(throttling(2000), RETURNER)
    client = bench.client()
    start, passed = time.monotonic(), 0
    while time.monotonic() - start < 1.0:
        client.send(b"PING\r\n" * 200)
        passed += client.frames(200).count(ANSWER)
    elapsed = time.monotonic() - start
    assert 0.9 * 2000 * elapsed <= passed <= 2000 * (1 + elapsed) + 200


def test_copies_of_one_transform_share_its_meter(run) -> None:
    chain = {
        "ParallelMap": {
            "parallelism": 4,
            "ordered_results": True,
            "chain": [throttling(50), RETURNER],
        }
    }
    replies = run(chain).play(*[f"GET {index}" for index in range(200)])
    assert 50 <= replies.count(ANSWER) <= 75


def test_a_throttled_transaction_is_not_carried_out_in_part(run, start_server) -> None:
    server = start_server()
    bench = run(throttling(50), sink(server.port))
    replies = bench.play("MULTI", *["INCR a"] * 100, "EXEC")
    assert replies[0] == b"+OK\r\n"
    assert replies[-1] == b"-EXECABORT Transaction discarded because of previous errors.\r\n"
    assert server.client().get("a") is None


def test_a_client_that_leaves_amid_a_shortened_run_leaves_nothing(run, start_server) -> None:
    server = start_server()
    bench = run(throttling(50), sink(server.port))
    for _ in range(20):
        client = bench.client()
        client.send(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n" * 200)
        client.close()
    bench.settle()
