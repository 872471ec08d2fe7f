"""SIGTERM and SIGINT:

What is in flight is finished, what is idle is closed, then exit 0. A second one: at once.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest
from support.chaos import DOWN, UP, Link
from support.proxy import READY, Proxy
from support.resp import RawClient, encode
from support.servers import Server
from support.wait import can_connect, wait_until

StartServer = Callable[..., Server]
StartProxy = Callable[..., Proxy]
StartLink = Callable[[int], Link]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_an_idle_proxy_ends_at_once(
    start_server: StartServer, start_proxy: StartProxy, number: int
) -> None:
    server = start_server()
    proxy = start_proxy(server.port)
    with proxy.raw() as idle:
        idle.command("PING")
        begin = time.monotonic()
        proxy.signal(number)
        assert idle.rest() == b""
        assert proxy.wait_exit() == 0
        assert time.monotonic() - begin < 2
    assert not can_connect(proxy.port)


def test_requests_in_flight_get_their_replies(
    start_server: StartServer, start_proxy: StartProxy, start_link: StartLink
) -> None:
    server = start_server()
    link = start_link(server.port)
    proxy = start_proxy(link.port)
    raws = [proxy.raw() for _ in range(5)]
    for raw in raws:
        raw.command("PING")
    before = link.passed[DOWN]
    link.stall(UP)
    request = encode("INCR", "n") * 10
    for raw in raws:
        raw.send(request)
    wait_until(lambda: link.passed[DOWN] >= before + 5 * len(request), "the server has them all")
    proxy.signal()
    wait_until(lambda: not can_connect(proxy.port), "no newcomer is accepted")
    link.resume()
    seen = sorted(int(raw.frame()[1:-2]) for raw in raws for _ in range(10))
    assert seen == list(range(1, 51))
    for raw in raws:
        assert raw.rest() == b""
    assert proxy.wait_exit() == 0


def test_a_client_that_keeps_sending_is_cut_off_between_two_replies(
    start_server: StartServer, start_proxy: StartProxy
) -> None:
    """Every reply is whole, in order, and every request that was answered happened once."""
    server = start_server()
    proxy = start_proxy(server.port)
    numbers: list[list[int]] = [[] for _ in range(4)]

    def work(index: int) -> None:
        with proxy.raw() as raw:
            while True:
                frames = raw.rest_or_frames(5, encode("INCR", f"n{index}") * 5)
                numbers[index] += [int(frame[1:-2]) for frame in frames]
                if len(frames) < 5:
                    return

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: all(len(each) > 100 for each in numbers), "all are at work")
    proxy.signal()
    assert proxy.wait_exit() == 0
    for thread in threads:
        thread.join()
    with server.client() as client:
        for index, seen in enumerate(numbers):
            assert seen == list(range(1, len(seen) + 1))
            assert len(seen) <= int(client.get(f"n{index}")) <= len(seen) + 5


@pytest.mark.timeout(45)
def test_the_drain_is_bounded(
    start_server: StartServer, start_proxy: StartProxy, start_link: StartLink
) -> None:
    """An upstream that never answers cannot hold the process for ever."""
    server = start_server()
    link = start_link(server.port)
    proxy = start_proxy(link.port)
    proxy.allow_log(".")
    with proxy.raw() as raw:
        raw.command("PING")
        link.stall()
        raw.send(encode("GET", "a"))
        begin = time.monotonic()
        proxy.signal()
        assert proxy.wait_exit(20) == 0
        assert 5 < time.monotonic() - begin < 15
        frames = raw.rest_or_frames(1)
        assert frames == [] or frames[0].startswith(b"-ERR shotover")


def test_a_second_signal_ends_it_at_once(
    start_server: StartServer, start_proxy: StartProxy, start_link: StartLink
) -> None:
    server = start_server()
    link = start_link(server.port)
    proxy = Proxy(link.port)
    try:
        with proxy.raw() as raw:
            raw.command("PING")
            link.stall()
            raw.send(encode("GET", "a"))
            proxy.signal()
            wait_until(lambda: not can_connect(proxy.port), "it drains")
            begin = time.monotonic()
            proxy.signal()
            proxy.wait_exit(5)
            assert time.monotonic() - begin < 2
    finally:
        proxy.kill()


def test_a_client_blocked_for_ever_does_not_prolong_the_end_beyond_the_drain(
    start_server: StartServer, start_proxy: StartProxy
) -> None:
    server = start_server()
    proxy = start_proxy(server.port)
    proxy.allow_log(".")
    with proxy.raw() as raw, server.client() as client:
        raw.send(encode("BLPOP", "k", "0"))
        wait_until(lambda: client.info("clients")["blocked_clients"] == 1, "the server waits")
        proxy.signal()
        assert proxy.wait_exit() == 0
        frames = raw.rest_or_frames(1)
        assert frames == [] or frames[0].startswith(b"-ERR shotover")
        wait_until(
            lambda: client.info("clients")["blocked_clients"] == 0, "the server waits no more"
        )


def test_a_client_in_a_transaction_may_not_hold_the_end_up(
    start_server: StartServer, start_proxy: StartProxy
) -> None:
    server = start_server()
    proxy = start_proxy(server.port)
    with proxy.raw() as raw:
        raw.command("MULTI")
        raw.command("SET", "a", "1")
        proxy.signal()
        assert proxy.wait_exit() == 0
    with server.client() as client:
        assert client.get("a") is None


def test_the_log_in_human_form_ends_its_ready_line_as_promised(
    start_server: StartServer, start_proxy: StartProxy
) -> None:
    """Tools that start Shotover wait for a line that ends so."""
    server = start_server()
    proxy = start_proxy(server.port, log_format="human")
    assert sum(line.rstrip().endswith(READY) for line in proxy.log().splitlines()) == 1
    with RawClient(proxy.port) as raw:
        assert raw.command("PING") == b"+PONG\r\n"


def test_the_port_is_free_again_for_the_next_process(
    start_server: StartServer, start_proxy: StartProxy
) -> None:
    server = start_server()
    first = start_proxy(server.port)
    with first.raw() as raw:
        raw.command("SET", "a", "1")
        first.signal()
        assert first.wait_exit() == 0
    second = start_proxy(server.port, port=first.port)
    with second.raw() as raw:
        assert raw.ask("GET", "a") == b"1"
