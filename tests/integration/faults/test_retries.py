"""Requests sent a second time: reads alone, once, in order, within a budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.chaos import DOWN, UP, Link
from support.proxy import Proxy
from support.resp import encode
from support.servers import Server
from support.wait import wait_until

LOST = b"-ERR shotover: upstream connection lost"


class Parts:
    def __init__(self, server: Server, link: Link, proxy: Proxy) -> None:
        self.server = server
        self.link = link
        self.proxy = proxy

    def retries(self) -> float:
        return self.proxy.metric("shotover_upstream_retries_count")

    def cut_with(self, *sent: tuple[Any, bytes], how: str = "cut") -> None:
        """Sends each to its client, and cuts once the server has all of it, none answered."""
        self.link.stall(UP)
        before = self.link.passed[DOWN]
        for raw, request in sent:
            raw.send(request)
        size = sum(len(request) for _, request in sent)
        wait_until(lambda: self.link.passed[DOWN] >= before + size, "the server has them all")
        getattr(self.link, how)()
        self.link.resume()


@pytest.fixture
def parts(
    start_server: Callable[..., Server],
    start_link: Callable[[int], Link],
    start_proxy: Callable[..., Proxy],
) -> Callable[..., Parts]:
    def make(**options: Any) -> Parts:
        server = start_server()
        link = start_link(server.port)
        proxy = start_proxy(link.port, **options)
        proxy.allow_log("upstream|connect")
        return Parts(server, link, proxy)

    return make


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_reads_of_many_clients_are_sent_again(parts: Callable[..., Parts], how: str) -> None:
    all_of_it = parts()
    raws = [all_of_it.proxy.raw() for _ in range(20)]
    for number, raw in enumerate(raws):
        for _ in range(20):  # so that there is a budget
            raw.command("SET", f"k{number}", number)
    all_of_it.cut_with(*((raw, encode("GET", f"k{n}")) for n, raw in enumerate(raws)), how=how)
    assert [raw.value() for raw in raws] == [b"%d" % number for number in range(20)]
    assert all_of_it.retries() == 20
    for raw in raws:
        raw.close()


def test_writes_are_not_sent_again_nor_reads_before_them(parts: Callable[..., Parts]) -> None:
    all_of_it = parts()
    with all_of_it.proxy.raw() as raw:
        for _ in range(100):
            raw.command("SET", "n", "1")
        script = encode("GET", "n") + encode("INCR", "n") + encode("GET", "n")
        all_of_it.cut_with((raw, script))
        frames = raw.frames(3)
        assert frames[0].startswith(LOST)
        assert frames[1].startswith(LOST)
        # one run of three requests, with a write in it: none of it is repeated
        assert frames[2].startswith(LOST)
        assert all_of_it.retries() == 0
        wait_until(lambda: raw.command("GET", "n") == b"$1\r\n2\r\n", "the write was done once")


def test_a_read_behind_a_write_sent_apart_is_sent_again(parts: Callable[..., Parts]) -> None:
    """And the other way round it is not: it would see what its client wrote later."""
    all_of_it = parts()
    with all_of_it.proxy.raw() as raw:
        for _ in range(100):
            raw.command("SET", "n", "1")
        link = all_of_it.link
        link.stall(UP)
        for request in (encode("INCR", "n"), encode("GET", "n")):
            before = link.passed[DOWN]
            raw.send(request)
            wait_until(lambda size=before + len(request): link.passed[DOWN] >= size, "sent")
        link.cut()
        link.resume()
        assert raw.frame().startswith(LOST)
        assert raw.frame() == b"$1\r\n2\r\n"
        assert all_of_it.retries() == 1
        link.stall(UP)
        for request in (encode("GET", "n"), encode("INCR", "n")):
            before = link.passed[DOWN]
            raw.send(request)
            wait_until(lambda size=before + len(request): link.passed[DOWN] >= size, "sent")
        link.cut()
        link.resume()
        assert raw.frame().startswith(LOST)
        assert raw.frame().startswith(LOST)
        assert all_of_it.retries() == 1


def test_the_second_attempt_is_the_last(parts: Callable[..., Parts]) -> None:
    all_of_it = parts()
    with all_of_it.proxy.raw() as raw:
        for _ in range(100):
            raw.command("SET", "a", "1")
        link = all_of_it.link
        accepted = link.accepted_total
        link.stall(UP)
        before = link.passed[DOWN]
        raw.send(encode("GET", "a"))
        size = len(encode("GET", "a"))
        wait_until(lambda: link.passed[DOWN] >= before + size, "it was sent")
        link.cut()
        wait_until(lambda: link.passed[DOWN] >= before + 2 * size, "it was sent again")
        assert link.accepted_total == accepted + 1
        link.cut()
        link.resume()
        assert raw.frame().startswith(LOST)
        assert all_of_it.retries() == 1
        assert link.passed[DOWN] == before + 2 * size


def test_the_budget_is_a_share_of_the_requests(parts: Callable[..., Parts]) -> None:
    all_of_it = parts(sink={"retries": 5})
    raws = [all_of_it.proxy.raw() for _ in range(40)]
    for raw in raws:
        for _ in range(10):
            raw.command("SET", "a", "1")
    all_of_it.cut_with(*((raw, encode("GET", "a")) for raw in raws))
    frames = [raw.frame() for raw in raws]
    assert frames.count(b"$1\r\n1\r\n") == 32  # 10 at the start, and 5 % of 440
    assert sum(frame.startswith(LOST) for frame in frames) == 8
    assert all_of_it.retries() == 32
    for raw in raws:
        raw.close()


@pytest.mark.parametrize("sink", [{"retries": 0}, {"connection": "per_client"}])
def test_without_retries_a_read_is_answered_with_the_loss(
    parts: Callable[..., Parts], sink: dict[str, Any]
) -> None:
    all_of_it = parts(sink=sink)
    with all_of_it.proxy.raw() as raw:
        for _ in range(100):
            raw.command("SET", "a", "1")
        all_of_it.cut_with((raw, encode("GET", "a")))
        assert raw.frame().startswith(LOST)
        assert all_of_it.retries() == 0


def test_half_a_reply_is_no_reason_to_answer_twice(parts: Callable[..., Parts]) -> None:
    """What has begun to go to the client cannot be begun anew."""
    all_of_it = parts()
    with all_of_it.proxy.raw() as raw:
        raw.command("SET", "a", "x" * 100_000)
        for _ in range(50):
            raw.command("GET", "b")
        all_of_it.link.reset_after[UP] = 50_000
        raw.send(encode("GET", "a"))
        assert raw.rest().startswith(b"$100000\r\nxxx")
        assert all_of_it.retries() == 0


def test_large_reads_are_not_kept(parts: Callable[..., Parts]) -> None:
    all_of_it = parts()
    with all_of_it.proxy.raw() as raw:
        for _ in range(100):
            raw.command("SET", "a", "1")
        all_of_it.cut_with((raw, encode("MGET", *(f"key:{n}" for n in range(100)))))
        assert raw.frame().startswith(LOST)
        assert all_of_it.retries() == 0


def test_a_step_that_watches_replies_sees_one(parts: Callable[..., Parts]) -> None:
    all_of_it = parts(chain=[{"DebugPrinter": None}])
    all_of_it.proxy.allow_log("log lines were dropped")
    with all_of_it.proxy.raw() as raw:
        for _ in range(100):
            raw.command("SET", "a", "1")
        all_of_it.cut_with((raw, encode("GET", "a")))
        assert raw.frame() == b"$1\r\n1\r\n"
        assert all_of_it.retries() == 1
