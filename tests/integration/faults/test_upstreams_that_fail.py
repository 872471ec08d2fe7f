"""Servers that refuse, vanish, stall, talk nonsense or too much.

Every request gets one reply, in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import redis
from support.chaos import DOWN, UP, Link
from support.proxy import Proxy
from support.resp import Error, RawClient, encode
from support.servers import Server
from support.wait import free_port, wait_until, wait_until_equal

UPSTREAM_TROUBLE = (
    r"upstream|connect|connection|server"  # what the log may say while a test breaks the upstream
)
SHARING = pytest.mark.parametrize("connection", ["shared", "per_client"])


class Broken:
    """A server, a chaos link before it, a proxy before that."""

    def __init__(self, server: Server, link: Link, proxy: Proxy) -> None:
        self.server = server
        self.link = link
        self.proxy = proxy

    def raw(self) -> RawClient:
        return RawClient(self.proxy.port)


@pytest.fixture
def broken(
    start_server: Callable[..., Server],
    start_link: Callable[[int], Link],
    start_proxy: Callable[..., Proxy],
) -> Callable[..., Broken]:
    """broken(**sink): the three, with these fields of the sink."""

    def make(**sink: object) -> Broken:
        server = start_server()
        link = start_link(server.port)
        proxy = start_proxy(link.port, sink=sink)
        proxy.allow_log(UPSTREAM_TROUBLE)
        return Broken(server, link, proxy)

    return make


def assert_proxy_error(frame: bytes, *secrets: int) -> None:
    """An error in RESP's form that says who speaks and betrays no address."""
    assert frame.startswith(b"-ERR shotover"), frame
    assert frame.endswith(b"\r\n")
    assert b"127.0.0.1" not in frame
    for port in secrets:
        assert b"%d" % port not in frame


def until_answered(raw_of: Callable[[], RawClient], *words: str) -> bytes:
    """Ask on fresh connections until the reply is no error: the upstream is found again."""

    def ask() -> bytes | None:
        try:
            with raw_of() as raw:
                frame = raw.command(*words)
        except AssertionError:  # closed in place of a reply
            return None
        return None if frame.startswith(b"-") else frame

    return wait_until(ask, "the proxy answers again")


def test_a_server_that_refuses(start_proxy: Callable[..., Proxy]) -> None:
    port = free_port()
    proxy = start_proxy(port)
    proxy.allow_log(UPSTREAM_TROUBLE)
    with proxy.raw() as raw:
        begin = time.monotonic()
        assert_proxy_error(raw.command("GET", "a"), port)
        assert time.monotonic() - begin < 5
    with proxy.raw() as raw:
        raw.send(encode("GET", "a") * 50)
        frames = raw.rest_or_frames(50)
        assert frames
        for frame in frames:
            assert_proxy_error(frame, port)
    with pytest.raises(redis.RedisError):
        proxy.client().ping()


def test_a_server_that_comes_later(
    start_server: Callable[..., Server], start_proxy: Callable[..., Proxy]
) -> None:
    port = free_port()
    proxy = start_proxy(port)
    proxy.allow_log(UPSTREAM_TROUBLE)
    with proxy.raw() as raw:
        assert_proxy_error(raw.command("SET", "a", "1"))
    start_server(port=port)
    assert until_answered(proxy.raw, "SET", "a", "1") == b"+OK\r\n"


def test_a_server_that_is_restarted(
    start_server: Callable[..., Server], start_proxy: Callable[..., Proxy]
) -> None:
    server = start_server()
    proxy = start_proxy(server.port)
    proxy.allow_log(UPSTREAM_TROUBLE)
    for turn in range(3):
        assert until_answered(proxy.raw, "SET", "a", str(turn)) == b"+OK\r\n"
        with proxy.raw() as idle:
            idle.command("PING")
            server.restart()
            assert until_answered(proxy.raw, "EXISTS", "a") == b":0\r\n"


@SHARING
@pytest.mark.parametrize("how", ["cut", "reset"])
def test_a_connection_lost_with_requests_pending(
    broken: Callable[..., Broken], connection: str, how: str
) -> None:
    """Each of them gets one error or the client a close; none is executed twice."""
    parts = broken(connection=connection)
    with parts.raw() as raw:
        assert raw.command("SET", "n", "0") == b"+OK\r\n"
        before = parts.link.passed[DOWN]
        parts.link.stall(UP)
        raw.send(encode("INCR", "n") * 10)
        wait_until(
            lambda: parts.link.passed[DOWN] >= before + 10 * len(encode("INCR", "n")),
            "the server has them all",
        )
        getattr(parts.link, how)()
        parts.link.resume()
        frames = raw.rest_or_frames(10)
        assert all(frame.startswith(b"-ERR shotover") for frame in frames), frames
    with parts.server.client() as server:
        wait_until(lambda: int(server.get("n")) == 10, "each INCR was executed once")
    assert until_answered(parts.raw, "GET", "n") == b"$2\r\n10\r\n"


