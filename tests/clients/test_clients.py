"""Clients of other languages do their ordinary work: they must see the same through the proxy as without it.

`make test-clients` builds the clients first (build.py). What a client does stands in the program in its folder; what it
prints is compared line by line.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import pytest
from support.endpoint import VARIANTS
from support.handshakes import pinned, shape
from support.proxy import Proxy
from support.servers import PATHS, Server

from clients import build, recorder
from clients.run import PROTOCOLS, transcript

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

every_client = pytest.mark.parametrize("client", build.chosen())
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
every_kind = pytest.mark.parametrize("kind", sorted(PATHS))


def compare(alone: list[str], proxied: list[str], what: str) -> None:
    if alone != proxied:
        lines = difflib.unified_diff(
            alone, proxied, "without", "through the proxy", lineterm="", n=1
        )
        pytest.fail(f"{what}:\n" + "\n".join(line[:400] for line in lines), pytrace=False)


@every_kind
@every_protocol
@every_client
def test_one_server(
    client: str,
    protocol: str,
    kind: str,
    start_server: Callable[..., Server],
    start_proxy: Callable[..., Proxy],
) -> None:
    server = start_server(kind=kind)
    alone = transcript(client, server.port, "single", protocol)
    for name, options in VARIANTS.items():
        server.clean()
        proxy: Any = start_proxy(server.port, **options)
        compare(alone, transcript(client, proxy.port, "single", protocol), name)
        proxy.check_idle()


@every_client
def test_its_handshakes_are_those_that_are_pinned(client: str) -> None:
    """If it greets otherwise by now: `python tests/clients/recorder.py` writes what make test replays."""
    seen = {tuple(shape(each)) for each in recorder.record(client)}
    assert seen == {tuple(shape(each)) for each in pinned(client)}
