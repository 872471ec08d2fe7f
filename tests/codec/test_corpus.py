"""Every file of the corpus: the same wherever it is cut; what the server makes of it, we make of it.

corpus/requests/*.resp are a client's bytes, corpus/replies/*.resp a server's. A fixed bug leaves its bytes here.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.native import load

from codec.test_against_the_server import agree, server  # noqa: F401  (a fixture)
from codec.wires import feed, split

probe = load("codec_probe")
CORPUS = Path(__file__).parent / "corpus"
REQUESTS = sorted((CORPUS / "requests").glob("*.resp"))
REPLIES = sorted((CORPUS / "replies").glob("*.resp"))
REFUSED_REPLIES = {
    "attribute-of-negative-count", "length-of-16-digits", "length-streamed",
}  # fmt: skip


def every_cut(raw: bytes) -> list[list[bytes]]:
    """Cut once at each place (of the first thousand), and into bytes."""
    return [[raw[:at], raw[at:]] for at in range(1, min(len(raw), 1000))] + [split(raw, 1)]


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("merge", [0, 1, 2])
def test_requests_are_the_same_wherever_they_are_cut(path, merge) -> None:
    raw = path.read_bytes()
    whole = probe.Decoder(merge=0)
    seen = whole.feed(raw)
    for pieces in every_cut(raw):
        decoder = probe.Decoder(merge=merge)
        found = feed(decoder, pieces)
        assert b"".join(one[0] for one in found) == b"".join(one[0] for one in seen)
        assert sum(one[1] for one in found) == len(seen)
        assert (decoder.state, decoder.error) == (whole.state, whole.error)
        decoder.drop()
        assert decoder.live == (0, 0, 0)


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_requests_are_what_the_server_takes_them_for(path, server) -> None:  # noqa: F811
    agree(server, path.read_bytes())


@pytest.mark.parametrize("path", REPLIES, ids=lambda path: path.stem)
@pytest.mark.parametrize("framed", [False, True], ids=["streamed", "framed"])
def test_replies_are_the_same_wherever_they_are_cut(path, framed) -> None:
    raw = path.read_bytes()
    whole = probe.Scanner(framed=framed)
    seen = whole.feed(raw)
    for pieces in every_cut(raw):
        scanner = probe.Scanner(framed=framed)
        assert feed(scanner, pieces) == seen
        assert (scanner.broken, scanner.pushed) == (whole.broken, whole.pushed)
    assert whole.broken == (path.stem in REFUSED_REPLIES)
