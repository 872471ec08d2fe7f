"""How the generator takes replies that a scripted peer sends: cut anywhere, unasked for, or no RESP at all."""

from __future__ import annotations

import socket
import threading
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotover.benchmark._load import Load
from shotover.benchmark.generator import (
    Command,
    LoadResult,
    get_command,
    mget_command,
    result_of,
    set_command,
    value_of,
)

FIRST = b"key:%012d" % 0


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(data), data)


def answered(
    command: Command, pieces: list[bytes], requests: int = 1, pipeline: int = 1
) -> LoadResult:
    """Runs against a peer that reads all requests, then sends the pieces one by one and closes."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        wanted = len(command.wire) * min(requests, pipeline)
        while wanted > 0:
            wanted -= len(theirs.recv(min(wanted, 65536)))
        for piece in pieces:
            theirs.sendall(piece)
        theirs.shutdown(socket.SHUT_WR)

    server = threading.Thread(target=serve)
    server.start()
    with ours, theirs:
        load = Load([ours], [command], pipeline=pipeline, key_count=1)
        result = result_of(load.run(5, requests=requests, drain_seconds=5))
        server.join()
    return result


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[low:high] for low, high in pairwise(edges) if low < high]


GOOD = [
    (get_command(64), bulk(value_of(64, FIRST))),
    (get_command(3), bulk(b"abc")),
    (set_command(64), b"+OK\r\n"),
]


@settings(max_examples=60, deadline=None)
@given(
    which=st.sampled_from(range(len(GOOD))), places=st.lists(st.integers(0, 10_000), max_size=12)
)
def test_a_good_reply_is_good_wherever_it_is_cut(which: int, places: list[int]) -> None:
    command, reply = GOOD[which]
    result = answered(command, cut(reply * 5, places), requests=5, pipeline=5)
    assert (result.replies, result.failures) == (5, 0)


def test_byte_by_byte_is_the_same() -> None:
    reply = b"*2\r\n" + bulk(value_of(64, FIRST)) * 2
    result = answered(mget_command(64, 2), [bytes([byte]) for byte in reply])
    assert (result.replies, result.failures) == (1, 0)


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (get_command(4), b"+OK\r\n"),
        (get_command(4), b":5\r\n"),
        (get_command(4), bulk(b"abc")),
        (get_command(4), b"*1\r\n" + bulk(b"abcd")),
        (set_command(4), b"+QUEUED\r\n"),
        (set_command(4), bulk(b"OK")),
        (mget_command(4, 2), b"*1\r\n" + bulk(b"abcd")),
        (mget_command(4, 2), b"*2\r\n" + bulk(b"abcd") + bulk(b"abc")),
        (mget_command(4, 2), bulk(b"abcd")),
        (get_command(64), bulk(value_of(64, b"key:%012d" % 1))),
    ],
)
def test_a_reply_that_is_not_what_was_asked_for_is_wrong(command: Command, reply: bytes) -> None:
    result = answered(command, [reply])
    assert (result.replies, result.wrong, result.errors) == (1, 1, 0)


@pytest.mark.parametrize(
    "reply", [b"-ERR no\r\n", b"-" + b"long " * 100 + b"\r\n", b"!6\r\nERR no\r\n"]
)
def test_an_error_is_an_error(reply: bytes) -> None:
    for pieces in ([reply], [reply[:1], reply[1:4], reply[4:]]):
        result = answered(get_command(4), pieces)
        assert (result.replies, result.errors, result.wrong) == (1, 1, 0)
        assert reply.decode().startswith(result.error_text[:3]) and result.error_text


def test_nested_and_resp3_replies_are_followed_to_their_end() -> None:
    odd = b"*3\r\n*2\r\n:1\r\n$1\r\na\r\n%1\r\n+k\r\n#t\r\n_\r\n"
    result = answered(get_command(4), [odd + bulk(b"abcd")], requests=2, pipeline=2)
    assert (result.replies, result.wrong) == (2, 1)


@pytest.mark.parametrize(
    "reply", [b"hello\r\n", b"$x\r\n", b"$\r\n", b"*-\r\n", b"$12a\r\n", b"\r\n", b"\n"]
)
def test_what_is_no_resp_ends_the_connection(reply: bytes) -> None:
    result = answered(get_command(4), [reply])
    assert (result.replies, result.wrong, result.lost, result.closed) == (0, 1, 1, 1)


def test_a_reply_nobody_asked_for_is_wrong() -> None:
    result = answered(get_command(4), [bulk(b"abcd") + b"+OK\r\n"])
    assert (result.replies, result.wrong, result.closed) == (1, 1, 1)


def test_a_peer_that_closes_mid_reply_leaves_the_rest_lost() -> None:
    result = answered(get_command(4), [bulk(b"abcd") + b"$4\r\nab"], requests=3, pipeline=3)
    assert (result.replies, result.lost, result.closed) == (1, 2, 1)
