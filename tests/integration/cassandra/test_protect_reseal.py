"""`shotover reseal`: values written again under a new key, beside clients that write."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cassandra.cluster import Session
from support.proxy import Proxy

from shotover.cli import main
from shotover.runtime.cql_client import CqlClient
from shotover.runtime.reseal import Pass, Progress, Resealer, Row

from .test_driver import cluster
from .test_protect import KEK, OTHER, TYPES, protect, protected
from .test_protect_lookup import COLUMNS, FIELDS, hash_of, looked_up

pytestmark = pytest.mark.timeout(240)

Start = Callable[..., Proxy]
BOTH = {"key_manager": {"Local": {"kek": OTHER, "kek_id": "second", "old_keks": {"first": KEK}}}}
NEW = {"key_manager": {"Local": {"kek": OTHER, "kek_id": "second"}}}


def under(key_id: bytes, session: Session, query: str) -> list[bool]:
    """Whether each value of a query's rows is sealed under that key."""
    rows = session.execute(query)
    return [
        value[4:].startswith(bytes([len(key_id)]) + key_id)
        for row in rows
        for value in row
        if value
    ]


def reseal(proxy: Proxy, *more: str) -> int:
    file = str(proxy.directory / "topology.yaml")
    progress = str(proxy.directory / "progress.json")
    return main(["reseal", "-t", file, "--progress", progress, *more])


@contextlib.contextmanager
def again(
    start: Start, node: int, columns: Any, name: str, table: str = "t", **fields: Any
) -> Iterator[tuple[Session, Proxy]]:
    proxy = start(node, chain=protect(columns, name, table, **fields))
    with cluster(proxy.port) as made:
        yield made.connect(name), proxy


