"""A client of Cassandra for verbs of the command line: one connection, prepared statements, values as they travel.

Version 4 of the protocol (native_protocol_v4.spec), which every server and Shotover speak. Values are bytes, which need no
types and lose nothing. Not for traffic.
"""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

VERSION = 4
ERROR, STARTUP, AUTHENTICATE, RESULT, PREPARE, EXECUTE = 0, 1, 3, 8, 9, 10
AUTH_RESPONSE = 15
ROWS = 2
LOCAL_QUORUM = 6
WITH_VALUES, SKIP_METADATA, PAGE_SIZE, PAGING_STATE = 1, 2, 4, 8
MORE_PAGES = 2
HEAD_BYTES = 9
FRAME_BYTES_MAX = 256 << 20
IN_FLIGHT = 64
TIMEOUT_SECONDS = 60.0


class ServerError(Exception):
    """The server's ERROR; `code` is the protocol's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} (0x{code:04x})")
        self.code = code


@dataclass(frozen=True)
class Page:
    rows: list[tuple[bytes | None, ...]]
    following: bytes | None
    """What asks for the next page; None: this is the last one."""


def _sized(data: bytes | None) -> bytes:
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def _string(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()


class _Reader:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.body):
            raise ServerError(0, "a reply that cannot be read")
        self.at += size
        return self.body[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big", signed=size == 4)

    def sized(self) -> bytes | None:
        size = self.number(4)
        return None if size < 0 else self.take(size)


class CqlClient:
    """Raises OSError when the connection is lost, ServerError for an ERROR."""

    def __init__(
        self,
        host: str,
        port: int,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.socket: socket.socket = socket.create_connection((host, port), TIMEOUT_SECONDS)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        opcode, _ = self._ask(STARTUP, b"\0\1" + _string("CQL_VERSION") + _string("3.0.0"))
        if opcode == AUTHENTICATE:
            if login is None:
                raise ServerError(0x0100, "the server asks for a password: give --username")
            told = f"\0{login[0]}\0{login[1]}".encode()
            self._ask(AUTH_RESPONSE, _sized(told))

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> CqlClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self, text: str) -> bytes:
        """The id of a statement."""
        _, body = self._ask(PREPARE, struct.pack(">i", len(text.encode())) + text.encode())
        reader = _Reader(body)
        reader.number(4)
        return reader.take(reader.number(2))

    def page(
        self,
        statement: bytes,
        values: Sequence[bytes | None],
        columns: int,
        size: int = 0,
        following: bytes | None = None,
    ) -> Page:
        """One page of a SELECT of so many columns; size 0: all of it."""
        flags = WITH_VALUES | SKIP_METADATA | (PAGE_SIZE if size else 0)
        more = struct.pack(">i", size) if size else b""
        if following is not None:
            flags |= PAGING_STATE
            more += _sized(following)
        _, body = self._ask(EXECUTE, self._execute(statement, values, flags) + more)
        return self._page(body, columns)

    def execute_all(self, statements: Iterable[tuple[bytes, Sequence[bytes | None]]]) -> None:
        """Carries out many, some at a time, and waits for all. Of errors the first is raised when all are answered."""
        waiting = iter(statements)
        errors: list[ServerError] = []
        while chunk := list(self._take(waiting)):
            bodies = [self._execute(statement, values, WITH_VALUES) for statement, values in chunk]
            self.socket.sendall(
                b"".join(self._frame(EXECUTE, body, number) for number, body in enumerate(bodies))
            )
            for _ in bodies:
                try:
                    self._answer()
                except ServerError as error:
                    errors.append(error)
            if errors:
                raise errors[0]

    def _take(
        self, waiting: Iterator[tuple[bytes, Sequence[bytes | None]]]
    ) -> Iterator[tuple[bytes, Sequence[bytes | None]]]:
        for _, each in zip(range(IN_FLIGHT), waiting, strict=False):
            yield each

    def _execute(self, statement: bytes, values: Sequence[bytes | None], flags: int) -> bytes:
        return (
            struct.pack(">H", len(statement))
            + statement
            + struct.pack(">HBH", LOCAL_QUORUM, flags, len(values))
            + b"".join(map(_sized, values))
        )

    def _page(self, body: bytes, columns: int) -> Page:
        reader = _Reader(body)
        if reader.number(4) != ROWS:
            return Page([], None)
        flags, count = reader.number(4), reader.number(4)
        following = reader.sized() if flags & MORE_PAGES else None
        if count != columns or not flags & 4:
            raise ServerError(0, f"expected {columns} columns without their names, got {count}")
        rows = [tuple(reader.sized() for _ in range(columns)) for _ in range(reader.number(4))]
        return Page(rows, following)

    def _frame(self, opcode: int, body: bytes, stream: int = 0) -> bytes:
        return struct.pack(">BBhBi", VERSION, 0, stream, opcode, len(body)) + body

    def _ask(self, opcode: int, body: bytes) -> tuple[int, bytes]:
        self.socket.sendall(self._frame(opcode, body))
        return self._answer()

    def _answer(self) -> tuple[int, bytes]:
        head = self._read(HEAD_BYTES)
        opcode, size = head[4], int.from_bytes(head[5:], "big")
        if size > FRAME_BYTES_MAX:
            raise OSError(0, f"a reply of {size} bytes")
        reader = _Reader(self._read(size))
        if head[1] & 2:  # tracing
            reader.take(16)
        if head[1] & 8:  # warnings
            for _ in range(reader.number(2)):
                reader.take(reader.number(2))
        if opcode == ERROR:
            code = reader.number(4)
            raise ServerError(code, reader.take(reader.number(2)).decode(errors="replace"))
        return opcode, reader.body[reader.at :]

    def _read(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            piece = self.socket.recv(min(size - len(found), 1 << 20))
            if not piece:
                raise OSError(0, "the connection was closed")
            found += piece
        return bytes(found)
