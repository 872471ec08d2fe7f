"""A server that is there but silent: after a number of time-outs in a row nobody waits for it any more, until it is heard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.proxy import Proxy
from support.resp import encode
from support.servers import Server
from support.wait import wait_until, wait_until_equal

READ_TIMEOUT_S = 0.3
SILENT = (
    b"-ERR shotover: upstream unavailable: the server is silent, and is tried (breaker_timeouts)"
)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server("redis")
    yield server
    server.stop()


@pytest.fixture(params=["shared", "per_client"])
def proxy(request: Any, server: Server) -> Iterator[Proxy]:
    fields = {
        "connection": request.param,
        "read_timeout": READ_TIMEOUT_S,
        "breaker_timeouts": 2,
        "retries": 0,
    }
    proxy = Proxy(server.port, sink=fields)
    yield proxy
    proxy.allow_log("the server of sink is silent")
    proxy.stop()


def silence(proxy: Proxy, server: Server) -> None:
    """The server stops, and two clients wait in vain."""
    server.pause()
    for _ in range(2):
        with proxy.raw() as client:
            client.send(encode("GET", "key"))
            assert b"timed out" in client.frame()


def test_after_so_many_in_a_row_nobody_waits(proxy, server) -> None:
    with proxy.raw() as client:
        assert client.ask("SET", "key", "value") == b"OK"
    silence(proxy, server)
    assert proxy.metric("shotover_upstream_silent") == 1
    begun = time.monotonic()
    for _ in range(50):
        with proxy.raw() as client:
            client.send(encode("GET", "key") + encode("MULTI"))
            assert client.frame().startswith(SILENT)
            assert client.frame().startswith(SILENT)
    assert (
        time.monotonic() - begun < 50 * READ_TIMEOUT_S / 2
    )  # all that would have been 15 s and more
    assert proxy.metric("shotover_refusals_count", reason="breaker") >= 100
    assert proxy.metric("shotover_upstream_silences_count") == 1
    server.resume()
    wait_until_equal(lambda: proxy.metric("shotover_upstream_silent"), 0.0, "it is heard")
    with proxy.raw() as client:
        assert client.ask("GET", "key") == b"value"
        assert client.ask("MULTI") == b"OK"
        assert client.ask("GET", "key") == b"QUEUED"
        assert client.ask("EXEC") == [b"value"]


def test_no_client_is_the_one_that_tries(proxy, server) -> None:
    """While it is silent for long, the sink's own tries are all that goes there."""
    silence(proxy, server)
    before = proxy.metric("shotover_upstream_timeouts_count", name="sink")
    wait_until(
        lambda: proxy.metric("shotover_upstream_timeouts_count", name="sink") >= before + 2,
        "it was tried twice",
    )
    with proxy.raw() as client:
        client.send(encode("GET", "key"))
        assert client.frame().startswith(SILENT)
    server.resume()
    wait_until_equal(lambda: proxy.metric("shotover_upstream_silent"), 0.0, "it is heard")


def test_a_reply_between_two_breaks_the_row(proxy, server) -> None:
    for _ in range(3):
        server.pause()
        with proxy.raw() as client:
            client.send(encode("GET", "key"))
            assert b"timed out" in client.frame()
        server.resume()
        with proxy.raw() as client:
            assert client.ask("PING") == b"PONG"
    assert proxy.metric("shotover_upstream_silences_count") == 0


def test_a_server_that_comes_back_as_another_is_found(proxy, server) -> None:
    silence(proxy, server)
    server.restart()
    wait_until_equal(lambda: proxy.metric("shotover_upstream_silent"), 0.0, "it is heard")
    with proxy.raw() as client:
        assert client.ask("SET", "key", "value") == b"OK"
