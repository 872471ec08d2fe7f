"""RequestThrottling before a real Cassandra. Rates are so low that only bursts count."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from support.cassandra import (
    ERROR,
    EXECUTE,
    OVERLOADED,
    PREPARE,
    QUERY,
    RESULT,
    CqlClient,
    frame,
    query,
    string,
)
from support.proxy import Proxy

from .test_driver import cluster, keyspace
from .test_statements import prepare

pytestmark = pytest.mark.timeout(240)
LOCAL, PEERS = "SELECT key FROM system.local", "SELECT peer FROM system.peers"
SLOW = 0.001  # a token in a quarter of an hour
BATCH = 13
Start = Callable[..., Proxy]


def limits(*rows: dict[str, Any], **more: Any) -> list[Any]:
    found = [{"name": f"limit-{n}", "rate": SLOW, **row} for n, row in enumerate(rows)]
    return [{"RequestThrottling": {"limits": found, **more}}]


def passes(client: CqlClient, body: bytes | str, times: int, opcode: int = QUERY) -> int:
    """How many of so many passed; the others must have been refused for a limit."""
    good = 0
    for _ in range(times):
        reply = client.ask(opcode, query(body) if isinstance(body, str) else body)
        if reply.opcode == RESULT:
            good += 1
        else:
            assert reply.code == OVERLOADED and reply.message.startswith("over the limit limit-")
    return good


def test_limits_by_what_a_statement_is(node: int, start_cassandra_proxy: Start) -> None:
    chain = limits(
        {"tables": ["system.local"], "burst": 3},
        {"statements": ["SELECT"], "burst": 8},
        {"keyspaces": ["system_schema"], "consistency": ["ALL"], "burst": 1},
    )
    proxy = start_cassandra_proxy(node, chain=chain)
    with CqlClient(proxy.port) as client, CqlClient(proxy.port) as other:
        client.open()
        assert passes(client, LOCAL, 10) == 3
        assert passes(other.open(), PEERS, 10) == 5
        assert passes(client, "USE system", 20) == 20
    assert proxy.metric("shotover_limit_refusals_count", limit="limit-0") == 7
    assert proxy.metric("shotover_limit_refusals_count", limit="limit-1") == 5


@pytest.mark.parametrize(
    ("per", "together"),
    [("client", False), ("statement", True), ("keyspace", True), ("table", False), (None, True)],
)
def test_who_has_a_bucket(
    node: int, start_cassandra_proxy: Start, per: str | None, together: bool
) -> None:
    proxy = start_cassandra_proxy(node, chain=limits({"burst": 4, "per": per}))
    with CqlClient(proxy.port) as one, CqlClient(proxy.port) as other:
        assert passes(one.open(), LOCAL, 10) == 4
        found = passes(other.open(), PEERS, 10)
        assert found == (0 if together else 4)


def test_a_bucket_for_each_partition(node: int, start_cassandra_proxy: Start) -> None:
    proxy = start_cassandra_proxy(node, chain=limits({"burst": 2, "per": "key"}))
    with cluster(node) as direct:
        owner = direct.connect()
        with keyspace(owner) as name, CqlClient(proxy.port) as client:
            client.open()
            id = prepare(client, f"SELECT v FROM {name}.t WHERE k = ?")

            def read(key: int) -> bytes:
                return string(id) + struct.pack(">HBHii", 1, 1, 1, 4, key)

            assert [passes(client, read(key), 5, EXECUTE) for key in range(3)] == [2, 2, 2]
            assert passes(client, LOCAL, 5) == 5


def batch(*texts: str) -> bytes:
    body = struct.pack(">BH", 0, len(texts))
    for text in texts:
        body += struct.pack(">Bi", 0, len(text)) + text.encode() + struct.pack(">H", 0)
    return body + struct.pack(">HB", 1, 0)


def test_a_batch_counts_as_its_statements(node: int, start_cassandra_proxy: Start) -> None:
    chain = limits(
        {"burst": 100, "statements": ["INSERT", "DELETE"]},
        weights=[{"statements": ["DELETE"], "weight": 20}],
    )
    proxy = start_cassandra_proxy(node, chain=chain)
    with cluster(node) as direct:
        owner = direct.connect()
        with keyspace(owner) as name, CqlClient(proxy.port) as client:
            client.open()
            forty = batch(*[f"INSERT INTO {name}.t (k) VALUES ({n})" for n in range(40)])
            assert passes(client, forty, 4, BATCH) == 2
            assert passes(client, f"DELETE FROM {name}.t WHERE k = 1", 3) == 1
            assert passes(client, f"SELECT k FROM {name}.t", 3) == 3
            huge = batch(*[f"INSERT INTO {name}.t (k) VALUES ({n})" for n in range(101)])
            reply = client.ask(BATCH, huge)
            assert reply.code == OVERLOADED and "weighs more than the limit" in reply.message


def test_a_limit_that_refuses_costs_the_others_nothing(
    node: int, start_cassandra_proxy: Start
) -> None:
    chain = limits({"burst": 6, "tables": ["local", "peers"]}, {"burst": 2, "tables": ["local"]})
    proxy = start_cassandra_proxy(node, chain=chain)
    with CqlClient(proxy.port) as client:
        assert passes(client.open(), LOCAL, 10) == 2
        assert passes(client, PEERS, 10) == 4


def test_preparing_counts_where_nothing_is_said_of_statements(
    node: int, start_cassandra_proxy: Start
) -> None:
    proxy = start_cassandra_proxy(node, chain=limits({"burst": 3}))
    with CqlClient(proxy.port) as client:
        client.open()
        body = struct.pack(">i", len(LOCAL)) + LOCAL.encode()
        assert passes(client, body, 5, PREPARE) == 3


def test_requests_in_all_count_statements_of_batches(
    node: int, start_cassandra_proxy: Start
) -> None:
    chain = [{"RequestThrottling": {"max_requests_per_second": 50}}]
    proxy = start_cassandra_proxy(node, chain=chain)
    with cluster(node) as direct:
        owner = direct.connect()
        with keyspace(owner) as name, CqlClient(proxy.port) as client:
            client.open()
            texts = [f"INSERT INTO {name}.t (k) VALUES ({n})" for n in range(51)]
            for _ in range(3):
                reply = client.ask(BATCH, batch(*texts))
                assert (reply.opcode, reply.code) == (ERROR, OVERLOADED)
            data = b"".join(frame(BATCH, batch(*texts[:20]), stream) for stream in range(4))
            client.send(data)
            replies = [client.read() for _ in range(4)]
            good = [reply for reply in replies if reply is not None and reply.opcode == RESULT]
            assert 1 <= len(good) <= 2
