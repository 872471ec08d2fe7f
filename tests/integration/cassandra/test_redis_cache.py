"""RedisCache: the same read comes from Redis, and what is written is never read old."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Session
from cassandra.query import BatchStatement, SimpleStatement
from support.proxy import Proxy
from support.servers import Server
from support.wait import wait_until

from .test_driver import cluster

pytestmark = pytest.mark.timeout(240)

Start = Callable[..., Proxy]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def store() -> Iterator[Server]:
    server = Server("redis")
    try:
        yield server
    finally:
        server.stop()


def cached(store_port: int, *tables: str, **fields: Any) -> list[dict[str, Any]]:
    schema = {table: {"partition_key": ["k"], "range_key": []} for table in tables}
    sink = {
        "RedisSinkSingle": {"remote_address": f"127.0.0.1:{store_port}", "connect_timeout_ms": 1000}
    }
    return [{"RedisCache": {"name": "cache", "caching_schema": schema, "chain": [sink], **fields}}]


class Caching:
    """A proxy with a cache, a session through it, and one that goes straight to the server."""

    def __init__(
        self, proxy: Proxy, session: Session, direct: Session, name: str, redis: redis.Redis
    ) -> None:
        self.proxy = proxy
        self.session = session
        self.direct = direct
        self.keyspace = name
        self.redis = redis

    def count(self, what: str) -> int:
        return int(self.proxy.metric(f"shotover_cache_{what}_count"))

    def warm(self, statement: Any, *values: Any, session: Session | None = None) -> list[Any]:
        """Reads it until it comes from Redis."""
        found: list[Any] = []

        def hit() -> bool:
            before = self.count("hits")
            found[:] = (session or self.session).execute(statement, *values)
            return self.count("hits") > before

        wait_until(hit, f"{statement} is cached")
        return found


@contextlib.contextmanager
def caching(
    node: int,
    start: Start,
    store: Server,
    version: int = 4,
    compression: Any = False,
    **fields: Any,
) -> Iterator[Caching]:
    name = f"cached_{uuid.uuid4().hex[:12]}"
    with cluster(node) as straight:
        direct = straight.connect()
        direct.execute(
            f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        )
        direct.set_keyspace(name)
        direct.execute("CREATE TABLE t (k int, c int, v text, PRIMARY KEY (k, c))")
        for k in range(4):
            for c in range(3):
                direct.execute(f"INSERT INTO t (k, c, v) VALUES ({k}, {c}, 'v{k}{c}')")
        client = redis.Redis(port=store.port)
        client.flushall()
        proxy = start(node, chain=cached(store.port, f"{name}.t", **fields))
        with cluster(proxy.port, version, compression=compression) as through:
            session = through.connect(name)
            try:
                yield Caching(proxy, session, direct, name, client)
            finally:
                direct.execute(f"DROP KEYSPACE {name}")
                client.close()


@pytest.mark.parametrize(
    ("version", "compression"), [(3, False), (4, "lz4"), (5, False), (5, "lz4")]
)
def test_the_second_read_comes_from_redis(
    node: int, start_cassandra_proxy: Start, store: Server, version: int, compression: Any
) -> None:
    with caching(node, start_cassandra_proxy, store, version, compression) as case:
        text = "SELECT c, v FROM t WHERE k = 1"
        rows = [(0, "v10"), (1, "v11"), (2, "v12")]
        assert [tuple(row) for row in case.warm(text)] == rows
        case.direct.execute(
            "INSERT INTO t (k, c, v) VALUES (1, 9, 'unseen')"
        )  # past the proxy: not seen yet
        assert [tuple(row) for row in case.session.execute(text)] == rows
        prepared = case.session.prepare("SELECT v FROM t WHERE k = ? AND c = ?")
        assert [row.v for row in case.warm(prepared, (2, 1))] == ["v21"]
        assert [row.v for row in case.warm(prepared, (2, 2))] == ["v22"]
        assert case.redis.dbsize() > 0 and all(
            key.startswith(b"shotover:") for key in case.redis.scan_iter()
        )


WRITES = {
    "insert": "INSERT INTO t (k, c, v) VALUES (1, 0, 'new')",
    "update": "UPDATE t SET v = 'new' WHERE k = 1 AND c = 0",
    "update of several": "UPDATE t SET v = 'new' WHERE k IN (3, 1) AND c = 0",
    "delete": "DELETE FROM t WHERE k = 1 AND c = 0",
    "delete of a partition": "DELETE FROM t WHERE k = 1",
    "qualified": "INSERT INTO {keyspace}.t (k, c, v) VALUES (1, 0, 'new')",
    "json": """INSERT INTO t JSON '{"k": 1, "c": 0, "v": "new"}'""",
    "lightweight": "UPDATE t SET v = 'new' WHERE k = 1 AND c = 0 IF EXISTS",
    "batch": "BEGIN BATCH INSERT INTO t (k, c, v) VALUES (2, 0, 'x'); DELETE FROM t WHERE k = 1 AND c = 0; APPLY BATCH",
    "by a function": "UPDATE t SET v = 'new' WHERE k = (int) 1 AND c = 0",
    "truncate": "TRUNCATE t",
    "alter": "ALTER TABLE t ADD more int",
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_is_seen_at_once(
    node: int, start_cassandra_proxy: Start, store: Server, write: str
) -> None:
    with caching(node, start_cassandra_proxy, store) as case:
        text = "SELECT * FROM t WHERE k = 1"
        before = case.warm(text)
        prepared = case.session.prepare("SELECT * FROM t WHERE k = ?")
        case.warm(prepared, (1,))
        case.session.execute(write.replace("{keyspace}", case.keyspace))
        after = list(case.direct.execute(text))
        assert [list(row) for row in after] != [list(row) for row in before] or write.startswith(
            "ALTER"
        )
        assert [list(row) for row in case.session.execute(text)] == [list(row) for row in after]
        case.session.execute(SimpleStatement(text))


def test_prepared_writes_and_batches(
    node: int, start_cassandra_proxy: Start, store: Server
) -> None:
    with caching(node, start_cassandra_proxy, store) as case:
        read = case.session.prepare("SELECT v FROM t WHERE k = ? AND c = 0")
        insert = case.session.prepare("INSERT INTO t (c, v, k) VALUES (0, ?, ?)")
        for number in range(5):
            case.warm(read, (1,))
            case.session.execute(insert, (f"n{number}", 1))
            assert case.session.execute(read, (1,)).one().v == f"n{number}"
        case.warm(read, (1,))
        case.warm(read, (2,))
        batch = BatchStatement()
        batch.add(insert, ("b1", 1))
        batch.add(SimpleStatement("UPDATE t SET v = 'b2' WHERE k = 2 AND c = 0"))
        case.session.execute(batch)
        assert [case.session.execute(read, (k,)).one().v for k in (1, 2)] == ["b1", "b2"]


def test_what_makes_a_reply_another_one(
    node: int, start_cassandra_proxy: Start, store: Server
) -> None:
    """LIMIT, operators, pages, consistency, values, order: none gets the reply of another."""
    with caching(node, start_cassandra_proxy, store) as case:
        texts = [
            "SELECT c FROM t WHERE k = 1",
            "SELECT c FROM t WHERE k = 1 LIMIT 1",
            "SELECT c FROM t WHERE k = 1 AND c > 0",
            "SELECT c FROM t WHERE k = 1 AND c = 1",
            "SELECT c FROM t WHERE k = 1 ORDER BY c DESC",
            "SELECT c AS other FROM t WHERE k = 1",
            "SELECT c FROM t WHERE k = 2",
        ]
        expected = [list(case.direct.execute(text)) for text in texts]
        for _ in range(3):
            assert [list(case.session.execute(text)) for text in texts] == expected
        paged = SimpleStatement("SELECT c FROM t WHERE k = 3", fetch_size=2)
        for _ in range(3):
            assert [row.c for row in case.session.execute(paged)] == [0, 1, 2]
        before = case.count("hits")
        case.session.execute(SimpleStatement(texts[0], consistency_level=ConsistencyLevel.QUORUM))
        case.session.execute(SimpleStatement(texts[0], consistency_level=ConsistencyLevel.SERIAL))
        case.session.execute(texts[0], trace=True)
        assert case.count("hits") == before
        assert case.session.execute("SELECT c, v FROM t WHERE k = 1").column_names == ["c", "v"]


def test_what_is_not_cached(node: int, start_cassandra_proxy: Start, store: Server) -> None:
    with caching(node, start_cassandra_proxy, store) as case:
        case.warm("SELECT v FROM t WHERE k = 1")
        before = case.count("hits")
        for text in (
            "SELECT v FROM t WHERE k = 77",  # no rows
            "SELECT v FROM t WHERE k IN (1, 2)",
            "SELECT v FROM t",
            "SELECT ttl(v) FROM t WHERE k = 1",
            "SELECT key FROM system.local",
        ):
            for _ in range(3):
                list(case.session.execute(text))
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                case.session.execute("SELECT nothing FROM t WHERE k = 1")
        assert case.count("hits") == before


def test_empty_replies_if_asked_for(node: int, start_cassandra_proxy: Start, store: Server) -> None:
    with caching(node, start_cassandra_proxy, store, cache_empty=True) as case:
        assert case.warm("SELECT v FROM t WHERE k = 77") == []
        case.session.execute("INSERT INTO t (k, c, v) VALUES (77, 0, 'x')")
        assert case.session.execute("SELECT v FROM t WHERE k = 77").one().v == "x"


def test_entries_end(node: int, start_cassandra_proxy: Start, store: Server) -> None:
    with caching(node, start_cassandra_proxy, store, ttl=0.2) as case:
        text = "SELECT v FROM t WHERE k = 1 AND c = 0"
        case.warm(text)
        case.direct.execute("INSERT INTO t (k, c, v) VALUES (1, 0, 'later')")
        wait_until(lambda: case.session.execute(text).one().v == "later", "the entry has ended")


def test_without_redis(node: int, start_cassandra_proxy: Start) -> None:
    """Requests go on without it; when it is back, nothing old is read."""
    store = Server("redis")
    try:
        with caching(node, start_cassandra_proxy, store, timeout_ms=300) as case:
            read = case.session.prepare("SELECT v FROM t WHERE k = ? AND c = 0")
            case.warm(read, (1,))
            store.pause()
            case.session.execute("UPDATE t SET v = 'meanwhile' WHERE k = 1 AND c = 0")
            assert case.session.execute(read, (1,)).one().v == "meanwhile"
            store.resume()
            assert case.session.execute(read, (1,)).one().v == "meanwhile"
            assert [row.v for row in case.warm(read, (1,))] == ["meanwhile"]
            assert case.count("failures") > 0
    finally:
        store.stop()


def test_strict(node: int, start_cassandra_proxy: Start) -> None:
    store = Server("redis")
    try:
        with caching(node, start_cassandra_proxy, store, timeout_ms=300, strict=True) as case:
            case.warm("SELECT v FROM t WHERE k = 1 AND c = 0")
            store.pause()
            with pytest.raises(Exception, match="the cache cannot be told of this write"):
                case.session.execute(
                    "UPDATE t SET v = 'meanwhile' WHERE k = 1 AND c = 0", timeout=5
                )
            store.resume()
            assert case.direct.execute("SELECT v FROM t WHERE k = 1 AND c = 0").one().v == "v10"
    finally:
        store.stop()


def test_readers_beside_a_writer_never_go_back(
    node: int, start_cassandra_proxy: Start, store: Server
) -> None:
    """Once a write has its reply, no read that begins afterwards shows less; two proxies share the cache."""
    with caching(node, start_cassandra_proxy, store) as case:
        second = start_cassandra_proxy(node, chain=cached(store.port, f"{case.keyspace}.t"))
        case.session.execute("INSERT INTO t (k, c, v) VALUES (5, 0, '0')")
        done = threading.Event()
        written = [0]
        wrong: list[tuple[int, int]] = []

        def watch(port: int, version: int) -> None:
            with cluster(port, version) as made:
                session = made.connect(case.keyspace)
                read = session.prepare("SELECT v FROM t WHERE k = ? AND c = 0")
                while not done.is_set():
                    least = written[0]
                    seen = int(session.execute(read, (5,)).one().v)
                    if seen < least:
                        wrong.append((seen, least))

        readers = [
            threading.Thread(target=watch, args=(port, version))
            for port in (case.proxy.port, second.port)
            for version in (4, 5)
        ]
        for reader in readers:
            reader.start()
        try:
            update = case.session.prepare("UPDATE t SET v = ? WHERE k = 5 AND c = 0")
            for number in range(1, 400):
                case.session.execute(update, (str(number),))
                written[0] = number
        finally:
            done.set()
            for reader in readers:
                reader.join()
        assert not wrong
        assert case.count("hits") > 0


def test_who_may_not_read_gets_nothing(
    login_node: int, start_cassandra_proxy: Start, store: Server
) -> None:
    admin = PlainTextAuthProvider("cassandra", "cassandra")
    proxy = start_cassandra_proxy(login_node, chain=cached(store.port, "private.t"))
    with cluster(proxy.port, auth_provider=admin) as made:
        session = made.connect()
        session.execute("DROP KEYSPACE IF EXISTS private")
        session.execute(
            "CREATE KEYSPACE private WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        session.execute("CREATE TABLE private.t (k int PRIMARY KEY, v text)")
        session.execute("INSERT INTO private.t (k, v) VALUES (1, 'secret')")
        session.execute("CREATE ROLE IF NOT EXISTS guest WITH PASSWORD = 'guest' AND LOGIN = true")
        text = "SELECT v FROM private.t WHERE k = 1"

        def hits() -> int:
            return int(proxy.metric("shotover_cache_hits_count"))

        def cached_now() -> bool:
            before = hits()
            session.execute(text)
            return hits() > before

        wait_until(cached_now, "the row is cached")
        with cluster(proxy.port, auth_provider=PlainTextAuthProvider("guest", "guest")) as others:
            guest = others.connect()
            before = hits()
            for _ in range(3):
                with pytest.raises(Exception, match="no SELECT permission"):
                    guest.execute(text)
            assert hits() == before
        session.execute("DROP KEYSPACE private")


def test_the_topology_of_the_docs_runs(node: int, store: Server) -> None:
    """configs/cassandra_redis_cache.yaml, with the ports that this test has."""
    shop = f"shop_{uuid.uuid4().hex[:12]}"
    text = (ROOT / "configs" / "cassandra_redis_cache.yaml").read_text()
    given = yaml.safe_load(
        text.replace("9043", str(node)).replace("shop", shop).replace("6379", str(store.port))
    )

    def topology(listen_port: int, _upstream_port: int, **_: object) -> dict[str, Any]:
        given["sources"][0]["Cassandra"]["listen_addr"] = f"127.0.0.1:{listen_port}"
        return dict(given)

    proxy = Proxy(node, topology=topology)
    try:
        with cluster(node) as straight, cluster(proxy.port) as through:
            direct, session = straight.connect(), through.connect()
            direct.execute(
                f"CREATE KEYSPACE {shop} WITH replication = "
                "{'class': 'SimpleStrategy', 'replication_factor': 1}"
            )
            direct.execute(f"CREATE TABLE {shop}.customers (id uuid PRIMARY KEY, name text)")
            who = uuid.uuid4()
            insert = session.prepare(f"INSERT INTO {shop}.customers (id, name) VALUES (?, ?)")
            session.execute(insert, (who, "Ada"))
            text = f"SELECT name FROM {shop}.customers WHERE id = {who}"

            def hit() -> bool:
                assert session.execute(text).one().name == "Ada"
                return proxy.metric("shotover_cache_hits_count") > 0

            wait_until(hit, "the row comes from Redis")
            session.execute(insert, (who, "Ada Lovelace"))
            assert session.execute(text).one().name == "Ada Lovelace"
            direct.execute(f"DROP KEYSPACE {shop}")
    finally:
        proxy.stop()


def reads_cached(start: Start, node: int, store_port: int, works: bool, **login: str) -> None:
    """Reads come from Redis, or all goes on without it."""
    name = f"cached_{uuid.uuid4().hex[:12]}"
    proxy = start(node, chain=cached(store_port, f"{name}.t", **login))
    proxy.allow_log("cache", "Redis", "sink")
    with cluster(node) as straight, cluster(proxy.port) as through:
        direct, session = straight.connect(), through.connect()
        direct.execute(
            f"CREATE KEYSPACE {name} WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        try:
            direct.execute(f"CREATE TABLE {name}.t (k int PRIMARY KEY, v text)")
            session.execute(f"INSERT INTO {name}.t (k, v) VALUES (1, 'one')")

            def said() -> bool:
                assert session.execute(f"SELECT v FROM {name}.t WHERE k = 1").one().v == "one"
                what = "hits" if works else "failures"
                return proxy.metric(f"shotover_cache_{what}_count") > 0

            wait_until(said, "the cache is used, or refused")
            assert works or proxy.metric("shotover_cache_hits_count") == 0
            assert "s3cret" not in proxy.log()
        finally:
            direct.execute(f"DROP KEYSPACE {name}")


@pytest.mark.parametrize("user", [None, "cache"])
def test_a_redis_that_asks_for_a_password(
    node: int, start_cassandra_proxy: Start, user: str | None
) -> None:
    server = Server("redis")
    try:
        admin = redis.Redis(port=server.port)
        if user is None:
            admin.config_set("requirepass", "s3cret")
        else:
            admin.execute_command("ACL", "SETUSER", user, "on", ">s3cret", "~shotover:*", "+@all")
            admin.execute_command("ACL", "SETUSER", "default", "off")
        name = {} if user is None else {"username": user}
        reads_cached(start_cassandra_proxy, node, server.port, True, **name, password="s3cret")
        reads_cached(start_cassandra_proxy, node, server.port, False, **name, password="wrong")
        reads_cached(start_cassandra_proxy, node, server.port, False)
    finally:
        server.stop()
