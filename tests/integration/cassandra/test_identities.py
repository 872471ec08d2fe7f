"""Whom a client's certificate names, in conditions before Cassandra."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.cassandra import OVERLOADED, QUERY, RESULT, CqlClient, frame, query
from support.certificates import usual
from support.proxy import Proxy

from .test_servers_that_fail import Scripted

Start = Callable[..., Proxy]
TLS = {"certificate_authority_path": str(usual().authority.certificate)}


@pytest.fixture
def servers() -> Iterator[tuple[Scripted, Scripted]]:
    both = Scripted(), Scripted()
    yield both
    for server in both:
        server.close()


class TlsClient(CqlClient):
    """It shows a certificate for `name`."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(port)
        authority = usual().authority
        context = authority.client_context(authority.issue(name, file=f"cql-{name}"))
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")


def start(begin: Start, server: Scripted, **more: Any) -> Proxy:
    return begin(server.port, source={"tls": usual().source(**TLS)}, **more)


def test_limits(servers: Any, start_cassandra_proxy: Start) -> None:
    server = servers[0]
    limits = [{"name": "billing's", "certificate": "billing", "rate": 0.001, "burst": 1}]
    chain = [{"RequestThrottling": {"limits": limits}}]
    proxy = start(start_cassandra_proxy, server, chain=chain)
    with TlsClient(proxy.port, "billing") as billing, TlsClient(proxy.port, "orders") as orders:
        billing.open()
        orders.open()
        for client in (billing, orders, orders):
            asked = len(server.asked)
            client.send(frame(QUERY, query("SELECT a FROM ks.t"), 1))
            server.wait_for(asked + 1)
            server.answer(asked)
            reply = client.read()
            assert reply is not None and reply.opcode == RESULT
        billing.send(frame(QUERY, query("SELECT a FROM ks.t"), 2))
        reply = billing.read()
        assert reply is not None and reply.code == OVERLOADED and "billing's" in reply.message


def test_routes(servers: Any, start_cassandra_proxy: Start) -> None:
    home, away = servers

    def sink(server: Scripted) -> list[Any]:
        return [{"CassandraSinkSingle": {"remote_address": f"127.0.0.1:{server.port}"}}]

    router = {
        "default": sink(home),
        "chains": {"away": sink(away)},
        "rules": [{"certificate": "billing", "to": "away"}],
    }
    proxy = start(start_cassandra_proxy, home, end={"KeyRouter": router})
    with TlsClient(proxy.port, "billing") as billing, TlsClient(proxy.port, "orders") as orders:
        billing.open()
        orders.open()
        for client, server in ((billing, away), (orders, home), (billing, away)):
            asked = len(server.asked)
            client.send(frame(QUERY, query("SELECT a FROM ks.t"), 1))
            server.wait_for(asked + 1)
            server.answer(asked)
            reply = client.read()
            assert reply is not None and (reply.stream, reply.opcode) == (1, RESULT)
    assert [len(server.asked) for server in servers] == [1, 2]
