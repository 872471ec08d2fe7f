"""Clients that are disconnected are counted by reason, each once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.proxy import Proxy
from support.servers import Server

REFUSALS = "shotover_refusals_count"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server("redis")
    yield server
    server.stop()


def test_broken_protocol_and_silence_are_told_apart(server) -> None:
    proxy = Proxy(server.port, source={"timeout": 1, "max_inline_bytes": 64})
    try:
        for broken in (b"*1\r\n:1\r\n", b"*x\r\n", b"x" * 100):
            with proxy.raw() as raw:
                raw.send(broken)
                assert raw.rest().startswith(b"-ERR Protocol error")
        with proxy.raw() as raw:
            assert raw.rest() == b"", "it says nothing, and is disconnected"
        assert proxy.metric(REFUSALS, reason="protocol_error") == 3
        assert proxy.metric(REFUSALS, reason="timeout") == 1
    finally:
        proxy.stop()
