"""KeyRouter before two real Cassandras, of which the second asks for a password: tables and tenants that have moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cassandra import InvalidRequest
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import NoHostAvailable, Session
from cassandra.query import BatchStatement
from support.cassandra import QUERY, RESULT, CqlClient, query
from support.proxy import Proxy
from support.wait import free_port, wait_until

from .test_driver import cluster

pytestmark = pytest.mark.timeout(240)
Start = Callable[..., Proxy]
LOGIN = PlainTextAuthProvider("cassandra", "cassandra")
MAKE = (
    "CREATE KEYSPACE {} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
)


def sink(port: int) -> list[Any]:
    return [{"CassandraSinkSingle": {"remote_address": f"127.0.0.1:{port}"}}]


def router(first: int, second: int, *rules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    if rules:
        fields["rules"] = [{**rule, "to": "second"} for rule in rules]
    return {
        "KeyRouter": {
            "name": "router",
            "chains": {"second": sink(second)},
            "default": sink(first),
            **fields,
        }
    }


@pytest.fixture
def two(node: int, login_node: int) -> Iterator[tuple[Session, Session, str]]:
    """A session with each server, and a keyspace that both have, with tables t and u."""
    name = f"kr_{free_port()}"
    with cluster(node) as one, cluster(login_node, auth_provider=LOGIN) as other:
        sessions = one.connect(), other.connect()
        for session in sessions:
            session.execute(MAKE.format(name))
            for table in ("t", "u"):
                session.execute(f"CREATE TABLE {name}.{table} (k int PRIMARY KEY, v text)")
        yield (*sessions, name)
        for session in sessions:
            session.execute(f"DROP KEYSPACE {name}")


def keys(session: Session, table: str) -> list[int]:
    return sorted(row.k for row in session.execute(f"SELECT k FROM {table}"))


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("compression", [False, "lz4"])
def test_a_table_that_has_moved(
    node: int,
    login_node: int,
    start_cassandra_proxy: Start,
    two: Any,
    version: int,
    compression: Any,
) -> None:
    first, second, name = two
    proxy = start_cassandra_proxy(node, end=router(node, login_node, {"tables": f"{name}.u"}))
    with cluster(proxy.port, version, compression=compression, auth_provider=LOGIN) as made:
        session = made.connect()
        session.execute(f"USE {name}")
        for table in ("t", "u"):
            insert = session.prepare(f"INSERT INTO {table} (k, v) VALUES (?, 'x')")
            select = session.prepare(f"SELECT k FROM {name}.{table} WHERE k = ?")
            for future in [session.execute_async(insert, (k,)) for k in range(20)]:
                future.result()
            session.execute(f"INSERT INTO {table} (k) VALUES (100)")
            batch = BatchStatement()
            batch.add(insert, (101,))
            batch.add(f"INSERT INTO {name}.{table} (k) VALUES (102)")
            session.execute(batch)
            session.execute(f"BEGIN BATCH UPDATE {table} SET v = 'y' WHERE k = 103 APPLY BATCH")
            assert session.execute(select, (7,)).one().k == 7
            assert len(session.execute(f"SELECT k FROM {table}").all()) == 24
        both = BatchStatement()
        both.add("INSERT INTO t (k) VALUES (1000)")
        both.add("INSERT INTO u (k) VALUES (1000)")
        with pytest.raises(InvalidRequest, match="belong to different chains"):
            session.execute(both)
    wanted = [*range(20), 100, 101, 102, 103]
    assert keys(first, f"{name}.t") == keys(second, f"{name}.u") == wanted
    assert keys(first, f"{name}.u") == keys(second, f"{name}.t") == []


def test_a_tenant_that_has_moved(
    node: int, login_node: int, start_cassandra_proxy: Start, two: Any
) -> None:
    """All of a keyspace, the schema included; it is not on the first server at all."""
    first, _second, _name = two
    moved = f"mv_{free_port()}"
    proxy = start_cassandra_proxy(node, end=router(node, login_node, {"keyspaces": moved}))
    with cluster(proxy.port, auth_provider=LOGIN) as made:
        session = made.connect()
        session.execute(MAKE.format(moved))
        session.execute(f"USE {moved}")
        session.execute("CREATE TABLE t (k int PRIMARY KEY)")
        session.execute("INSERT INTO t (k) VALUES (1)")
        assert keys(session, "t") == [1]
        assert keys(session, f"{moved}.t") == [1]
        found = first.execute("SELECT keyspace_name FROM system_schema.keyspaces")
        assert moved not in [row.keyspace_name for row in found]
        session.execute(f"DROP KEYSPACE {moved}")


def test_the_keyspace_of_a_client_is_not_taken_for_another(
    node: int, login_node: int, start_cassandra_proxy: Start, two: Any
) -> None:
    """USE of a keyspace that the second server lacks: what belongs there must not go to the one that it was in before."""
    first, second, name = two
    own = f"own_{free_port()}"
    first.execute(MAKE.format(own))
    first.execute(f"CREATE TABLE {own}.u (k int PRIMARY KEY, v text)")
    second.execute(f"INSERT INTO {name}.u (k) VALUES (5)")
    proxy = start_cassandra_proxy(node, end=router(node, login_node, {"tables": "u"}))
    with cluster(proxy.port, auth_provider=LOGIN) as made:
        session = made.connect()
        session.execute(f"USE {name}")
        assert keys(session, "u") == [5]
        session.execute(f"USE {own}")
        with pytest.raises(InvalidRequest, match="keyspace is not to be had"):
            session.execute("SELECT k FROM u")
        assert keys(session, f"{name}.u") == [5]
    first.execute(f"DROP KEYSPACE {own}")


def test_users_and_types_of_statements(
    node: int, login_node: int, start_cassandra_proxy: Start, two: Any
) -> None:
    first, second, name = two
    rules = [{"user": "nobody"}, {"user": "cassandra", "keyspaces": name, "statements": ["SELECT"]}]
    proxy = start_cassandra_proxy(node, end=router(node, login_node, *rules))
    second.execute(f"INSERT INTO {name}.t (k) VALUES (2)")
    first.execute(f"INSERT INTO {name}.t (k) VALUES (1)")
    with cluster(proxy.port, auth_provider=LOGIN) as made:
        session = made.connect()
        select = session.prepare(f"SELECT k FROM {name}.t")
        assert session.execute(select).one().k == 2
        session.execute(f"INSERT INTO {name}.t (k) VALUES (3)")
    assert keys(first, f"{name}.t") == [1, 3]


def test_a_wrong_password_is_told(node: int, login_node: int, start_cassandra_proxy: Start) -> None:
    proxy = start_cassandra_proxy(node, end=router(node, login_node, {"tables": "u"}))
    wrong = PlainTextAuthProvider("cassandra", "no")
    with (
        cluster(proxy.port, auth_provider=wrong) as made,
        pytest.raises(NoHostAvailable, match="Bad credentials"),
    ):
        made.connect()


def test_a_server_that_is_away_takes_its_tables_with_it_alone(
    node: int, start_cassandra_proxy: Start
) -> None:
    proxy = start_cassandra_proxy(node, end=router(node, free_port(), {"tables": "u"}))
    proxy.allow_log("cannot connect to the upstream")
    with CqlClient(proxy.port) as client:
        client.open()
        for _ in range(3):
            assert client.ask(QUERY, query("SELECT key FROM system.local")).opcode == RESULT
        reply = client.ask(QUERY, query("SELECT * FROM ks.u"), stream=9)
        assert "has not let the client in" in reply.message and reply.stream == 9
        assert client.read() is None, "it may find that chain open next time"


def test_rules_are_read_again(
    node: int, login_node: int, start_cassandra_proxy: Start, two: Any, tmp_path: Path
) -> None:
    first, second, name = two
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump([{"tables": "none", "to": "second"}]))
    proxy = start_cassandra_proxy(node, end=router(node, login_node, rules_file=str(rules)))
    first.execute(f"INSERT INTO {name}.t (k) VALUES (1)")
    second.execute(f"INSERT INTO {name}.t (k) VALUES (2)")
    with cluster(proxy.port, auth_provider=LOGIN) as made:
        session = made.connect()
        select = session.prepare(f"SELECT k FROM {name}.t")
        assert session.execute(select).one().k == 1
        rules.write_text(yaml.safe_dump([{"tables": f"{name}.t", "to": "second"}]))
        wait_until(
            lambda: session.execute(f"SELECT k FROM {name}.t").one().k == 2,
            "the new rules are in force",
        )
        assert session.execute(select).one().k == 2, "the driver has prepared it there, too"
