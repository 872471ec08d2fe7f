"""Requests: found wherever the bytes are cut, joined or not, and given back whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.native import load
from support.resp import encode

from codec.wires import broken, commands, cut_points, feed, split

probe = load("codec_probe")
NONE, KIN, ANY = 0, 1, 2
gaps = st.sampled_from((b"", b"", b"", b"\r\n", b"\n", b"*0\r\n", b"*-1\r\n", b"   \r\n"))
streams = st.lists(st.tuples(gaps, commands), max_size=12)
TOO_BIG = b"too big"  # said of a line without an end: only who sees it unfinished can say so


def wire_of(stream: list[tuple[bytes, list[bytes]]]) -> bytes:
    return b"".join(gap + encode(*words) for gap, words in stream)


@given(stream=streams, cuts=cut_points, hold=st.booleans())
def test_decode_does_not_care_where_the_bytes_were_cut(stream, cuts, hold) -> None:
    wire = wire_of(stream)
    decoder = probe.Decoder(merge=NONE, hold=hold)
    seen = feed(decoder, split(wire, cuts))
    assert [found[0] for found in seen] == [encode(*words) for _, words in stream]
    assert seen == feed(probe.Decoder(merge=NONE), [wire])
    assert [probe.words(found[0]) for found in seen] == [words for _, words in stream]
    if hold:
        assert decoder.release() == seen
    assert decoder.state == "OK"
    assert decoder.live == (0, 0, 0)


@given(stream=streams, cuts=cut_points, merge=st.sampled_from((KIN, ANY)))
def test_runs_hold_the_same_requests(stream, cuts, merge) -> None:
    wire = wire_of(stream)
    decoder = probe.Decoder(merge=merge, hold=True)
    runs = feed(decoder, split(wire, cuts))
    assert decoder.release() == runs
    alone = iter(feed(probe.Decoder(merge=NONE), [wire]))
    for run, count, argc, command, key, _, conduct in runs:
        members = [next(alone) for _ in range(count)]
        assert run == b"".join(member[0] for member in members)
        assert argc == members[-1][2]
        assert (command, key) == members[0][3:5]
        assert {member[6] for member in members} == {conduct}
        assert count == 1 or conduct == 0
        if merge == KIN:
            assert {member[3] for member in members} == {command}
    assert next(alone, None) is None


@given(stream=streams, cuts=cut_points)
def test_what_is_given_out_by_its_head_is_the_same_request(stream, cuts) -> None:
    wire = wire_of(stream)
    decoder = probe.Decoder(merge=NONE, stream_min=1)
    seen = feed(decoder, split(wire, cuts))
    whole = feed(probe.Decoder(merge=NONE), [wire])
    assert [found[:6] for found in seen] == [
        found[:6] for found in whole
    ]  # its conduct is to be alone
    assert decoder.live == (0, 0, 0)


@pytest.mark.parametrize(
    "words", [("SET", "k", "v" * 100), ("MSET", "k", "v" * 50, "", "", "l", "w")]
)
def test_a_head_at_every_cut(words) -> None:
    wire = encode(*words)
    heads = 0
    for cut in range(1, len(wire)):
        for later in range(cut + 1, len(wire)):
            decoder = probe.Decoder(stream_min=1)
            seen = feed(decoder, [wire[:cut], wire[cut:later], wire[later:]])
            assert [found[0] for found in seen] == [wire], (cut, later)
            assert (decoder.state, decoder.live) == ("OK", (0, 0, 0))
            heads += decoder.heads
    assert heads > 100


@given(raw=broken, cuts=cut_points)
def test_garbage_gives_the_same_status_however_it_is_cut(raw, cuts) -> None:
    whole = probe.Decoder(merge=NONE)
    seen = whole.feed(raw)
    cut = probe.Decoder(merge=NONE)
    assert feed(cut, split(raw, cuts)) == seen
    assert (cut.state, cut.error) == (whole.state, whole.error)
    for decoder in (whole, cut):
        assert (decoder.state == "NEED_DATA") == (decoder.stashed > 0) or decoder.state == "BAD"
        decoder.drop()
        assert decoder.live == (0, 0, 0)


@given(raw=broken, cuts=cut_points, merge=st.sampled_from((KIN, ANY)))
def test_garbage_is_the_same_garbage_in_runs(raw, cuts, merge) -> None:
    alone, runs = probe.Decoder(merge=NONE), probe.Decoder(merge=merge)
    seen = b"".join(found[0] for found in feed(alone, [raw]))
    assert b"".join(found[0] for found in feed(runs, split(raw, cuts))) == seen
    assert (runs.state, runs.error, runs.requests) == (alone.state, alone.error, alone.requests)


@given(raw=st.binary(max_size=200) | broken)
def test_words_of_anything_are_words_or_nothing(raw) -> None:
    found = probe.words(raw)
    assert found is None or raw.startswith(b"*")


@pytest.mark.parametrize("word", [b"GET", b"gEt", b"get"])
def test_a_command_is_known_in_any_case(word) -> None:
    [(_, _, argc, command, key, _, _)] = probe.Decoder().feed(encode(word, "the key"))
    assert (argc, command, key) == (2, b"GET", b"the key")


def test_a_subcommand_is_found_by_its_second_word() -> None:
    assert probe.Decoder().feed(encode("client", "iD"))[0][3] == b"CLIENT|ID"
    assert probe.Decoder().feed(encode("client", "nosuch"))[0][3] == b"CLIENT"


@pytest.mark.parametrize(
    "raw", [b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"host: x\r\n", b"*1\r\n$4\r\npOsT\r\n"]
)
def test_a_browser_is_hung_up_on_without_a_word(raw) -> None:
    decoder = probe.Decoder()
    assert decoder.feed(raw) == []
    assert (decoder.state, decoder.error) == ("BAD", b"")


def test_requests_held_across_many_pieces_of_a_large_one_do_not_move() -> None:
    wire = b"".join(encode("SET", f"k{index}", "v" * (index * 37 % 5000)) for index in range(300))
    decoder = probe.Decoder(merge=NONE, hold=True)
    seen = feed(decoder, split(wire, 1237))
    assert b"".join(found[0] for found in seen) == wire
    assert decoder.release() == seen
    assert decoder.live == (0, 0, 0)
