"""Hashes beside other implementations of them; test_placing.py holds those of twemproxy against twemproxy itself."""

from __future__ import annotations

import binascii
import hashlib
import random
import zlib

import pytest
import xxhash

from shotover._codec.hashes import hash_of

SIZES = [*range(130), 191, 192, 193, 1000, 4099]


def some(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_published_hashes_are_what_others_make_of_them(size: int) -> None:
    key = some(size)
    assert hash_of("md5", key) == int.from_bytes(hashlib.md5(key).digest()[:4], "little")
    assert hash_of("crc32a", key) == zlib.crc32(key)
    assert hash_of("crc32", key) == zlib.crc32(key) >> 16 & 0x7FFF
    assert hash_of("crc16", key) & 0xFFFF == binascii.crc_hqx(key, 0)
    assert hash_of("xxh64", key) == xxhash.xxh64_intdigest(key)


@pytest.mark.parametrize(
    ("name", "key", "digest"),
    [  # vectors that the authors of each published
        ("fnv1_32", b"foobar", 0x31F0B262),
        ("fnv1a_32", b"foobar", 0xBF9CF968),
        ("fnv1_64", b"foobar", 0x340D8765A4DDA9C2 & 0xFFFFFFFF),
        ("fnv1_32", b"", 0x811C9DC5),
        ("one_at_a_time", b"a", 0xCA2E9442),
        ("one_at_a_time", b"The quick brown fox jumps over the lazy dog", 0x519E91F5),
    ],
)
def test_published_vectors(name: str, key: bytes, digest: int) -> None:
    assert hash_of(name, key) == digest


def test_an_unknown_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="no hash is named 'sha1'"):
        hash_of("sha1", b"")
