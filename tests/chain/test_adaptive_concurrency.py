"""AdaptiveConcurrency: the limit, who waits, who is refused, and that order and transactions survive it."""

from __future__ import annotations

from typing import Any

from support.resp import encode
from support.wait import wait_until, wait_until_equal

from chain.bench import Bench, Silent, sink

OLD = b"-BUSY shotover: overloaded, the request has waited too long (AdaptiveConcurrency)\r\n"
FULL = b"-BUSY shotover: overloaded, too many requests wait (AdaptiveConcurrency)\r\n"


def adaptive(**fields: Any) -> dict[str, Any]:
    return {"AdaptiveConcurrency": fields}


def slow(milliseconds: float, **conditions: Any) -> dict[str, Any]:
    """Beneath it: a server that takes so long for each request of a client, one after the other."""
    return {"FaultInjection": {"faults": [{"delay_ms": milliseconds, **conditions}]}}


def gauge(bench: Bench, name: str) -> float:
    return bench.sample(f"shotover_concurrency_{name}")


def refused(bench: Bench, reason: str) -> float:
    return bench.sample("shotover_refusals_count", reason=reason)


def test_no_more_than_the_limit_are_under_way(run) -> None:
    silent = Silent()
    bench = run(
        adaptive(min_concurrency=2, max_concurrency=2, queue_target_ms=60_000), sink(silent.port)
    )
    clients = [bench.client() for _ in range(5)]
    for client in clients:
        client.send(encode("GET", "a") * 3)
    wait_until_equal(lambda: gauge(bench, "waiting"), 13, "requests that wait")
    assert gauge(bench, "under_way") == 2
    wait_until_equal(lambda: silent.received, encode("GET", "a") * 2, "what has been sent on")
    for client in clients:
        client.reset()
    wait_until_equal(
        lambda: refused(bench, "client_gone"), 13, "requests of clients that have left"
    )
    silent.close()


def test_what_waits_too_long_is_refused_in_its_turn(run) -> None:
    bench = run(
        adaptive(min_concurrency=1, max_concurrency=1, queue_target_ms=5),
        slow(300, count=1),
        {"DebugReturner": {"Redis": "42"}},
    )
    replies = bench.play(*["GET a"] * 6)
    assert replies == [b"$2\r\n42\r\n"] + [OLD] * 5
    assert refused(bench, "queue_age") == 5
    assert bench.play("GET a") == [b"$2\r\n42\r\n"]


def test_clients_take_turns_however_much_they_send(run, start_server) -> None:
    """Each client's requests take 2 ms one by one; one at a time may be under way."""
    bench = run(
        adaptive(min_concurrency=1, max_concurrency=1, queue_target_ms=60_000),
        slow(2),
        sink(start_server().port),
    )
    greedy, modest = bench.client(), bench.client()
    greedy.send(encode("RPUSH", "l", "greedy") * 100)
    wait_until(lambda: gauge(bench, "waiting") > 50, "much waits")
    assert int(modest.command("RPUSH", "l", "modest")[1:]) <= 60
    greedy.frames(100)
    assert bench.client().command("LLEN", "l") == b":101\r\n"


def test_background_work_goes_first_when_there_is_no_room(run) -> None:
    silent = Silent()
    bench = run(
        adaptive(
            min_concurrency=1,
            max_concurrency=1,
            queue_target_ms=60_000,
            queue_max=4,
            priorities=[
                {"priority": "background", "commands": ["STRLEN"]},
                {"priority": "critical", "query_types": ["Write"]},
            ],
        ),
        sink(silent.port),
    )
    background, normal, critical = bench.client(), bench.client(), bench.client()
    background.send(encode("STRLEN", "a") * 5)
    wait_until_equal(lambda: gauge(bench, "waiting"), 4, "requests that wait")
    normal.send(encode("GET", "a") * 3)
    wait_until_equal(lambda: refused(bench, "queue_full"), 3, "requests refused")
    critical.send(encode("SET", "a", 1) * 3)
    wait_until_equal(lambda: refused(bench, "queue_full"), 6, "requests refused")
    normal.send(encode("GET", "a"))
    wait_until_equal(lambda: refused(bench, "queue_full"), 7, "requests refused")
    silent.close()
    assert background.frames(5)[1:] == [FULL] * 4
    assert [reply == FULL for reply in normal.frames(4)].count(True) == 3
    assert not any(reply == FULL for reply in critical.frames(3))


