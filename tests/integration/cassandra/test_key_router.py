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
from support.cassandra import QUERY, RESULT, CqlClient, query, silent_server
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


def test_a_silent_server_keeps_nobody_out(node: int, start_cassandra_proxy: Start) -> None:
    with silent_server() as silent:
        end = router(node, silent, {"tables": "u"}, handshake_timeout_ms=200)
        proxy = start_cassandra_proxy(node, end=end)
        proxy.allow_log("upstream")
        with CqlClient(proxy.port) as client:
            client.open()
            assert client.ask(QUERY, query("USE system")).opcode == RESULT
            assert client.ask(QUERY, query("SELECT key FROM local")).opcode == RESULT
            reply = client.ask(QUERY, query("SELECT * FROM ks.u"))
            assert "has not let the client in" in reply.message
        assert proxy.metric("shotover_handshakes_late_count", transform="KeyRouter") >= 1


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


KEYED = (
    "CREATE TABLE {0}.k (tenant text PRIMARY KEY, v int)",
    "CREATE TABLE {0}.c (tenant text, day date, n int, PRIMARY KEY ((tenant, day), n))",
)


@pytest.fixture
def keyed(two: Any) -> tuple[Session, Session, str]:
    """As `two`, with tables whose partitions are a tenant's, and a tenant's day's."""
    for session in two[:2]:
        for statement in KEYED:
            session.execute(statement.format(two[2]))
    return two


def by_key(node: int, login_node: int, name: str, *rules: dict[str, Any], **fields: Any) -> Any:
    keys = {f"{name}.k": {"tenant": "text"}, f"{name}.c": {"tenant": "text", "day": "date"}}
    return router(node, login_node, *rules, partition_keys=keys, **fields)


def tenants(session: Session, table: str) -> list[str]:
    return sorted(row.tenant for row in session.execute(f"SELECT tenant FROM {table}"))


@pytest.mark.parametrize("version", [3, 4, 5])
def test_tenants_of_one_table_that_have_moved(
    node: int, login_node: int, start_cassandra_proxy: Start, keyed: Any, version: int
) -> None:
    """By whole keys and prefixes; prepared, with values, with literals, in batches; each row is where it belongs."""
    first, second, name = keyed
    rules = [{"tables": f"{name}.k", "key": "acme"}, {"tables": f"{name}.k", "prefix": "eu-"}]
    proxy = start_cassandra_proxy(node, end=by_key(node, login_node, name, *rules))
    compression = "lz4" if version == 4 else False
    with cluster(proxy.port, version, compression=compression, auth_provider=LOGIN) as made:
        session = made.connect()
        session.execute(f"USE {name}")
        insert = session.prepare("INSERT INTO k (tenant, v) VALUES (?, ?)")
        for tenant in ("acme", "other", "eu-1", "eu"):
            session.execute(insert, (tenant, 1))
        session.execute("INSERT INTO k (tenant, v) VALUES ('eu-2', 2)")
        session.execute(f"INSERT INTO {name}.k (tenant, v) VALUES (%s, %s)", ("acme2", 2))
        batch = BatchStatement()
        batch.add(insert, ("eu-3", 3))
        batch.add("INSERT INTO k (tenant, v) VALUES ('eu-4', 3)")
        session.execute(batch)
        session.execute(
            "BEGIN BATCH INSERT INTO k (tenant) VALUES ('eu-5') "
            f"UPDATE {name}.k SET v = 3 WHERE tenant = 'acme' APPLY BATCH"
        )
        found = session.prepare("SELECT v FROM k WHERE tenant = ?")
        assert session.execute(found, ("acme",)).one().v == 3
        assert session.execute(found, ("other",)).one().v == 1
        assert session.execute("SELECT v FROM k WHERE tenant IN ('acme', 'eu-1')").all()
        batch.add(insert, ("other", 4))
        with pytest.raises(InvalidRequest, match="belong to different chains"):
            session.execute(batch)
        with pytest.raises(
            InvalidRequest, match="partitions of this statement belong to different"
        ):
            session.execute("SELECT v FROM k WHERE tenant IN ('acme', 'other')")
        for statement in (
            "SELECT * FROM k",
            'INSERT INTO k JSON \'{"tenant": "acme"}\'',
            "TRUNCATE k",
        ):
            with pytest.raises(InvalidRequest, match="partition key, which cannot be told"):
                session.execute(statement)
        assert session.execute("SELECT * FROM t").all() == [], "other tables are not concerned"
    assert tenants(first, f"{name}.k") == ["acme2", "eu", "other"]
    assert tenants(second, f"{name}.k") == ["acme", "eu-1", "eu-2", "eu-3", "eu-4", "eu-5"]


