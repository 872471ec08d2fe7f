"""Requests of several keys as hypothesis makes them, and the part of a server that answers them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from support.native import load
from support.resp import encode

load("fuzz_probe")  # fan_probe has it compiled in
probe = load("fan_probe")
words_of = load("codec_probe").words
frame_size = load("fuzz_probe").frame_size

keys = st.sampled_from((b"a", b"b", b"c", b"", b"\r\n", b"$1\r\n", b"x" * 300)) | st.binary(
    max_size=4
)
values = st.binary(max_size=20)
names = st.sampled_from((b"MGET", b"DEL", b"UNLINK", b"EXISTS", b"TOUCH", b"mGet", b"eXISTS"))


@st.composite
def requests(draw: Any) -> list[bytes]:
    """A request that can be split, if its keys have more than one target."""
    found = draw(st.lists(keys, min_size=1, max_size=30))
    if draw(st.booleans()):
        return [draw(names), *found]
    return [b"MSET", *(word for key in found for word in (key, draw(values)))]


def target_of(key: bytes, targets: int) -> int:
    return sum(key) % targets


def keys_of(request: list[bytes]) -> list[bytes]:
    return request[1::2] if request[0].upper() == b"MSET" else request[1:]


def bulk(value: bytes | None, null: bytes = b"$-1\r\n") -> bytes:
    return null if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


class Model:
    """A server's keys and what it answers; `resp` is 2 or 3."""

    def __init__(self, resp: int = 2) -> None:
        self.keys: dict[bytes, bytes] = {}
        self.null = b"$-1\r\n" if resp == 2 else b"_\r\n"

    def answer(self, request: list[bytes]) -> bytes:
        name, found = request[0].upper(), keys_of(request)
        if name == b"MGET":
            return b"*%d\r\n" % len(found) + b"".join(
                bulk(self.keys.get(key), self.null) for key in found
            )
        if name == b"MSET":
            self.keys.update(zip(found, request[2::2], strict=True))
            return b"+OK\r\n"
        if name in (b"DEL", b"UNLINK"):
            return b":%d\r\n" % sum(self.keys.pop(key, None) is not None for key in found)
        return b":%d\r\n" % sum(key in self.keys for key in found)

    def answer_all(self, wire: bytes) -> bytes:
        """To requests back to back."""
        said = b""
        while wire:
            words = words_of(wire)
            said += self.answer(words)
            wire = wire[len(encode(*words)) :]
        return said
