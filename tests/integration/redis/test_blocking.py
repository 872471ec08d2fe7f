"""Commands that wait for data: they wait, they wake, and nobody else is kept waiting."""

from __future__ import annotations

import time

import pytest
from support.endpoint import Endpoint
from support.resp import RawClient, encode
from support.wait import wait_until_equal

pytestmark = pytest.mark.variants

NEIGHBOUR_S = 0.5  # far above what a PING needs, far below every time-out here
# what blocks, what wakes it, what it then answers
BLOCKING = {
    "BLPOP": (("BLPOP", "k", "0"), ("RPUSH", "k", "v"), [b"k", b"v"]),
    "BRPOP": (("BRPOP", "none", "k", "20"), ("RPUSH", "k", "v"), [b"k", b"v"]),
    "BLMOVE": (("BLMOVE", "k", "to", "LEFT", "RIGHT", "0"), ("RPUSH", "k", "v"), b"v"),
    "BRPOPLPUSH": (("BRPOPLPUSH", "k", "to", "0"), ("RPUSH", "k", "v"), b"v"),
    "BLMPOP": (("BLMPOP", "0", "2", "none", "k", "LEFT"), ("RPUSH", "k", "v"), [b"k", [b"v"]]),
    "BZPOPMIN": (("BZPOPMIN", "k", "0"), ("ZADD", "k", "1", "v"), [b"k", b"v", b"1"]),
    "BZPOPMAX": (("BZPOPMAX", "k", "0"), ("ZADD", "k", "1", "v"), [b"k", b"v", b"1"]),
    "BZMPOP": (("BZMPOP", "0", "1", "k", "MIN"), ("ZADD", "k", "1", "v"), [b"k", [[b"v", b"1"]]]),
    "XREAD": (
        ("XREAD", "BLOCK", "0", "STREAMS", "k", "$"),
        ("XADD", "k", "5-5", "f", "v"),
        [[b"k", [[b"5-5", [b"f", b"v"]]]]],
    ),
    "XREADGROUP": (
        ("XREADGROUP", "GROUP", "g", "me", "BLOCK", "0", "STREAMS", "k", ">"),
        ("XADD", "k", "5-5", "f", "v"),
        [[b"k", [[b"5-5", [b"f", b"v"]]]]],
    ),
}


def blocked_count(endpoint: Endpoint) -> int:
    with endpoint.server.client() as client:
        return int(client.info("clients")["blocked_clients"])


def block(endpoint: Endpoint, *words: str) -> RawClient:
    """A connection that waits in the server for `words`."""
    before = blocked_count(endpoint)
    raw = endpoint.raw()
    raw.send(encode(*words))
    wait_until_equal(lambda: blocked_count(endpoint), before + 1, f"the server holds {words[0]}")
    return raw


@pytest.mark.parametrize("name", BLOCKING)
def test_it_waits_wakes_and_delays_nobody(endpoint: Endpoint, name: str) -> None:
    words, waker, expected = BLOCKING[name]
    neighbour = endpoint.raw()
    neighbour.command("PING")
    if name == "XREADGROUP":
        neighbour.command("XGROUP", "CREATE", "k", "g", "$", "MKSTREAM")
    raw = block(endpoint, *words)
    for _ in range(20):
        begin = time.monotonic()
        assert neighbour.command("PING") == b"+PONG\r\n"
        assert time.monotonic() - begin < NEIGHBOUR_S
    assert raw.silent()
    neighbour.command(*waker)
    assert raw.value() == expected
    assert raw.command("PING") == b"+PONG\r\n"


def test_a_time_out_answers_nil_on_time(endpoint: Endpoint) -> None:
    raw = endpoint.raw()
    for words in (
        ("BLPOP", "k", "0.2"),
        ("BLMOVE", "k", "to", "LEFT", "LEFT", "0.2"),
        ("XREAD", "BLOCK", "200", "STREAMS", "k", "$"),
        ("BZPOPMIN", "k", "0.2"),
    ):
        begin = time.monotonic()
        assert raw.command(*words) == b"*-1\r\n"
        assert 0.19 < time.monotonic() - begin < 2


