"""The kinds of fields a model may declare: what is expected, read from a node, shown to a user.

Call the lower-case functions (`integer(...)`, `text(...)`); they return a Field, typed as the
value an instance will hold. Every field takes:

    default   value when the field is absent; without one the field is required
    doc       one sentence for `shotover docs`; say units and what null means
    key       its name in YAML when that is not a Python name (`class`)
    aliases   other names in YAML, read alike
    secret    never shown in errors, logs or `explain`
    nullable  whether `null` may be written though it is not the default
"""

from __future__ import annotations

from shotover.config.address import Address, parse_address
from shotover.config.errors import Place, nearest, one_of, shown
from shotover.config.reading import (
    HIDDEN,
    INVALID,
    Invalid,
    Reader,
    describe,
    parse_integer,
    parse_number,
)
from shotover.config.source import Node, Scalar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()
UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class Field:
    """A declared field. Instances keep their value in their own dict, which hides the field."""

    kind = "a value"

    def __init__(
        self,
        default: Any = REQUIRED,
        doc: str = "",
        key: str = "",
        aliases: tuple[str, ...] = (),
        secret: bool = False,
        nullable: bool = False,
    ) -> None:
        self.default = default
        self.doc = doc
        self.key = key
        self.aliases = aliases
        self.secret = secret
        self.nullable = nullable or default is None
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.key = self.key or name

    @property
    def expected(self) -> str:
        """What an error says was expected, article included."""
        return self.kind

    def read_or_default(self, node: Node, place: Place, reader: Reader) -> Any:
        """The value of `node`; nothing (`null`) is allowed where the default is None, or where it says so."""
        optional = self.nullable and isinstance(node, Scalar) and node.is_null
        return None if optional else self.read(node, place, reader)

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        """The value of `node`, or INVALID after noting what is wrong."""
        raise NotImplementedError

    def refuse(self, node: Node, place: Place, reader: Reader) -> Invalid:
        if self.secret:
            return reader.add(place, f"expected {self.expected}")
        return reader.expected(self.expected, node, place)

    def plain(self, value: Any) -> Any:
        """`value` as it would be written: text, numbers, lists, maps and chains."""
        return value

    def masked(self, value: Any) -> Any:
        """`value` as it may be shown."""
        return HIDDEN if self.secret and value is not None else self.plain(value)


class Text(Field):
    """Text, empty only where `empty` allows it."""

    kind = "text"

    def __init__(self, empty: bool = False, **common: Any) -> None:
        super().__init__(**common)
        self.empty = empty

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        value = reader.text(node, place, self.expected, self.secret)
        if value == "" and not self.empty:
            return self.refuse(node, place, reader)
        return value


class Boolean(Field):
    kind = "true or false"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        scalar = reader.scalar(node, place, self.expected)
        if isinstance(scalar, Invalid):
            return scalar
        word = scalar.text.lower()
        if not scalar.plain or word not in ("true", "false"):
            return self.refuse(scalar, place, reader)
        return word == "true"


class Flag(Boolean):
    """True when named at all: `Fail:` and `Fail: true` are the same."""

    def read_or_default(self, node: Node, place: Place, reader: Reader) -> Any:
        if isinstance(node, Scalar) and node.is_null:
            return True
        return self.read(node, place, reader)


class Integer(Field):
    """An integer from `minimum` to `maximum`, both included; None leaves that side open."""

    kind = "an integer"

    def __init__(
        self, minimum: int | None = None, maximum: int | None = None, **common: Any
    ) -> None:
        super().__init__(**common)
        self.minimum = minimum
        self.maximum = maximum

    @property
    def expected(self) -> str:
        return self.kind + _bounds(self.minimum, self.maximum)

    def number(self, text: str) -> float | None:
        return parse_integer(text)

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        scalar = reader.scalar(node, place, self.expected)
        if isinstance(scalar, Invalid):
            return scalar
        value = self.number(scalar.text) if scalar.plain else None
        if value is None or not _within(value, self.minimum, self.maximum):
            return self.refuse(scalar, place, reader)
        return value


class Size(Integer):
    """Bytes: an integer, or one with a unit of 1024s (`64KiB`, `512 MiB`, `1GiB`)."""

    kind = "a size in bytes (512, 64KiB, 512MiB, 1GiB)"

    def number(self, text: str) -> float | None:
        digits = text.rstrip("BGKMi")
        unit = UNITS.get(text[len(digits) :])
        count = parse_integer(digits.rstrip(" "))
        return None if unit is None or count is None else count * unit


class Number(Integer):
    """A finite number, possibly with a fraction."""

    kind = "a number"

    def number(self, text: str) -> float | None:
        return parse_number(text)


