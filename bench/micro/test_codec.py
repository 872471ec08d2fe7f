"""What it costs to cut a request, and to measure a reply."""

from __future__ import annotations

from typing import Any

import pytest
from support.native import load
from support.resp import encode

ROUND = 20_000
KEY = "key:000000012345"
GET = encode("GET", KEY)
SET = encode("SET", KEY, "v" * 64)
REQUESTS = {
    "parse a GET": (GET, 1),
    "parse a SET of 64 bytes": (SET, 1),
    "parse a GET among 16, each its own": (GET * 16, 16),
    "parse an inline GET": (f"GET {KEY}\r\n".encode(), 1),
    "parse a SET of 16 KiB": (encode("SET", KEY, "v" * 16384), 1),
    "parse an MGET of 100 keys": (encode("MGET", *[f"key:{index:012}" for index in range(100)]), 1),
}
NESTED = b"*10\r\n" + b"*2\r\n$4\r\nname\r\n*3\r\n:1\r\n$-1\r\n+OK\r\n" * 10
REPLIES = {
    "scan +OK": (b"+OK\r\n", 1),
    "scan a bulk of 64 bytes": (b"$64\r\n" + b"v" * 64 + b"\r\n", 1),
    "scan a bulk of 64 bytes among 16": ((b"$64\r\n" + b"v" * 64 + b"\r\n") * 16, 16),
    "scan a bulk of 16 KiB": (b"$16384\r\n" + b"v" * 16384 + b"\r\n", 1),
    "scan a nested array of 60 elements": (NESTED, 1),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_parse(cost: Any, what: str) -> None:
    wire, count = REQUESTS[what]
    rounds = max(1, ROUND // count)
    decoder = load("codec_probe").Decoder(merge=0)
    cost(what, rounds * count, lambda: decoder.often(wire, rounds))


def test_parse_a_run(cost: Any) -> None:
    """A pipeline of one session, of which no step wants each request: one request_t stands for all of it."""
    decoder = load("codec_probe").Decoder()
    cost(
        "parse a GET among 16, as one run",
        16 * ROUND // 16,
        lambda: decoder.often(GET * 16, ROUND // 16),
    )


@pytest.mark.parametrize("what", REPLIES)
def test_scan(cost: Any, what: str) -> None:
    wire, count = REPLIES[what]
    rounds = max(1, ROUND // count)
    scanner = load("codec_probe").Scanner()
    cost(what, rounds * count, lambda: scanner.often(wire, rounds))
