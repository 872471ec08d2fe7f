"""Changes an input a little: what a fuzzer tries next."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

INPUT_BYTES_MAX = 4096
CHANGES_MAX = 6
NUMBER = re.compile(rb"-?\d+")
NUMBERS = (
    b"-9223372036854775809", b"-9223372036854775808", b"-2147483649", b"-65", b"-2", b"-1", b"-0", b"0", b"00", b"1", b"2", b"3",
    b"7", b"15", b"16", b"63", b"64", b"65", b"127", b"128", b"255", b"256", b"1000", b"32767", b"32768", b"65535", b"65536",
    b"1048577", b"2147483647", b"2147483648", b"4294967295", b"4294967296", b"1099511627776", b"999999999999999",
    b"1000000000000000", b"999999999999999999", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616",
)  # fmt: skip
BYTES = b"\r\n\0 *$+-:_,#%~>|!=(\"'\\x09azAZ\t\v\f\x7f\x80\xff"


def mutate(
    chance: random.Random, data: bytes, others: Sequence[bytes], tokens: Sequence[bytes]
) -> bytes:
    """`data` after one to six changes; `others` lend parts of themselves, `tokens` are put in whole."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4, CHANGES_MAX))):
        chance.choice(CHANGES)(chance, out, others, tokens)
    return bytes(out[:INPUT_BYTES_MAX])


def _range(chance: random.Random, data: bytes | bytearray) -> tuple[int, int]:
    """A part of `data`; mostly a short one."""
    start = chance.randrange(len(data) + 1)
    size = chance.choice((1, 1, 2, 4, 8, 16, 64, len(data)))
    return start, min(len(data), start + chance.randint(0, size))


def _flip(
    chance: random.Random, out: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]
) -> None:
    if out:
        out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)


def _set_byte(
    chance: random.Random, out: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]
) -> None:
    if out:
        out[chance.randrange(len(out))] = chance.choice(BYTES)


def _add_byte(
    chance: random.Random, out: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]
) -> None:
    out.insert(chance.randrange(len(out) + 1), chance.choice(BYTES))


def _add_token(
    chance: random.Random, out: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]
) -> None:
    at = chance.randrange(len(out) + 1)
    out[at:at] = chance.choice(tokens)


def _set_token(
    chance: random.Random, out: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]
) -> None:
    token = chance.choice(tokens)
    at = chance.randrange(len(out) + 1)
    out[at : at + len(token)] = token


def _set_number(
    chance: random.Random, out: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]
) -> None:
    """One of the numbers in it becomes another, often its neighbour."""
    found = list(NUMBER.finditer(out))
    if found:
        one = chance.choice(found)
        number = chance.choice(NUMBERS)
        if chance.random() < 0.4 and len(one[0]) < 19:
            number = b"%d" % (int(one[0]) + chance.choice((-2, -1, 1, 2)))
        out[one.start() : one.end()] = number


def _delete(
    chance: random.Random, out: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]
) -> None:
    start, end = _range(chance, out)
    del out[start:end]


def _repeat(
    chance: random.Random, out: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]
) -> None:
    start, end = _range(chance, out)
    out[start:start] = out[start:end] * chance.choice((1, 1, 2, 5, 40))


def _lend(
    chance: random.Random, out: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]
) -> None:
    other = chance.choice(others)
    start, end = _range(chance, other)
    at = chance.randrange(len(out) + 1)
    out[at : at + chance.choice((0, 0, end - start))] = other[start:end]


def _graft(
    chance: random.Random, out: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]
) -> None:
    """The beginning of this one, the end of another."""
    other = chance.choice(others)
    out[chance.randrange(len(out) + 1) :] = other[chance.randrange(len(other) + 1) :]


CHANGES = (
    _flip, _set_byte, _add_byte, _add_token, _add_token, _set_token, _set_number, _set_number, _delete, _repeat, _lend, _graft,
)  # fmt: skip