def test_keys_of_several_columns_and_what_has_no_key(
    node: int, login_node: int, start_cassandra_proxy: Start, keyed: Any
) -> None:
    first, second, name = keyed
    rules = [
        {"tables": f"{name}.c", "key": r"a\:b:2024-02-29"},
        {"tables": f"{name}.c", "glob": "x*z"},
    ]
    end = by_key(node, login_node, name, *rules, unknown_partition="default")
    proxy = start_cassandra_proxy(node, end=end)
    with cluster(proxy.port, auth_provider=LOGIN) as made:
        session = made.connect(name)
        insert = session.prepare("INSERT INTO c (tenant, day, n) VALUES (:tenant, :day, 1)")
        for tenant, day in [
            ("a:b", "2024-02-29"),
            ("a:b", "2024-02-28"),
            ("xyz", "2024-02-28"),
            ("xy", "2024-01-01"),
        ]:
            session.execute(insert, (tenant, day))
        session.execute("INSERT INTO c (day, n, tenant) VALUES ('2024-02-29', 2, 'a:b')")
        assert tenants(session, "c") == ["a:b", "xy"], "all of the table is the default chain's"
    assert tenants(first, f"{name}.c") == ["a:b", "xy"]
    assert tenants(second, f"{name}.c") == ["a:b", "a:b", "xyz"]


def test_halves_of_a_ring(
    node: int, login_node: int, start_cassandra_proxy: Start, keyed: Any
) -> None:
    """Slots are the servers' own tokens, divided."""
    first, second, name = keyed
    rule = {"tables": f"{name}.k", "hash": "8192-16383"}
    proxy = start_cassandra_proxy(node, end=by_key(node, login_node, name, rule))
    with cluster(proxy.port, auth_provider=LOGIN) as made:
        session = made.connect(name)
        insert = session.prepare("INSERT INTO k (tenant, v) VALUES (?, 1)")
        for number in range(40):
            session.execute(insert, (f"tenant {number}",))
    low = [row.place for row in first.execute(f"SELECT token(tenant) AS place FROM {name}.k")]
    high = [row.place for row in second.execute(f"SELECT token(tenant) AS place FROM {name}.k")]
    assert len(low) + len(high) == 40 and len(low) > 5 and len(high) > 5
    assert max(low) < 0 <= min(high)


def test_a_statement_that_one_of_its_servers_refuses_is_not_prepared(
    node: int, login_node: int, start_cassandra_proxy: Start, keyed: Any
) -> None:
    first, second, name = keyed
    second.execute(f"DROP TABLE {name}.k")
    proxy = start_cassandra_proxy(
        node, end=by_key(node, login_node, name, {"tables": f"{name}.k", "key": "acme"})
    )
    with cluster(proxy.port, auth_provider=LOGIN) as made:
        session = made.connect(name)
        with pytest.raises(InvalidRequest, match="k does not exist"):
            session.prepare("SELECT v FROM k WHERE tenant = ?")
        session.execute("INSERT INTO k (tenant, v) VALUES ('other', 1)")
    assert tenants(first, f"{name}.k") == ["other"]


def test_rules_on_keys_are_read_again(
    node: int, login_node: int, start_cassandra_proxy: Start, keyed: Any, tmp_path: Path
) -> None:
    first, second, name = keyed
    rules = tmp_path / "rules.yaml"
    rules.write_text("[]")
    proxy = start_cassandra_proxy(node, end=by_key(node, login_node, name, rules_file=str(rules)))
    first.execute(f"INSERT INTO {name}.k (tenant, v) VALUES ('acme', 1)")
    second.execute(f"INSERT INTO {name}.k (tenant, v) VALUES ('acme', 2)")
    with cluster(proxy.port, auth_provider=LOGIN) as made:
        session = made.connect(name)
        select = session.prepare("SELECT v FROM k WHERE tenant = ?")
        assert session.execute(select, ("acme",)).one().v == 1
        rules.write_text(yaml.safe_dump([{"tables": f"{name}.k", "key": "acme", "to": "second"}]))
        wait_until(
            lambda: session.execute("SELECT v FROM k WHERE tenant = 'acme'").one().v == 2,
            "the new rules are in force",
        )
        assert session.execute(select, ("acme",)).one().v == 2, "the driver has prepared it there"
