"""Random conversations over several connections: the proxy must answer each as the server does.

Hypothesis makes the conversations, and shortens one that differs to the least that still does.
SHOTOVER_EXAMPLES=2000 looks longer; without it the same examples run every time.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.conversations import normal
from support.endpoint import Endpoint
from support.resp import RawClient, encode

EXAMPLES = int(os.environ.get("SHOTOVER_EXAMPLES", "0"))
CONNECTIONS = 3
SHORTEN_S = 15.0  # spent on making a failing conversation shorter

keys = st.sampled_from(["a", "b", "{t}1"])
small = st.integers(-3, 20).map(str)
values = st.sampled_from(["", "x", "10", "3.5", "two words", "\r\n", "x" * 5000])
databases = st.sampled_from(["0", "1", "99"])


def words(*parts: Any) -> st.SearchStrategy[tuple[str, ...]]:
    return st.tuples(*(st.just(part) if isinstance(part, str) else part for part in parts))


data = st.one_of(
    words("GET", keys),
    words("SET", keys, values),
    words("SET", keys, values, "XX", "GET"),
    words("APPEND", keys, values),
    words("INCRBY", keys, small),
    words("DEL", keys),
    words("EXISTS", keys, keys),
    words("TYPE", keys),
    words("GETRANGE", keys, small, small),
    words("SETRANGE", keys, small, values),
    words("STRLEN", keys),
    words("RPUSH", keys, values, values),
    words("LPUSH", keys, values),
    words("LPOP", keys),
    words("LPOP", keys, small),
    words("LRANGE", keys, small, small),
    words("LLEN", keys),
    words("LMOVE", keys, keys, "LEFT", "RIGHT"),
    words("HSET", keys, small, values),
    words("HGET", keys, small),
    words("HGETALL", keys),
    words("HDEL", keys, small),
    words("SADD", keys, small),
    words("SREM", keys, small),
    words("SCARD", keys),
    words("SISMEMBER", keys, small),
    words("ZADD", keys, small, values),
    words("ZSCORE", keys, values),
    words("ZRANGE", keys, "0", "-1", "WITHSCORES"),
    words("MGET", keys, keys),
    words("MSET", keys, values, keys, values),
    words("RENAME", keys, keys),
    words("COPY", keys, keys, "REPLACE"),
    words("BITCOUNT", keys),
    words("SETBIT", keys, small, "1"),
    words("XADD", keys, small, "f", values),
    words("XLEN", keys),
    words("PERSIST", keys),
    words("DBSIZE"),
    words("GETDEL", keys),
    words("OBJECT", "ENCODING", keys),
    words("ECHO", values),
    words("PING"),
    words("PING", values),
    words("EVAL", "return {KEYS[1], redis.call('EXISTS', KEYS[1])}", "1", keys),
)
state = st.one_of(
    words("MULTI"),
    words("EXEC"),
    words("DISCARD"),
    words("WATCH", keys),
    words("UNWATCH"),
    words("SELECT", databases),
    words("HELLO", "3"),
    words("HELLO", "2"),
    words("RESET"),
    words("CLIENT", "SETNAME", st.sampled_from(["n", "m"])),
    words("CLIENT", "GETNAME"),
    words("CLIENT", "NO-EVICT", "on"),
    words("ACL", "WHOAMI"),
    words("AUTH", "wrong"),
    words("BLPOP", keys, "0.001"),
    words("BZPOPMIN", keys, "0.001"),
    words("XREAD", "BLOCK", "1", "STREAMS", keys, "0"),
    words("HELLO", "3", "SETNAME", "hello"),
    words("CLIENT", "TRACKINGINFO"),
    words("WAIT", "0", "1"),
)
wrong = st.one_of(
    words("NOSUCH"),
    words("GET"),
    words("SET", keys),
    words("HSET", keys, values),
    words("CLIENT"),
    words("EXEC", "x"),
    words(""),
    words("LPUSH", keys),
    words("MULTI", "x"),
    words("SELECT"),
    words("SUBSCRIBE"),
    words("HELLO", "x"),
)
command = st.one_of(data, data, state, wrong)
conversations = st.lists(
    st.tuples(st.integers(0, CONNECTIONS - 1), command), min_size=1, max_size=40
)


def talk(raws: list[RawClient], conversation: list[tuple[int, tuple[str, ...]]]) -> list[bytes]:
    """Each request waits for its reply, so that the order over all connections is the same every
    time.
    """
    return [normal(raws[number].command(*each)) for number, each in conversation]


def talk_in_bursts(
    raws: list[RawClient], conversation: list[tuple[int, tuple[str, ...]]]
) -> list[bytes]:
    """Neighbouring requests of one connection go as one pipeline."""
    replies: list[bytes] = []
    at = 0
    while at < len(conversation):
        number = conversation[at][0]
        end = at
        while end < len(conversation) and conversation[end][0] == number:
            end += 1
        raws[number].send(b"".join(encode(*each) for _, each in conversation[at:end]))
        replies += map(normal, raws[number].frames(end - at))
        at = end
    return replies


class Known:
    """Bounds the shortening of a failure: each example that hangs costs its deadline."""

    def __init__(self) -> None:
        self.failures: dict[str, str] = {}
        self.until = 0.0

    def recall(self, conversation: Any) -> bool:
        """What failed fails as before; True: the time is up, and all else is let pass."""
        if repr(conversation) in self.failures:
            raise AssertionError(self.failures[repr(conversation)])
        return bool(self.until) and time.monotonic() > self.until

    def compare(self, conversation: Any, expected: list[Any], seen: list[Any]) -> None:
        if expected == seen:
            return
        text = f"expected {expected!r}\nseen     {seen!r}"
        self.failures[repr(conversation)] = text
        self.until = self.until or time.monotonic() + SHORTEN_S
        raise AssertionError(text)


@pytest.mark.variants
@pytest.mark.timeout(600 if EXAMPLES else 60)
@pytest.mark.parametrize("manner", [talk, talk_in_bursts])
def test_random_conversations_read_the_same(endpoint: Endpoint, manner: Any) -> None:
    control = endpoint.server.raw()
    known = Known()

    @settings(
        max_examples=EXAMPLES or 80,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(conversation=conversations)
    def run(conversation: list[tuple[int, tuple[str, ...]]]) -> None:
        if known.recall(conversation):
            return
        sides = []
        for connect, how in ((endpoint.server.connect, talk), (endpoint.connect, manner)):
            control.command("FLUSHALL")
            raws = [connect(deadline_s=2) for _ in range(CONNECTIONS)]
            try:
                sides.append(how(raws, conversation))
            except (AssertionError, OSError) as error:
                sides.append([repr(error)])
            finally:
                for raw in raws:
                    raw.close()
        known.compare(conversation, *sides)

    with control:
        run()
