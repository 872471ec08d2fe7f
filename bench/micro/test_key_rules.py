"""What it costs to find the rule for a key, among many."""

from __future__ import annotations

import random
from typing import Any

import pytest

from shotover._codec.key_rules import KeyRules

ROUND = 20_000
RULES = 10_000
DRAW = random.Random(1)


def rule(kind: str, text: bytes = b"", first: int = 0, last: int = 0) -> tuple[Any, ...]:
    return (0, kind, text, first, last, None, None, ())


NUMBERS = [DRAW.randrange(RULES) for _ in range(200)]
TABLES = {
    "keys": [rule("key", b"tenant:%06d:cart" % number) for number in range(RULES)],
    "prefixes": [rule("prefix", b"tenant:%06d:" % number) for number in range(RULES)],
    "keys, prefixes and slots": [
        *[rule("key", b"tenant:%06d:profile" % number) for number in range(RULES // 2)],
        *[rule("prefix", b"tenant:%06d:" % number) for number in range(RULES // 2)],
        rule("hash", first=0, last=16383),
    ],
    "globs": [rule("glob", b"tenant:%06d:*:v?" % number) for number in range(RULES)],
}


@pytest.mark.parametrize("what", TABLES)
def test_find(cost: Any, what: str) -> None:
    table = KeyRules(TABLES[what])
    text = b"tenant:%06d:1:v2" if what == "globs" else b"tenant:%06d:cart"
    keys = [text % number for number in NUMBERS]
    rounds = ROUND // len(keys)
    cost(
        f"find the rule of a key among {RULES} {what}",
        rounds * len(keys),
        lambda: table.find_often(keys, rounds),
    )


def test_find_none(cost: Any) -> None:
    table = KeyRules(TABLES["keys, prefixes and slots"][:-1])
    keys = [b"session:%06d" % number for number in NUMBERS]
    rounds = ROUND // len(keys)
    cost(
        f"see that no rule holds for a key, among {RULES} keys and prefixes",
        rounds * len(keys),
        lambda: rounds * len(keys) - table.find_often(keys, rounds),
    )
