"""CQL as the simulated peers speak it: frames, and segments with LZ4 or without. Written apart from the codec that it checks."""

from __future__ import annotations

import random
import struct
import zlib
from typing import NamedTuple

HEAD_BYTES = 9
SEGMENT_BYTES_MAX = 131_071
IS_REPLY = 0x80
ERROR, STARTUP, READY, OPTIONS, SUPPORTED, QUERY, RESULT = 0, 1, 2, 5, 6, 7, 8
PREPARE, EXECUTE, REGISTER, EVENT, BATCH = 9, 10, 11, 12, 13
OVERLOADED = 0x1001


class BadCql(Exception):
    """No frame or segment is like this."""


class Frame(NamedTuple):
    version: int
    flags: int
    stream: int
    opcode: int
    body: bytes

    def wire(self) -> bytes:
        head = struct.pack(
            ">BBhBi", self.version, self.flags, self.stream, self.opcode, len(self.body)
        )
        return head + self.body


def string(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text


def string_map(values: dict[bytes, bytes]) -> bytes:
    pairs = b"".join(string(name) + string(value) for name, value in values.items())
    return struct.pack(">H", len(values)) + pairs


def statement(version: int, text: bytes) -> bytes:
    """Body of a QUERY at consistency ONE."""
    flags = b"\0\0\0\0" if version >= 5 else b"\0"
    return struct.pack(">i", len(text)) + text + b"\0\1" + flags


def execution(version: int, tag: bytes, value: bytes) -> bytes:
    """Body of an EXECUTE with two values."""
    body = string(b"prepared") + (string(b"described") if version >= 5 else b"") + b"\0\1"
    body += b"\0\0\0\1" if version >= 5 else b"\1"
    return body + b"\0\2" + b"".join(struct.pack(">i", len(v)) + v for v in (tag, value))


def crc24(data: bytes) -> bytes:
    crc = 0x875060
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1974F0B
    return crc.to_bytes(3, "little")


def crc32(data: bytes) -> bytes:
    return zlib.crc32(data, zlib.crc32(b"\xfa\x2d\x55\xca")).to_bytes(4, "little")


def lz4_literals(data: bytes) -> bytes:
    """A block of LZ4 that says all as it is, but for a run of one byte at its beginning."""
    run = len(data) - len(data.lstrip(data[:1]))
    out = b""
    if run >= 40:
        more = run - 20 - 4 - 15
        out = b"\x1f" + data[:1] + b"\1\0" + b"\xff" * (more // 255) + bytes((more % 255,))
        data = data[run - 19 :]
    count = len(data)
    if count < 15:
        return out + bytes((count << 4,)) + data
    return out + b"\xf0" + b"\xff" * ((count - 15) // 255) + bytes(((count - 15) % 255,)) + data


def lz4_open(data: bytes, size: int) -> bytes:
    """What a block of LZ4 stands for. BadCql: not `size` bytes."""
    out = bytearray()
    at = 0
    while at < len(data):
        token = data[at]
        at, count = lz4_count(data, at + 1, token >> 4)
        out += data[at : at + count]
        at += count
        if at >= len(data):
            break
        back = int.from_bytes(data[at : at + 2], "little")
        at, count = lz4_count(data, at + 2, token & 15)
        if not 0 < back <= len(out):
            raise BadCql(f"LZ4 points {back} back in {len(out)}")
        for _ in range(count + 4):
            out.append(out[-back])
    if len(out) != size:
        raise BadCql(f"LZ4 of {size} bytes has {len(out)}")
    return bytes(out)


def lz4_count(data: bytes, at: int, count: int) -> tuple[int, int]:
    if count == 15:
        while data[at] == 255:
            count += 255
            at += 1
        count += data[at]
        at += 1
    return at, count


def segment(payload: bytes, alone: bool, lz4: bool, packed: bool) -> bytes:
    if not lz4:
        head = (len(payload) | alone << 17).to_bytes(3, "little")
        return head + crc24(head) + payload + crc32(payload)
    sent = lz4_literals(payload) if packed else payload
    if not packed or len(sent) > SEGMENT_BYTES_MAX:
        sent = payload
        head = (len(payload) | alone << 34).to_bytes(5, "little")
    else:
        head = (len(sent) | len(payload) << 17 | alone << 34).to_bytes(5, "little")
    return head + crc24(head) + sent + crc32(sent)


class Framing:
    """One side of a connection. `mode`: "" for frames as they are, "plain" and "lz4" for segments."""

    def __init__(self, opcode_max: int = 16) -> None:
        self.mode = ""
        self.opcode_max = opcode_max
        self.data = bytearray()
        self.payload = bytearray()  # of segments
        self.rest = 0  # bytes to come of a frame that goes over several of them

    def feed(self, data: bytes) -> None:
        self.data += data

    def next(self) -> Frame | None:
        """The next whole frame. BadCql: there will never be one."""
        while self.mode and self.open_segment():
            pass
        held = self.payload if self.mode else self.data
        if len(held) < HEAD_BYTES:
            return None
        version, flags, stream, opcode, size = struct.unpack_from(">BBhBi", held)
        if not 3 <= version & 0x7F <= 5 or opcode > self.opcode_max or not 0 <= size <= 1 << 28:
            raise BadCql(bytes(held[:40]))
        if len(held) < HEAD_BYTES + size:
            return None
        body = bytes(held[HEAD_BYTES : HEAD_BYTES + size])
        del held[: HEAD_BYTES + size]
        return Frame(version, flags, stream, opcode, body)

    def open_segment(self) -> bool:
        """Takes one that is whole. False: there is none."""
        size = 5 if self.mode == "lz4" else 3
        if len(self.data) < size + 3:
            return False
        head = bytes(self.data[:size])
        if self.data[size : size + 3] != crc24(head):
            raise BadCql(f"sum of a header: {bytes(self.data[:20])!r}")
        word = int.from_bytes(head, "little")
        sent = word & SEGMENT_BYTES_MAX
        plain = word >> 17 & SEGMENT_BYTES_MAX if self.mode == "lz4" else 0
        whole = size + 3 + sent + 4
        if len(self.data) < whole:
            return False
        payload = bytes(self.data[size + 3 : whole - 4])
        if self.data[whole - 4 : whole] != crc32(payload):
            raise BadCql(f"sum of a payload of {sent} bytes")
        del self.data[:whole]
        self.add(lz4_open(payload, plain) if plain else payload, bool(word >> self.alone_bit & 1))
        return True

    @property
    def alone_bit(self) -> int:
        return 34 if self.mode == "lz4" else 17

    def add(self, payload: bytes, alone: bool) -> None:
        """What a segment holds: whole frames, if it says so, else a part of one."""
        if alone:
            at = 0
            while not self.rest and len(payload) - at >= HEAD_BYTES:
                at += HEAD_BYTES + int.from_bytes(payload[at + 5 : at + 9], "big")
            if at != len(payload):
                raise BadCql(f"{len(payload)} bytes that are not whole frames")
        else:
            self.rest = self.rest or HEAD_BYTES + int.from_bytes(payload[5:9], "big")
            if len(payload) > self.rest:
                raise BadCql(f"{len(payload)} bytes where {self.rest} were to come")
            self.rest -= len(payload)
        self.payload += payload

    def pack(self, frames: list[Frame], rng: random.Random) -> bytes:
        """All of them, in segments as some peer or other might make them."""
        if not self.mode:
            return b"".join(frame.wire() for frame in frames)
        out, group = b"", b""
        lz4, packed = self.mode == "lz4", rng.random() < 0.7
        for frame in frames:
            wire = frame.wire()
            if group and (len(group) + len(wire) > SEGMENT_BYTES_MAX or rng.random() < 0.2):
                out += segment(group, True, lz4, packed)
                group = b""
            if len(wire) <= SEGMENT_BYTES_MAX:
                group += wire
                continue
            for at in range(0, len(wire), SEGMENT_BYTES_MAX):
                out += segment(wire[at : at + SEGMENT_BYTES_MAX], False, lz4, packed)
        return out + (segment(group, True, lz4, packed) if group else b"")
