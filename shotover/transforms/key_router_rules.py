"""The rules of a KeyRouter: read from the topology or a file of their own, checked, and made into a table."""

from __future__ import annotations

from shotover.config.errors import ConfigError, Place, Problems, suggestion
from shotover.config.fields import Field, text
from shotover.config.lists import Entries
from shotover.config.models import Model
from shotover.config.reading import INVALID, Invalid, Reader
from shotover.config.source import load
from shotover.config.statements import StatementConditions, name_of, parts_of
from shotover.transforms.conditions import Conditions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from shotover._codec.key_rules import KeyRules
    from shotover.config.source import Node
    from shotover.transforms._key_router_cql import StatementRoutes
    from shotover.transforms._key_router_keys import KeyShapes

DEFAULT = "default"
"""What rules call the chain that takes whatever no rule sends elsewhere."""
SLOTS = 16_384
KINDS = ("any", "key", "prefix", "glob", "hash")
"""By their numbers in _key_router_keys.pxd."""
TABLES_MAX = 64
KEY_COLUMNS_MAX = 32
WILDCARDS = "*?[\\"
GLOBS_ON_ONE_WAY_MAX = 64
"""Most globs that one key is compared with: those that begin, before any wildcard, as the key does."""
SLOW_RULES_MAX = 256
"""Most rules with a `command`, and most with a `hash` and a `user`, `certificate` or `database`: looked at one by one."""


class Slots(Field):
    """One slot, or a first and a last one."""

    kind = f"a slot or a range of slots from 0 to {SLOTS - 1}, as in 0-8191"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        scalar = reader.scalar(node, place, self.expected)
        if isinstance(scalar, Invalid):
            return scalar
        first, dash, last = scalar.text.partition("-")
        numbers = (first, last if dash else first)
        if all(number.isdecimal() and len(number) <= 5 for number in numbers):
            found = (int(numbers[0]), int(numbers[1]))
            if found[0] <= found[1] < SLOTS:
                return found
        return self.refuse(scalar, place, reader)

    def plain(self, value: Any) -> Any:
        return f"{value[0]}-{value[1]}"


class Rule(Conditions, StatementConditions):
    """Conditions, all of which must hold, and the chain that then gets the request."""

    kinds = (*Conditions.kinds, "hash")
    redis_only = ("database", "command")

    hash: tuple[int, int] | None = Slots(  # type: ignore[assignment]
        default=None,
        doc="keys of these slots; before Cassandra of these 16384ths of the ring, by their Murmur3 token",
    )
    to: str = text(doc="the chain")

    def validate(self) -> Iterator[tuple[str, str | None]]:
        yield from super().validate()
        if not self.conditions and not self.given.intersection(self.cql_only):
            yield (
                f"expected a condition ({', '.join(self.kinds)}, user, certificate, database or command; for Cassandra "
                "statements, keyspaces, tables, user or certificate); "
                f"what no rule sends elsewhere goes to the default chain anyway",
                None,
            )

    def unfit(self, protocol: str) -> Iterator[tuple[Place, str]]:
        yield from super().unfit(protocol)
        if protocol == "cassandra" and self.consistency is not None:
            yield (
                self.place_of("consistency"),
                "a statement is prepared before anybody knows with what consistency it will be executed, "
                "and must be prepared where it is executed",
            )

    def cql_row(self, targets: Mapping[str, int], shapes: KeyShapes) -> tuple[Any, ...]:
        """As StatementRoutes takes it. ValueError: its condition on the key cannot be met."""
        user = None if self.user is None else self.user.encode()
        key = None if self.kind == "any" else self.key_row(shapes)
        certificate = None if self.certificate is None else self.certificate.encode()
        return (self.statement_row()[-1], user, targets[self.to], key, certificate)

    def key_row(self, shapes: KeyShapes) -> tuple[int, int, bytes, int, int]:
        """(kind, bits of tables, text, first slot, last slot). ValueError says what is wrong."""
        if not self.tables:
            raise ValueError("say in tables which tables have this key")
        numbers = []
        for table in self.tables:
            name = table.replace("\0", ".")
            if name not in shapes.names:
                raise ValueError(
                    f"say in partition_keys what the key of {name.lstrip('.')} is made of"
                )
            numbers.append(shapes.names.index(name))
        kind = self.kind
        text = b""
        if kind == "key":
            keys = {shapes.key(number, self.key) for number in numbers}
            if len(keys) > 1:
                raise ValueError(
                    "the keys of these tables are of different types; write a rule for each"
                )
            text = keys.pop()
        elif kind != "hash":
            text = (self.prefix or self.glob or "").encode()
            for number in numbers:
                if not shapes.begins_with_text(number):
                    raise ValueError(f"the key of {shapes.names[number]} does not begin with text")
        first, last = self.hash or (0, 0)
        bits = sum(1 << number for number in numbers)
        return (KINDS.index(kind), bits, text, first, last)

    def row(self, targets: Mapping[str, int]) -> tuple[Any, ...]:
        """As KeyRules takes it."""
        return self.row_of(targets[self.to], *(self.hash or (0, 0)))