def test_what_is_sent_after_a_blocking_command_is_answered_after_it(endpoint: Endpoint) -> None:
    waker = endpoint.raw()
    raw = block(endpoint, "BLPOP", "k", "0")
    raw.send(encode("SET", "a", "1") + encode("GET", "a"))
    assert raw.silent()
    assert waker.command("EXISTS", "a") == b":0\r\n"
    waker.command("RPUSH", "k", "v")
    assert raw.frames(3) == [b"*2\r\n$1\r\nk\r\n$1\r\nv\r\n", b"+OK\r\n", b"$1\r\n1\r\n"]


def test_a_pipeline_with_a_blocking_command_in_it(endpoint: Endpoint) -> None:
    raw, waker = endpoint.raw(), endpoint.raw()
    raw.send(encode("SET", "a", "1") + encode("BLPOP", "k", "0") + encode("INCR", "a"))
    assert raw.frame() == b"+OK\r\n"
    wait_until_equal(lambda: blocked_count(endpoint), 1, "the server holds BLPOP")
    assert waker.command("INCR", "a") == b":2\r\n"
    waker.command("RPUSH", "k", "v")
    assert raw.frames(2) == [b"*2\r\n$1\r\nk\r\n$1\r\nv\r\n", b":3\r\n"]


def test_many_wait_and_each_element_goes_to_one(endpoint: Endpoint) -> None:
    waiting = [block(endpoint, "BLPOP", "k", "0") for _ in range(30)]
    endpoint.raw().command("RPUSH", "k", *range(30))
    values = [raw.value()[1] for raw in waiting]
    assert values == [
        b"%d" % number for number in range(30)
    ]  # the server serves them in the order they came


def test_a_client_that_leaves_while_blocked_takes_nothing(endpoint: Endpoint) -> None:
    for leave in ("close", "reset"):
        raw = block(endpoint, "BLPOP", "k", "0")
        getattr(raw, leave)()
        wait_until_equal(lambda: blocked_count(endpoint), 0, f"the wait is cancelled after {leave}")
    other = endpoint.raw()
    other.command("RPUSH", "k", "v")
    assert other.command("LPOP", "k") == b"$1\r\nv\r\n"


def test_client_unblock_by_another(endpoint: Endpoint) -> None:
    raw, other = endpoint.raw(), endpoint.raw()
    number = raw.ask("CLIENT", "ID")
    for reason, answer in (
        ("TIMEOUT", b"*-1\r\n"),
        ("ERROR", b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"),
    ):
        raw.send(encode("BLPOP", "k", "0"))
        wait_until_equal(lambda: blocked_count(endpoint), 1, "the server holds BLPOP")
        assert other.command("CLIENT", "UNBLOCK", number, reason) == b":1\r\n"
        assert raw.frame() == answer
    assert raw.ask("CLIENT", "ID") == number


def test_wait_does_not_hold_up_a_neighbour(endpoint: Endpoint) -> None:
    raw, neighbour = endpoint.raw(), endpoint.raw()
    raw.command("SET", "a", "1")
    raw.send(encode("WAIT", "1", "400"))
    wait_until_equal(lambda: blocked_count(endpoint), 1, "the server holds WAIT")
    begin = time.monotonic()
    assert neighbour.command("PING") == b"+PONG\r\n"
    assert time.monotonic() - begin < 0.3
    assert raw.frame() == b":0\r\n"


def test_blocking_inside_a_database_and_under_resp3(endpoint: Endpoint) -> None:
    raw, waker = endpoint.raw(), endpoint.raw()
    raw.ask("HELLO", "3")
    raw.command("SELECT", "5")
    raw.send(encode("BZPOPMIN", "k", "0"))
    wait_until_equal(lambda: blocked_count(endpoint), 1, "the server holds BZPOPMIN")
    waker.command("ZADD", "k", "1", "elsewhere")
    assert raw.silent()
    waker.command("SELECT", "5")
    waker.command("ZADD", "k", "1", "here")
    assert raw.frame() == b"*3\r\n$1\r\nk\r\n$4\r\nhere\r\n,1\r\n"
    assert raw.command("ZCARD", "k") == b":0\r\n"


def test_the_driver_blocks_and_wakes(endpoint: Endpoint, driver: str) -> None:
    client = endpoint.client(driver=driver)
    client.rpush("k", "v")
    assert tuple(client.blpop("k", timeout=1)) == (b"k", b"v")
    assert client.blpop("k", timeout=0.05) is None
    assert client.xread({"x": "$"}, block=20) in ([], {}, None)
