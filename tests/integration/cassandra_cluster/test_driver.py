"""What people do with cassandra-driver, before a cluster: as with the servers, but for who is in the ring."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import pytest
from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.cluster import Session
from cassandra.query import BatchStatement, SimpleStatement
from integration.cassandra_cluster.conftest import Start, connected
from support.cassandra_ring import Ring

pytestmark = pytest.mark.timeout(300)  # the first one may have to bring the servers

DIRECT, PROXY = "direct", "proxy"


@pytest.fixture(params=[DIRECT, PROXY])
def place(request: pytest.FixtureRequest, ring: Ring, start_proxies: Start) -> tuple[str, int]:
    """Where to connect to."""
    if request.param == DIRECT:
        return ring.nodes[0].host, ring.port
    return "127.0.0.1", start_proxies(ring)[0].port


@contextlib.contextmanager
def keyspace(session: Session, copies: str = "'dc1': 1") -> Iterator[str]:
    """A new keyspace, with a table t, in which the session is."""
    name = f"ks_{uuid.uuid4().hex[:12]}"
    session.execute(
        f"CREATE KEYSPACE {name} WITH replication = {{'class': 'NetworkTopologyStrategy', {copies}}}"
    )
    try:
        session.set_keyspace(name)
        session.execute("CREATE TABLE t (k int PRIMARY KEY, v text)")
        yield name
    finally:
        session.execute(f"DROP KEYSPACE {name}")


@pytest.mark.parametrize(
    ("version", "compression"), [(3, False), (4, "lz4"), (5, False), (5, "lz4")]
)
def test_ordinary_work(place: tuple[str, int], version: int, compression: bool | str) -> None:
    with connected(*place, version, compression=compression) as session, keyspace(session):
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
        batch.add(SimpleStatement("INSERT INTO t (k, v) VALUES (1001, %s)"), ("b",))
        session.execute(batch)
        assert session.execute("SELECT v FROM t WHERE k = 1001").one().v == "b"
        applied = session.execute("INSERT INTO t (k, v) VALUES (1, 'z') IF NOT EXISTS").one()
        assert not applied.applied
        with pytest.raises(InvalidRequest, match="missing"):
            session.execute("SELECT * FROM missing")


def test_schema_changes_between(place: tuple[str, int]) -> None:
    """What was prepared before goes on after; a new table can be used at once."""
    with connected(*place) as session, keyspace(session) as name:
        select = session.prepare("SELECT * FROM t WHERE k = ?")
        session.execute("INSERT INTO t (k, v) VALUES (1, 'a')")
        session.execute("ALTER TABLE t ADD w int")
        assert session.execute(select, (1,)).one().v == "a"
        for number in range(3):
            session.execute(f"CREATE TABLE t{number} (k int PRIMARY KEY)")
            for key in range(6):
                session.execute(f"INSERT INTO t{number} (k) VALUES ({key})")
            assert session.execute(f"SELECT count(*) FROM t{number}").one()[0] == 6
        assert set(session.cluster.metadata.keyspaces[name].tables) == {"t", "t0", "t1", "t2"}


def coordinators(session: Session, statement: object, keys: list[int], bound: bool) -> list[object]:
    """Who answered for each key, by tracing."""
    found = []
    for key in keys:
        text = statement if bound else SimpleStatement(str(statement) % key)
        future = session.execute_async(text, (key,) if bound else None, trace=True)
        future.result()
        found.append(future.get_query_trace(query_cl=ConsistencyLevel.ONE).coordinator)
    return found


@pytest.mark.parametrize("version", [3, 4, 5])
def test_rows_are_asked_of_who_has_them(ring: Ring, start_proxies: Start, version: int) -> None:
    """As a driver finds them that is connected to the servers."""
    (proxy,) = start_proxies(ring)
    keys = list(range(12))
    with (
        connected(ring.nodes[0].host, ring.port, version) as direct,
        connected("127.0.0.1", proxy.port, version) as session,
        keyspace(direct),
    ):
        name = direct.keyspace
        select = f"SELECT v FROM {name}.t WHERE k = ?"
        right = coordinators(direct, direct.prepare(select), keys, True)
        assert len(set(right)) == 2, "keys on both servers of dc1"
        ring.agree()
        statement = session.prepare(select)
        coordinators(session, statement, keys, True)  # opens what connections it needs
        assert coordinators(session, statement, keys, True) == right
        simple = f"SELECT v FROM {name}.t WHERE k = %d"
        assert coordinators(session, simple, keys, False) == right
        insert = f"INSERT INTO {name}.t (k, v) VALUES (%d, 'x')"
        assert coordinators(session, insert, keys, False) == right


def test_a_batch_goes_to_who_has_its_first_row(ring: Ring, start_proxies: Start) -> None:
    (proxy,) = start_proxies(ring)
    with connected("127.0.0.1", proxy.port) as session, keyspace(session):
        insert = session.prepare("INSERT INTO t (k, v) VALUES (?, 'x')")
        select = session.prepare("SELECT v FROM t WHERE k = ?")
        keys = list(range(8))
        coordinators(session, select, keys, True)
        right = coordinators(session, select, keys, True)
        found = []
        for key in keys:
            batch = BatchStatement()
            batch.add(insert, (key,))
            batch.add(insert, (key,))
            future = session.execute_async(batch, trace=True)
            future.result()
            found.append(future.get_query_trace(query_cl=ConsistencyLevel.ONE).coordinator)
        assert found == right


def test_use_and_names(place: tuple[str, int]) -> None:
    with connected(*place) as session, keyspace(session) as name:
        session.execute("INSERT INTO t (k, v) VALUES (1, 'a')")
        session.execute(f"USE {name}")
        assert [session.execute("SELECT v FROM t WHERE k = 1").one().v for _ in range(6)] == [
            "a"
        ] * 6
        with pytest.raises(InvalidRequest, match="nowhere"):
            session.execute("USE nowhere")
        assert session.execute("SELECT v FROM t WHERE k = %(key)s", {"key": 1}).one().v == "a"