@SHARING
@pytest.mark.parametrize("passed", [0, 1, 5, 20, 100, 5_000, 70_000])
def test_a_reset_in_the_middle_of_a_reply(
    broken: Callable[..., Broken], connection: str, passed: int
) -> None:
    """The client must never take a torn reply for a whole one, nor the next reply for the rest of
    it.
    """
    parts = broken(connection=connection)
    with parts.raw() as raw:
        raw.command("SET", "big", "x" * 100_000)
        parts.link.reset_after_bytes(passed)
        raw.send(encode("GET", "big") + encode("ECHO", "after"))
        got = raw.rest_or_bytes(lambda so_far: so_far.count(b"-ERR shotover") >= 2)
    whole = b"$100000\r\n" + b"x" * 100_000 + b"\r\n"
    assert b"$5\r\nafter\r\n" not in got
    if got.startswith(b"$"):  # streaming had begun: what came is a prefix, and then the end
        assert whole.startswith(got)
        assert len(got) < len(whole)
    else:
        assert got == b"" or got.startswith(b"-ERR shotover")
    assert until_answered(parts.raw, "STRLEN", "big") == b":100000\r\n"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"$x\r\n",
        b"*99999999999999\r\n",
        b"$-7\r\n",
    ],
)
def test_a_server_that_answers_garbage(broken: Callable[..., Broken], garbage: bytes) -> None:
    parts = broken()
    parts.proxy.allow_log("garbage|protocol|unexpected|invalid|RESP|reply")
    with parts.raw() as raw:
        assert raw.command("SET", "a", "1") == b"+OK\r\n"
        parts.link.stall(DOWN)
        raw.send(encode("GET", "a") + encode("GET", "b"))
        wait_until(lambda: parts.link.held_size(DOWN), "both requests are on their way")
        parts.link.inject(garbage)
        frames = raw.rest_or_frames(2)
        assert all(frame.startswith(b"-ERR shotover") for frame in frames), frames
    parts.link.resume()
    assert until_answered(parts.raw, "GET", "a") == b"$1\r\n1\r\n"


@pytest.mark.parametrize(
    "surplus",
    [b"+OK\r\n", b"$5\r\nhello\r\n", b":1\r\n:2\r\n:3\r\n", b"-ERR stray\r\n", b"$100\r\nhalf"],
)
def test_a_server_that_answers_too_much(broken: Callable[..., Broken], surplus: bytes) -> None:
    """A reply to no request ends the upstream connection:

    It may never be given to the next client.
    """
    parts = broken()
    parts.proxy.allow_log("unexpected|unasked|surplus|without a request|reply")
    with parts.raw() as raw:
        raw.command("SET", "a", "1")
        assert parts.link.live_count >= 1
        parts.link.inject(surplus)
        wait_until_equal(lambda: parts.link.live_count, 0, "the proxy has given that connection up")
    assert until_answered(parts.raw, "GET", "a") == b"$1\r\n1\r\n"


def test_a_server_that_stalls_past_read_timeout(broken: Callable[..., Broken]) -> None:
    parts = broken(read_timeout=1)
    with parts.raw() as raw:
        raw.command("SET", "a", "1")
        parts.link.stall(UP)
        begin = time.monotonic()
        raw.send(encode("GET", "a"))
        frames = raw.rest_or_frames(1)
        waited = time.monotonic() - begin
        assert 0.9 < waited < 3
        assert all(frame.startswith(b"-ERR shotover") for frame in frames)
    parts.link.resume()
    assert until_answered(parts.raw, "GET", "a") == b"$1\r\n1\r\n"


def test_a_blocking_command_outlives_read_timeout(broken: Callable[..., Broken]) -> None:
    """BLPOP waits because it was asked to; that is no stall of the server."""
    parts = broken(read_timeout=1)
    with parts.raw() as raw, parts.raw() as other:
        begin = time.monotonic()
        assert raw.command("BLPOP", "k", "1.6") == b"*-1\r\n"
        assert time.monotonic() - begin > 1.5
        raw.send(encode("BLPOP", "k", "0"))
        assert other.command("RPUSH", "k", "v") == b":1\r\n"
        assert raw.value() == [b"k", b"v"]


def test_a_slow_server_only_slows(broken: Callable[..., Broken]) -> None:
    parts = broken()
    parts.link.delay(0.05)
    raws = [parts.raw() for _ in range(10)]
    for index, raw in enumerate(raws):
        raw.send(encode("SET", f"k{index}", index) + encode("GET", f"k{index}"))
    for index, raw in enumerate(raws):
        assert raw.frames(2) == [b"+OK\r\n", b"$1\r\n%d\r\n" % index]
        raw.close()


