"""One address to talk to, and what stands behind it: the server alone, or the proxy before it.

A test that takes the fixture `endpoint` runs once for each way of reaching the server and must
see the same. The proxy's variants beyond the plain one run for tests marked `variants`.
"""

from __future__ import annotations

import contextlib
from typing import Any

import redis
from redis._parsers import _HiredisParser, _RESP2Parser, _RESP3Parser

from support.certificates import usual
from support.proxy import Proxy
from support.resp import RawClient
from support.servers import Server

DIRECT, PROXY = "direct", "proxy"
TLS = "tls"
# The plain proxy picks its poller itself: io_uring where the kernel allows it.
VARIANTS: dict[str, dict[str, Any]] = {
    PROXY: {},
    "proxy-per-client": {"sink": {"connection": "per_client"}},
    "proxy-2-workers": {"arguments": ("--core-threads", "2")},
    "proxy-epoll": {"arguments": ("--poller", "epoll")},
    "proxy-tls": {TLS: True},
    "proxy-tls-epoll": {TLS: True, "arguments": ("--poller", "epoll")},
}
DRIVERS = ("resp2-python", "resp2-hiredis", "resp3-python", "resp3-hiredis")


def driver_options(driver: str) -> dict[str, Any]:
    """redis-py's options for one of DRIVERS: protocol and parser."""
    protocol, parser = driver.split("-")
    if parser == "hiredis":
        return {"protocol": int(protocol[-1]), "parser_class": _HiredisParser}
    return {
        "protocol": int(protocol[-1]),
        "parser_class": _RESP3Parser if protocol == "resp3" else _RESP2Parser,
    }


class Endpoint:
    """`port` is where the test connects; `server` is what answers in the end."""

    def __init__(self, kind: str, server: Server, **options: Any) -> None:
        self.kind = kind
        self.server = server
        self.proxy: Proxy | None = None
        self.tls = False
        if kind != DIRECT:
            variant = {**VARIANTS[kind], **options}
            self.tls = variant.pop(TLS, False)
            if self.tls:
                variant["source"] = {"tls": usual().source(), **variant.get("source", {})}
                variant["sink"] = {"tls": usual().sink(), **variant.get("sink", {})}
            self.proxy = Proxy(server.tls_port if self.tls else server.port, **variant)
        self.port = server.port if self.proxy is None else self.proxy.port
        self._closing = contextlib.ExitStack()

    @property
    def direct(self) -> bool:
        return self.proxy is None

    def client(self, *, driver: str | None = None, **options: Any) -> redis.Redis:
        """A redis-py client of its own pool, closed at the end of the test."""
        settings: dict[str, Any] = {
            "protocol": 2,
            "socket_timeout": 10,
            "socket_connect_timeout": 10,
        }
        settings |= driver_options(driver) if driver else {}
        settings |= options
        if self.tls:
            settings |= {"connection_class": redis.SSLConnection, **self._trust()}
        pool = redis.ConnectionPool(host="127.0.0.1", port=self.port, **settings)
        self._closing.callback(pool.disconnect)
        return redis.Redis(connection_pool=pool)

    def cached_client(self, **options: Any) -> redis.Redis:
        """A RESP3 client with redis-py's client-side cache."""
        if self.tls:
            options |= {"ssl": True, **self._trust()}
        client = redis.Redis(host="127.0.0.1", port=self.port, protocol=3, **options)
        self._closing.callback(client.close)
        return client

    @staticmethod
    def _trust() -> dict[str, Any]:
        return {"ssl_ca_certs": str(usual().authority.certificate)}

    def connect(self, **options: Any) -> RawClient:
        """A raw connection, which the caller closes."""
        if self.tls:
            options["tls"] = usual().authority.client_context()
        return RawClient(self.port, **options)

    def raw(self, **options: Any) -> RawClient:
        """A raw connection, closed at the end of the test."""
        raw = self.connect(**options)
        self._closing.callback(raw.close)
        return raw

    def end_of_test(self) -> None:
        """Close what the test opened;

        The proxy must then be as it was: no sessions, nothing logged.
        """
        self._closing.close()
        if self.proxy is not None:
            self.proxy.check_idle()
        self.server.clean()

    def discard(self) -> None:
        """Kill both without a look: a failed test has already been reported."""
        self._closing.close()
        if self.proxy is not None:
            self.proxy.kill()
        self.server.stop()

    def stop(self) -> None:
        """End both; the proxy must end cleanly."""
        self._closing.close()
        try:
            if self.proxy is not None:
                self.proxy.stop()
        finally:
            self.server.stop()
