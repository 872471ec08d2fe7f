"""Conditions on requests: which commands, of which clients. For models whose rules name requests by them.

`Conditions` is the base of such a rule; `row` is what the compiled side (_proxy/selecting.pyx) takes.
"""

from __future__ import annotations

from shotover.config.fields import Field, choice, list_of, text
from shotover.config.lists import Commands, Entries
from shotover.config.models import Model
from shotover.config.reading import Invalid, Reader
from shotover.config.statements import Keyspaces, Levels, Statements, Tables, statement_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from shotover.config.errors import Place
    from shotover.config.source import Node

QUERY_TYPES = ("Read", "Write", "ReadWrite", "SchemaChange", "PubSubMessage")
CQL_ONLY = ("statements", "keyspaces", "tables", "consistency")
RULES_MAX = 64
"""Most rules of one transform: one bit each in the data plane."""


class Network(str):
    """An IP network as it was written; `packed` is its address in 16 bytes (IPv4 as ::ffff:a.b.c.d)."""

    packed: bytes
    bits: int

    def __new__(cls, written: str, packed: bytes, bits: int) -> Network:
        self = super().__new__(cls, written)
        self.packed, self.bits = packed, bits
        return self


def parse_network(written: str) -> Network:
    """An address, or one with the length of a prefix; a ValueError says why it is none."""
    from _socket import AF_INET, AF_INET6, inet_pton  # socket itself would cost 12 ms

    host, slash, length = written.partition("/")
    try:
        packed = inet_pton(AF_INET6, host) if ":" in host else inet_pton(AF_INET, host)
    except OSError:
        raise ValueError("the address is neither IPv4 nor IPv6") from None
    size = 8 * len(packed)
    bits = size
    if slash:
        if not (length.isascii() and length.isdecimal() and len(length) <= 3):
            raise ValueError("the length of the prefix is not a number")
        bits = int(length)
    if bits > size:
        raise ValueError(f"the prefix is longer than {size} bits")
    if int.from_bytes(packed, "big") & ((1 << (size - bits)) - 1):
        raise ValueError(f"the address has bits beyond the first {bits}")
    if size == 32:
        packed, bits = b"\0" * 10 + b"\xff\xff" + packed, bits + 96
    return Network(written, packed, bits)


class NetworkField(Field):
    kind = "an IP address or network (10.0.0.0/8, fd00::/8)"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        written = reader.text(node, place, self.expected)
        if isinstance(written, Invalid):
            return written
        try:
            return parse_network(written)
        except ValueError as error:
            return reader.add(place, f"expected {self.expected}, got {written}: {error}")

    def plain(self, value: Any) -> Any:
        return value if value is None else str(value)


class Networks(Field):
    """A list of networks."""

    kind = "a list of IP addresses and networks (10.0.0.0/8, fd00::/8)"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        return list_of(NetworkField()).read(node, place, reader)

    def plain(self, value: Any) -> Any:
        return value if value is None else [str(network) for network in value]


class Conditions(Model):
    """All that are given must hold."""

    commands: tuple[str, ...] | None = Commands(default=None, doc="these commands")  # type: ignore[assignment]
    query_types: tuple[str, ...] | None = list_of(
        choice(*QUERY_TYPES), default=None, doc="commands of these types, as for QueryTypeFilter"
    )
    clients: tuple[Network, ...] | None = Networks(default=None, doc="clients with these addresses")  # type: ignore[assignment]
    users: tuple[str, ...] | None = list_of(
        text(), default=None, doc="clients logged in as one of these users"
    )
    certificates: tuple[str, ...] | None = list_of(
        text(), default=None, doc="clients whose certificate names one of these; see TLS"
    )

    statements: tuple[str, ...] | None = Statements(  # type: ignore[assignment]
        default=None, doc="statements of CQL of these types (SELECT, CREATE TABLE)"
    )
    keyspaces: tuple[str, ...] | None = Keyspaces(  # type: ignore[assignment]
        default=None, doc="statements on these keyspaces"
    )
    tables: tuple[str, ...] | None = Tables(default=None, doc="statements on these tables")  # type: ignore[assignment]
    consistency: tuple[str, ...] | None = Levels(  # type: ignore[assignment]
        default=None, doc="statements with these levels of consistency"
    )

    def unfit(self, protocol: str) -> Iterator[tuple[str, str]]:
        """(what is wrong, attribute) of each condition that clients of `protocol` cannot meet."""
        wrong: tuple[str, ...] = CQL_ONLY
        instead = "commands"
        if protocol == "cassandra":
            wrong = ("commands",)
            instead = "statements, keyspaces, tables or query_types"
        for name in wrong:
            if getattr(self, name) is not None:
                yield f"{name} says nothing about requests of {protocol}; use {instead}", name

    def row(self) -> tuple[Any, ...]:
        """(commands, query types, networks, users, certificates, statements), each None where it does not matter."""
        networks = None
        if self.clients is not None:
            networks = [(network.packed, network.bits) for network in self.clients]
        return (
            None if self.commands is None else [word.encode() for word in self.commands],
            self.query_types,
            networks,
            None if self.users is None else [user.encode() for user in self.users],
            None if self.certificates is None else [name.encode() for name in self.certificates],
            statement_row(self.statements, self.keyspaces, self.tables, self.consistency),
        )


class RuleList(Entries):
    """A list of maps, each read as `model`."""

    most = RULES_MAX

    def __init__(self, model: type[Conditions], kind: str, item: str, **common: Any) -> None:
        super().__init__(**common)
        self.model = model
        self.kind = kind
        self.what = item


def rules_of(model: type[Conditions], kind: str, item: str, **common: Any) -> Any:
    return RuleList(model, kind, item, **common)