class Choice(Field):
    """One of a few words, written exactly."""

    kind = "one of"

    def __init__(self, words: tuple[str, ...], **common: Any) -> None:
        super().__init__(**common)
        self.words = words

    @property
    def expected(self) -> str:
        return one_of(self.words)

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        scalar = reader.scalar(node, place, self.expected)
        if isinstance(scalar, Invalid):
            return scalar
        if scalar.text in self.words:
            return scalar.text
        near = nearest(scalar.text, self.words)
        hint = f", did you mean {near}?" if near else ""
        return reader.add(place, f"expected {self.expected}, got {describe(scalar)}{hint}")


class ListOf(Field):
    """A list of values of another kind, at least one unless `empty`, as a tuple; none of them twice."""

    def __init__(self, item: Any, empty: bool = False, **common: Any) -> None:
        super().__init__(**common)
        self.item: Field = item
        self.empty = empty

    @property
    def expected(self) -> str:
        return f"a list, each {self.item.expected}"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        listed = reader.sequence(node, place, self.expected)
        if isinstance(listed, Invalid):
            return listed
        if not listed.items and not self.empty:
            return reader.expected(self.expected, listed, place)
        values = [
            self.item.read(child, place.item(index, child.line), reader)
            for index, child in enumerate(listed.items)
        ]
        return INVALID if INVALID in values else tuple(dict.fromkeys(values))


class AddressField(Field):
    """host:port, [IPv6]:port, or unix:/path; ports from `port_min`.

    `literal` leaves IP addresses only: neither a host name nor a path.
    """

    def __init__(
        self, port_min: int = 1, listening: bool = False, literal: bool = False, **common: Any
    ) -> None:
        super().__init__(**common)
        self.port_min = port_min
        self.listening = listening
        self.literal = literal

    @property
    def expected(self) -> str:
        if self.literal:
            return "ip:port or [IPv6]:port"
        mode = " (unix:/path?mode=0660 sets its permissions)" if self.listening else ""
        return f"host:port, [IPv6]:port or unix:/path{mode}"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        text = reader.text(node, place, self.expected)
        if isinstance(text, Invalid):
            return text
        try:
            address = parse_address(text, self.port_min, self.listening)
            if self.literal and not address.is_literal:
                raise ValueError("the host is not an IP address")
        except ValueError as error:
            # what stands before @ in a URL may be a password
            got = f"...@{text.rpartition('@')[2]}" if "@" in text else text
            return reader.add(place, f"expected {self.expected}, got {shown(got)}: {error}")
        return address

    def plain(self, value: Any) -> Any:
        return value.written if isinstance(value, Address) else value


class Settings(Field):
    """A free map, given as it is to code that knows what is in it.

    `secrets`: there may be some in it (files, see Reader.plain), which `plain` must not show.
    """

    kind = "a map"
    secrets = False

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        mapping = reader.mapping(node, place)
        if isinstance(mapping, Invalid):
            return mapping
        return reader.plain(mapping, place, self.secrets)


def _within(value: float, minimum: float | None, maximum: float | None) -> bool:
    return (minimum is None or value >= minimum) and (maximum is None or value <= maximum)


def _bounds(minimum: float | None, maximum: float | None) -> str:
    if minimum is not None and maximum is not None:
        return f" from {minimum} to {maximum}"
    if minimum is not None:
        return f" >= {minimum}"
    return f" <= {maximum}" if maximum is not None else ""


def text(**common: Any) -> Any:
    return Text(**common)


def boolean(**common: Any) -> Any:
    return Boolean(**common)


def flag(**common: Any) -> Any:
    return Flag(default=False, **common)


def integer(minimum: int | None = None, maximum: int | None = None, **common: Any) -> Any:
    return Integer(minimum, maximum, **common)


def size(minimum: int | None = None, maximum: int | None = None, **common: Any) -> Any:
    return Size(minimum, maximum, **common)


def number(minimum: float | None = None, maximum: float | None = None, **common: Any) -> Any:
    return Number(minimum, maximum, **common)  # type: ignore[arg-type]


def choice(*words: str, **common: Any) -> Any:
    return Choice(words, **common)


def list_of(item: Any, **common: Any) -> Any:
    return ListOf(item, **common)


def address(**common: Any) -> Any:
    return AddressField(**common)


def settings(**common: Any) -> Any:
    return Settings(**common)


__all__ = [
    "HIDDEN",
    "REQUIRED",
    "AddressField",
    "Field",
    "address",
    "boolean",
    "choice",
    "flag",
    "integer",
    "list_of",
    "number",
    "settings",
    "size",
    "text",
]
