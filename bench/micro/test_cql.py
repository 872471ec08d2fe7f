"""What it costs to parse a statement of CQL."""

from __future__ import annotations

from typing import Any

import pytest
from support.native import load

ROUNDS = 50_000
STATEMENTS = {
    "parse a SELECT by its key": b"SELECT a, b, c FROM keyspace1.standard1 WHERE key = 'user:000000012345'",
    "parse an INSERT of 6 values": b"INSERT INTO ks.t (k, c, a, b, d, e) VALUES (?, ?, 1, 'some text', 0xcafe, {1: 2})",
    "parse an UPDATE": b"UPDATE ks.t SET a = ?, n = n + 1, l[2] = 'x' WHERE k = 1 AND c = 2 IF a = 3",
    "parse a BATCH of 4": b"BEGIN BATCH "
    + b"INSERT INTO ks.t (k, a) VALUES (1, 'x'); " * 4
    + b"APPLY BATCH",
}


@pytest.mark.parametrize("what", STATEMENTS)
def test_parse(cost: Any, what: str) -> None:
    probe = load("cql_probe")
    cost(what, ROUNDS, lambda: probe.parse_often(STATEMENTS[what], ROUNDS))
