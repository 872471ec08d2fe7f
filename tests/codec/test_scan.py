"""Replies: measured, never parsed; whole wherever the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.native import load
from support.resp import RawClient

from codec.wires import cut_points, feed, pushes, replies, split

probe = load("codec_probe")


@given(frames=st.lists(replies, max_size=8), cuts=cut_points)
def test_scan_does_not_care_where_the_bytes_were_cut(frames, cuts) -> None:
    scanner = probe.Scanner()
    assert feed(scanner, split(b"".join(frames), cuts)) == frames
    assert not scanner.broken and scanner.partial == 0


@given(frames=st.lists(replies, max_size=9), cuts=cut_points, run=st.integers(1, 4))
def test_a_run_of_replies_ends_with_its_last(frames, cuts, run) -> None:
    scanner = probe.Scanner(run)
    seen = feed(scanner, split(b"".join(frames), cuts))
    assert seen == [b"".join(frames[at : at + run]) for at in range(0, len(frames) - run + 1, run)]
    assert scanner.partial == sum(map(len, frames[len(seen) * run :]))


@given(frames=st.lists(replies | pushes, max_size=8), cuts=cut_points)
def test_frames_are_gathered_with_pushes_among_them(frames, cuts) -> None:
    scanner = probe.Scanner(framed=True)
    assert feed(scanner, split(b"".join(frames), cuts)) == frames
    assert not scanner.broken and scanner.partial == 0


@given(frames=st.lists(replies, max_size=4), push=pushes, cuts=cut_points)
def test_a_push_between_replies_is_noticed_and_not_passed_on(frames, push, cuts) -> None:
    scanner = probe.Scanner()
    assert feed(scanner, split(b"".join(frames) + push + b"+OK\r\n", cuts)) == frames
    assert scanner.pushed and scanner.partial == 0


@given(
    raw=st.lists(
        st.sampled_from((
            b"*", b"$", b"%", b"|", b">", b"+", b"-", b"1", b"9" * 16, b"0", b"-1", b"\r\n", b"\n", b"x", b"$3\r\nabc\r\n",
        ))
        | st.binary(max_size=6),
        max_size=20,
    ).map(b"".join),
    cuts=cut_points,
    framed=st.booleans(),
)  # fmt: skip
def test_garbage_from_a_server_is_the_same_however_it_is_cut(raw, cuts, framed) -> None:
    whole, cut = probe.Scanner(framed=framed), probe.Scanner(framed=framed)
    assert feed(cut, split(raw, cuts)) == whole.feed(raw)
    # digits without an end are only too many once there are too many of them
    assert (cut.broken, cut.pushed) == (whole.broken, whole.pushed)


BROKEN = (
    b"x\r\n", b"\r\n", b"$abc\r\n", b"$-2\r\n", b"$\r\n", b"$1234567890123456\r\n", b"*1.5\r\n", b"*--1\r\n", b"$3\rX",
    b"$-0\r\n",
    b"|-1\r\n+a\r\n+b\r\n+c\r\n", b"*1\r\n>1\r\n+x\r\n\x00",
)  # fmt: skip


@pytest.mark.parametrize("raw", BROKEN)
def test_what_is_no_reply_is_refused(raw) -> None:
    scanner = probe.Scanner()
    scanner.feed(raw)
    assert scanner.broken


def test_counts_that_add_up_to_more_than_there_are_numbers_for_are_refused() -> None:
    scanner = probe.Scanner()
    scanner.feed(b"%549755813888\r\n" * (1 << 23))
    assert scanner.broken


@pytest.mark.parametrize("protocol", [2, 3])
def test_every_reply_type_of_the_server_is_measured(start_server, protocol) -> None:
    server = start_server("--enable-debug-command", "yes")
    with server.raw() as raw:
        raw.command("HELLO", protocol)
        raw.command("CLIENT", "TRACKING", "on") if protocol == 3 else None
        for kind in (
            "string",
            "integer",
            "double",
            "null",
            "array",
            "set",
            "map",
            "bignum",
            "true",
            "false",
            "verbatim",
        ):
            _same_frame(raw, "DEBUG", "PROTOCOL", kind)
        if protocol == 3:
            _same_frame(raw, "DEBUG", "PROTOCOL", "attrib")
            _same_frame(raw, "DEBUG", "PROTOCOL", "push", push=True)
        for words in (
            ("COMMAND",),
            ("COMMAND", "DOCS"),
            ("CONFIG", "GET", "*"),
            ("INFO", "everything"),
            ("NOSUCH",),
            ("MGET", "a", "b"),
        ):
            _same_frame(raw, *words)


def _same_frame(raw: RawClient, *words: object, push: bool = False) -> None:
    """The probe's frame is the one that the tests' own reader sees, cut or whole."""
    frame = raw.command(*words)
    for size in (1, 7, len(frame)) if len(frame) < 5000 else (997, len(frame)):
        assert feed(probe.Scanner(framed=push), split(frame, size)) == [frame], words
    if push:
        raw.frame()  # the reply proper
