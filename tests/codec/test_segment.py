"""Segments and compressed bodies of CQL, beside the driver's and other people's implementations of them."""

from __future__ import annotations

import random
import zlib
from io import BytesIO

import cramjam
import lz4.block
import pytest
from cassandra.segment import SegmentCodec
from hypothesis import given
from hypothesis import strategies as st
from support.native import load

probe = load("segment_probe")

LZ4, SNAPPY = 1, 2
PAYLOAD_MAX = 131071
SIZES = [
    *range(40),
    62,
    63,
    64,
    65,
    79,
    80,
    127,
    128,
    129,
    1000,
    4096,
    65535,
    65536,
    65541,
    70_001,
    PAYLOAD_MAX,
]


def some(size: int, letters: int = 256) -> bytes:
    """`size` bytes; the fewer different ones, the more repeats."""
    chance = random.Random(size * 1000 + letters)
    words = [chance.randbytes(chance.randrange(1, 30)) for _ in range(letters)]
    parts: list[bytes] = []
    while sum(map(len, parts[-1000:])) + 16_000 * (len(parts) // 1000) < size and len(parts) < size:
        parts.append(chance.choice(words))
    return (b"".join(parts) + bytes(size))[:size]


plain_bytes = st.one_of(
    st.binary(max_size=3000),
    st.lists(
        st.sampled_from([b"a", b"key", b"\x00" * 9, b"value-value-", b"\xff\x01"]), max_size=900
    ).map(b"".join),
    st.builds(
        lambda word, times: word * times, st.binary(min_size=1, max_size=20), st.integers(0, 20_000)
    ),
)


@given(st.binary(max_size=2000))
def test_sums_are_those_of_zlib(data: bytes) -> None:
    assert probe.sums(data) == (zlib.crc32(data),) * 2


@pytest.mark.parametrize("size", SIZES)
def test_sums_of_every_size(size: int) -> None:
    data = some(size)
    assert probe.sums(data) == (zlib.crc32(data),) * 2


# ---- segments ----------------------------------------------------------------------------------------------------


def drivers(packed: bool) -> SegmentCodec:
    if not packed:
        return SegmentCodec()
    return SegmentCodec(
        lambda data: len(data).to_bytes(4, "big") + lz4.block.compress(data, store_size=False),
        lambda data: lz4.block.decompress(
            data[4:], uncompressed_size=int.from_bytes(data[:4], "big")
        ),
    )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("size", SIZES[1:])
def test_a_segment_is_what_the_driver_reads(size: int, packed: bool) -> None:
    payload = some(size, 3 + size % 200)
    segment = probe.write(payload, True, packed)
    codec = drivers(packed)
    header = codec.decode_header(BytesIO(segment))
    assert header.is_self_contained
    source = BytesIO(segment)
    source.seek(codec.header_length_with_crc)
    assert codec.decode(source, header).payload == payload
    assert source.read() == b""
    assert probe.read(segment + b"more", packed) == (payload, True, len(segment))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("size", [1, 5, 100, 5000, 65536, PAYLOAD_MAX, PAYLOAD_MAX + 1, 300_000])
def test_what_the_driver_writes_is_read(size: int, packed: bool) -> None:
    payload = some(size, 3 + size % 200)
    out = BytesIO()
    drivers(packed).encode(out, payload)
    rest, parts = out.getvalue(), []
    while rest:
        part, alone, used = probe.read(rest, packed)
        assert alone == (size <= PAYLOAD_MAX)
        parts.append(part)
        rest = rest[used:]
    assert b"".join(parts) == payload


@given(plain_bytes, st.booleans(), st.booleans())
def test_any_payload_comes_back(payload: bytes, alone: bool, packed: bool) -> None:
    payload = payload[:PAYLOAD_MAX]
    segment = probe.write(payload, alone, packed)
    assert len(segment) <= len(payload) + 12
    assert probe.read(segment, packed) == (payload, alone, len(segment))


@given(plain_bytes.map(lambda data: data[:400]), st.booleans(), st.data())
def test_a_cut_segment_is_waited_for_and_a_broken_one_is_seen(
    payload: bytes, packed: bool, data: st.DataObject
) -> None:
    segment = probe.write(payload, True, packed)
    assert probe.read(segment[: data.draw(st.integers(0, len(segment) - 1))], packed) is None
    bit = data.draw(st.integers(0, len(segment) * 8 - 1))
    broken = bytearray(segment)
    broken[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match=r"header|payload"):
        probe.read(bytes(broken), packed)


@given(st.binary(max_size=300), st.booleans())
def test_any_payload_under_a_right_sum_is_safe(junk: bytes, alone: bool) -> None:
    """A peer that is hostile knows how to make sums: what it compressed may be anything."""
    word = len(junk) | 131071 << 17 | alone << 34
    head = word.to_bytes(5, "little")
    segment = bytearray(head + crc24(head).to_bytes(3, "little") + junk)
    segment += zlib.crc32(junk, zlib.crc32(b"\xfa\x2d\x55\xca")).to_bytes(4, "little")
    try:
        payload, _, used = probe.read(bytes(segment), True)
    except ValueError:
        return
    assert (len(payload), used) == (131071, len(segment))
    assert payload == lz4.block.decompress(junk, uncompressed_size=131071)


def crc24(head: bytes) -> int:
    crc = 0x875060
    for byte in head:
        crc ^= byte << 16
        for _ in range(8):
            crc = crc << 1 ^ (0x1974F0B if crc & 0x800000 else 0)
    return crc


# ---- compressed bodies -------------------------------------------------------------------------------------------


def others_pack(compression: int, plain: bytes) -> bytes:
    if compression == LZ4:
        return len(plain).to_bytes(4, "big") + lz4.block.compress(plain, store_size=False)
    return bytes(cramjam.snappy.compress_raw(plain))


def others_unpack(compression: int, body: bytes) -> bytes:
    if compression == LZ4:
        return lz4.block.decompress(body[4:], uncompressed_size=int.from_bytes(body[:4], "big"))
    return bytes(cramjam.snappy.decompress_raw(body))


@pytest.mark.parametrize("compression", [LZ4, SNAPPY])
@pytest.mark.parametrize("size", [*SIZES, 200_000, 1_000_000])
def test_bodies_are_what_others_read_and_write(size: int, compression: int) -> None:
    for letters in (1, 3, 50):
        plain = some(size, letters)
        body = probe.pack(compression, plain)
        assert others_unpack(compression, body) == plain
        assert probe.unpack(compression, body) == plain
        assert probe.unpack(compression, others_pack(compression, plain)) == plain
        assert len(body) <= 1.25 * len(others_pack(compression, plain)) + 16


@given(plain_bytes, st.sampled_from([LZ4, SNAPPY]))
def test_any_body_comes_back(plain: bytes, compression: int) -> None:
    body = probe.pack(compression, plain)
    assert probe.unpack(compression, body) == plain
    assert others_unpack(compression, body) == plain


@given(
    plain_bytes.map(lambda data: data[:500]), st.sampled_from([LZ4, SNAPPY]), st.integers(0, 600)
)
def test_less_room_than_it_takes(plain: bytes, compression: int, room: int) -> None:
    """It fits and is right, or it does not; a byte too far is the sanitizer's to see."""
    body = probe.pack(compression, plain, room)
    if body is not None:
        assert len(body) <= room
        assert probe.unpack(compression, body) == plain


@given(st.binary(max_size=300), st.sampled_from([LZ4, SNAPPY]), st.integers(1, 4000))
def test_any_bytes_are_safe_to_unpack(junk: bytes, compression: int, size: int) -> None:
    if compression == LZ4:
        body = size.to_bytes(4, "big") + junk
    else:
        body = bytes([size & 127 | 128, size >> 7]) + junk
    try:
        plain = probe.unpack(compression, body)
    except ValueError:
        return
    assert plain == others_unpack(compression, body)


@pytest.mark.parametrize("compression", [LZ4, SNAPPY])
def test_a_bomb_takes_no_memory(compression: int) -> None:
    """Claims beyond the bound, and claims that so few bytes cannot make true."""
    body = probe.pack(compression, bytes(1_000_000))
    with pytest.raises(ValueError, match="size"):
        probe.unpack(compression, body, 999_999)
    assert len(probe.unpack(compression, body, 1_000_000)) == 1_000_000
    claim = b"\x7f\xff\xff\xff" if compression == LZ4 else b"\xff\xff\xff\xff\x07"
    with pytest.raises(ValueError, match="size"):
        probe.unpack(compression, claim + b"\x00" * 100, 1 << 32)
    with pytest.raises(ValueError, match="size"):
        probe.unpack(compression, b"\xff" if compression == SNAPPY else b"\x00")