def test_all_is_sealed_under_the_new_key(
    node: int, start_cassandra_proxy: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    with protected(node, start_cassandra_proxy, TYPES) as (session, direct, name, _proxy):
        insert = session.prepare("INSERT INTO t (k, secret, number) VALUES (?, ?, ?)")
        for k in range(30):
            session.execute(insert, (k, f"value {k}", k if k % 3 else None))
        direct.execute(
            "INSERT INTO t (k, secret) VALUES (30, 0x706c61696e)"
        )  # before it was protected
        session.execute("INSERT INTO t (k, secret) VALUES (31, 'short') USING TTL 10000")
        session.execute("INSERT INTO t (k, open) VALUES (32, 'no secret')")
        query = "SELECT k, secret, number, open FROM t"
        before = sorted(session.execute(query))
        times = {row.k: row[1] for row in direct.execute("SELECT k, writetime(secret) FROM t")}
        with again(start_cassandra_proxy, node, TYPES, name, **BOTH) as (_both, proxy):
            assert reseal(proxy, "--page-rows", "7") == 0
            assert "33 rows, 52 values written again" in capsys.readouterr().out
            assert not (proxy.directory / "progress.json").exists()
        values = under(b"second", direct, "SELECT secret, number FROM t")
        assert len(values) == 52 and all(values)
        with again(start_cassandra_proxy, node, TYPES, name, **NEW) as (fresh, _proxy):
            assert sorted(fresh.execute(query)) == before
        for row in direct.execute("SELECT k, writetime(secret), ttl(secret) FROM t"):
            assert row[1] == (None if times[row.k] is None else times[row.k] + 1)
            assert (row[2] is not None) == (row.k == 31)
            assert row.k != 31 or 9000 < row[2] <= 10000


def test_keys_of_several_columns_and_static_values(
    node: int, start_cassandra_proxy: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {"secret": "text", "shared": "text", "Odd name": "int"}
    with protected(node, start_cassandra_proxy, TYPES) as (_session, direct, name, _proxy):
        direct.execute(
            'CREATE TABLE wide (p int, "Q" text, c uuid, d int, secret blob, shared blob static, "Odd name" blob, '
            'PRIMARY KEY ((p, "Q"), c, d))'
        )
        with again(start_cassandra_proxy, node, columns, name, "wide") as (session, _proxy):
            for p in range(3):
                session.execute(f"UPDATE wide SET shared = 's{p}' WHERE p = {p} AND \"Q\" = 'q'")
                for d in range(5):
                    session.execute(
                        'INSERT INTO wide (p, "Q", c, d, secret, "Odd name") '
                        f"VALUES ({p}, 'q', 01234567-89ab-cdef-0123-456789abcdef, {d}, 'v{p}{d}', {d})"
                    )
            before = sorted(session.execute("SELECT * FROM wide"))
        with again(start_cassandra_proxy, node, columns, name, "wide", **BOTH) as (_session, proxy):
            assert reseal(proxy, "--table", f"{name}.wide", "--page-rows", "4") == 0
        said = capsys.readouterr().out
        assert "15 rows, 30 values" in said and "3 static, 3 values" in said
        query = 'SELECT secret, shared, "Odd name" FROM wide'
        assert all(under(b"second", direct, query))
        with again(start_cassandra_proxy, node, columns, name, "wide", **NEW) as (session, _proxy):
            assert sorted(session.execute("SELECT * FROM wide")) == before


def test_hashes_are_made_for_rows_that_have_none(node: int, start_cassandra_proxy: Start) -> None:
    with looked_up(node, start_cassandra_proxy) as (_session, direct, name, _proxy):
        with again(start_cassandra_proxy, node, TYPES, name) as (older, _other):
            older.execute("INSERT INTO t (k, secret) VALUES (1, 'found')")
        with again(start_cassandra_proxy, node, COLUMNS, name, **FIELDS) as (session, proxy):
            query = "SELECT k FROM t WHERE secret = 'found'"
            assert list(session.execute(query)) == []
            assert reseal(proxy) == 0
            assert session.execute(query).one().k == 1
        assert direct.execute("SELECT secret_hash FROM t").one()[0] == hash_of(name, "found")


class Between(Resealer):
    """Does something between what it reads and what it writes."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def _write(self, walk: Pass, table: str, rows: list[Row], client: CqlClient) -> None:
        self.meanwhile()
        super()._write(walk, table, rows, client)


def test_what_clients_do_meanwhile_stays(
    node: int, start_cassandra_proxy: Start, tmp_path: Path
) -> None:
    with protected(node, start_cassandra_proxy, TYPES) as (session, direct, name, proxy):
        for k in range(6):
            session.execute(f"INSERT INTO t (k, secret) VALUES ({k}, 'old')")

        def meanwhile() -> None:
            session.execute("UPDATE t SET secret = 'new' WHERE k = 0")
            session.execute("DELETE secret FROM t WHERE k = 1")
            session.execute("DELETE FROM t WHERE k = 2")
            session.execute("INSERT INTO t (k, secret) VALUES (3, null)")
            session.execute("UPDATE t SET open = 'beside' WHERE k = 4")

        work = Between(lambda: CqlClient("127.0.0.1", proxy.port), Progress(tmp_path / "p"))
        work.meanwhile = meanwhile
        assert work.run({(name, "t"): ["secret"]}, print)
        rows = {row.k: (row.secret, row.open) for row in session.execute("SELECT * FROM t")}
        assert rows == {
            0: ("new", None),
            1: (None, None),
            3: (None, None),
            4: ("old", "beside"),
            5: ("old", None),
        }
        assert len(list(direct.execute("SELECT k FROM t WHERE k = 2"))) == 0


def test_clients_that_write_all_the_time(
    node: int, start_cassandra_proxy: Start, tmp_path: Path
) -> None:
    """No write of theirs is lost, whenever it came."""
    with protected(node, start_cassandra_proxy, TYPES) as (session, direct, name, _proxy):
        update = session.prepare("UPDATE t SET number = ? WHERE k = ?")
        for k in range(100):
            session.execute(update, (0, k))
        with again(start_cassandra_proxy, node, TYPES, name, **BOTH) as (both, proxy):
            change = both.prepare("UPDATE t SET number = ? WHERE k = ?")
            done = threading.Event()
            last: dict[int, int] = {}

            def write() -> None:
                number = 0
                while not done.is_set() and number < 20_000:
                    number += 1
                    both.execute(change, (number, number * 7 % 50))
                    last[number * 7 % 50] = number

            writer = threading.Thread(target=write)
            writer.start()
            try:
                assert reseal(proxy, "--page-rows", "3") == 0
            finally:
                done.set()
                writer.join()
            found = {row.k: row.number for row in both.execute("SELECT k, number FROM t")}
        assert found == {k: last.get(k, 0) for k in range(100)}
        assert all(under(b"second", direct, "SELECT number FROM t"))


def test_it_goes_on_where_it_was(
    node: int, start_cassandra_proxy: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    with protected(node, start_cassandra_proxy, TYPES) as (session, direct, name, _proxy):
        for k in range(40):
            session.execute(f"INSERT INTO t (k, secret) VALUES ({k}, 'v')")
        with again(start_cassandra_proxy, node, TYPES, name, **BOTH) as (_session, proxy):
            flags = ("--page-rows", "10", "--rows", "20", "--rows-per-second", "1000")
            assert reseal(proxy, *flags) == 0
            assert "stopped after 20 rows" in capsys.readouterr().out
            assert sum(under(b"second", direct, "SELECT secret FROM t")) == 20
            (place,) = json.loads((proxy.directory / "progress.json").read_text()).values()
            assert len(bytes.fromhex(place)) == 8
            assert reseal(proxy, "--page-rows", "10") == 0
            assert "21 rows, 21 values" in capsys.readouterr().out  # the last partition once more
            assert all(under(b"second", direct, "SELECT secret FROM t"))
            assert not (proxy.directory / "progress.json").exists()


def test_connections_that_are_lost(node: int, start_cassandra_proxy: Start, tmp_path: Path) -> None:
    with protected(node, start_cassandra_proxy, TYPES) as (session, direct, name, proxy):
        for k in range(20):
            session.execute(f"INSERT INTO t (k, secret) VALUES ({k}, 'v')")
        before = {row.secret for row in direct.execute("SELECT secret FROM t")}
        made: list[CqlClient] = []

        def connect() -> CqlClient:
            made.append(CqlClient("127.0.0.1", proxy.port))
            return made[-1]

        work = Between(connect, Progress(tmp_path / "p"), page_rows=8)
        cuts = [False, True, False, False]
        work.meanwhile = lambda: made[-1].socket.shutdown(2) if cuts.pop() else None
        assert work.run({(name, "t"): ["secret"]}, print)
        assert len(made) == 2 and work.rows == 20
        assert not before & {row.secret for row in direct.execute("SELECT secret FROM t")}
        assert [row.secret for row in session.execute("SELECT secret FROM t")] == ["v"] * 20


def test_what_cannot_be_done_is_said(
    node: int, start_cassandra_proxy: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    with protected(node, start_cassandra_proxy, {"k": "int", "secret": "text"}) as (
        _session,
        _direct,
        _name,
        proxy,
    ):
        cases = {
            ("--table", "a.b"): "a.b has no protected columns",
            ("--via", "nowhere"): "expected host:port of the Shotover that runs, got nowhere",
            (): "k cannot be written again: no such column, or one of the key",
        }
        for flags, message in cases.items():
            assert reseal(proxy, *flags) == 1
            assert message in capsys.readouterr().err
        (proxy.directory / "progress.json").write_text("[]")
        assert reseal(proxy) == 1
        assert "cannot be read as progress" in capsys.readouterr().err


def test_it_logs_in(
    login_node: int,
    start_cassandra_proxy: Start,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy = start_cassandra_proxy(login_node, chain=protect(TYPES, "nowhere"))
    assert reseal(proxy) == 1
    assert "give --username" in capsys.readouterr().err
    monkeypatch.setenv("SHOTOVER_PASSWORD", "cassandra")
    assert reseal(proxy, "--username", "cassandra") == 1
    assert "nowhere.t: there is no such table" in capsys.readouterr().err
