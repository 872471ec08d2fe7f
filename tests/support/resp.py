"""A raw RESP client: bytes out, one whole reply frame in, byte for byte as the peer sent it."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.wait import DEADLINE_S

BULK = b"$!="  # a length, then that many bytes, then CRLF
AGGREGATE = b"*~>"  # a count, then that many frames
LINE = b"+-:_#,("  # all that there is stands in the line

WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Closed(AssertionError):
    """The peer closed in place of the reply; `partial` is what had come of it."""

    def __init__(self, partial: bytes) -> None:
        super().__init__(f"connection closed by the peer after {partial!r}")
        self.partial = partial


def encode(*words: bytes | str | int | float) -> bytes:
    """The request `words` as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        raw = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


class RawClient:
    """One connection, to a TCP port or to the path of a UNIX socket.

    Every wait has a deadline, in seconds, and ends in an AssertionError.
    """

    def __init__(
        self,
        port: int | Path,
        *,
        deadline_s: float = DEADLINE_S,
        receive_buffer_size: int = 0,
        tls: ssl.SSLContext | None = None,
        server_name: str = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.deadline_s = deadline_s
        unix = isinstance(port, Path)
        self.socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        if receive_buffer_size:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_size)
        self.socket.settimeout(deadline_s)
        self.socket.connect(str(port) if unix else ("127.0.0.1", port))
        if not unix:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=server_name, session=session)
        self.buffer = bytearray()
        self.start = 0  # of the frame being read, in `buffer`

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """Our own side's port: what a server that we reach directly calls us by."""
        return self.socket.getsockname()[1]

    def send(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    def exchange(self, raw: bytes, size: int) -> bytes:
        """Send `raw`, reading meanwhile; the next `size` bytes that come.

        By one thread: an `ssl` socket that one thread reads while another writes may break its own records.
        """
        end = time.monotonic() + self.deadline_s
        unsent = memoryview(raw)
        self.socket.settimeout(0)
        try:
            while unsent or len(self.buffer) < size:
                wants = select.POLLIN | (select.POLLOUT if unsent else 0)
                poll = select.poll()
                poll.register(self.socket, wants)
                if not poll.poll(max(0, end - time.monotonic()) * 1000):
                    raise AssertionError(
                        f"not exchanged within {self.deadline_s} s: {len(unsent)} bytes unsent"
                    )
                with contextlib.suppress(*WOULD_BLOCK):
                    unsent = unsent[self.socket.send(unsent[: 1 << 16]) :]
                with contextlib.suppress(*WOULD_BLOCK):
                    while more := self.socket.recv(1 << 18):
                        self.buffer += more
                    raise Closed(bytes(self.buffer))
        finally:
            self.socket.settimeout(self.deadline_s)
        return self.exactly(size)

    def send_byte_by_byte(self, raw: bytes) -> None:
        """Each byte in a segment of its own (TCP_NODELAY is on)."""
        for index in range(len(raw)):
            self.socket.send(raw[index : index + 1])

    def command(self, *words: bytes | str | int | float) -> bytes:
        """Send one request, return its reply's bytes."""
        self.send(encode(*words))
        return self.frame()

    def ask(self, *words: bytes | str | int | float) -> Any:
        """Send one request, return its reply as a Python value (see `parse`)."""
        return parse(self.command(*words))

    def frame(self) -> bytes:
        """One whole frame; pushes are frames like any other."""
        end = self._frame_end(0, time.monotonic() + self.deadline_s)
        frame = bytes(self.buffer[:end])
        del self.buffer[:end]
        return frame

    def frames(self, count: int) -> list[bytes]:
        return [self.frame() for _ in range(count)]

    def value(self) -> Any:
        return parse(self.frame())

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes, whatever they mean."""
        self._need(size, time.monotonic() + self.deadline_s)
        raw = bytes(self.buffer[:size])
        del self.buffer[:size]
        return raw

    def rest(self) -> bytes:
        """All that comes until the peer closes; a reset counts as a close."""
        end = time.monotonic() + self.deadline_s
        with contextlib.suppress(Closed):
            while True:
                self._receive(end)
        raw = bytes(self.buffer)
        self.buffer.clear()
        return raw

    def rest_or_frames(self, count: int, sent: bytes = b"") -> list[bytes]:
        """Send `sent`, then up to `count` whole frames:

        Fewer if the peer closes between two; never a torn one.
        """
        frames: list[bytes] = []
        try:
            self.send(sent)
            while len(frames) < count:
                frames.append(self.frame())
        except Closed as closed:
            assert not closed.partial, f"closed inside of a frame: {closed.partial[:200]!r}"
        except ConnectionError:
            pass
        return frames

    def rest_or_bytes(self, enough: Callable[[bytes], bool]) -> bytes:
        """All that comes until the peer closes or `enough` of it has come."""
        end = time.monotonic() + self.deadline_s
        with contextlib.suppress(Closed):
            while not enough(bytes(self.buffer)):
                self._receive(end)
        return self.exactly(len(self.buffer))

    def silent(self, period_s: float = 0.05) -> bool:
        """Whether nothing at all comes for `period_s` and the connection stays open."""
        if self.buffer:
            return False
        self.socket.settimeout(period_s)
        try:
            raw = self.socket.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(self.deadline_s)
        self.buffer += raw
        return False

    def half_close(self) -> None:
        socket.socket.shutdown(self.socket, socket.SHUT_WR)  # of TLS, too, the rest can be read

    def reset(self) -> None:
        """Close with RST, dropping what is unsent and unread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def _receive(self, end: float) -> None:
        left = end - time.monotonic()
        if left <= 0:
            raise AssertionError(
                f"no reply within {self.deadline_s} s; so far {bytes(self.buffer[:200])!r}"
            )
        self.socket.settimeout(left)
        try:
            raw = self.socket.recv(1 << 18)
        except TimeoutError:
            return
        except ConnectionResetError:
            raw = b""
        if not raw:
            raise Closed(bytes(self.buffer))
        self.buffer += raw

    def _need(self, size: int, end: float) -> None:
        while len(self.buffer) < size:
            self._receive(end)

    def _line_end(self, at: int, end: float) -> int:
        """Index just past the CRLF of the line that starts at `at`."""
        looked = at
        while True:
            found = self.buffer.find(b"\r\n", looked)
            if found >= 0:
                return found + 2
            looked = max(at, len(self.buffer) - 1)
            self._receive(end)

    def _frame_end(self, at: int, end: float) -> int:
        pending = 1  # frames still to be passed; a loop, so that nesting costs no stack
        while pending:
            after = self._line_end(at, end)
            kind = self.buffer[at : at + 1]
            body = bytes(self.buffer[at + 1 : after - 2])
            pending -= 1
            at = after
            if kind in BULK:
                if int(body) >= 0:
                    at += int(body) + 2
                    self._need(at, end)
            elif kind in AGGREGATE:
                pending += max(int(body), 0)
            elif kind == b"%":
                pending += 2 * int(body)
            elif kind == b"|":  # attributes stand before the frame they describe
                pending += 2 * int(body) + 1
            elif kind not in LINE:
                raise AssertionError(f"not RESP: {bytes(self.buffer[: at + 80])!r}")
        return at


class Error(str):
    """An error reply, without its leading '-'."""


class Push(list):
    """A RESP3 push."""


def parse(frame: bytes) -> Any:
    """A frame as bytes, int, float, bool, None, list, dict, Error or Push."""
    value, end = _parse(frame, 0)
    assert end == len(frame), f"bytes after the frame: {frame[end:][:80]!r}"
    return value


def _parse(raw: bytes, at: int) -> tuple[Any, int]:
    after = raw.index(b"\r\n", at) + 2
    kind, body = raw[at : at + 1], raw[at + 1 : after - 2]
    if kind == b"+":
        return body, after
    if kind == b"-":
        return Error(body.decode("utf-8", "replace")), after
    if kind in (b":", b"("):
        return int(body), after
    if kind == b",":
        return float(body), after
    if kind == b"#":
        return body == b"t", after
    if kind == b"_":
        return None, after
    if kind in BULK:
        size = int(body)
        return (None, after) if size < 0 else (raw[after : after + size], after + size + 2)
    return _parse_aggregate(raw, kind, int(body), after)


def _parse_aggregate(raw: bytes, kind: bytes, count: int, at: int) -> tuple[Any, int]:
    if count < 0:
        return None, at
    items = []
    for _ in range(count * 2 if kind in (b"%", b"|") else count):
        item, at = _parse(raw, at)
        items.append(item)
    if kind == b"|":
        return _parse(raw, at)
    if kind == b"%":
        return dict(zip(map(_hashable, items[::2]), items[1::2], strict=True)), at
    return (Push(items) if kind == b">" else items), at


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
