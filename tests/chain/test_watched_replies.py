"""Steps that look at replies see whole ones, all of them, whoever answered."""

from __future__ import annotations

from support.wait import wait_until

from chain.bench import Scripted, sink

LOST = b"-ERR shotover: upstream connection lost: closed by the server"


def test_a_reply_cut_by_the_server_becomes_an_error_when_nothing_of_it_has_gone_out(run) -> None:
    server = Scripted(b"$3\r\none\r\n$100\r\nhalf of it")
    bench = run("DebugPrinter", sink(server.port, retries=0))
    replies = bench.play("GET a", "GET b", "GET c")
    assert replies[0] == b"$3\r\none\r\n"
    assert [reply[: len(LOST)] for reply in replies[1:]] == [LOST, LOST]
    server.close()


def test_a_shortened_run_cut_by_the_server_keeps_its_whole_replies(run) -> None:
    """One run of which ten may pass: two whole replies, half a reply, nothing; then errors of the throttle."""
    server = Scripted(b"$3\r\none\r\n$3\r\ntwo\r\n$100\r\nhalf of it")
    bench = run({"RequestThrottling": {"max_requests_per_second": 50}}, sink(server.port))
    replies = bench.play(*["GET a"] * 70)
    assert replies[:2] == [b"$3\r\none\r\n", b"$3\r\ntwo\r\n"]
    lost = [reply for reply in replies if reply.startswith(LOST)]
    throttled = [reply for reply in replies if reply.startswith(b"-ERR Server overloaded")]
    assert len(lost) >= 48
    assert replies[2:] == lost + throttled


def test_large_replies_are_seen_whole_and_arrive_whole(run, start_server) -> None:
    server = start_server()
    value = b"0123456789abcdef" * (1 << 17)
    server.client().set("a", value)
    bench = run("DebugPrinter", sink(server.port))
    client = bench.client()
    for _ in range(3):
        assert client.ask("GET", "a") == value
    wait_until(
        lambda: sum(line.startswith('Response: "0123456789') for line in bench.log()) == 3,
        "three log lines",
    )


def test_a_refused_connection_is_seen_too(run) -> None:
    bench = run("DebugPrinter", sink(1))
    bench.play("GET a", "SELECT 3", "MULTI", "EXEC")
    wait_until(
        lambda: sum(line.startswith("Response: -ERR") for line in bench.log()) == 4,
        "four log lines",
    )


def test_every_kind_of_request_is_seen(run, start_server) -> None:
    """Those that the sink itself watches, answers or leases for, as well."""
    server = start_server()
    bench = run("DebugPrinter", sink(server.port))
    requests = [
        "SELECT 1",
        "CLIENT SETNAME x",
        "MULTI",
        "INCR a",
        "EXEC",
        "BLPOP l 0.01",
        "CLIENT ID",
        "WATCH a",
        "UNWATCH",
        "RESET",
        "HELLO 3",
        "GET a",
        "PSYNC a b",
    ]
    replies = bench.play(*requests)
    assert len(replies) == len(requests)
    wait_until(
        lambda: sum(line.startswith("Response: ") for line in bench.log()) == len(requests),
        "log lines",
    )


def test_confirmations_of_subscriptions_stay_in_step_with_messages(run, start_server) -> None:
    server = start_server()
    bench = run("DebugPrinter", sink(server.port))
    client = bench.client()
    assert client.ask("SUBSCRIBE", "a", "b") == [b"subscribe", b"a", 1]
    assert client.value() == [b"subscribe", b"b", 2]
    server.client().publish("a", "x")
    assert client.value() == [b"message", b"a", b"x"]
    assert sorted([client.ask("UNSUBSCRIBE")[:2], client.value()[:2]]) == [
        [b"unsubscribe", b"a"],
        [b"unsubscribe", b"b"],
    ]
    assert client.command("PING") == b"+PONG\r\n"
