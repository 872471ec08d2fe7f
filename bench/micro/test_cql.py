"""What it costs to parse a statement of CQL."""

from __future__ import annotations

from typing import Any

import pytest
from support.native import load

from shotover._codec.cql.ring import Ring
from shotover.sinks._cassandra_schema import Schema

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


def frames_of_facts() -> dict[str, tuple[Any, list[bytes]]]:
    """What is measured: a client and the frames that it sends, each once."""
    from cassandra.protocol import BatchMessage, ExecuteMessage
    from cassandra.query import BatchType
    from codec.cql.test_facts import message, prepare, query

    facts = load("facts_probe")
    text = "SELECT a, b, c FROM keyspace1.standard1 WHERE key = 'user:000000012345'"
    client = facts.Client()
    prepare(client, "SELECT a FROM t WHERE k = ?", b"0123456789abcdef", [("k", 13)], [0])
    client.forget()
    execute = message(ExecuteMessage(b"0123456789abcdef", [b"user:000000012345"], 1))
    batch = BatchMessage(BatchType.LOGGED, [(True, b"0123456789abcdef", [b"user:0000"])] * 10, 1)
    each = [query(f"SELECT a, b, c FROM keyspace1.standard1 WHERE key = 'user:{n:012}'") for n in range(5000)]  # fmt: skip
    blind = facts.Client(wants_facts=False)
    return {
        "decode an EXECUTE, nobody asks": (blind, [execute] * 5000),
        "decode an EXECUTE with its facts": (client, [execute] * 5000),
        "decode a QUERY, nobody asks": (blind, [query(text)] * 5000),
        "decode a QUERY, its text known": (client, [query(text)] * 5000),
        "decode a QUERY, its text new": (facts.Client(), each * 2),
        "decode a BATCH of 10 EXECUTEs": (client, [message(batch)] * 5000),
    }


@pytest.mark.parametrize("what", range(6))
def test_decode(cost: Any, what: int) -> None:
    name, (client, frames) = list(frames_of_facts().items())[what]
    cost(name, len(frames), lambda: client.each_once(frames))


QUERIES = {
    "route a SELECT by its key": b"SELECT a, b, c FROM keyspace1.standard1 WHERE key = 'user:000000012345'",
    "route an INSERT of 6 values": b"INSERT INTO keyspace1.standard1 (key, c, a, b, d, e) VALUES "
    b"('user:000000012345', 'abc', 1, 'some text', 0xcafe, {1: 2})",
}


@pytest.mark.parametrize("what", QUERIES)
def test_route(cost: Any, what: str) -> None:
    """From a QUERY's body to the servers that have the row, in a ring of 12 servers with 256 tokens each."""
    step = (1 << 64) // (12 * 256)
    ring = Ring(
        "Murmur3Partitioner",
        [
            (number, "dc1", f"r{number % 3}", [str(-(1 << 63) + step * (number + 12 * turn)) for turn in range(256)])
            for number in range(12)
        ],
    )  # fmt: skip
    schema = Schema(
        ring,
        {"keyspace1": {"class": "NetworkTopologyStrategy", "dc1": "3"}},
        {("keyspace1", "standard1"): (("key", "text"),)},
    )
    probe = load("route_probe")
    text = QUERIES[what]
    body = len(text).to_bytes(4, "big") + text + b"\0\1\0"
    assert len(probe.look(schema, body, b"")[4]) == 3
    cost(what, ROUNDS, lambda: probe.look_often(schema, body, ROUNDS))
