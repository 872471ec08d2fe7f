"""Frames of CQL in Python: what the load generator says before it loads, and what the scripted server answers with.

Nothing is compressed. In version 5 all that follows the answer to STARTUP travels in segments.
"""

from __future__ import annotations

import socket
import struct
import zlib
from dataclasses import dataclass

ERROR, STARTUP, READY, AUTHENTICATE, OPTIONS, SUPPORTED = 0, 1, 2, 3, 5, 6
QUERY, RESULT, PREPARE, EXECUTE, BATCH, AUTH_RESPONSE, AUTH_SUCCESS = 7, 8, 9, 10, 13, 15, 16
VOID, ROWS, SET_KEYSPACE, PREPARED = 1, 2, 3, 4
ONE = 1
IS_REPLY = 0x80
HEAD_BYTES = 9
SEGMENT_BYTES_MAX = 131_071
NO_METADATA, HAS_VALUES, SKIP_METADATA = 4, 1, 2


class CqlError(RuntimeError):
    """A server answered with ERROR, or with what nobody asked for."""


def string(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def long_string(text: str) -> bytes:
    return struct.pack(">i", len(text)) + text.encode()


def value(data: bytes | None) -> bytes:
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def frame(version: int, opcode: int, body: bytes, stream: int = 0) -> bytes:
    """`version` with IS_REPLY where it is one."""
    return struct.pack(">BBhBi", version, 0, stream, opcode, len(body)) + body


def startup(version: int) -> bytes:
    return frame(version, STARTUP, b"\0\1" + string("CQL_VERSION") + string("3.0.0"))


def flags(version: int, bits: int) -> bytes:
    return struct.pack(">I" if version >= 5 else ">B", bits)


def query(version: int, text: str) -> bytes:
    return frame(version, QUERY, long_string(text) + struct.pack(">H", ONE) + flags(version, 0))


def prepare(version: int, text: str) -> bytes:
    return frame(version, PREPARE, long_string(text) + (flags(version, 0) if version >= 5 else b""))


@dataclass(frozen=True)
class Prepared:
    """A statement that a server has prepared."""

    id: bytes
    metadata_id: bytes = b""  # version 5


def execute(version: int, prepared: Prepared, *values: bytes) -> bytes:
    body = struct.pack(">H", len(prepared.id)) + prepared.id
    if version >= 5:
        body += struct.pack(">H", len(prepared.metadata_id)) + prepared.metadata_id
    body += struct.pack(">H", ONE) + flags(version, HAS_VALUES | SKIP_METADATA)
    body += struct.pack(">H", len(values)) + b"".join(value(each) for each in values)
    return frame(version, EXECUTE, body)


def batch(version: int, prepared: Prepared, rows: list[tuple[bytes, ...]]) -> bytes:
    """An unlogged one, of one statement with other values each time."""
    body = b"\1" + struct.pack(">H", len(rows))
    for row in rows:
        body += b"\1" + struct.pack(">H", len(prepared.id)) + prepared.id
        body += struct.pack(">H", len(row)) + b"".join(value(each) for each in row)
    return frame(version, BATCH, body + struct.pack(">H", ONE) + flags(version, 0))


def crc24(data: bytes) -> int:
    crc = 0x875060
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1974F0B
    return crc


def segment(payload: bytes) -> bytes:
    """Whole frames, SEGMENT_BYTES_MAX at most."""
    head = (len(payload) | 1 << 17).to_bytes(3, "little")
    crc = zlib.crc32(payload, zlib.crc32(b"\xfa\x2d\x55\xca"))
    return head + crc24(head).to_bytes(3, "little") + payload + crc.to_bytes(4, "little")


class Conversation:
    """One request after the other on a socket that blocks, from STARTUP on. Raises OSError, CqlError."""

    def __init__(self, sock: socket.socket, version: int) -> None:
        self.sock = sock
        self.version = version
        self.segmented = False

    def take(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise CqlError("the connection was closed")
            data += piece
        return bytes(data)

    def take_frame(self) -> tuple[int, bytes]:
        """Opcode and body. What comes in segments is taken to be one frame, over as many of them as it needs."""
        if not self.segmented:
            head = self.take(HEAD_BYTES)
            return head[4], self.take(int.from_bytes(head[5:], "big"))
        whole = b""
        while len(whole) < HEAD_BYTES or len(whole) < HEAD_BYTES + int.from_bytes(
            whole[5:9], "big"
        ):
            size = int.from_bytes(self.take(6)[:3], "little") & SEGMENT_BYTES_MAX
            whole += self.take(size + 4)[:-4]
        return whole[4], whole[HEAD_BYTES:]

    def ask(self, request: bytes) -> tuple[int, bytes]:
        self.sock.sendall(segment(request) if self.segmented else request)
        opcode, body = self.take_frame()
        if opcode == ERROR:
            size = int.from_bytes(body[4:6], "big")
            raise CqlError(body[6 : 6 + size].decode("utf-8", "replace"))
        return opcode, body

    def begin(self) -> None:
        """STARTUP; as user cassandra where one is asked for."""
        opcode, _ = self.ask(startup(self.version))
        self.segmented = self.version >= 5
        if opcode == AUTHENTICATE:
            self.ask(frame(self.version, AUTH_RESPONSE, value(b"\0cassandra\0cassandra")))

    def query(self, text: str) -> bytes:
        return self.ask(query(self.version, text))[1]

    def prepare(self, text: str) -> Prepared:
        opcode, body = self.ask(prepare(self.version, text))
        if opcode != RESULT or int.from_bytes(body[:4], "big") != PREPARED:
            raise CqlError(f"PREPARE was answered with opcode {opcode}")
        size = int.from_bytes(body[4:6], "big")
        ident, rest = body[6 : 6 + size], body[6 + size :]
        if self.version < 5:
            return Prepared(ident)
        return Prepared(ident, rest[2 : 2 + int.from_bytes(rest[:2], "big")])
