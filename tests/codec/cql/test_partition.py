"""Tokens of partition keys are those that drivers work out."""

from __future__ import annotations

import struct

import pytest
from cassandra.metadata import MD5Token, Murmur3Token
from hypothesis import example, given
from hypothesis import strategies as st
from support.native import load

cql = load("cql_probe")
LEAST = -(1 << 63)
TOLD = {
    b"\x00\x00\x00\x01": -4069959284402364209,
    b"\x00\x00\x00\x00": -3485513579396041028,
}
"""Of int keys 1 and 0, as the servers' token() says; more are compared with the driver."""


@given(st.binary(min_size=1, max_size=80))
@example(b"\xff" * 15)
@example(bytes(range(240, 256)) * 3 + b"\x80\x81")
def test_murmur3(key: bytes) -> None:
    assert cql.murmur3(key) == Murmur3Token.hash_fn(key)


def test_tokens_that_are_known() -> None:
    for key, token in TOLD.items():
        assert cql.murmur3(key) == token
    assert cql.murmur3(b"") == LEAST


@given(st.binary(max_size=200))
def test_random(key: bytes) -> None:
    assert cql.random_token(key) == MD5Token.hash_fn(key)
    assert 0 <= cql.random_token(key) <= 1 << 127


@given(st.binary(max_size=9), st.binary(max_size=9))
def test_byte_ordered(one: bytes, other: bytes) -> None:
    order = cql.compare_bytes(one, other)
    assert (order > 0) - (order < 0) == (one > other) - (one < other)


@given(st.lists(st.binary(max_size=300), min_size=2, max_size=8))
def test_a_key_of_several_values(parts: list[bytes]) -> None:
    assert cql.partition_key(parts) == b"".join(struct.pack(f">H{len(p)}sB", len(p), p, 0) for p in parts)  # fmt: skip


def test_keys_that_are_none() -> None:
    assert cql.partition_key([b"one"]) == b"one"
    for parts in ([None], [b""], [b"a", None], [b"a", bytes(0x10000)]):
        assert cql.partition_key(parts) is None


@pytest.mark.parametrize(
    "name, number",
    [(b"org.apache.cassandra.dht.Murmur3Partitioner", 1), (b"RandomPartitioner", 2),
     (b"org.apache.cassandra.dht.ByteOrderedPartitioner", 3), (b"OrderPreserving", 0), (b"", 0)],
)  # fmt: skip
def test_partitioners(name: bytes, number: int) -> None:
    assert cql.partitioner(name) == number
