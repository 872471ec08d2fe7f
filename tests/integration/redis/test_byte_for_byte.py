"""The same bytes in, the same bytes out: the server alone against the endpoint, on the same server.

The same process answers both times, so that the order of sets and keys (a seed of the process)
is the same. What is left to normalise is the id of the connection.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import pytest
from support.conversations import CONVERSATIONS, normal, requests_of
from support.endpoint import Endpoint
from support.raw_bytes import RAW
from support.resp import RawClient, encode

ARGUMENT_SETS = (
    (),
    ("k",),
    ("k", "k"),
    ("k", "1"),
    ("k", "a", "b"),
    ("k", "0", "-1"),
    ("k", "1", "a"),
    ("2", "k", "m"),
    ("k", "1", "1", "a"),
    tuple("abcdefghij"),
)
KEYS = {
    "missing": (),
    "string": ("SET", "k", "v"),
    "number": ("SET", "k", "41"),
    "list": ("RPUSH", "k", "a"),
    "hash": ("HSET", "k", "a", "1"),
    "set": ("SADD", "k", "1"),
    "zset": ("ZADD", "k", "1", "a"),
    "stream": ("XADD", "k", "1-1", "a", "b"),
}
# Not in the sweep: what ends the connection or the server, what blocks, what has several replies or
# none, what depends on the clock or on chance, what leaves state behind that no FLUSHALL takes
# away.
NOT_SWEPT = set(
    """
    shutdown sync psync replconf replicaof slaveof failover monitor quit debug multi reset client
    subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe restore-asking restore
    blpop brpop brpoplpush blmove blmpop bzpopmin bzpopmax bzmpop wait waitaof xread
    xreadgroup migrate
    time lastsave save bgsave bgrewriteaof info randomkey spop srandmember hrandfield zrandmember
    expire pexpire pttl ttl getex setex psetex object hexpire hpexpire httl hpttl hsetex hgetex
    xadd xautoclaim xclaim xinfo flushall flushdb acl config script function memory latency slowlog
    module cluster command swapdb select auth hello lolwut pfselftest pfdebug keys commandlog
    """.split()
)

Manner = Callable[[RawClient, list[tuple[bytes, int]]], list[bytes]]


def in_steps(raw: RawClient, requests: list[tuple[bytes, int]]) -> list[bytes]:
    """One request, its replies, the next request."""
    replies = []
    for request, count in requests:
        raw.send(request)
        replies.append(normal(b"".join(raw.frames(count))))
    return replies


def as_pipeline(raw: RawClient, requests: list[tuple[bytes, int]]) -> list[bytes]:
    """All at once, then all replies."""
    raw.send(b"".join(request for request, _ in requests))
    return [normal(b"".join(raw.frames(count))) for _, count in requests]


def in_random_pieces(raw: RawClient, requests: list[tuple[bytes, int]]) -> list[bytes]:
    """All at once, cut where no frame ends."""
    whole = b"".join(request for request, _ in requests)
    chance = random.Random(len(whole))
    at = 0
    while at < len(whole):
        size = chance.randint(1, 40)
        raw.send(whole[at : at + size])
        at += size
    return [normal(b"".join(raw.frames(count))) for _, count in requests]


def assert_same(
    requests: list[tuple[bytes, int]], expected: list[bytes], seen: list[bytes]
) -> None:
    differing = [
        f"  in       {request[:200]!r}\n  expected {want[:400]!r}\n  seen     {got[:400]!r}"
        for (request, _), want, got in zip(requests, expected, seen, strict=True)
        if want != got
    ]
    assert not differing, f"{len(differing)} of {len(requests)} replies differ:\n" + "\n\n".join(
        differing[:20]
    )


@pytest.mark.variants
@pytest.mark.parametrize("manner", [in_steps, as_pipeline, in_random_pieces])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_reads_the_same(endpoint: Endpoint, name: str, manner: Manner) -> None:
    requests = requests_of(CONVERSATIONS[name])
    with endpoint.server.raw() as server:
        expected = in_steps(server, requests)
    endpoint.server.clean()
    seen = manner(endpoint.raw(), requests)
    assert_same(requests, expected, seen)


@pytest.mark.parametrize("byte_by_byte", [False, True], ids=["at-once", "byte-by-byte"])
@pytest.mark.parametrize("name", RAW)
def test_raw_bytes_get_the_same_answer(endpoint: Endpoint, name: str, byte_by_byte: bool) -> None:
    raw_bytes = RAW[name]

    def talk(raw: RawClient) -> bytes:
        with raw:
            with contextlib.suppress(OSError):  # it may close at the first wrong byte
                if byte_by_byte and len(raw_bytes) < 1000:
                    raw.send_byte_by_byte(raw_bytes)
                else:
                    raw.send(raw_bytes)
                raw.half_close()  # the server answers all it has, then closes
            return normal(raw.rest())

    expected = talk(endpoint.server.raw())
    endpoint.server.clean()
    assert talk(endpoint.raw()) == expected


def sweep(commands: list[str]) -> list[tuple[bytes, int]]:
    """Every command with every set of arguments against the key `k` of every type."""
    requests = []
    for command in commands:
        for arguments in ARGUMENT_SETS:
            for prepare in KEYS.values():
                requests.append((encode("DEL", "k", "m", "1", "a", "2"), 1))
                if prepare:
                    requests.append((encode(*prepare), 1))
                requests.append((encode(command, *arguments), 1))
    return requests


@pytest.mark.variants
@pytest.mark.parametrize("protocol", ["2", "3"])
def test_every_command_with_many_arguments_gets_the_same_reply(
    endpoint: Endpoint, protocol: str
) -> None:
    """Some 20,000 requests: right ones, wrong arity, wrong type, not a number."""
    with endpoint.server.raw() as server:
        commands = sorted({entry[0].decode() for entry in server.ask("COMMAND")} - NOT_SWEPT)
        assert len(commands) > 130
        hello = (encode("HELLO", protocol), 1)
        requests = [hello, *sweep(commands)]
        expected = in_batches(server, requests)
    endpoint.server.clean()
    seen = in_batches(endpoint.raw(), requests)
    assert_same(requests, expected, seen)


def in_batches(raw: RawClient, requests: list[tuple[bytes, int]], size: int = 500) -> list[bytes]:
    """As pipelines short enough never to fill both sides' socket buffers."""
    replies = []
    for at in range(0, len(requests), size):
        replies += as_pipeline(raw, requests[at : at + size])
    return replies
