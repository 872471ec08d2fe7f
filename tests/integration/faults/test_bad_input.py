"""Bytes that no driver sends.

Each gets the server's own answer, or a clean close, and hurts nobody else.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import pytest
from support.endpoint import Endpoint
from support.resp import RawClient, encode
from support.wait import stays_true, wait_until, wait_until_equal

MIB = 1 << 20
REQUEST = encode("SET", "some-key", "some value") + encode("GET", "some-key")


@pytest.fixture
def neighbour(endpoint: Endpoint) -> Iterator[RawClient]:
    """A well-behaved client from before the test, which must be served all the same after it."""
    raw = endpoint.raw()
    raw.command("SET", "neighbour", "41")
    yield raw
    assert raw.command("INCR", "neighbour") == b":42\r\n"
    assert raw.silent(0.01)


def say_and_hear(raw: RawClient, sent: bytes) -> bytes:
    """All that comes back until the peer closes; our half ends when all is sent."""
    with raw:
        with contextlib.suppress(OSError):  # the peer may close before it has all
            raw.send(sent)
            raw.half_close()
        return raw.rest()


@pytest.mark.parametrize("seed", range(40))
def test_garbage_gets_the_server_s_answer(
    endpoint: Endpoint, neighbour: RawClient, seed: int
) -> None:
    chance = random.Random(seed)
    alphabets = [
        bytes(range(256)),
        b"*$\r\n0123456789-",
        b"*$:+-\r\nabc \"'\\x\t",
        b"GETSET abc\r\n",
    ]
    garbage = bytes(chance.choices(alphabets[seed % len(alphabets)], k=chance.randint(1, 400)))
    expected = say_and_hear(endpoint.server.raw(), garbage)
    assert say_and_hear(endpoint.raw(), garbage) == expected


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_request_gets_the_server_s_answer(
    endpoint: Endpoint, neighbour: RawClient, seed: int
) -> None:
    """One byte of a good pipeline is lost, doubled or changed."""
    chance = random.Random(seed)
    damaged = bytearray(REQUEST + encode("PING"))
    at = chance.randrange(len(damaged))
    manner = chance.choice(["lose", "double", "change"])
    if manner == "lose":
        del damaged[at]
    elif manner == "double":
        damaged.insert(at, damaged[at])
    else:
        damaged[at] = chance.randrange(256)
    expected = say_and_hear(endpoint.server.raw(), bytes(damaged))
    neighbour.command("DEL", "some-key")
    assert say_and_hear(endpoint.raw(), bytes(damaged)) == expected


@pytest.mark.parametrize("cut", range(1, len(REQUEST)))
def test_half_a_request_then_nothing(endpoint: Endpoint, neighbour: RawClient, cut: int) -> None:
    """The whole part is answered; the half is neither answered nor executed."""
    answered = say_and_hear(endpoint.raw(), REQUEST[:cut])
    assert answered == (b"+OK\r\n" if cut >= len(REQUEST) - len(encode("GET", "some-key")) else b"")


@pytest.mark.measures
@pytest.mark.parametrize(
    "announced",
    [
        b"*2\r\n$3\r\nGET\r\n$536870912\r\n",
        b"*1048576\r\n",
        b"*2147483647\r\n",
        b"*2\r\n$4\r\nECHO\r\n$400000000\r\nabc",
    ],
)
def test_what_is_announced_takes_no_memory(
    endpoint: Endpoint, neighbour: RawClient, announced: bytes
) -> None:
    """Twenty clients promise gigabytes and send nothing more."""
    before = endpoint.proxy.resident_size() if endpoint.proxy else 0
    raws = [endpoint.raw() for _ in range(20)]
    for raw in raws:
        raw.send(announced)
    assert neighbour.command("ECHO", "x") == b"$1\r\nx\r\n"
    if endpoint.proxy:
        assert endpoint.proxy.resident_size() - before < 20 * MIB


@pytest.mark.measures
def test_a_million_arguments(endpoint: Endpoint, neighbour: RawClient) -> None:
    count = 1_000_000
    raw = endpoint.raw()
    body = b"".join(b"$7\r\nk%06d\r\n" % number for number in range(count))
    raw.send(b"*%d\r\n$6\r\nEXISTS\r\n" % (count + 1) + body)
    assert raw.frame() == b":0\r\n"
    raw.send(b"*%d\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n" % (count + 2) + body)
    assert raw.frame() == b":%d\r\n" % count
    reply = raw.command("LRANGE", "l", "0", "-1")
    assert reply == b"*%d\r\n" % count + body


@pytest.mark.parametrize("depth", [10, 1000, 100_000])
def test_deep_nesting_in_a_request(endpoint: Endpoint, neighbour: RawClient, depth: int) -> None:
    sent = b"*1\r\n" * depth + b"$4\r\nPING\r\n"
    assert say_and_hear(endpoint.raw(), sent) == b"-ERR Protocol error: expected '$', got '*'\r\n"


@pytest.mark.parametrize("depth", [10, 100, 1000])
def test_deep_nesting_in_a_reply(endpoint: Endpoint, neighbour: RawClient, depth: int) -> None:
    script = "local t = {1} for i = 1, tonumber(ARGV[1]) do t = {t} end return t"
    with endpoint.server.raw() as server:
        expected = server.command("EVAL", script, "0", depth)
    assert endpoint.raw().command("EVAL", script, "0", depth) == expected


def test_requests_that_come_byte_by_byte(endpoint: Endpoint, neighbour: RawClient) -> None:
    raws = [endpoint.raw() for _ in range(10)]
    for index in range(len(REQUEST)):
        for raw in raws:
            raw.send(REQUEST[index : index + 1])
        if index % 10 == 0:
            assert neighbour.command("ECHO", index) == b"$%d\r\n%d\r\n" % (len(str(index)), index)
    for raw in raws:
        assert raw.frames(2) == [b"+OK\r\n", b"$10\r\nsome value\r\n"]


def test_a_big_value_in_small_pieces_delays_no_neighbour(
    endpoint: Endpoint, neighbour: RawClient
) -> None:
    """An upload that stops half-way for as long as it likes holds up nobody, even on a shared
    upstream.
    """
    raw = endpoint.raw()
    value = b"x" * (4 * MIB)
    request = encode("SET", "big", value)
    half = len(request) // 2
    raw.send(request[:half])
    stays_true(
        lambda: neighbour.command("PING") == b"+PONG\r\n", "the neighbour is served", period_s=0.2
    )
    assert neighbour.command("EXISTS", "big") == b":0\r\n"
    raw.send(request[half:])
    assert raw.frame() == b"+OK\r\n"
    assert raw.ask("GET", "big") == value


def test_an_upload_given_up_half_way_leaves_nothing(
    endpoint: Endpoint, neighbour: RawClient
) -> None:
    request = encode("SET", "big", b"x" * (2 * MIB))
    for leave in ("close", "reset"):
        raw = endpoint.raw()
        raw.send(request[: len(request) // 2])
        getattr(raw, leave)()
    assert neighbour.command("EXISTS", "big") == b":0\r\n"
    assert neighbour.command("SET", "big", "small") == b"+OK\r\n"


def test_error_floods_are_answered_in_order(endpoint: Endpoint, neighbour: RawClient) -> None:
    raw = endpoint.raw()
    count = 5000
    raw.send(b"".join(encode("NOSUCH", number) + encode("ECHO", number) for number in range(count)))
    for number in range(count):
        error, echo = raw.frames(2)
        assert error.startswith(b"-ERR unknown command 'NOSUCH'")
        assert b"'%d'" % number in error
        assert echo == b"$%d\r\n%d\r\n" % (len(str(number)), number)


def test_bad_clients_cannot_make_the_log_grow(proxied: Endpoint) -> None:
    before = len(proxied.proxy.log())
    for _ in range(300):
        say_and_hear(proxied.raw(), b"*1\r\n$-5\r\n")
    assert len(proxied.proxy.log()) - before < 300 * 40


def test_bad_clients_leave_no_descriptor(proxied: Endpoint) -> None:
    proxied.raw().command("PING")
    wait_until_equal(proxied.proxy.sessions, 1.0, "one session")
    before = proxied.proxy.descriptor_count()
    for sent in (
        b"*1\r\n$-5\r\n",
        REQUEST[:20],
        b"\x00\xff",
        b'GET "',
        b"*-1\r\n",
        b"*5\r\n$3\r\nSET\r\n",
    ):
        for _ in range(20):
            say_and_hear(proxied.raw(), sent)
    wait_until(
        lambda: proxied.proxy.descriptor_count() <= before, "the proxy has closed its descriptors"
    )