def test_a_transaction_is_whole_or_not_at_all(run, start_server) -> None:
    server = start_server()
    bench = run(
        adaptive(min_concurrency=1, max_concurrency=1, queue_target_ms=1, queue_max=1),
        slow(1, percent=50),
        sink(server.port),
    )
    clients = [bench.client() for _ in range(20)]
    words = ["MULTI", "INCR a", "INCR b", "EXEC", "GET a", "GET a", "GET a"]
    for client in clients:
        client.send(b"".join(encode(*word.split()) for word in words) * 5)
    done = 0
    for client in clients:
        for _ in range(5):
            replies = client.frames(len(words))
            assert replies[:3] == [b"+OK\r\n", b"+QUEUED\r\n", b"+QUEUED\r\n"]
            assert replies[3].startswith(b"*2")
            done += 1
    assert server.client().mget("a", "b") == [b"100", b"100"]
    assert done == 100


def test_the_limit_shrinks_to_its_floor_while_the_server_is_slow_and_grows_again(run) -> None:
    """Reads are quick until one of them, for a while, is not."""
    bench = run(
        adaptive(min_concurrency=4, max_concurrency=200, queue_target_ms=2),
        slow(5, commands="STRLEN"),
        {"DebugReturner": {"Redis": "42"}},
    )
    clients = [bench.client() for _ in range(40)]

    def ask(command: str) -> None:
        for client in clients:
            client.send(encode(command, "a"))
        for client in clients:
            client.frame()

    def until(command: str, low: float, high: float) -> None:
        def there() -> bool:
            ask(command)
            return low <= gauge(bench, "limit") <= high

        wait_until(there, f"a limit from {low} to {high}", deadline_s=30)

    wait_until(lambda: ask("GET") or gauge(bench, "slowness") > 0, "it knows how quick GET is")
    assert gauge(bench, "limit") >= 40
    until("STRLEN", 4, 5)
    until("STRLEN", 20, 200)  # slow for long, and not because of us: that is how it is now
    assert gauge(bench, "limit") <= 200


def test_replies_that_do_not_come_halve_it(run) -> None:
    silent = Silent()
    bench = run(adaptive(), sink(silent.port, read_timeout=0.05))
    before = gauge(bench, "limit")
    for _ in range(5):
        clients = [bench.client() for _ in range(20)]
        for client in clients:
            client.send(encode("GET", "a"))
        for client in clients:
            assert client.frame().startswith(b"-ERR shotover: upstream connection lost")
    wait_until(lambda: gauge(bench, "limit") <= before / 2, "the limit is halved")
    silent.close()


def test_a_shadow_only_looks(run) -> None:
    bench = run(
        adaptive(min_concurrency=1, max_concurrency=1, queue_target_ms=1, shadow=True),
        slow(30),
        {"DebugReturner": {"Redis": "42"}},
    )
    assert bench.play(*["GET a"] * 6) == [b"$2\r\n42\r\n"] * 6
    assert bench.sample("shotover_concurrency_shadow_count") == 5
    assert refused(bench, "queue_age") == 0


def test_what_blocks_is_not_counted(run, start_server) -> None:
    bench = run(
        adaptive(min_concurrency=1, max_concurrency=1, queue_target_ms=1), sink(start_server().port)
    )
    blocked, other = bench.client(), bench.client()
    blocked.send(encode("BLPOP", "l", 0))
    assert other.command("RPUSH", "k", 1) == b":1\r\n"
    assert other.command("RPUSH", "l", "x") == b":1\r\n"
    assert blocked.value() == [b"l", b"x"]


def test_a_drain_sends_what_waits(run, start_server) -> None:
    bench = run(
        adaptive(min_concurrency=1, max_concurrency=1, queue_target_ms=60_000),
        slow(50),
        sink(start_server().port),
    )
    client = bench.client()
    client.send(encode("INCR", "a") * 4)
    wait_until_equal(lambda: gauge(bench, "waiting"), 3, "requests that wait")
    bench.worker.drain(5000)
    assert client.frames(4) == [b":1\r\n", b":2\r\n", b":3\r\n", b":4\r\n"]
