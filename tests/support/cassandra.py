"""A real Cassandra, one node, shared by all processes of a test run; and a client that sends frames as they are."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from support.wait import free_port

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "cassandra_node.py"
START_S = 240

STARTUP, READY, AUTHENTICATE, OPTIONS, SUPPORTED, QUERY, RESULT = 1, 2, 3, 5, 6, 7, 8
ERROR, PREPARE, EXECUTE, REGISTER, EVENT, AUTH_RESPONSE = 0, 9, 10, 11, 12, 15
SERVER, PROTOCOL, OVERLOADED, INVALID = 0x0000, 0x000A, 0x1001, 0x2200


class Node:
    """One Cassandra node on 127.0.0.1; `login` asks for the password of cassandra/cassandra."""

    def __init__(self, directory: Path, login: bool = False) -> None:
        self.directory = directory
        self.port = free_port()
        command = [
            sys.executable, str(SCRIPT), "start", "--dir", str(directory), "--port", str(self.port),
            "--storage-port", str(free_port()), *(["--login"] if login else []),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
        if done.returncode:
            raise RuntimeError(
                "these tests need a Cassandra, which needs a JDK 17 and Maven on PATH (Debian: apt "
                f"install openjdk-17-jre-headless maven):\n{done.stdout[-1000:]}{done.stderr[-2000:]}"
            )


@contextlib.contextmanager
def shared_node(place: Path, login: bool = False) -> Iterator[int]:
    """The port of a node that all users of this run share, in whatever process; the last of them ends it."""
    name = "login" if login else "open"
    users = place / f"cassandra-{name}-users"
    port_file = place / f"cassandra-{name}-port"
    directory = place / f"cassandra-{name}"
    users.mkdir(parents=True, exist_ok=True)
    mine = users / uuid.uuid4().hex
    with locked(place):
        if not port_file.exists():
            port_file.write_text(str(Node(directory, login).port))
        mine.touch()
    try:
        yield int(port_file.read_text())
    finally:
        with locked(place):
            mine.unlink(missing_ok=True)
            if not any(users.iterdir()):
                pid = int((directory / "pid").read_text())
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                port_file.unlink(missing_ok=True)
                shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def locked(place: Path) -> Iterator[None]:
    with open(place / "cassandra-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(">H", len(data)) + data


def string_map(**values: str) -> bytes:
    body = b"".join(string(key) + string(value) for key, value in values.items())
    return struct.pack(">H", len(values)) + body


def query(text: str) -> bytes:
    """The body of a QUERY of version 3 or 4, at consistency ONE."""
    data = text.encode()
    return struct.pack(">i", len(data)) + data + struct.pack(">HB", 1, 0)


def frame(
    opcode: int, body: bytes = b"", stream: int = 0, version: int = 4, flags: int = 0
) -> bytes:
    return struct.pack(">BBhBi", version, flags, stream, opcode, len(body)) + body


class Reply:
    """One frame of a server."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.version, self.flags, self.stream, self.opcode, _ = struct.unpack(">BBhBi", head)
        self.body = body

    @property
    def code(self) -> int:
        """Of an ERROR."""
        assert self.opcode == ERROR, f"opcode {self.opcode}, expected an ERROR"
        return int(struct.unpack_from(">i", self.body)[0])

    @property
    def message(self) -> str:
        size = struct.unpack_from(">H", self.body, 4)[0]
        return self.body[6 : 6 + size].decode()

    def __repr__(self) -> str:
        return f"Reply(opcode={self.opcode}, stream={self.stream}, body={self.body[:80]!r})"


class CqlClient:
    """A connection without a driver."""

    def __init__(self, port: int, timeout: float = 10, host: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.about = b""
        """Events without it are not for this test: others use the same server."""

    def __enter__(self) -> CqlClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> Reply | None:
        """The next frame; None: the other side has closed."""
        while True:
            head = self._read(9)
            body = None if head is None else self._read(struct.unpack_from(">i", head, 5)[0])
            if head is None or body is None:
                return None
            reply = Reply(head, body)
            if reply.opcode != EVENT or self.about in body:
                return reply

    def _read(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            try:
                more = self.socket.recv(size - len(data))
            except ConnectionResetError:
                return None
            if not more:
                return None
            data += more
        return data

    def ask(self, opcode: int, body: bytes = b"", stream: int = 0, version: int = 4) -> Reply:
        self.send(frame(opcode, body, stream, version))
        reply = self.read()
        assert reply is not None, "closed instead of a reply"
        return reply

    def open(self, version: int = 4, **options: str) -> CqlClient:
        """STARTUP, READY."""
        reply = self.ask(STARTUP, string_map(CQL_VERSION="3.0.0", **options), version=version)
        assert reply.opcode == READY, reply
        return self


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that lets everybody connect and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield server.getsockname()[1]
