"""What clients of other languages send when they connect, as tests/clients/recorder.py has seen it."""

from __future__ import annotations

import ast
from pathlib import Path

HANDSHAKES = Path(__file__).resolve().parents[1] / "integration" / "redis" / "handshakes"


def requests(raw: bytes) -> list[tuple[bytes, list[bytes]]]:
    """The whole requests that `raw` begins with: the bytes of each, and its words."""
    found = []
    at = 0
    while at < len(raw):
        start = at
        words = []
        end = raw.index(b"\r\n", at)
        assert raw[at : at + 1] == b"*", f"not an array: {raw[at : at + 40]!r}"
        count, at = int(raw[at + 1 : end]), end + 2
        for _ in range(count):
            end = raw.find(b"\r\n", at)
            if end < 0:
                return found
            size, at = int(raw[at + 1 : end]), end + 2
            words.append(bytes(raw[at : at + size]))
            at += size + 2
        if at > len(raw):
            return found
        found.append((bytes(raw[start:at]), words))
    return found


def pinned(client: str) -> list[bytes]:
    """What stands in the file of a client."""
    text = (HANDSHAKES / f"{client}.txt").read_text()
    return [ast.literal_eval(line) for line in text.splitlines()]


def shape(wire: bytes) -> list[tuple[str, int]]:
    """Commands and how many words each has: what stays when only a version changes."""
    return [(words[0].decode("latin1").upper(), len(words)) for _, words in requests(wire)]
