"""Literals become the bytes that a real Cassandra makes of them, above all where it puts elements in order."""

from __future__ import annotations

import struct

import pytest
from support.cassandra import QUERY, RESULT, CqlClient, query
from support.native import load

from .test_driver import cluster, keyspace

pytestmark = pytest.mark.timeout(240)
cql = load("cql_probe")
UUIDS = (
    "6ab09bec-e68e-11e9-a5f8-97e6fb4c9b47, 13814000-1dd2-11b2-8080-808080808080, "
    "ffffffff-e68e-11e9-a5f8-97e6fb4c9b47"
)
LITERALS = [
    ("decimal", "-12.3400"), ("decimal", "1e300"), ("decimal", "123456789012345678901234567890.5E-7"), ("decimal", "0"),
    ("varint", "-123456789012345678901234567890"), ("varint", "-128"), ("varint", "128"), ("duration", "1y2mo3d4h5m6s7ms8us9ns"),
    ("duration", "-P1Y2M3DT4H5M6S"), ("duration", "P3W"), ("set<int>", "{3, -1, 2, -2147483648}"),
    ("set<bigint>", "{3, -1, 9223372036854775807}"), ("set<smallint>", "{1, -1}"), ("set<tinyint>", "{1, -1}"),
    ("set<double>", "{NaN, 1.5, -Infinity, -0.5, -2, 0, Infinity}"), ("set<float>", "{1, -1, NaN, -3}"),
    ("set<text>", "{'b', 'é', 'a', 'ab', ''}"), ("set<blob>", "{0xff, 0x00, 0x, 0x0000}"), ("set<boolean>", "{true, false}"),
    ("set<date>", "{'2024-01-01', '1960-01-01'}"), ("set<time>", "{'10:00:00', '09:00:00'}"),
    ("set<timestamp>", "{1000, -1000, 0}"), ("set<inet>", "{'255.0.0.1', '10.0.0.1', '::1'}"),
    ("set<varint>", "{1000, -1000, 3, -3, 0, 255, -256}"), ("set<timeuuid>", "{%s}" % UUIDS),
    ("set<uuid>", "{%s, 00000000-0000-4000-8000-000000000000, ffffffff-0000-4000-8000-000000000000}" % UUIDS),
    ("map<text, frozen<set<int>>>", "{'b': {2, 1}, 'a': {}}"), ("tuple<int, decimal, text>", "(1, 2.50, null)"),
    ("map<int, frozen<map<int, int>>>", "{2: {2: 1, 1: 2}, -2: {}}"),
]  # fmt: skip


def test_as_a_server_keeps_them(node: int) -> None:
    with cluster(node) as made, CqlClient(node) as client:
        owner = made.connect()
        client.open()
        with keyspace(owner) as name:
            columns = ", ".join(f"c{index} {kind}" for index, (kind, _) in enumerate(LITERALS))
            owner.execute(f"CREATE TABLE {name}.literals (k int PRIMARY KEY, {columns})")
            for index, (kind, literal) in enumerate(LITERALS):
                owner.execute(f"UPDATE {name}.literals SET c{index} = {literal} WHERE k = 1")
                reply = client.ask(
                    QUERY, query(f"SELECT c{index} FROM {name}.literals WHERE k = 1")
                )
                assert reply.opcode == RESULT
                said, ours = cql.literal(kind.encode(), literal.encode())
                assert said == "fine", literal
                assert reply.body.endswith(struct.pack(">i", len(ours)) + ours), literal
