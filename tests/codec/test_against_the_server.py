"""Requests and protocol errors are what a real redis-server takes them for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.native import load
from support.resp import Closed, Error, RawClient, encode, parse
from support.servers import Server

from codec.wires import TOKENS

probe = load("codec_probe")
LONG = 65536  # bytes; a line beyond is refused sooner or later, depending on how the bytes come


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("redis")
    yield server
    server.stop()


def answers(server: Server, raw: bytes) -> list[object]:
    """What the server says to `raw`, until the connection ends."""
    with RawClient(server.port) as client:
        found = []
        with contextlib.suppress(OSError):  # it may have hung up before all was sent
            client.send(raw)
            client.half_close()
        with contextlib.suppress(Closed):
            while True:
                found.append(parse(client.frame()))
        return found


# ---- inline commands ---------------------------------------------------------------------------------------------

pieces = st.sampled_from(
    (b'"', b"'", b"\\", b"\\x41", b"\\xZ1", b"\\x4", b"\\n", b"\\r", b"\\t", b"\\a", b"\\b", b"\\q", b'\\"', b"\\'", b" ", b"\t",
     b"\x0b", b"\x0c", b"\r", b"word", b"\xff", b'""', b"''", b'"a b"', b"'a b'", b"\x01", b"*1", b"$3")
)  # fmt: skip
lines = st.lists(pieces | st.binary(max_size=4), max_size=8).map(
    lambda parts: b"".join(parts).replace(b"\n", b"").replace(b"\x00", b"")
)


@settings(max_examples=1500, deadline=None)
@given(line=lines)
@example(line=b"a\x0bb")
@example(line=b'"a"\x0b')
@example(line=b'"ends in a \\')
def test_an_inline_command_has_the_words_that_the_server_sees(server, line) -> None:
    raw = b"RPUSH words first " + line + b"\r\n"
    with RawClient(server.port) as client:
        client.command("DEL", "words")
        client.send(raw)
        said = client.value()
        theirs = None if isinstance(said, Error) else client.ask("LRANGE", "words", 0, -1)
    decoder = probe.Decoder()
    seen = decoder.feed(raw)
    if theirs is None:
        assert (decoder.state, b"ERR " + decoder.error) == ("BAD", said.encode()), seen
    else:
        assert probe.words(seen[0][0]) == [b"RPUSH", b"words", *theirs]


# ---- protocol errors ---------------------------------------------------------------------------------------------

counts = st.one_of(
    st.integers(-5, 5),
    st.sampled_from(
        (
            2**31 - 1,
            2**31,
            2**63 - 1,
            2**63,
            10**19,
            10**30,
            -(2**31) + 1,
            -(2**63),
            -(2**63) - 1,
            536870912,
            536870913,
        )
    ),
).map(lambda number: b"%d" % number) | st.sampled_from(
    (b"", b"-", b"-0", b"+1", b"01", b" 1", b"1 ", b"1\x00", b"a", b"1.0", b"--1", b"\r", b"\n")
)
beginnings = (
    b"*",
    b"$",
    b"*1\r\n$",
    b"*2\r\n$4\r\nPING\r\n$",
    b"*1\r\n:",
    b"*1\r\n\x80",
    b"*1\r\n\r",
)
heads = st.tuples(st.sampled_from(beginnings), counts).map(b"".join)
wires = st.lists(
    st.one_of(
        heads.map(lambda head: head + b"\r\n"),
        st.sampled_from(TOKENS),
        st.sampled_from((b"*1\r\n$4\r\nPING\r\n", b"ECHO x\r\n")),
    ),
    max_size=5,
).map(b"".join)


def agree(server: Server, raw: bytes) -> None:
    """Server and decoder find the same number of requests and the same end."""
    decoder = probe.Decoder(merge=0, frame_bytes_max=536870912, arguments_max=2**31 - 1)
    seen = decoder.feed(raw)
    said = answers(server, raw)
    if decoder.state == "BAD" and not decoder.error:
        assert len(said) <= len(seen)  # hung up on: what was not yet sent is lost
        return
    if decoder.state == "BAD":
        assert said, "the server says nothing"
        assert said.pop() == "ERR " + decoder.error.decode("utf-8", "replace")
    assert not any(str(one).startswith("ERR Protocol error") for one in said), said
    assert len(said) == len(seen), (said, seen)


@settings(max_examples=1500, deadline=None)
@given(raw=wires)
@example(raw=b"*-2147483647\r\nPING\r\n")
@example(raw=b"*9223372036854775808\r\n")
@example(raw=b"*-9223372036854775808\r\nPING\r\n")
@example(raw=b"*-9223372036854775809\r\nPING\r\n")
@example(raw=b"*1\r\n$18446744073709551617\r\nx\r\n")
@example(raw=b"*1\r\n$4\r\nPING\r\r*1\r\n$4\r\nPING\r\n")
@example(raw=b"*1\r\n\xc3\r\n")
def test_garbage_ends_as_at_the_server(server, raw) -> None:
    agree(server, raw)


LONG_ONES = {
    "a count without an end": b"*" + b"1" * LONG * 2,
    "a length without an end": b"*1\r\n$" + b"1" * LONG * 2,
    "a word that is no length without an end": b"*1\r\n" + b"x" * LONG * 2,
    "a line without an end": b"x" * LONG * 2,
    "a line hidden by a zero byte": b"\x00" + b"x" * LONG * 2 + b"\r\n",
}


@pytest.mark.parametrize("case", LONG_ONES)
def test_a_line_without_an_end_is_refused_in_the_servers_words(server, case) -> None:
    agree(server, LONG_ONES[case])


def test_the_words_of_a_request_are_the_servers(server) -> None:
    words = [b"", b"\r\n", b"$1\r\n", bytes(range(256)), b"x" * 20_000]
    raw = encode("RPUSH", "binary", *words)
    with RawClient(server.port) as client:
        client.send(raw)
        client.frame()
        assert client.ask("LRANGE", "binary", 0, -1) == words
    assert probe.words(probe.Decoder().feed(raw)[0][0])[2:] == words
