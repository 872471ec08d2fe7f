"""What clients of other languages send when they connect: the proxy answers each word of it as the server does.

The bytes were recorded from the clients themselves (tests/clients), a connection a line. They are sent in one piece, as
clients that pipeline do it, and request by request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.handshakes import HANDSHAKES, pinned, requests
from support.proxy import Proxy
from support.resp import RawClient
from support.servers import PATHS, Server
from support.wait import wait_until_equal

CLIENTS = sorted(path.stem for path in HANDSHAKES.glob("*.txt"))
# Of a connection, or of the moment: the id in a reply to HELLO, and what INFO tells.
CHANGING = re.compile(rb"(?<=\$2\r\nid\r\n):\d+|[$=]\d+\r\n(?:txt:)?# Server\r\n(?s:.*)\r\n")


def replies(port: int, wire: bytes, *, in_one_piece: bool) -> list[bytes]:
    """What comes back for each request of a handshake and a PING behind it; fewer if the peer hangs up."""
    sent = [each for each, _ in requests(wire)] + [b"*1\r\n$4\r\nPING\r\n"]
    with RawClient(port) as raw:
        if in_one_piece:
            frames = raw.rest_or_frames(len(sent), b"".join(sent))
        else:
            frames = [frame for each in sent for frame in raw.rest_or_frames(1, each)]
    return [CHANGING.sub(b"...", frame) for frame in frames]


@pytest.fixture(params=sorted(PATHS))
def both(
    request: pytest.FixtureRequest,
    start_server: Callable[..., Server],
    start_proxy: Callable[..., Proxy],
) -> Iterator[tuple[Server, Proxy]]:
    """A server of each kind with the user that the handshakes name, and the proxy before it."""
    server = start_server(kind=request.param)
    with server.raw() as raw:
        raw.command(
            "ACL", "SETUSER", "carol", "on", ">secret", "~c:*", "+@read", "+@connection", "+info"
        )
    yield server, start_proxy(server.port)


def test_there_are_handshakes_of_every_client() -> None:
    assert {"node-redis", "ioredis", "go-redis", "jedis", "lettuce"} <= set(CLIENTS)
    for client in CLIENTS:
        assert len(pinned(client)) >= 10


@pytest.mark.parametrize("client", CLIENTS)
def test_each_word_is_answered_as_by_the_server(both: tuple[Server, Proxy], client: str) -> None:
    server, proxy = both
    for wire in pinned(client):
        for in_one_piece in (True, False):
            expected = replies(server.port, wire, in_one_piece=in_one_piece)
            seen = replies(proxy.port, wire, in_one_piece=in_one_piece)
            assert seen == expected, f"{wire!r}, in one piece: {in_one_piece}"
            assert len(expected) == len(requests(wire)) + 1


@pytest.mark.parametrize("client", CLIENTS)
def test_who_has_connected_shares_a_connection(both: tuple[Server, Proxy], client: str) -> None:
    """A command that neither the server nor the proxy knows must not keep a lease for each client."""
    _, proxy = both
    open_ones: list[Any] = []
    for wire in pinned(client):
        if b"TRACKING" in wire:
            continue  # which keeps its own, as it must
        raw = RawClient(proxy.port)
        open_ones.append(raw)
        raw.send(wire)
        raw.frames(len(requests(wire)))
    wait_until_equal(lambda: proxy.metric("shotover_leases"), 0.0, "no lease is left")
    for raw in open_ones:
        raw.close()
