"""Conditions on statements of CQL: their type, keyspace, table and consistency, beside those of conditions.py."""

from __future__ import annotations

from shotover.config.errors import one_of
from shotover.config.lists import Words
from shotover.config.models import Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, ClassVar

    from shotover.config.errors import Place

TYPES = (
    "UNKNOWN", "SELECT", "INSERT", "UPDATE", "DELETE", "BATCH", "TRUNCATE", "USE", "CREATE", "ALTER", "DROP", "GRANT",
    "REVOKE", "LIST", "DESCRIBE", "ADD",
)  # fmt: skip
"""By their numbers in _codec/cql/statement.pxd."""
OBJECTS = (
    "", "KEYSPACE", "TABLE", "TYPE", "FUNCTION", "AGGREGATE", "MATERIALIZED VIEW", "INDEX", "TRIGGER", "ROLE", "IDENTITY",
    "PERMISSION",
)  # fmt: skip
LEVELS = (
    "ANY", "ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_QUORUM", "EACH_QUORUM", "SERIAL", "LOCAL_SERIAL", "LOCAL_ONE",
)  # fmt: skip
"""By their numbers in the protocol."""
NAME_BYTES_MAX = 222
WITH_OBJECT = ("CREATE", "ALTER", "DROP")


class Statements(Words):
    """Types of statements: SELECT, CREATE TABLE; CREATE stands for all that can be created."""

    one = "a type of statement"
    many = "types of statements"

    def form(self, word: str) -> str:
        words = " ".join(word.upper().split())
        first, _, rest = words.partition(" ")
        if first not in TYPES or (rest and (first not in WITH_OBJECT or rest not in OBJECTS)):
            raise ValueError(
                f"there is no type of statement {word}, expected {one_of(TYPES)}; CREATE, ALTER and "
                "DROP also with what: CREATE TABLE"
            )
        return words


def number_of(word: str) -> tuple[int, int | None]:
    """(type, object) of such a word; None: any object."""
    first, _, rest = word.partition(" ")
    return TYPES.index(first), OBJECTS.index(rest) if rest else None


def name_of(written: str, what: str) -> str:
    """A name as the servers keep it: lower case, unless it is in quotes."""
    if len(written) > 2 and written[0] == written[-1] == '"':
        name = written[1:-1].replace('""', '"')
    elif written.isascii() and written.replace("_", "a").isalnum():
        name = written.lower()
    else:
        raise ValueError(f'{written} is no name of {what}; if it is, put it in quotes: "{written}"')
    if len(name.encode()) > NAME_BYTES_MAX:
        raise ValueError(f"expected at most {NAME_BYTES_MAX} bytes for the name of {what}")
    return name


class Keyspaces(Words):
    """Names of keyspaces, as in CQL: lower case, unless they are in quotes."""

    one = "a keyspace"
    many = "keyspaces"

    def form(self, word: str) -> str:
        return name_of(word, "a keyspace")


class Tables(Words):
    """Names of tables, with or without their keyspace: orders, shop.orders."""

    one = "a table"
    many = "tables (shop.orders, or orders of any keyspace)"

    def form(self, word: str) -> str:
        keyspace, table = parts_of(word)
        return f"{keyspace}\0{table}"

    def plain(self, value: Any) -> Any:
        return [word.lstrip("\0").replace("\0", ".") for word in value or ()]


def parts_of(word: str) -> tuple[str, str]:
    """(keyspace, table) as the servers keep them; an empty keyspace: any."""
    at = -1
    quoted = False
    for index, letter in enumerate(word):
        if letter == '"':
            quoted = not quoted
        elif letter == "." and not quoted:
            if at >= 0:
                raise ValueError(f"{word} has more than one dot")
            at = index
    if at < 0:
        return "", name_of(word, "a table")
    return name_of(word[:at], "a keyspace"), name_of(word[at + 1 :], "a table")


class Levels(Words):
    """Levels of consistency."""

    one = "a consistency level"
    many = "consistency levels"

    def form(self, word: str) -> str:
        level = word.upper()
        if level not in LEVELS:
            raise ValueError(f"there is no consistency level {word}, expected {one_of(LEVELS)}")
        return level


def statement_row(
    statements: tuple[str, ...] | None,
    keyspaces: tuple[str, ...] | None,
    tables: tuple[str, ...] | None,
    consistency: tuple[str, ...] | None,
) -> tuple[Any, ...] | None:
    """As _proxy/statement_rules takes it; None: nothing is said."""
    given = (statements, keyspaces, tables, consistency)
    if all(one is None for one in given):
        return None
    return (
        None if statements is None else [number_of(word) for word in statements],
        None if keyspaces is None else [name.encode() for name in keyspaces],
        None
        if tables is None
        else [tuple(n.encode() for n in name.split("\0")) for name in tables],
        None if consistency is None else [LEVELS.index(level) for level in consistency],
    )


class StatementConditions(Model):
    """Conditions on statements of CQL."""

    cql_only: ClassVar[tuple[str, ...]] = ("statements", "keyspaces", "tables", "consistency")
    redis_only: ClassVar[tuple[str, ...]] = ()

    statements: tuple[str, ...] | None = Statements(  # type: ignore[assignment]
        default=None, doc="statements of CQL of these types"
    )
    keyspaces: tuple[str, ...] | None = Keyspaces(  # type: ignore[assignment]
        default=None, doc="statements on these keyspaces"
    )
    tables: tuple[str, ...] | None = Tables(default=None, doc="statements on these tables")  # type: ignore[assignment]
    consistency: tuple[str, ...] | None = Levels(  # type: ignore[assignment]
        default=None, doc="statements with these levels of consistency"
    )

    def unfit(self, protocol: str) -> Iterator[tuple[Place, str]]:
        """What clients of `protocol` cannot meet."""
        wrong, instead = (
            (self.redis_only, self.cql_only)
            if protocol == "cassandra"
            else (
                self.cql_only,
                self.redis_only,
            )
        )
        for name in wrong:
            if name in self.given and getattr(self, name) is not None:
                yield (
                    self.place_of(name),
                    f"{self.fields[name].key} says nothing about requests of {protocol}; use "
                    f"{', '.join(self.fields[one].key for one in instead)}",
                )

    def statement_row(
        self, user: str | None = None, certificate: str | None = None
    ) -> tuple[Any, ...]:
        """As set_rules takes it."""
        return (
            *(None, None, None),
            None if user is None else [user.encode()],
            None if certificate is None else [certificate.encode()],
            statement_row(self.statements, self.keyspaces, self.tables, self.consistency),
        )