class PartitionKeys(Field):
    """A map from keyspace.table to the columns of its partition key, in order, and their types."""

    kind = "a map from keyspace.table to a map from the columns of its partition key to their types"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        tables = reader.mapping(node, place, self.expected)
        if isinstance(tables, Invalid):
            return tables
        if len(tables.entries) > TABLES_MAX:
            return reader.add(
                place, f"expected at most {TABLES_MAX} tables, got {len(tables.entries)}"
            )
        before = len(reader.problems)
        found: dict[str, dict[str, str]] = {}
        for name, child in tables.entries.items():
            at = place.child(name, tables.lines[name])
            try:
                keyspace, table = parts_of(name)
            except ValueError as error:
                reader.add(at, str(error))
                continue
            if not keyspace:
                reader.add(at, f"expected keyspace.table, got {name}")
            columns = reader.mapping(child, at, "a map from columns to their types")
            if isinstance(columns, Invalid):
                continue
            if not 1 <= len(columns.entries) <= KEY_COLUMNS_MAX:
                reader.add(at, f"expected 1 to {KEY_COLUMNS_MAX} columns")
            types: dict[str, str] = {}
            for column, type in columns.entries.items():
                said = reader.text(type, at.child(column, columns.lines[column]), "a type of CQL")
                if not isinstance(said, Invalid):
                    types[column] = said
            found[f"{keyspace}.{table}"] = types
        return INVALID if len(reader.problems) > before else found

    def plain(self, value: Any) -> Any:
        return value


class RulesField(Entries):
    kind = "a list of rules"
    what = "a rule: a map of conditions, and `to`"
    model = Rule


def read_file(file: str, chains: Iterable[str]) -> tuple[Rule, ...]:
    """The rules of a file that holds a list of them, checked. Raises ConfigError with all that is wrong."""
    root = load(file)
    problems = Problems()
    reader = Reader(problems, {}, _nothing)
    rules = RulesField().read_list(root, Place(file, root.line), reader)
    if not problems:
        for place, message in faults(rules, chains):
            problems.add(place, message)
    if problems:
        raise ConfigError(problems.sorted())
    return rules


def _nothing(_kind: str, _name: str) -> type[Model]:
    raise LookupError("no steps here")


def faults(rules: Sequence[Rule], chains: Iterable[str]) -> Iterator[tuple[Place, str]]:
    """What is wrong with rules as a whole."""
    known = [*chains, DEFAULT]
    for rule in rules:
        if rule.to not in known:
            yield (
                rule.place_of("to"),
                f"no chain is named {rule.to}, {suggestion(rule.to, known)}",
            )
    slow = {
        "a command": [rule for rule in rules if rule.command],
        "a hash and a user or database": [
            rule
            for rule in rules
            if rule.hash
            and not rule.command
            and any(one is not None for one in (rule.user, rule.certificate, rule.database))
        ],
    }
    for what, found in slow.items():
        if len(found) > SLOW_RULES_MAX:
            yield (
                found[SLOW_RULES_MAX].place,
                f"expected at most {SLOW_RULES_MAX} rules with {what}: they are looked at one by one",
            )
    yield from _too_many_globs(rules)


def _too_many_globs(rules: Sequence[Rule]) -> Iterator[tuple[Place, str]]:
    globs = sorted(
        (literal_of(rule.glob), index)
        for index, rule in enumerate(rules)
        if rule.glob is not None and not rule.command
    )
    way: list[str] = []  # literals, each of which the next one begins with
    for literal, index in globs:
        while way and not literal.startswith(way[-1]):
            way.pop()
        way.append(literal)
        if len(way) > GLOBS_ON_ONE_WAY_MAX:
            yield (
                rules[index].place_of("glob"),
                f"expected at most {GLOBS_ON_ONE_WAY_MAX} globs that one key may have to be compared "
                f"with; let more of them begin with something that tells them apart, or use prefix",
            )
            return


def literal_of(glob: str) -> str:
    """What every key that a glob matches begins with."""
    for index, letter in enumerate(glob):
        if letter in WILDCARDS:
            return glob[:index]
    return glob


def table_of(rules: Iterable[Rule], chains: Iterable[str]) -> KeyRules:
    """The compiled table; targets are 0 for the default chain, then the chains in order."""
    from shotover._codec.key_rules import KeyRules

    targets = {DEFAULT: 0, **{name: index for index, name in enumerate(chains, 1)}}
    return KeyRules([rule.row(targets) for rule in rules])


def shapes_of(partition_keys: Mapping[str, Mapping[str, str]]) -> KeyShapes:
    """The tables whose keys rules may ask for. ValueError says what is wrong with them."""
    from shotover.transforms._key_router_keys import KeyShapes

    return KeyShapes(
        [
            (
                *table.split(".", 1),
                [(name_of(name, "a column"), type) for name, type in columns.items()],
            )
            for table, columns in partition_keys.items()
        ]
    )


def key_faults(rules: Iterable[Rule], shapes: KeyShapes) -> Iterator[tuple[Place, str]]:
    """What is wrong with conditions on partition keys."""
    for rule in rules:
        if rule.kind != "any":
            try:
                rule.key_row(shapes)
            except ValueError as error:
                yield rule.place_of(rule.kind), str(error)


def routes_of(
    rules: Iterable[Rule], chains: Iterable[str], generation: int, shapes: KeyShapes
) -> StatementRoutes:
    """The same for Cassandra."""
    from shotover.transforms._key_router_cql import StatementRoutes

    targets = {DEFAULT: 0, **{name: index for index, name in enumerate(chains, 1)}}
    return StatementRoutes([rule.cql_row(targets, shapes) for rule in rules], generation)
