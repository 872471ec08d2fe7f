"""What carries the frames of CQL: segments, and bodies compressed by LZ4 and Snappy, from a peer that knows how to make sums."""

from __future__ import annotations

import contextlib
import zlib

from support.native import load

probe = load("segment_probe")

LZ4, SNAPPY = 1, 2
MOST = 1 << 20
START_24, POLYNOMIAL_24 = 0x875060, 0x1974F0B
START_32 = zlib.crc32(b"\xfa\x2d\x55\xca")
TOKENS = (
    b"\x00",
    b"\x0f",
    b"\xf0",
    b"\xff",
    b"\x01\x00",
    b"\xff\xff",
    b"\x00\x00\x00\x10",
    b"\x80\x01",
    b"\xfe\x01\x00",
)


def sum_24(head: bytes) -> bytes:
    crc = START_24
    for byte in head:
        crc ^= byte << 16
        for _ in range(8):
            crc = crc << 1 ^ (POLYNOMIAL_24 if crc & 0x800000 else 0)
    return crc.to_bytes(3, "little")


def packed_segment(payload: bytes, claimed: int, alone: bool) -> bytes:
    """A segment whose payload is said to be `claimed` bytes before compression; its sums are right."""
    head = (len(payload) | claimed << 17 | alone << 34).to_bytes(5, "little")
    return head + sum_24(head) + payload + zlib.crc32(payload, START_32).to_bytes(4, "little")


def segments(data: bytes) -> None:
    """As they come (nearly always a wrong sum), and with right sums around them."""
    for packed in (False, True):
        whole = probe.write(data, True, packed)
        assert probe.read(whole, packed) == (data, True, len(whole))
        with contextlib.suppress(ValueError):
            probe.read(data, packed)
    claimed = int.from_bytes(data[:2], "little") & 4095
    try:
        payload, _, _ = probe.read(packed_segment(data[2:], claimed, False), True)
    except ValueError:
        return
    assert len(payload) == (claimed or len(data[2:]))


def bodies(data: bytes) -> None:
    for compression in (LZ4, SNAPPY):
        packed = probe.pack(compression, data)
        assert probe.unpack(compression, packed) == data
        try:
            plain = probe.unpack(compression, data, MOST)
        except ValueError:
            continue
        assert probe.unpack(compression, probe.pack(compression, plain)) == plain


def seeds() -> list[bytes]:
    plain = [b"", b"a", b"abcdefgh" * 40, bytes(300), bytes(range(256))]
    return [
        probe.pack(compression, each) or b"" for each in plain for compression in (LZ4, SNAPPY)
    ] + plain
