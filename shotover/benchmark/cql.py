"""The load generator's CQL: commands, and connections that are through their handshake.

with CqlGenerator(address, commands=read_commands, clients=32, pipeline=32, version=5) as generator:
    result = generator.run(seconds=2)
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from shotover.benchmark.cql_wire import Conversation, CqlError, Prepared, batch, execute, query
from shotover.benchmark.generator import KEY, Command, Generator, value_of
from shotover.benchmark.processes import Address

READ = "SELECT value FROM bench.rows WHERE key = ?"
WRITE = "INSERT INTO bench.rows (key, value) VALUES (?, ?)"
SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS bench WITH replication = "
    "{'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS bench.rows (key text PRIMARY KEY, value blob)",
)
ZERO = KEY % 0


@dataclass(frozen=True)
class Statements:
    """What a connection has prepared."""

    version: int
    read: Prepared
    write: Prepared


def places(wire: bytes, marked: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where the keys stand, and where the marks: each value that is sent begins with its key, right behind that."""
    found = []
    at = wire.find(ZERO)
    while at >= 0:
        found.append(at)
        at = wire.find(ZERO, at + 1)
    return (tuple(found[::2]), tuple(found[1::2])) if marked else (tuple(found), ())


def command(name: str, wire: bytes, expects: str, value_bytes: int, marked: bool) -> Command:
    keys, marks = places(wire, marked)
    return Command(name, wire, keys, marks, expects, value_bytes)


def read_command(statements: Statements, value_bytes: int) -> Command:
    """EXECUTE of a read of one row."""
    wire = execute(statements.version, statements.read, ZERO)
    return command("execute", wire, "row", value_bytes, marked=False)


def query_command(statements: Statements, value_bytes: int) -> Command:
    """The same read as QUERY, with the key in the text."""
    wire = query(statements.version, READ.replace("?", f"'{ZERO.decode()}'"))
    return command("query", wire, "row", value_bytes, marked=False)


def write_command(statements: Statements, value_bytes: int) -> Command:
    """EXECUTE of an INSERT; `value_bytes` >= 16."""
    wire = execute(statements.version, statements.write, ZERO, value_of(value_bytes, ZERO))
    return command("insert", wire, "void", 0, marked=True)


def batch_command(statements: Statements, value_bytes: int, rows: int = 10) -> Command:
    """An unlogged batch of INSERTs; `value_bytes` >= 16."""
    row = (ZERO, value_of(value_bytes, ZERO))
    wire = batch(statements.version, statements.write, [row] * rows)
    return command("batch", wire, "void", 0, marked=True)


CommandMaker = Callable[[Statements, int], Command]


@dataclass
class CqlGenerator(Generator):
    """Like Generator; `makers` say what is asked, once the statements are prepared. Raises OSError, CqlError too."""

    makers: tuple[CommandMaker, ...] = (read_command,)
    value_bytes: int = 64
    version: int = 4
    windowed: bool = True
    commands: list[Command] = field(default_factory=list)

    def __enter__(self) -> CqlGenerator:
        with closing(socket.create_connection(self.address, timeout=self.connect_timeout)) as sock:
            conversation = Conversation(sock, self.version)
            conversation.begin()
            statements = Statements(
                self.version, conversation.prepare(READ), conversation.prepare(WRITE)
            )
        self.commands = [make(statements, self.value_bytes) for make in self.makers]
        super().__enter__()
        return self

    def connected(self) -> socket.socket:
        sock = super().connected()
        try:
            Conversation(sock, self.version).begin()
        except CqlError:
            sock.close()
            raise
        return sock


def make_tables(address: Address) -> None:
    """The keyspace and the table, empty. Raises OSError, CqlError."""
    with closing(socket.create_connection(address, timeout=30)) as sock:
        conversation = Conversation(sock, 4)
        conversation.begin()
        for text in SCHEMA:
            conversation.query(text)
        conversation.query("TRUNCATE bench.rows")


def fill_rows(address: Address, value_bytes: int, key_count: int) -> None:
    """Every row of the key space, once. Raises RuntimeError when the server did not take them all."""
    with CqlGenerator(
        address,
        makers=(write_command,),
        clients=4,
        pipeline=32,
        value_bytes=value_bytes,
        key_count=key_count,
        sequential=True,
    ) as generator:
        result = generator.run(seconds=120, requests=key_count)
    if result.replies != key_count or result.failures:
        raise RuntimeError(f"filling {key_count} rows: {result.replies} set, {result.complaint()}")


def answers_cql(address: Address) -> bool:
    """Its handshake is answered as it should be."""
    try:
        with closing(socket.create_connection(address, timeout=2)) as sock:
            Conversation(sock, 4).begin()
        return True
    except (OSError, CqlError):
        return False
