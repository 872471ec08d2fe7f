"""connection_limit_per_ip: many addresses of this machine, several workers, addresses that a proxy in front names."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.certificates import usual
from support.proxy import Proxy
from support.resp import encode
from support.servers import Server
from support.wait import wait_until_equal

PING = encode("PING")
PONG = b"+PONG\r\n"
TOO_MANY = b"-ERR max number of clients reached (shotover: connection_limit_per_ip)\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("redis")
    yield server
    server.stop()


@pytest.fixture
def closing() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def start(server, closing) -> Callable[..., Proxy]:
    def begin(limit: int, *arguments: str, **source: Any) -> Proxy:
        fields = {"connection_limit_per_ip": limit, **source}
        proxy = Proxy(server.port, source=fields, arguments=arguments)
        closing.callback(proxy.stop)
        return proxy

    return begin


class Client:
    def __init__(self, proxy: Proxy, own: str = "127.0.0.1", header: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", proxy.port), 10, (own, 0))
        if header:
            self.socket.sendall(header)

    def ping(self) -> bytes:
        """The reply; what comes of one that is refused is the error, or the connection's end."""
        try:
            self.socket.sendall(PING)
            return self.socket.recv(200)
        except ConnectionError:
            return b""

    def said(self) -> bytes:
        return self.socket.recv(200)

    def close(self) -> None:
        self.socket.close()


@pytest.mark.parametrize("workers", ["1", "3"])
def test_each_address_has_so_many_over_all_workers(start, closing, workers) -> None:
    proxy = start(4, "--core-threads", workers)
    for number in range(1, 21):
        own = f"127.0.0.{number + 1}"
        clients = [Client(proxy, own) for _ in range(4)]
        for client in clients:
            closing.callback(client.close)
            assert client.ping() == PONG
        with contextlib.closing(Client(proxy, own)) as more:
            assert more.said() == TOO_MANY
            assert more.said() == b""
    assert proxy.metric("shotover_refusals_count", reason="connection_limit_per_ip") == 20


def test_who_leaves_makes_room(start) -> None:
    proxy = start(3, "--core-threads", "2")
    chosen = random.Random(7)
    for _ in range(50):
        clients = [Client(proxy) for _ in range(3)]
        assert [client.ping() for client in clients] == [PONG] * 3
        chosen.shuffle(clients)
        for client in clients:
            client.close()
        wait_until_equal(proxy.sessions, 0.0, "they have gone")


def header(source: str) -> bytes:
    kind, to = ("TCP6", "::1") if ":" in source else ("TCP4", "127.0.0.1")
    return f"PROXY {kind} {source} {to} 4711 6380\r\n".encode()


@pytest.mark.parametrize("prefix", [64, 60, 128])
def test_addresses_of_ipv6_are_counted_by_prefix(start, closing, prefix) -> None:
    proxy = start(2, connection_limit_ipv6_prefix=prefix, proxy_protocol={"trusted": ["127.0.0.1"]})
    addresses = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1", "2001:db8:0:20::1"]
    expected = {64: "yynyy", 60: "yynny", 128: "yyyyy"}[prefix]
    for address, verdict in zip(addresses, expected, strict=True):
        client = Client(proxy, header=header(address))
        closing.callback(client.close)
        if verdict == "y":
            assert client.ping() == PONG, address
        else:
            assert client.said() == TOO_MANY, address


def test_behind_a_proxy_it_is_the_named_client_that_is_counted(start, closing) -> None:
    proxy = start(1, proxy_protocol={"trusted": ["127.0.0.1"]})
    for number in range(300):  # one socket address, many clients: the table grows
        client = Client(proxy, header=header(f"192.0.{number // 200}.{number % 200}"))
        closing.callback(client.close)
        assert client.ping() == PONG
    with contextlib.closing(Client(proxy, header=header("192.0.0.9"))) as more:
        assert more.said() == TOO_MANY


def test_with_tls_it_costs_no_handshake(start, closing) -> None:
    proxy = start(1, tls=usual().source())
    context = usual().authority.client_context()
    first = proxy.raw(tls=context)
    closing.callback(first.close)
    assert first.ask("PING") == b"PONG"
    with contextlib.closing(Client(proxy)) as more:
        assert more.said() == b""
    assert proxy.metric("shotover_tls_handshakes_count") == 1
