"""DebugForceParse and DebugForceEncode before Redis: read as a whole, written anew, and nothing is lost."""

from __future__ import annotations

import pytest

from chain.bench import sink

PARSE = {"DebugForceParse": {"parse_requests": True, "parse_responses": True}}
ENCODE = {"DebugForceEncode": {"encode_requests": True, "encode_responses": True}}
WORK = [
    ("SET", b"k\x00", b"v\r\n" * 10_000),
    ("GET", b"k\x00"),
    "GET nothing",
    "RPUSH l a b c",
    "LRANGE l 0 -1",
    "HSET h a 1 b 2",
    "HGETALL h",
    "CONFIG GET maxmemory",
    "INCR k",
    "NO SUCH",
    "MULTI",
    "GET k",
    "EXEC",
]


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("step", [PARSE, ENCODE], ids=["parse", "encode"])
def test_clients_see_the_same(run, start_server, step, protocol) -> None:
    server = start_server()
    direct = run(sink(server.port))
    forced = run(step, sink(server.port))
    hello = [("HELLO", str(protocol))]
    said = direct.play(*hello, "FLUSHALL", *WORK)
    assert forced.play(*hello, "FLUSHALL", *WORK)[1:] == said[1:]
    assert forced.sample("shotover_debug_forced_count", outcome="done") == 2 * (len(WORK) + 2)
    assert forced.sample("shotover_debug_forced_count", outcome="unreadable") == 0


def test_one_side_alone(run, start_server) -> None:
    server = start_server()
    step = {"DebugForceEncode": {"encode_requests": True, "encode_responses": False}}
    bench = run(step, sink(server.port))
    assert bench.play("SET a 1", "GET a") == [b"+OK\r\n", b"$1\r\n1\r\n"]
    assert bench.sample("shotover_debug_forced_count", outcome="done") == 2
