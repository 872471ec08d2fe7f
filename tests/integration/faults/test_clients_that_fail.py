"""Clients that never read, or leave in the middle of anything. What they did costs them alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.chaos import UP, Link
from support.endpoint import Endpoint
from support.resp import RawClient, encode
from support.wait import wait_until, wait_until_equal

MIB = 1 << 20
OUTPUT_MAX = 16 * MIB


def leave(raw: RawClient, how: str) -> None:
    if how == "reset":
        raw.reset()
    else:
        raw.close()


LEAVING = pytest.mark.parametrize("how", ["close", "reset"])


def blocked_count(endpoint: Endpoint) -> int:
    with endpoint.server.client() as client:
        return int(client.info("clients")["blocked_clients"])


@pytest.fixture
def bounded(make_endpoint: Callable[..., Endpoint]) -> Endpoint:
    """At most OUTPUT_MAX bytes of replies may wait for one client."""
    return make_endpoint(source={"client_output_buffer_bytes": OUTPUT_MAX})


@pytest.mark.measures
def test_a_client_that_never_reads_its_replies(bounded: Endpoint) -> None:
    """It asks for 100 MiB and reads nothing: that costs what the configuration allows, no more."""
    neighbour = bounded.raw()
    neighbour.command("SET", "big", b"x" * MIB)
    before = bounded.proxy.resident_size() if bounded.proxy else 0
    raw = bounded.raw(receive_buffer_size=4096)
    raw.send(encode("GET", "big") * 100)
    for number in range(200):
        assert neighbour.command("ECHO", number) == b"$%d\r\n%d\r\n" % (len(str(number)), number)
    if bounded.proxy:
        assert bounded.proxy.resident_size() - before < OUTPUT_MAX + 24 * MIB
        wait_until_equal(bounded.proxy.sessions, 1.0, "the proxy has disconnected it")
    raw.reset()


@pytest.mark.variants
def test_a_client_that_reads_late_gets_everything_in_order(endpoint: Endpoint) -> None:
    neighbour = endpoint.raw()
    neighbour.command("SET", "big", b"x" * 100_000)
    raw = endpoint.raw(receive_buffer_size=4096)
    count = 60
    raw.send(b"".join(encode("GET", "big") + encode("ECHO", i) for i in range(count)))
    for number in range(100):
        assert neighbour.command("ECHO", number) == b"$%d\r\n%d\r\n" % (len(str(number)), number)
    for number in range(count):
        assert len(raw.frame()) == 100_011
        assert raw.value() == b"%d" % number


@pytest.mark.variants
@pytest.mark.measures
def test_a_client_that_only_ever_sends(endpoint: Endpoint) -> None:
    """It never reads and never stops: its share is bounded, its neighbours are not held up."""
    neighbour = endpoint.raw()
    raw = endpoint.raw(receive_buffer_size=4096)
    raw.socket.settimeout(0.3)
    burst = encode("ECHO", "y" * 1000) * 1000
    try:
        for _ in range(100):  # 100 MB, if nobody stops it
            raw.socket.sendall(burst)
    except (TimeoutError, ConnectionError):
        pass
    for _ in range(100):
        assert neighbour.command("PING") == b"+PONG\r\n"
    if endpoint.proxy:
        assert endpoint.proxy.resident_size() < 100 * MIB
    raw.reset()


def test_a_subscriber_that_never_reads(bounded: Endpoint) -> None:
    """The server drops it at its own limit (32 MiB); the proxy at its own."""
    publisher, healthy = bounded.raw(), bounded.raw()
    raw = bounded.raw(receive_buffer_size=4096)
    raw.ask("SUBSCRIBE", "flood")
    healthy.ask("SUBSCRIBE", "calm")
    for _ in range(100):
        publisher.command("PUBLISH", "flood", b"x" * MIB)
    for number in range(20):
        assert publisher.command("PUBLISH", "calm", number) == b":1\r\n"
        assert healthy.value()[2] == b"%d" % number
    if bounded.proxy or bounded.server.kind == "redis":  # Valkey counts shared payloads once
        wait_until_equal(
            lambda: publisher.command("PUBLISH", "flood", "x"), b":0\r\n", "nobody listens"
        )
    raw.reset()


@LEAVING
def test_leaving_in_the_middle_of_a_request(endpoint: Endpoint, how: str) -> None:
    neighbour = endpoint.raw()
    request = encode("SET", "k", "v" * 100)
    for cut in range(1, len(request), 3):
        raw = endpoint.raw()
        raw.send(request[:cut])
        leave(raw, how)
    assert neighbour.command("EXISTS", "k") == b":0\r\n"


@LEAVING
def test_leaving_in_the_middle_of_a_reply(endpoint: Endpoint, how: str) -> None:
    neighbour = endpoint.raw()
    neighbour.command("SET", "big", b"x" * (4 * MIB))
    for _ in range(5):
        raw = endpoint.raw(receive_buffer_size=4096)
        raw.send(encode("GET", "big") + encode("INCR", "n"))
        assert raw.exactly(100).startswith(b"$4194304\r\n")
        leave(raw, how)
        for number in range(20):
            assert neighbour.command("ECHO", number) == b"$%d\r\n%d\r\n" % (
                len(str(number)),
                number,
            )
    wait_until_equal(lambda: neighbour.ask("GET", "n"), b"5", "every INCR was executed, once")


@LEAVING
def test_leaving_with_a_thousand_replies_outstanding(endpoint: Endpoint, how: str) -> None:
    neighbour = endpoint.raw()
    for turn in range(5):
        raw = endpoint.raw()
        raw.send(encode("INCR", "n") * 1000)
        raw.exactly(1)
        leave(raw, how)
        for number in range(50):
            assert neighbour.command("ECHO", number) == b"$%d\r\n%d\r\n" % (
                len(str(number)),
                number,
            )
        del turn


@LEAVING
def test_leaving_while_blocked(endpoint: Endpoint, how: str) -> None:
    neighbour = endpoint.raw()
    for words in (
        ("BLPOP", "k", "0"),
        ("XREAD", "BLOCK", "0", "STREAMS", "x", "$"),
        ("BLMOVE", "k", "to", "LEFT", "LEFT", "0"),
    ):
        raw = endpoint.raw()
        raw.send(encode(*words))
        wait_until_equal(lambda: blocked_count(endpoint), 1, "the server waits")
        leave(raw, how)
        wait_until_equal(lambda: blocked_count(endpoint), 0, "the server waits no more")
    neighbour.command("RPUSH", "k", "v")
    assert neighbour.command("LLEN", "k") == b":1\r\n"


@LEAVING
@pytest.mark.variants
def test_leaving_inside_a_transaction(endpoint: Endpoint, how: str) -> None:
    """Nothing of it happens, and whoever uses the upstream connection next is in no transaction."""
    neighbour = endpoint.raw()
    for opening in (("MULTI",), ("WATCH", "k")):
        for _ in range(5):
            raw = endpoint.raw()
            assert raw.command(*opening) == b"+OK\r\n"
            raw.command("SET", "k" if opening[0] == "MULTI" else "other", "v")
            leave(raw, how)
    for _ in range(20):
        fresh = endpoint.raw()
        assert fresh.command("GET", "k") == b"$-1\r\n"
        assert fresh.ask("EXEC") == "ERR EXEC without MULTI"
        assert fresh.command("MULTI") == b"+OK\r\n"
        assert fresh.command("SET", "fresh", "1") == b"+QUEUED\r\n"
        assert neighbour.command("INCR", "n").startswith(b":")
        assert fresh.command("EXEC") == b"*1\r\n+OK\r\n"


@pytest.mark.variants
def test_state_never_passes_to_the_next_client(endpoint: Endpoint) -> None:
    """Every state a connection can be left in, then a new client: it must find a new connection."""
    states = [
        [("SELECT", "7")],
        [("HELLO", "3")],
        [("CLIENT", "SETNAME", "old")],
        [("MULTI",), ("SET", "a", "1")],
        [("WATCH", "a")],
        [("SUBSCRIBE", "ch")],
        [("PSUBSCRIBE", "*")],
        [("MONITOR",)],
        [("CLIENT", "REPLY", "OFF")],
        [("HELLO", "3"), ("CLIENT", "TRACKING", "ON", "BCAST")],
        [("CLIENT", "NO-EVICT", "on")],
        [("CLIENT", "REPLY", "SKIP")],
        [("SELECT", "3"), ("MULTI",)],
        [("BLPOP", "nothing", "0")],
    ]
    writer = endpoint.raw()
    for index, state in enumerate(states * 2):
        raw = endpoint.raw()
        raw.send(b"".join(encode(*words) for words in state))
        writer.command("SET", "sync", index)
        leave(raw, "reset" if index % 2 else "close")
        fresh = endpoint.raw()
        writer.command("SET", "elsewhere", index)
        writer.command("PUBLISH", "ch", "x")
        assert fresh.command("GET", "elsewhere") == b"$%d\r\n%d\r\n" % (len(str(index)), index), (
            state
        )
        assert fresh.command("CLIENT", "GETNAME") == b"$-1\r\n", state
        assert fresh.command("HGETALL", "none") == b"*0\r\n", state
        assert fresh.ask("EXEC") == "ERR EXEC without MULTI", state
        assert fresh.silent(0.005), state
        fresh.close()


def test_a_link_that_stutters_changes_nothing(endpoint: Endpoint, start_link) -> None:
    """Client and endpoint over a link that sends one byte a segment, both ways."""
    link: Link = start_link(endpoint.port)
    link.split(1)
    with RawClient(link.port) as raw:
        raw.send(b"".join(encode("SET", f"k{i}", i) + encode("GET", f"k{i}") for i in range(50)))
        for index in range(50):
            assert raw.frames(2) == [b"+OK\r\n", b"$%d\r\n%d\r\n" % (len(str(index)), index)]


def test_a_client_whose_line_goes_dead_holds_up_nobody(endpoint: Endpoint, start_link) -> None:
    link: Link = start_link(endpoint.port)
    neighbour = endpoint.raw()
    neighbour.command("SET", "big", b"x" * MIB)
    with RawClient(link.port) as raw:
        raw.command("PING")
        link.stall(UP)
        raw.send(encode("GET", "big") * 20)
        for _ in range(100):
            assert neighbour.command("PING") == b"+PONG\r\n"
        link.resume()
        for _ in range(20):
            assert len(raw.frame()) == MIB + 12


LAST_WORDS = {
    "reply off": (("CLIENT", "REPLY", "OFF"),),
    "reply skip": (("CLIENT", "REPLY", "SKIP"),),
    "blocked": (("BLPOP", "nothing", "0"),),
    "blocked in the middle": (("SET", "a", "1"), ("BLPOP", "nothing", "0"), ("SET", "a", "2")),
    "blocked before a thousand": (("BLPOP", "nothing", "0"), *[("PING",)] * 1100),
    "reading a stream": (("XREAD", "BLOCK", "0", "STREAMS", "x", "$"),),
    "waiting": (("WAIT", "1", "0"),),
    "subscribed": (("SUBSCRIBE", "a"),),
    "subscribed, refused, unsubscribed": (("SUBSCRIBE", "a"), ("MULTI",), ("UNSUBSCRIBE",)),
    "monitoring": (("MONITOR",),),
    "in a transaction": (("MULTI",), ("SET", "a", "1")),
    "watching": (("WATCH", "a"),),
    "in RESP3, tracking": (("HELLO", "3"), ("CLIENT", "TRACKING", "ON")),
    "quitting": (("QUIT",),),
}


@LEAVING
@pytest.mark.variants
@pytest.mark.parametrize("name", LAST_WORDS)
def test_leaving_in_the_same_moment(endpoint: Endpoint, name: str, how: str) -> None:
    """The words and the end come together: no session, nobody blocked and no lease is left."""

    def connected() -> int:
        with endpoint.server.client() as client:
            return int(client.info("clients")["connected_clients"])

    neighbour = endpoint.raw()
    neighbour.command("PING")
    before = connected()
    for _ in range(10):
        raw = endpoint.raw()
        raw.send(b"".join(encode(*words) for words in LAST_WORDS[name]))
        leave(raw, how)
    wait_until_equal(lambda: blocked_count(endpoint), 0, "the server waits for nobody")
    if endpoint.proxy:
        wait_until_equal(endpoint.proxy.sessions, 1.0, "the neighbour is left, alone")
    wait_until(lambda: connected() <= before + 8, "leases have ended, but for a few kept idle")
    assert neighbour.command("PING") == b"+PONG\r\n"


@LEAVING
@pytest.mark.variants
def test_leaving_while_its_connection_is_opened_harms_no_neighbour(
    endpoint: Endpoint, how: str
) -> None:
    """A connect given up because its client has gone says nothing about the server."""
    for turn in range(20):
        for raw in [endpoint.raw() for _ in range(10)]:
            raw.send(encode("MULTI") + encode("SET", "a", "1"))
            leave(raw, how)
        with endpoint.raw() as neighbour:
            assert neighbour.command("MULTI") == b"+OK\r\n"
            assert neighbour.command("INCR", "n") == b"+QUEUED\r\n"
            assert neighbour.command("EXEC") == b"*1\r\n:%d\r\n" % (turn + 1)