def test_replies_in_single_bytes_are_put_together(broken: Callable[..., Broken]) -> None:
    parts = broken()
    parts.link.split(1)
    with parts.raw() as raw, parts.raw() as other:
        for turn in range(20):
            raw.send(encode("SET", "a", turn) + encode("MGET", "a", "b") + encode("NOSUCH"))
            other.send(encode("ECHO", turn))
            values = [raw.value() for _ in range(3)]
            assert values[:2] == [b"OK", [b"%d" % turn, None]]
            assert isinstance(values[2], Error)
            assert other.value() == b"%d" % turn


@pytest.mark.measures
def test_a_stalled_upstream_bounds_what_is_pending(broken: Callable[..., Broken]) -> None:
    """Past max_pending_requests clients wait or are refused;

    Memory does not grow with their zeal.
    """
    parts = broken(max_pending_requests=1000)
    with parts.raw() as control:
        control.command("PING")
    parts.link.stall()
    before = parts.proxy.resident_size()
    raws = [parts.raw() for _ in range(20)]
    for raw in raws:
        raw.socket.settimeout(0.05)
        try:
            for _ in range(40):
                raw.socket.sendall(encode("ECHO", "y" * 1000) * 100)
        except (TimeoutError, ConnectionError):
            pass
    assert parts.proxy.resident_size() - before < 60 << 20
    for raw in raws:
        raw.reset()
    parts.link.resume()
    assert until_answered(parts.raw, "PING") == b"+PONG\r\n"


@pytest.mark.parametrize("opening", [("MULTI",), ("WATCH", "a")])
def test_a_transaction_does_not_outlive_its_upstream(
    broken: Callable[..., Broken], opening: tuple[str, ...]
) -> None:
    """What the server has forgotten may not go on as if it were there:

    An error or a close, never an EXEC.
    """
    parts = broken()
    with parts.raw() as raw:
        assert raw.command(*opening) == b"+OK\r\n"
        parts.link.reset()
        rest = (
            [("SET", "a", "1"), ("EXEC",)]
            if opening[0] == "MULTI"
            else [("MULTI",), ("SET", "a", "1"), ("EXEC",)]
        )
        frames = raw.rest_or_frames(len(rest), b"".join(encode(*words) for words in rest))
        assert len(frames) < len(rest) or frames[-1].startswith(b"-"), frames
    with parts.server.client() as server:
        if opening[0] == "WATCH":
            assert server.get("a") is None


@pytest.mark.parametrize("words", [("SUBSCRIBE", "ch"), ("PSUBSCRIBE", "*"), ("MONITOR",)])
def test_a_listener_learns_that_its_upstream_has_gone(
    broken: Callable[..., Broken], words: tuple[str, ...]
) -> None:
    """It would wait for ever for what nobody will send."""
    parts = broken()
    with parts.raw() as raw:
        raw.command(*words)
        parts.link.reset()
        rest = raw.rest()
        assert rest == b"" or rest.startswith(b"-ERR shotover")


@pytest.mark.parametrize(
    "words", [("BLPOP", "k", "0"), ("XREAD", "BLOCK", "0", "STREAMS", "x", "$")]
)
def test_who_is_blocked_learns_that_the_upstream_has_gone(
    broken: Callable[..., Broken], words: tuple[str, ...]
) -> None:
    parts = broken()
    with parts.raw() as raw, parts.server.client() as server:
        raw.send(encode(*words))
        wait_until(lambda: server.info("clients")["blocked_clients"] == 1, "the server waits")
        parts.link.reset()
        frames = raw.rest_or_frames(1)
        assert frames == [] or frames[0].startswith(b"-ERR shotover")


@SHARING
def test_the_database_is_right_or_the_client_told_after_a_reconnect(
    broken: Callable[..., Broken], connection: str
) -> None:
    parts = broken(connection=connection)
    with parts.server.client(db=3) as three, parts.server.client() as zero:
        three.set("k", "three")
        zero.set("k", "zero")
    with parts.raw() as raw:
        assert raw.command("SELECT", "3") == b"+OK\r\n"
        assert raw.ask("GET", "k") == b"three"
        parts.link.reset()
        frames = raw.rest_or_frames(3, encode("GET", "k") * 3)
        for frame in frames:
            assert frame == b"$5\r\nthree\r\n" or frame.startswith(b"-ERR shotover"), frame


def test_no_descriptor_is_left_by_upstreams_that_failed(broken: Callable[..., Broken]) -> None:
    parts = broken()
    until_answered(parts.raw, "PING")
    before = parts.proxy.descriptor_count()
    for turn in range(10):
        (parts.link.cut if turn % 2 else parts.link.reset)()
        until_answered(parts.raw, "PING")
    wait_until(lambda: parts.proxy.descriptor_count() <= before + 1, "the descriptors of the proxy")
    parts.link.refuse()
    parts.link.reset()
    for _ in range(20):
        with parts.raw() as raw:
            raw.rest_or_frames(1, encode("PING"))
    parts.link.accept()
    until_answered(parts.raw, "PING")
    wait_until(lambda: parts.proxy.descriptor_count() <= before + 1, "the descriptors of the proxy")
