"""`shotover reseal`: values of protected columns written again, so that they are sealed under the key of today.

It is a client of a running Shotover, which opens what is read and seals what is written. A value is written with the timestamp
that it has and one microsecond more, and with what is left of its time to live: whatever a client has written or deleted
meanwhile is later, so it stays. Where it has come to stands in a file after each page, so that it can be stopped and started.
"""

from __future__ import annotations

import json
import os
import struct
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from shotover.runtime.cql_client import CqlClient, Page, ServerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Row = tuple[bytes | None, ...]
T = TypeVar("T")
OVERLOADED = (0x1000, 0x1001, 0x1002, 0x1100, 0x1200)  # unavailable, busy, starting; timeouts
TRIES = 6
SCHEMA = (
    "SELECT column_name, kind, position FROM system_schema.columns "
    "WHERE keyspace_name = ? AND table_name = ?"
)


class ResealError(Exception):
    """What is to be mended, in a line."""


def quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


@dataclass(frozen=True)
class Pass:
    """One walk through a table: of its rows, or of the static values of its partitions."""

    name: str
    keys: list[str]
    partition: list[str]
    columns: list[str]
    distinct: bool = False

    def select(self, table: str, begun: bool) -> str:
        token = f"token({', '.join(map(quoted, self.partition))})"
        parts = [*map(quoted, self.keys), token]
        for name in map(quoted, self.columns):
            parts += [name, f"writetime({name})", f"ttl({name})"]
        where = f" WHERE {token} >= ?" if begun else ""
        return (
            f"SELECT {'DISTINCT ' if self.distinct else ''}{', '.join(parts)} FROM {table}{where}"
        )

    def update(self, table: str, column: str) -> str:
        where = " AND ".join(f"{quoted(name)} = ?" for name in self.keys)
        return f"UPDATE {table} USING TIMESTAMP ? AND TTL ? SET {quoted(column)} = ? WHERE {where}"

    @property
    def width(self) -> int:
        return len(self.keys) + 1 + 3 * len(self.columns)


def passes_of(rows: list[Row], wanted: list[str]) -> list[Pass]:
    """The walks that a table needs, by what system_schema.columns says of it."""
    found = [
        (name.decode(), kind.decode(), int.from_bytes(position, "big", signed=True))
        for name, kind, position in rows
        if name is not None and kind is not None and position is not None
    ]
    kinds = {name: kind for name, kind, _ in found}
    ordered = sorted(found, key=lambda each: each[2])
    partition = [name for name, kind, _ in ordered if kind == "partition_key"]
    clustering = [name for name, kind, _ in ordered if kind == "clustering"]
    missing = [name for name in wanted if kinds.get(name) not in ("regular", "static")]
    if missing:
        raise ResealError(
            f"{', '.join(missing)} cannot be written again: no such column, or one of the key"
        )
    walks = []
    regular = [name for name in wanted if kinds[name] == "regular"]
    static = [name for name in wanted if kinds[name] == "static"]
    if regular:
        walks.append(Pass("rows", partition + clustering, partition, regular))
    if static:
        walks.append(Pass("static", partition, partition, static, distinct=True))
    return walks


@dataclass
class Progress:
    """Where each walk has come to, in a file."""

    path: Path
    places: dict[str, str] = field(default_factory=dict)

    DONE = "done"

    @classmethod
    def read(cls, path: Path) -> Progress:
        try:
            places = json.loads(path.read_text())
            if not isinstance(places, dict) or not all(isinstance(v, str) for v in places.values()):
                raise ValueError
        except FileNotFoundError:
            places = {}
        except (ValueError, OSError) as error:
            raise ResealError(f"{path}: cannot be read as progress: {error}") from None
        return cls(path, places)

    def write(self, walk: str, place: str) -> None:
        self.places[walk] = place
        aside = self.path.with_name(self.path.name + ".new")
        with aside.open("w") as file:
            json.dump(self.places, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path)

    def end(self) -> None:
        self.path.unlink(missing_ok=True)


