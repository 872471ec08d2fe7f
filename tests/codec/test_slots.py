"""Slots of keys, as a server in cluster mode tells them."""

from __future__ import annotations

import binascii
import random
from collections.abc import Callable

import pytest
from support.servers import Server

from shotover._codec.slots import slot_of, tag_of

SHAPES = [
    b"", b"foo", b"{", b"}", b"{}", b"{}{a}", b"a{}", b"{a}b", b"b{a}", b"{a}{b}", b"{{a}}", b"}{a}", b"{a", b"a}{",
    b"{user1000}.following", b"foo{}{bar}", b"foo{{bar}}zap", b"foo{bar}{zap}", b"\x00{\xff}\x00", b"{\r\n}x",
]  # fmt: skip


def test_slots_are_those_of_a_server(start_server: Callable[..., Server]) -> None:
    source = random.Random(3)
    keys = [
        *SHAPES,
        *(source.randbytes(size) for size in range(130)),
        *(bytes(source.choices(b"{}ab", k=source.randint(1, 20))) for _ in range(500)),
    ]
    server = start_server("--cluster-enabled", "yes", kind="redis")
    with server.raw() as client:
        for key in keys:
            assert client.ask("CLUSTER", "KEYSLOT", key) == slot_of(key), key


@pytest.mark.parametrize("size", [*range(40), 63, 64, 65, 1000, 4096])
def test_the_checksum_is_xmodem_s(size: int) -> None:
    key = random.Random(size).randbytes(size).replace(b"{", b"-")
    assert slot_of(key) == binascii.crc_hqx(key, 0) % 16384


@pytest.mark.parametrize(
    ("key", "pair", "tag"),
    [
        (b"user:$7$:x", "$$", b"7"),
        (b"user:$7", "$$", b"user:$7"),
        (b"$$7$", "$$", b"$$7$"),
        (b"<a>{b}", "<>", b"a"),
        (b">a<b>", "<>", b"b"),
        (b"{a}", "{}", b"a"),
    ],
)
def test_a_tag_may_have_any_two_ends(key: bytes, pair: str, tag: bytes) -> None:
    assert tag_of(key, pair) == tag
