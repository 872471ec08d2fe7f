"""Whom a client's certificate names, in the conditions of transforms: real certificates, clients and servers."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.certificates import Authority, usual
from support.proxy import Proxy
from support.resp import RawClient
from support.servers import Server

NAMES = {  # of each client: what its certificate has
    "orders": {"uris": ["spiffe://shop/orders"], "dns": ["orders.example.org"]},
    "billing": {},  # its common name
    "report.example.org": {"dns": ["report.example.org"]},
}
IDENTITIES = {
    "orders": "spiffe://shop/orders",
    "billing": "billing",
    "report.example.org": "report.example.org",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("redis")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def contexts() -> dict[str, ssl.SSLContext]:
    """Of each client, by name."""
    authority: Authority = usual().authority
    return {
        name: authority.client_context(authority.issue(name, **names, file=f"by-{name}"))
        for name, names in NAMES.items()
    }


@pytest.fixture
def serve(server) -> Iterator[Callable[..., Proxy]]:
    """serve(transforms): all clients must show a certificate."""
    started: list[Proxy] = []
    authority = {"certificate_authority_path": str(usual().authority.certificate)}

    def begin(*chain: Any, end: Any = None) -> Proxy:
        source = {"tls": usual().source(**authority)}
        started.append(Proxy(server.port, source=source, chain=chain, end=end))
        return started[-1]

    yield begin
    for proxy in started:
        proxy.stop()


def answers(
    proxy: Proxy, contexts: dict[str, ssl.SSLContext], *words: str, times: int = 1
) -> dict[str, bytes]:
    """What each client is answered the last of so many times."""
    found = {}
    for name, context in contexts.items():
        with RawClient(proxy.port, tls=context) as client:
            for _ in range(times):
                found[name] = client.command(*words)
    return found


OK, NOT_YOU = b"+OK\r\n", b"-ERR not you\r\n"


@pytest.mark.parametrize("name", NAMES)
def test_faults(serve, contexts, name) -> None:
    proxy = serve(
        {
            "FaultInjection": {
                "faults": [{"error": "ERR not you", "certificates": [IDENTITIES[name]]}]
            }
        }
    )
    expected = {each: NOT_YOU if each == name else OK for each in NAMES}
    assert answers(proxy, contexts, "SET", "key", "value") == expected
    # only what a certificate is named by counts, and all of it
    other = serve(
        {
            "FaultInjection": {
                "faults": [{"error": "ERR not you", "certificates": ["orders", "bill", "billings"]}]
            }
        }
    )
    assert answers(other, contexts, "SET", "key", "value") == dict.fromkeys(NAMES, OK)


def test_a_certificate_and_an_address_must_both_fit(serve, contexts) -> None:
    fault = {"error": "ERR not you", "certificates": ["billing", "spiffe://shop/orders"]}
    here = serve({"FaultInjection": {"faults": [{**fault, "clients": ["127.0.0.0/8"]}]}})
    assert answers(here, contexts, "SET", "key", "value") == {
        "orders": NOT_YOU,
        "billing": NOT_YOU,
        "report.example.org": OK,
    }
    elsewhere = serve({"FaultInjection": {"faults": [{**fault, "clients": ["192.0.2.0/24"]}]}})
    assert answers(elsewhere, contexts, "SET", "key", "value") == dict.fromkeys(NAMES, OK)


def test_types_of_commands(serve, contexts) -> None:
    fields = {"DenyList": ["Write"], "certificates": ["report.example.org"]}
    proxy = serve({"QueryTypeFilter": fields})
    refused = b"-ERR Message was filtered out by shotover\r\n"
    assert answers(proxy, contexts, "SET", "key", "value") == {
        "orders": OK,
        "billing": OK,
        "report.example.org": refused,
    }
    assert answers(proxy, contexts, "EVAL", "return 1", "0")["report.example.org"] == refused
    assert answers(proxy, contexts, "GET", "key") == dict.fromkeys(NAMES, b"$5\r\nvalue\r\n")


def test_limits(serve, contexts) -> None:
    limits = [
        {"name": "billing's", "certificate": "billing", "rate": 0.001, "burst": 2},
        {
            "name": "prefix",
            "certificate": "spiffe://shop/orders",
            "prefix": "o:",
            "rate": 0.001,
            "burst": 2,
        },
    ]
    proxy = serve({"RequestThrottling": {"limits": limits}})
    found = answers(proxy, contexts, "SET", "key", "value", times=3)
    assert b"billing's" in found.pop("billing")
    assert found == {"orders": OK, "report.example.org": OK}
    found = answers(proxy, contexts, "SET", "o:key", "value", times=3)
    assert b"prefix" in found["orders"]
    assert b"billing's" in found["billing"]  # its bucket is still empty
    assert found["report.example.org"] == OK
    with RawClient(proxy.port, tls=contexts["billing"]) as client:
        assert client.command("SELECT", "1").startswith(
            b"+OK"
        )  # of the connection's own: not counted
        assert b"billing's" in client.command("GET", "key")
        assert client.command("RESET") == b"+RESET\r\n"
        assert b"billing's" in client.command("GET", "key")


@pytest.mark.parametrize(
    "condition", [{}, {"prefix": "k"}, {"command": ["SET", "GET"]}, {"hash": "0-16383"}]
)
def test_routes(serve, server, contexts, condition) -> None:
    """With another condition beside it, and without, each of which is looked up in another table."""
    rules = [{**condition, "certificate": "billing", "to": "nowhere"}]
    chains = {
        "default": [{"RedisSinkSingle": {"remote_address": f"127.0.0.1:{server.port}"}}],
        "chains": {"nowhere": [{"DebugReturner": {"Redis": "42"}}]},
    }
    proxy = serve(end={"KeyRouter": {**chains, "rules": rules}})
    assert answers(proxy, contexts, "SET", "key", "value", times=2) == {
        "orders": OK,
        "billing": b"$2\r\n42\r\n",
        "report.example.org": OK,
    }
    assert answers(proxy, contexts, "GET", "key")["orders"] == b"$5\r\nvalue\r\n"
    with RawClient(proxy.port, tls=contexts["orders"]) as client:
        assert client.ask("MULTI") == b"OK"
        assert client.ask("INCR", "count") == b"QUEUED"
        assert isinstance(client.ask("EXEC"), list)


def test_a_client_without_a_certificate_falls_under_none(server) -> None:
    fault = {"error": "ERR not you", "certificates": ["billing"]}
    proxy = Proxy(server.port, chain=[{"FaultInjection": {"faults": [fault]}}])
    try:
        with proxy.raw() as client:
            assert client.command("SET", "key", "value") == OK
    finally:
        proxy.stop()
