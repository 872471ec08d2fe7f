"""Limits hold before memory is taken, and time grows with the bytes, not with their square."""

from __future__ import annotations

import time

import pytest
from support.native import load
from support.resp import encode

from codec.wires import feed, split

probe = load("codec_probe")
TIMES = 8  # as many bytes: 8 times the time when it is linear, 64 times when it is quadratic
ALLOWED_TIMES = 28


def decode_s(wire: bytes, size: int) -> float:
    """Seconds of CPU for `wire` in pieces of `size` bytes; the best of three."""
    pieces = split(wire, size)
    best = float("inf")
    for _ in range(3):
        decoder = probe.Decoder()
        start = time.process_time()
        for piece in pieces:
            decoder.feed(piece)
        best = min(best, time.process_time() - start)
        assert decoder.state == "OK" and decoder.requests == 1
    return best


@pytest.mark.parametrize("size", [1460, 65536])
def test_time_is_linear_in_the_size_of_a_cut_request(size) -> None:
    small = decode_s(encode("MSET", *["x"] * 100_000), size)
    large = decode_s(encode("MSET", *["x"] * 100_000 * TIMES), size)
    assert large < small * ALLOWED_TIMES, (small, large)


def test_a_million_arguments_byte_by_byte_are_one_request() -> None:
    wire = encode("DEL", *[b"x"] * 999_999)
    decoder = probe.Decoder()
    start = time.process_time()
    seen = feed(decoder, split(wire, 1))
    assert time.process_time() - start < 20  # 7 million pieces; all but a second or two is Python's
    assert [(found[0], found[2]) for found in seen] == [(wire, 1_000_000)]
    assert decoder.bytes_peak < 4 * len(wire)


def test_an_announced_length_costs_no_memory() -> None:
    decoder = probe.Decoder()
    decoder.feed(b"*2\r\n$3\r\nGET\r\n$536870912\r\nabc")
    assert decoder.state == "NEED_DATA"
    assert decoder.bytes_peak <= 65536


def test_memory_follows_what_came_not_what_was_announced() -> None:
    decoder = probe.Decoder()
    decoder.feed(b"*2\r\n$3\r\nGET\r\n$536870912\r\n")
    sent = 0
    for _ in range(64):
        decoder.feed(b"x" * 65536)
        sent += 65536
        assert decoder.bytes_peak < 5 * sent + 131072, sent


def test_an_announced_count_costs_no_memory() -> None:
    decoder = probe.Decoder()
    decoder.feed(b"*1048576\r\n$4\r\nMSET\r\n")
    assert decoder.state == "NEED_DATA" and decoder.bytes_peak <= 65536


LIMITS = {"arguments_max": 8, "inline_bytes_max": 64, "frame_bytes_max": 1024}
REFUSED = {
    "nine arguments": (b"*9\r\n", b"Protocol error: too many arguments (shotover: max_arguments)"),
    "nine inline arguments": (
        b"a b c d e f g h i\r\n",
        b"Protocol error: too many arguments (shotover: max_arguments)",
    ),
    "a long argument": (b"*1\r\n$1025\r\n", b"Protocol error: invalid bulk length"),
    "many long arguments": (
        b"*4\r\n"
        + b"$1000\r\n%b\r\n" % (b"x" * 1000) * 2
        + b"$1000\r\n",  # two of them are allowed
        b"Protocol error: request too large (shotover: max_frame_bytes)",
    ),
    "a long line": (b"x" * 65 + b"\r\n", b"Protocol error: too big inline request"),
    "a line without an end": (b"x" * 65, b"Protocol error: too big inline request"),
    "a count without an end": (b"*" + b"1" * 65536, b"Protocol error: too big mbulk count string"),
    "a length without an end": (
        b"*1\r\n$" + b"1" * 65536,
        b"Protocol error: too big bulk count string",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_beyond_a_limit_is_refused_with_its_name(case, size) -> None:
    raw, error = REFUSED[case]
    decoder = probe.Decoder(**LIMITS)
    assert feed(decoder, split(raw, size)) == []
    assert (decoder.state, decoder.error) == ("BAD", error)
    assert decoder.bytes_peak < 4 * len(raw) + 65536


ALLOWED = (
    b"*8\r\n" + b"$1\r\nx\r\n" * 8, b"a b c d e f g h\r\n", b"*1\r\n$1024\r\n%b\r\n" % (b"x" * 1024), b"x" * 62 + b"\r\n",
)  # fmt: skip


@pytest.mark.parametrize("raw", ALLOWED)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_at_a_limit_is_allowed(raw, size) -> None:
    decoder = probe.Decoder(**LIMITS)
    assert len(feed(decoder, split(raw, size))) == 1 and decoder.state == "OK"


def test_without_memory_the_decoder_says_so_and_loses_none() -> None:
    decoder = probe.Decoder(memory_bytes_max=131072, hold=True)
    feed(decoder, split(encode("SET", "k", "v" * 200_000), 10_000))
    assert decoder.state == "NO_MEMORY"
    decoder.drop()
    assert decoder.live == (0, 0, 0)


@pytest.mark.long  # compares CPU times: for a quiet machine
def test_a_long_frame_from_a_server_is_gathered_in_linear_time() -> None:
    def gather_s(size: int) -> float:
        pieces = split(b">2\r\n$7\r\nmessage\r\n$%d\r\n%b\r\n" % (size, b"x" * size), 16384)
        best = float("inf")
        for _ in range(3):
            scanner = probe.Scanner(framed=True)
            start = time.process_time()
            seen = feed(scanner, pieces)
            best = min(best, time.process_time() - start)
            assert len(seen) == 1
        return best

    small, large = gather_s(6 << 20), gather_s(TIMES * 6 << 20)
    assert large < small * ALLOWED_TIMES, (small, large)
