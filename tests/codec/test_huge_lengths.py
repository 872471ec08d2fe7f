"""Lengths close to 2**63: whoever adds two to one of them must not come out below zero."""

from __future__ import annotations

import pytest
from support.native import load

from shotover._codec import resp_value

codec = load("codec_probe")
probe = load("fuzz_probe")
HUGE = [2**63 - 1, 2**63 - 2, 2**63 - 3, 2**62, 2**32]


@pytest.mark.parametrize("length", HUGE)
def test_a_word_that_cannot_be_there_is_none(length: int) -> None:
    assert codec.words(b"*1\r\n$%d\r\nx\r\n" % length) is None
    assert codec.words(b"*2\r\n$1\r\nx\r\n$%d\r\n" % length) is None


@pytest.mark.parametrize("length", HUGE)
def test_a_bulk_that_cannot_be_there_is_none(length: int) -> None:
    assert probe.bulk(b"$%d\r\nx\r\n" % length) is None
    assert probe.bulk(b"$%d\r\n" % length) is None


@pytest.mark.parametrize("length", [*HUGE, 2**63, 10**30])
@pytest.mark.parametrize("sign", [b"$", b"=", b"!", b"*", b"~", b"%", b">", b"|"])
def test_a_value_that_cannot_be_there_is_an_error(sign: bytes, length: int) -> None:
    with pytest.raises(ValueError, match="cut"):
        resp_value.decode(b"%b%d\r\nx\r\n" % (sign, length))


@pytest.mark.parametrize(
    "raw", [b"\r\n", b"+a\r\n\r\n", b"*1\r\n\r\n", b"|-1\r\n+a;1\r\n\r\n+b\r\n"]
)
def test_an_empty_line_is_no_value(raw: bytes) -> None:
    with pytest.raises(ValueError, match="empty line"):
        resp_value.decode(raw)
