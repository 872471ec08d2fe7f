"""Tee before a real Cassandra: both chains get what clients send, and their replies are compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cassandra.auth import PlainTextAuthProvider
from cassandra.query import BatchStatement
from support.cassandra import (
    ERROR,
    EVENT,
    QUERY,
    READY,
    REGISTER,
    RESULT,
    CqlClient,
    query,
    silent_server,
    string,
)
from support.proxy import Proxy
from support.wait import free_port, wait_until

from .test_driver import cluster, keyspace

pytestmark = pytest.mark.timeout(240)
Start = Callable[..., Proxy]
MISMATCHES = "shotover_tee_mismatches_count"
DROPPED = "shotover_tee_dropped_messages_count"


def tee(port: int, behavior: str, *before: Any, **fields: Any) -> list[Any]:
    sink = {"CassandraSinkSingle": {"remote_address": f"127.0.0.1:{port}", "read_timeout": 20}}
    counter = {"QueryCounter": {"name": "side", "counter_name": "side"}}
    return [
        {
            "Tee": {
                "behavior": behavior,
                "buffer_size": 10_000,
                "chain": [*before, counter, sink],
                **fields,
            }
        }
    ]


@pytest.mark.parametrize("behavior", ["Ignore", "FailOnMismatch", "LogWarningOnMismatch"])
@pytest.mark.parametrize("version", [3, 4, 5])
def test_ordinary_work_goes_to_both(
    node: int, start_cassandra_proxy: Start, behavior: str, version: int
) -> None:
    proxy = start_cassandra_proxy(node, chain=tee(node, behavior))
    with cluster(node) as direct, cluster(proxy.port, version) as made:
        owner, session = direct.connect(), made.connect()
        with keyspace(owner) as name:
            session.set_keyspace(name)
            insert = session.prepare("INSERT INTO t (k, v) VALUES (?, ?)")
            for future in [session.execute_async(insert, (k, "v" * k)) for k in range(200)]:
                future.result()
            batch = BatchStatement()
            for k in range(200, 210):
                batch.add(insert, (k, "w"))
            session.execute(batch)
            found = sorted(row.k for row in session.execute("SELECT k FROM t"))
            assert found == list(range(210))
            session.execute("SELECT v FROM t WHERE k = 5", trace=True)
            with pytest.raises(Exception, match="SELEKT"):
                session.execute("SELEKT")

            def both() -> bool:
                return proxy.metric("shotover_query_count", name="side", query="INSERT") == 210

            wait_until(both, "the other chain has had all writes")
    assert proxy.metric(MISMATCHES) == 0 and proxy.metric(DROPPED) == 0


def other(**how: Any) -> dict[str, Any]:
    return {
        "FaultInjection": {
            "seed": 1,
            "faults": [{"tables": ["t"], "statements": ["SELECT"], **how}],
        }
    }


@pytest.mark.parametrize("fault", [{"error": "OVERLOADED now"}, {"corrupt": "value"}])
def test_replies_that_differ(
    node: int, start_cassandra_proxy: Start, fault: dict[str, Any]
) -> None:
    failing = start_cassandra_proxy(node, chain=tee(node, "FailOnMismatch", other(**fault)))
    logging = start_cassandra_proxy(node, chain=tee(node, "LogWarningOnMismatch", other(**fault)))
    ignoring = start_cassandra_proxy(node, chain=tee(node, "Ignore", other(**fault)))
    logging.allow_log("the replies of the Tee's chains differ")
    with cluster(node) as direct:
        owner = direct.connect()
        with keyspace(owner) as name:
            owner.execute("INSERT INTO t (k, v) VALUES (1, 'a')")
            text = f"SELECT v FROM {name}.t WHERE k = 1"
            with CqlClient(failing.port) as client:
                reply = client.open().ask(QUERY, query(text), stream=70)
                assert (reply.opcode, reply.stream) == (ERROR, 70)
                assert "the replies of the two chains differ" in reply.message
                assert client.ask(QUERY, query("SELECT key FROM system.local")).opcode == RESULT
            for proxy in (logging, ignoring):
                with CqlClient(proxy.port) as client:
                    assert client.open().ask(QUERY, query(text)).opcode == RESULT
            assert failing.metric(MISMATCHES) == logging.metric(MISMATCHES) == 1
            wait_until(
                lambda: f"QUERY {text} (ONE, 0 values): the replies" in logging.log(),
                "it is logged",
            )


def test_the_order_of_rows_does_not_matter_to_whom_is_told(
    node: int, start_cassandra_proxy: Start
) -> None:
    """The same rows, of which each server has its own idea of warnings: they agree."""
    proxy = start_cassandra_proxy(node, chain=tee(node, "FailOnMismatch"))
    with cluster(node) as direct, cluster(proxy.port) as made:
        owner, session = direct.connect(), made.connect()
        with keyspace(owner) as name:
            for k in range(50):
                owner.execute("INSERT INTO t (k, v) VALUES (%s, 'x')", (k,))
            pages = session.execute(f"SELECT k FROM {name}.t")
            assert len(list(pages)) == 50
            assert session.execute("SELECT host_id FROM system.local").one() is not None


def test_a_dead_chain_costs_nothing_under_ignore(node: int, start_cassandra_proxy: Start) -> None:
    proxy = start_cassandra_proxy(node, chain=tee(free_port(), "Ignore"))
    proxy.allow_log("cannot connect to the upstream")
    with cluster(proxy.port) as made:
        session = made.connect()
        with keyspace(session):
            for k in range(50):
                session.execute("INSERT INTO t (k) VALUES (%s)", (k,))
            assert len(session.execute("SELECT k FROM t").all()) == 50


def test_a_chain_that_asks_for_a_password_alone_is_left_out(
    node: int, login_node: int, start_cassandra_proxy: Start
) -> None:
    proxy = start_cassandra_proxy(node, chain=tee(login_node, "Ignore"))
    with CqlClient(proxy.port) as client:
        client.open()
        for _ in range(5):
            assert client.ask(QUERY, query("SELECT key FROM system.local")).opcode == RESULT
    with pytest.raises(KeyError):
        proxy.metric("shotover_query_count", name="side", query="SELECT")


def test_events_come_once(node: int, start_cassandra_proxy: Start) -> None:
    proxy = start_cassandra_proxy(node, chain=tee(node, "FailOnMismatch"))
    with CqlClient(proxy.port) as client, CqlClient(node) as maker:
        client.open()
        name = f"ev_{free_port()}"
        client.about = name.encode()
        assert client.ask(REGISTER, b"\0\1" + string("SCHEMA_CHANGE")).opcode == READY
        made = f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        assert maker.open().ask(QUERY, query(made)).opcode == RESULT
        event = client.read()
        assert event is not None and event.opcode == EVENT and name.encode() in event.body
        reply = client.ask(QUERY, query("SELECT key FROM system.local"))
        assert reply.opcode == RESULT
        assert maker.ask(QUERY, query(f"DROP KEYSPACE {name}")).opcode == RESULT


@pytest.mark.parametrize("behavior", ["Ignore", "FailOnMismatch"])
def test_a_silent_chain_keeps_nobody_out(
    node: int, start_cassandra_proxy: Start, behavior: str
) -> None:
    with silent_server() as silent:
        proxy = start_cassandra_proxy(node, chain=tee(silent, behavior, handshake_timeout_ms=200))
        proxy.allow_log("upstream")
        with CqlClient(proxy.port) as client:
            client.open()
            for _ in range(3):
                assert client.ask(QUERY, query("SELECT key FROM system.local")).opcode == RESULT
            assert client.ask(QUERY, query("USE system")).opcode == RESULT
            assert client.ask(QUERY, query("SELECT key FROM local")).opcode == RESULT
        assert proxy.metric("shotover_handshakes_late_count", transform="Tee") >= 1


@pytest.mark.parametrize("version", [3, 4, 5])
def test_what_differs_goes_down_a_third_chain(
    node: int, login_node: int, start_cassandra_proxy: Start, version: int
) -> None:
    """Prepared and not, in the client's keyspace, as the client's user; the client gets the main chain's reply."""
    third = [
        {"QueryCounter": {"name": "third", "counter_name": "third"}},
        {"CassandraSinkSingle": {"remote_address": f"127.0.0.1:{login_node}"}},
    ]
    behavior: Any = {"SubchainOnMismatch": {"chain": third}}
    fault = {"statements": ["INSERT"], "tables": ["u"], "error": "OVERLOADED now"}
    other = {"FaultInjection": {"seed": 1, "faults": [fault]}}
    proxy = start_cassandra_proxy(login_node, chain=tee(login_node, behavior, other))
    login = PlainTextAuthProvider("cassandra", "cassandra")
    with (
        cluster(login_node, auth_provider=login) as direct,
        cluster(proxy.port, version, auth_provider=login) as made,
    ):
        owner, session = direct.connect(), made.connect()
        with keyspace(owner) as name:
            owner.execute(f"CREATE TABLE {name}.u (k int PRIMARY KEY, n counter)")
            session.set_keyspace(name)
            fine = session.prepare("INSERT INTO t (k) VALUES (?)")
            session.execute(fine, (1,))
            count = session.prepare("UPDATE u SET n = n + ? WHERE k = 1")
            session.execute(count, (1,))
            assert owner.execute(f"SELECT n FROM {name}.u").one().n == 2, (
                "agreed: by two chains alone"
            )
            owner.execute(f"DROP TABLE {name}.u")
            owner.execute(f"CREATE TABLE {name}.u (k int, at timeuuid, PRIMARY KEY (k, at))")
            insert = session.prepare("INSERT INTO u (k, at) VALUES (?, now())")
            session.execute(insert, (1,))
            session.execute("INSERT INTO u (k, at) VALUES (2, now())")
            found = [row.k for row in owner.execute(f"SELECT k FROM {name}.u")]
            assert sorted(found) == [1, 1, 2, 2], "by the main chain and the third"
        assert proxy.metric("shotover_query_count", name="third", query="INSERT") == 2


def test_a_third_chain_that_is_away_keeps_nobody_out(
    node: int, start_cassandra_proxy: Start
) -> None:
    third = [{"CassandraSinkSingle": {"remote_address": f"127.0.0.1:{free_port()}"}}]
    behavior: Any = {"SubchainOnMismatch": third}
    proxy = start_cassandra_proxy(node, chain=tee(node, behavior))
    proxy.allow_log("cannot connect to the upstream")
    with cluster(proxy.port) as made:
        session = made.connect()
        assert session.execute(session.prepare("SELECT key FROM system.local")).one().key == "local"
