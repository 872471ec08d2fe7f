"""Types of CQL that a protected column may be declared to have, as the protocol writes them ([option])."""

from __future__ import annotations

import re

NATIVE = {
    "ascii": 0x01,
    "bigint": 0x02,
    "blob": 0x03,
    "boolean": 0x04,
    "decimal": 0x06,
    "double": 0x07,
    "float": 0x08,
    "int": 0x09,
    "timestamp": 0x0B,
    "uuid": 0x0C,
    "text": 0x0D,
    "varchar": 0x0D,
    "varint": 0x0E,
    "timeuuid": 0x0F,
    "inet": 0x10,
    "date": 0x11,
    "time": 0x12,
    "smallint": 0x13,
    "tinyint": 0x14,
    "duration": 0x15,
}
GROUPS = {"list": (0x20, 1), "map": (0x21, 2), "set": (0x22, 1)}
DEPTH_MAX = 8


def option_of(written: str) -> bytes:
    """`map<text, frozen<list<int>>>` -> its [option]. ValueError: no type, or a user type, a tuple, a vector, a counter."""
    words = re.findall(r"\w+|\S", written.lower())
    option, rest = _option(words, 0)
    if rest:
        raise ValueError(f"{rest[0]!r} is not expected there")
    return option


def _option(words: list[str], depth: int) -> tuple[bytes, list[str]]:
    if not words or depth > DEPTH_MAX:
        raise ValueError("a type is missing" if not words else "nested too deeply")
    word, rest = words[0], words[1:]
    if word in NATIVE:
        return NATIVE[word].to_bytes(2, "big"), rest
    if word != "frozen" and word not in GROUPS:
        raise ValueError(f"{word!r} is no type that a protected column may have")
    parts, rest = _within(rest, depth)
    if word == "frozen":
        if len(parts) != 1:
            raise ValueError("frozen is of one type")
        return parts[0], rest
    number, count = GROUPS[word]
    if len(parts) != count:
        raise ValueError(f"{word} is of {count} types" if count > 1 else f"{word} is of one type")
    return number.to_bytes(2, "big") + b"".join(parts), rest


def _within(words: list[str], depth: int) -> tuple[list[bytes], list[str]]:
    """What stands within < >."""
    if not words or words[0] != "<":
        raise ValueError("< is missing")
    parts = []
    while words and words[0] != ">":
        part, words = _option(words[1:], depth + 1)  # behind < or ,
        parts.append(part)
        if not words or words[0] not in (",", ">"):
            raise ValueError("> is missing")
    return parts, words[1:]
