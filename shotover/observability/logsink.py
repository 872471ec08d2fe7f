"""Where log lines go: a file descriptor that may be closed, full or slow, and never stops the
proxy.

A line is written when poll() says there is room, in pieces a pipe takes whole. What finds no room
waits in a bounded backlog; what finds no backlog is dropped and counted, and the count is told as
soon as there is room again. The descriptor stays as it came: O_NONBLOCK on a standard output would
also change the shell that shares it.
"""

from __future__ import annotations

import os
import select
import time
from _thread import RLock  # threading costs 5 ms to import, its RLock is this one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BACKLOG_BYTES_MAX = 256 * 1024  # waiting for a slow reader
PIECE_BYTES = 4096  # PIPE_BUF on Linux: what poll() promises a pipe has room for


class Sink:
    """Writes whole lines to `stream`, a descriptor or anything with fileno() or write(text).

    `dropped_line` makes the line that tells of lost ones from their number.
    """

    def __init__(self, stream: Any, dropped_line: Callable[[int], bytes]) -> None:
        self.dropped_total = 0  # lines lost since start
        self._dropped_untold = 0  # of those, not yet told
        self._dropped_line = dropped_line
        self._backlog = bytearray()
        self._lock = RLock()
        self._draining = False  # a signal handler may log while this very thread drains
        self._torn = False  # the last byte written was not a newline
        self._closed = (
            stream is None
        )  # started with `>&-`: whatever has that number now is not ours
        self._stream = None
        self._fd = -1
        try:
            self._fd = stream if isinstance(stream, int) else stream.fileno()
        except (AttributeError, OSError, ValueError):
            self._stream = stream  # no descriptor: a test's StringIO, a GUI's console
        self._poll = select.poll()
        if self._fd >= 0:
            self._poll.register(self._fd, select.POLLOUT)

    def write(self, line: bytes) -> None:
        """Takes one line with its newline. Returns at once, whatever becomes of it."""
        with self._lock:
            if self._stream is not None:
                self._write_stream(line)
                return
            if len(self._backlog) + len(line) > BACKLOG_BYTES_MAX:
                self._drain()  # the reader may have caught up since
            if self._closed or len(self._backlog) + len(line) > BACKLOG_BYTES_MAX:
                self.dropped_total += 1
                self._dropped_untold += 1
                return
            self._tell_drops()  # before the line: that is where the hole is
            self._backlog += line
            self._drain()

    def flush(self, timeout: float = 0.0) -> bool:
        """Tries for `timeout` seconds to empty the backlog; whether it is empty."""
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                if not self._closed and not self._backlog:
                    self._tell_drops()
                self._drain()
                if not self._backlog or self._closed:
                    return not self._backlog
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._poll.poll(min(left, 0.05) * 1000)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait for the reader; at most BACKLOG_BYTES_MAX and one line about drops."""
        return len(self._backlog)

    def _tell_drops(self) -> None:
        if self._dropped_untold and not self._draining:
            self._backlog += b"\n" * (self._torn and not self._backlog)
            self._backlog += self._dropped_line(self._dropped_untold)
            self._dropped_untold = 0

    def _drain(self) -> None:
        if self._draining or self._closed:
            return
        self._draining = True
        try:
            while self._backlog and self._write_piece():
                pass
        finally:
            self._draining = False

    def _write_piece(self) -> bool:
        """Writes a little of the backlog; False when the reader must catch up first or is gone."""
        try:
            events = self._poll.poll(0)
            if not events:
                return False
            if events[0][1] & select.POLLNVAL:
                self._close()
                return False
            size = os.write(self._fd, self._backlog[:PIECE_BYTES])
            self._torn = self._backlog[size - 1] != 10
            del self._backlog[:size]
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:  # EPIPE: the reader went away; EIO: the terminal did; ENOSPC
            if events[0][1] & (select.POLLERR | select.POLLHUP):
                self._close()
            else:
                self._lose_backlog()  # a full disk may have room again later
            return False
        return True

    def _close(self) -> None:
        self._closed = True
        self._lose_backlog()

    def _lose_backlog(self) -> None:
        lines = max(self._backlog.count(b"\n"), 1)
        self._backlog.clear()
        self.dropped_total += lines
        self._dropped_untold += lines

    def _write_stream(self, line: bytes) -> None:
        try:
            self._stream.write(line.decode("utf-8", "replace"))  # type: ignore[union-attr]
        except (OSError, ValueError):  # ValueError: the stream was closed
            self.dropped_total += 1
