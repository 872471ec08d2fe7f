"""RESP as the simulated peers speak it: requests out, whole frames in. Written apart from the codec that it checks."""

from __future__ import annotations

from collections.abc import Iterator

BULK = b"$!="  # a length, then that many bytes
AGGREGATE = b"*~>"  # a count, then that many frames
MAP = b"%|"  # a count, then twice as many frames
LINE = b"+-:_#,("


class BadFrame(Exception):
    """No reply or request begins like this."""


def request(*words: bytes | str | int) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        raw = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def frame_end(data: bytearray, at: int) -> int:
    """Where the frame that begins at `at` ends; -1: it is not whole yet."""
    frames = 1
    while frames:
        line = data.find(b"\r\n", at)
        if line < 0:
            if at < len(data) and data[at] not in BULK + AGGREGATE + MAP + LINE:
                raise BadFrame(bytes(data[at : at + 40]))
            return -1
        first = data[at]
        frames -= 1
        if first in BULK:
            size = int(data[at + 1 : line])
            at = line + 2 + (size + 2 if size >= 0 else 0)
        elif first in AGGREGATE:
            frames += max(int(data[at + 1 : line]), 0)
            at = line + 2
        elif first in MAP:
            frames += 2 * int(data[at + 1 : line])
            at = line + 2
        elif first in LINE:
            at = line + 2
        else:
            raise BadFrame(bytes(data[at : at + 40]))
        if at > len(data):
            return -1
    return at


class Frames:
    """Cuts a stream of bytes into frames. `inline`: a line that begins no frame is one, too, as servers take it."""

    def __init__(self, inline: bool = False) -> None:
        self.data = bytearray()
        self.inline = inline

    def feed(self, data: bytes) -> None:
        self.data += data

    def next(self) -> bytes | None:
        """The next whole frame, or None. BadFrame: there will never be one."""
        if not self.data:
            return None
        if self.inline and self.data[0] not in b"*":
            end = self.data.find(b"\r\n") + 2
            if end < 2:
                return None
        else:
            end = frame_end(self.data, 0)
            if end < 0:
                return None
        frame = bytes(self.data[:end])
        del self.data[:end]
        return frame


def words_of(frame: bytes) -> list[bytes]:
    """The words of a request, or the strings of a flat reply."""
    if frame[:1] not in b"*>~":
        return frame.split()
    return list(_words(frame))


def _words(frame: bytes) -> Iterator[bytes]:
    at = frame.index(b"\r\n") + 2
    while at < len(frame):
        line = frame.index(b"\r\n", at)
        if frame[at] in BULK:
            size = int(frame[at + 1 : line])
            yield frame[line + 2 : line + 2 + max(size, 0)]
            at = line + 2 + (size + 2 if size >= 0 else 0)
        else:
            yield frame[at + 1 : line]
            at = line + 2
