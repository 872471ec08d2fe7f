"""Any requests, sent in one pipeline through a KeyRouter, are answered as by one server that has all the keys."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.resp import RawClient, encode

from chain.bench import sink
from chain.test_key_router import router

KEYS = [f"{start}{number}" for start in ("a:", "b:", "x:c:") for number in range(3)]
RULES = [{"prefix": "b:", "to": "b"}, {"glob": "?:c:*", "to": "c"}]
keys = st.sampled_from(KEYS)
same = st.sampled_from(["a:", "b:", "x:c:"]).map(
    lambda start: [f"{start}{number}" for number in range(3)]
)
words = st.one_of(
    st.tuples(st.sampled_from(["GET", "INCR", "STRLEN", "TYPE", "LLEN"]), keys),
    st.tuples(st.sampled_from(["SET", "APPEND", "GETSET"]), keys, st.sampled_from(["1", "x"])),
    st.tuples(st.sampled_from(["RPUSH", "LREM"]), keys, st.just("1")),
    st.lists(keys, min_size=1, max_size=6).map(lambda found: ("MGET", *found)),
    st.lists(keys, min_size=1, max_size=6).flatmap(
        lambda found: st.sampled_from(["DEL", "EXISTS", "TOUCH", "UNLINK"]).map(lambda name: (name, *found))
    ),
    st.lists(st.tuples(keys, st.sampled_from(["1", "y"])), min_size=1, max_size=4).map(
        lambda pairs: ("MSET", *(word for pair in pairs for word in pair))
    ),
    same.map(lambda found: ("RENAME", found[0], found[1])),
    same.map(lambda found: ("SUNION", *found)),
    same.map(lambda found: ("BLPOP", *found, "0.01")),
    same.map(lambda found: ("EVAL", "return redis.call('EXISTS', KEYS[1])", "1", found[2])),
    st.sampled_from([("DBSIZE",), ("PING",), ("SELECT", "1"), ("SELECT", "0"), ("SELECT", "99"), ("FLUSHDB",), ("ECHO", "x"),
                     ("CLIENT", "SETNAME", "x"), ("CLIENT", "GETNAME"), ("MSET", "a:1"), ("HELLO", "3"), ("HELLO", "2"),
                     ("GET",), ("NOSUCH", "a:1"), ("UNWATCH",), ("EXEC",), ("DISCARD",), ("RESET",)]),
)  # fmt: skip
alone = words.map(lambda one: [one])
plain = st.tuples(st.sampled_from(["GET", "INCR", "TYPE"]), st.integers(0, 2))
transactions = st.builds(
    lambda start, watched, body, end: [
        *([("WATCH", f"{start}0")] if watched else []),
        ("MULTI",),
        *[(name, f"{start}{number}") for name, number in body],
        (end,),
    ],
    st.sampled_from(["a:", "b:", "x:c:"]),
    st.booleans(),
    st.lists(plain, max_size=4),
    st.sampled_from(["EXEC", "EXEC", "DISCARD"]),
)
scripts = st.lists(st.one_of(alone, alone, alone, transactions), max_size=14).map(
    lambda parts: [request for part in parts for request in part]
)


@pytest.fixture
def servers(run, start_server):
    default, b, c, one = (start_server() for _ in range(4))
    bench = run(router(default.port, b=b.port, c=c.port, rules=RULES))
    assert sink  # the router's chains are made of it
    return bench, one, [default, b, c]


def replies(port: int, script: list[tuple[str, ...]], pieces: int) -> list[bytes]:
    with RawClient(port) as client:
        wires = [encode(*request) for request in script]
        for start in range(0, len(wires), pieces):
            client.send(b"".join(wires[start : start + pieces]))
        return client.frames(len(wires))


def comparable(request: tuple[str, ...], reply: bytes) -> bytes:
    """HELLO tells of the connection, and the server's order of a union is its own."""
    return reply[:1] if request[0] in ("HELLO", "SUNION") else reply


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=scripts, pieces=st.sampled_from((1, 3, 100)))
def test_replies_are_those_of_one_server(servers, script, pieces) -> None:
    bench, one, several = servers
    for server in (one, *several):
        server.client().flushall()
    wanted = replies(one.port, script, pieces)
    said = replies(bench.port, script, pieces)
    for request, theirs, ours in zip(script, wanted, said, strict=True):
        assert comparable(request, ours) == comparable(request, theirs), script