@dataclass
class Resealer:
    """Walks through tables. `rows_max`: rows after which it stops; `per_second`: rows that it does at most in one."""

    connect: Callable[[], CqlClient]
    progress: Progress
    page_rows: int = 200
    rows_max: int | None = None
    per_second: float | None = None
    rows: int = 0
    values: int = 0
    client: CqlClient | None = None

    def run(self, tables: dict[tuple[str, str], list[str]], say: Callable[[str], None]) -> bool:
        """Whether all was done."""
        try:
            for (keyspace, table), columns in tables.items():
                name = f"{keyspace}.{table}"
                rows = self._again(partial(self._columns_of, keyspace, table))
                if not rows:
                    raise ResealError(f"{name}: there is no such table")
                for walk in passes_of(rows, columns):
                    before = self.rows, self.values
                    whole = self._walk(
                        f"{quoted(keyspace)}.{quoted(table)}", f"{name} {walk.name}", walk
                    )
                    say(
                        f"{name}: {self.rows - before[0]} {walk.name}, {self.values - before[1]} values written again"
                    )
                    if not whole:
                        say(
                            f"stopped after {self.rows} rows; the same command goes on where it was"
                        )
                        return False
        finally:
            if self.client is not None:
                self.client.close()
        self.progress.end()
        return True

    def _again(self, work: Callable[[CqlClient], T]) -> T:
        """Does something that may be done twice; where a server is busy or away, some times."""
        for tried in range(TRIES):
            try:
                if self.client is None:
                    self.client = self.connect()
                return work(self.client)
            except (OSError, ServerError) as error:
                if isinstance(error, ServerError) and error.code not in OVERLOADED:
                    raise ResealError(str(error)) from None
                if self.client is not None:
                    self.client.close()
                    self.client = None
                if tried == TRIES - 1:
                    raise ResealError(f"given up after {TRIES} tries: {error}") from None
                time.sleep(0.1 * 3**tried)
        raise AssertionError

    def _walk(self, table: str, name: str, walk: Pass) -> bool:
        """False: it has come to rows_max. Pages are asked for by token, so that any can be the first one."""
        place = self.progress.places.get(name, "")
        if place == Progress.DONE:
            return True
        token: bytes | None = bytes.fromhex(place) if place else None
        following: bytes | None = None
        while True:
            if self.rows_max is not None and self.rows >= self.rows_max:
                return False
            begun = time.monotonic()
            page = self._again(partial(self._page, walk, table, token, following))
            rows, following = page.rows, page.following
            self._again(partial(self._write, walk, table, rows))
            self.rows += len(rows)
            self.values += sum(1 for _ in self._changes(walk, rows))
            if following is None:
                self.progress.write(name, Progress.DONE)
                return True
            last = rows[-1][len(walk.keys)] if rows else None
            if last is not None:
                self.progress.write(name, last.hex())
            if self.per_second is not None:
                time.sleep(max(0.0, len(rows) / self.per_second - (time.monotonic() - begun)))

    def _changes(self, walk: Pass, rows: list[Row]) -> Iterator[tuple[str, Row]]:
        """(column, the values of its UPDATE) of each value there is."""
        width = len(walk.keys)
        for row in rows:
            for index, column in enumerate(walk.columns):
                value, written, left = row[width + 1 + 3 * index : width + 4 + 3 * index]
                if value is not None and written is not None:
                    later = struct.pack(">q", int.from_bytes(written, "big", signed=True) + 1)
                    yield column, (later, left or bytes(4), value, *row[:width])

    def _columns_of(self, keyspace: str, table: str, client: CqlClient) -> list[Row]:
        return client.page(client.prepare(SCHEMA), (keyspace.encode(), table.encode()), 3).rows

    def _page(
        self,
        walk: Pass,
        table: str,
        token: bytes | None,
        following: bytes | None,
        client: CqlClient,
    ) -> Page:
        select = client.prepare(walk.select(table, token is not None))
        values = [] if token is None else [token]
        return client.page(select, values, walk.width, self.page_rows, following)

    def _write(self, walk: Pass, table: str, rows: list[Row], client: CqlClient) -> None:
        statements = {column: client.prepare(walk.update(table, column)) for column in walk.columns}
        client.execute_all(
            (statements[column], values) for column, values in self._changes(walk, rows)
        )
