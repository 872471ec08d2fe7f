"""`endpoint`: the same test against the server alone and through the proxy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.endpoint import DIRECT, DRIVERS, PROXY, TLS, VARIANTS, Endpoint
from support.servers import Server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture in ("endpoint", "make_endpoint"):
        if fixture in metafunc.fixturenames:
            kinds = [DIRECT, PROXY]
            if metafunc.definition.get_closest_marker("variants"):
                kinds = [DIRECT, *VARIANTS]
            metafunc.parametrize(fixture, kinds, indirect=True)
    if "driver" in metafunc.fixturenames:
        metafunc.parametrize("driver", DRIVERS)


class Endpoints:
    """The session's endpoints, one of a kind, each with a server of its own;

    Started when first asked for.
    """

    def __init__(self, server_kind: str) -> None:
        self.server_kind = server_kind
        self.started: dict[str, Endpoint] = {}

    def get(self, kind: str) -> Endpoint:
        if kind not in self.started:
            self.started[kind] = start_endpoint(kind, self.server_kind)
        return self.started[kind]

    def discard(self, kind: str) -> None:
        """The next test gets a fresh one:

        What a failed test leaves behind is not the next one's burden.
        """
        self.started.pop(kind).discard()


def start_endpoint(kind: str, server_kind: str, *server_options: str, **options: Any) -> Endpoint:
    server = Server(server_kind, *server_options, tls=TLS in VARIANTS.get(kind, {}))
    try:
        return Endpoint(kind, server, **options)
    except BaseException:
        server.stop()
        raise


@pytest.fixture(scope="session")
def endpoints(server_kind: str) -> Iterator[Endpoints]:
    endpoints = Endpoints(server_kind)
    with contextlib.ExitStack() as closing:  # each is ended, even if another ends badly
        yield endpoints
        for endpoint in endpoints.started.values():
            closing.callback(endpoint.stop)


def lend(endpoints: Endpoints, kind: str) -> Iterator[Endpoint]:
    """The session's endpoint of `kind` for one test, empty; checked for leftovers after it."""
    endpoint = endpoints.get(kind)
    yield endpoint
    try:
        endpoint.end_of_test()
    except BaseException:
        endpoints.discard(kind)
        raise


@pytest.fixture
def endpoint(request: pytest.FixtureRequest, endpoints: Endpoints) -> Iterator[Endpoint]:
    """The server alone, or the proxy before it."""
    yield from lend(endpoints, request.param)


@pytest.fixture
def proxied(endpoints: Endpoints) -> Iterator[Endpoint]:
    """The proxy only: for what cannot be asked of the server."""
    yield from lend(endpoints, PROXY)


@pytest.fixture
def make_endpoint(
    request: pytest.FixtureRequest, server_kind: str
) -> Iterator[Callable[..., Endpoint]]:
    """Endpoints of the test's own: make_endpoint("--requirepass", "x", sink={...})."""
    started: list[Endpoint] = []

    def make(*server_options: str, **options: Any) -> Endpoint:
        started.append(start_endpoint(request.param, server_kind, *server_options, **options))
        return started[-1]

    with contextlib.ExitStack() as closing:
        yield make
        for endpoint in started:
            closing.callback(endpoint.stop)
