"""What people do with cassandra-driver, against the server alone and through the proxy."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cassandra import InvalidRequest
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import (
    EXEC_PROFILE_DEFAULT,
    Cluster,
    ExecutionProfile,
    NoHostAvailable,
    Session,
)
from cassandra.policies import WhiteListRoundRobinPolicy
from cassandra.query import BatchStatement, SimpleStatement
from support.certificates import usual
from support.proxy import Proxy
from support.wait import wait_until

pytestmark = pytest.mark.timeout(240)  # the first one may have to bring the server


@contextlib.contextmanager
def cluster(port: int, version: int = 4, **options: Any) -> Iterator[Cluster]:
    profile = ExecutionProfile(
        load_balancing_policy=WhiteListRoundRobinPolicy(["127.0.0.1"]), request_timeout=30
    )
    made = Cluster(
        ["127.0.0.1"],
        port=port,
        protocol_version=version,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        connect_timeout=20,
        **{"compression": False, **options},
    )
    try:
        yield made
    finally:
        made.shutdown()


@contextlib.contextmanager
def keyspace(session: Session) -> Iterator[str]:
    """A new keyspace, with a table t, in which the session is."""
    name = f"ks_{uuid.uuid4().hex[:12]}"
    session.execute(
        f"CREATE KEYSPACE {name} WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    try:
        session.set_keyspace(name)
        session.execute("CREATE TABLE t (k int PRIMARY KEY, v text)")
        yield name
    finally:
        session.execute(f"DROP KEYSPACE {name}")


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("compression", [False, "lz4"])
def test_ordinary_work(cql_port: int, version: int, compression: bool | str) -> None:
    with cluster(cql_port, version, compression=compression) as made:
        session = made.connect()
        with keyspace(session):
            insert = session.prepare("INSERT INTO t (k, v) VALUES (?, ?)")
            select = session.prepare("SELECT v FROM t WHERE k = ?")
            for future in [session.execute_async(insert, (i, "x" * i)) for i in range(300)]:
                future.result()
            found = [session.execute_async(select, (i,)) for i in range(300)]
            assert [future.result().one().v for future in found] == ["x" * i for i in range(300)]
            pages = SimpleStatement("SELECT k FROM t", fetch_size=50)
            assert sorted(row.k for row in session.execute(pages)) == list(range(300))
            batch = BatchStatement()
            batch.add(insert, (1000, "a"))
            batch.add(insert, (1001, "b"))
            session.execute(batch)
            assert session.execute(select, (1001,)).one().v == "b"
            lwt = session.execute("INSERT INTO t (k, v) VALUES (1, 'z') IF NOT EXISTS").one()
            assert not lwt.applied and lwt.v == "x"
            big = "wide" * 500_000
            session.execute(insert, (2000, big))
            assert session.execute(select, (2000,)).one().v == big
            trace = session.execute("SELECT v FROM t WHERE k = 5", trace=True)
            assert trace.one().v == "xxxxx" and trace.response_future._query_traces


def test_a_keyspace_is_one_clients_own(cql_port: int) -> None:
    with cluster(cql_port) as made, cluster(cql_port) as others:
        session, other = made.connect(), others.connect()
        with keyspace(session), keyspace(other):
            session.execute("INSERT INTO t (k, v) VALUES (1, 'mine')")
            other.execute("INSERT INTO t (k, v) VALUES (1, 'theirs')")
            assert session.execute("SELECT v FROM t").one().v == "mine"
            assert other.execute("SELECT v FROM t").one().v == "theirs"


def test_use_of_what_is_not_there_changes_nothing(cql_port: int) -> None:
    with cluster(cql_port) as made:
        session = made.connect()
        with keyspace(session):
            with pytest.raises(InvalidRequest, match="Keyspace 'nowhere' does not exist"):
                session.execute("USE nowhere")
            session.execute("SELECT v FROM t")


def test_the_schema_is_followed_by_events(cql_port: int) -> None:
    with cluster(cql_port) as made, cluster(cql_port) as others:
        session, other = made.connect(), others.connect()
        with keyspace(session) as name:
            for table in ("one", "two"):
                session.execute(f"CREATE TABLE {table} (k int PRIMARY KEY)")

            def seen() -> bool:
                known = others.metadata.keyspaces.get(name)
                return known is not None and {"one", "two"} <= set(known.tables)

            wait_until(seen, "the other client hears of the tables")
        assert other.execute("SELECT key FROM system.local").one().key == "local"


def test_the_driver_finds_the_version(cql_port: int) -> None:
    """It begins with the highest it knows, and steps down."""
    profile = ExecutionProfile(load_balancing_policy=WhiteListRoundRobinPolicy(["127.0.0.1"]))
    made = Cluster(
        ["127.0.0.1"],
        port=cql_port,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        compression=False,
    )
    try:
        assert made.connect().execute("SELECT key FROM system.local").one().key == "local"
        assert made.protocol_version == 5
    finally:
        made.shutdown()


@pytest.mark.parametrize("version", [4, 5])
def test_behind_tls(node: int, start_cassandra_proxy: Callable[..., Proxy], version: int) -> None:
    """Records of TLS hold segments, if it is version 5."""
    proxy = start_cassandra_proxy(node, source={"tls": usual().source()})
    context = usual().authority.client_context()
    with cluster(proxy.port, version, ssl_context=context, compression="lz4") as made:
        session = made.connect()
        with keyspace(session):
            big = "wide" * 200_000
            session.execute("INSERT INTO t (k, v) VALUES (1, %s)", (big,))
            assert session.execute("SELECT v FROM t WHERE k = 1").one().v == big


@pytest.mark.parametrize("version", [4, 5])
def test_login(login_port: int, version: int) -> None:
    for _ in range(3):
        with cluster(
            login_port, version, auth_provider=PlainTextAuthProvider("cassandra", "cassandra")
        ) as made:
            session = made.connect()
            with keyspace(session):
                session.execute("INSERT INTO t (k, v) VALUES (1, 'a')")
                assert session.execute("SELECT v FROM t").one().v == "a"
        with (
            cluster(login_port, auth_provider=PlainTextAuthProvider("cassandra", "no")) as wrong,
            pytest.raises(NoHostAvailable, match="Bad credentials"),
        ):
            wrong.connect()
        with cluster(login_port) as nobody, pytest.raises(NoHostAvailable):
            nobody.connect()
