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


HASH = b"*200\r\n" + b"$8\r\nfield:01\r\n$8\r\nvalue:01\r\n" * 100
SCORES = b"*200\r\n" + b"$9\r\nmember:01\r\n$4\r\n12.5\r\n" * 100
UPGRADES = {
    "write a bulk of 64 bytes in RESP3": (("GET", "k"), b"$64\r\n" + b"v" * 64 + b"\r\n", 1),
    "write a null in RESP3, among 16": (("GET", "k"), b"$-1\r\n" * 16, 16),
    "write a bulk of 16 KiB in RESP3": (("GET", "k"), b"$16384\r\n" + b"v" * 16384 + b"\r\n", 1),
    "write a hash of 100 fields in RESP3": (("HGETALL", "h"), HASH, 1),
    "write 100 members with scores in RESP3": (("ZRANGE", "z", 0, -1, "WITHSCORES"), SCORES, 1),
}


@pytest.mark.parametrize("what", UPGRADES)
def test_upgrade(cost: Any, what: str) -> None:
    words, wire, count = UPGRADES[what]
    probe = load("upgrade_probe")
    shape, rounds = probe.shape(encode(*words)), max(1, ROUND // count // (1 + len(wire) // 1000))
    cost(what, rounds * count, lambda: probe.often(shape, wire, count, rounds))
