"""What entries of a transform's list may ask of a request: its key, user, database and command. Made for KeyRules."""

from __future__ import annotations

from shotover.config.fields import Field, integer, text
from shotover.config.models import Model
from shotover.config.reading import INVALID, Invalid, Reader
from shotover.config.source import Scalar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, ClassVar

    from shotover.config.errors import Place
    from shotover.config.source import Node

TEXT_BYTES_MAX = 1024
"""Longest key, prefix, glob or user of a condition."""


class Words(Field):
    """A word or a list of words, in the form that `form` gives them."""

    one = "a word"
    many = "words"

    @property
    def expected(self) -> str:
        return f"{self.one}, or a list of {self.many}"

    def form(self, word: str) -> str:
        """The word as it is kept; ValueError: it is none, and why."""
        return word

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        if isinstance(node, Scalar):
            word = self._read_one(node, place, reader)
            return word if isinstance(word, Invalid) else (word,)
        listed = reader.sequence(node, place, self.expected)
        if isinstance(listed, Invalid):
            return listed
        if not listed.items:
            return reader.expected(self.expected, listed, place)
        words = [
            self._read_one(child, place.item(index, child.line), reader)
            for index, child in enumerate(listed.items)
        ]
        return INVALID if INVALID in words else tuple(dict.fromkeys(words))

    def _read_one(self, node: Node, place: Place, reader: Reader) -> Any:
        word = reader.text(node, place, self.one)
        if isinstance(word, Invalid):
            return word
        try:
            return self.form(word)
        except ValueError as error:
            return reader.add(place, str(error))

    def plain(self, value: Any) -> Any:
        return list(value)


class Commands(Words):
    """A command or a list of them, in upper case: CONFIG, CONFIG|GET."""

    one = "a command"
    many = "commands"

    def form(self, word: str) -> str:
        return "|".join(word.upper().split())


class Conditions(Model):
    """All of which must hold."""

    kinds: ClassVar[tuple[str, ...]] = ("key", "prefix", "glob")
    """Fields about the key, of which one may be given."""

    key: str | None = text(default=None, doc="this key")
    prefix: str | None = text(default=None, doc="keys that begin so")
    glob: str | None = text(default=None, doc="keys that match, as for KEYS")
    user: str | None = text(default=None, doc="requests of this user")
    database: int | None = integer(
        minimum=0, maximum=65_535, default=None, doc="requests in this database"
    )
    command: tuple[str, ...] | None = Commands(default=None, doc="these commands")  # type: ignore[assignment]

    def validate(self) -> Iterator[tuple[str, str | None]]:
        kinds = [kind for kind in self.kinds if getattr(self, kind) is not None]
        if len(kinds) > 1:
            yield f"expected one of {', '.join(self.kinds)}, got {' and '.join(kinds)}", None
        for name in ("key", "prefix", "glob", "user"):
            value = getattr(self, name)
            if value is not None and len(value.encode()) > TEXT_BYTES_MAX:
                yield f"expected at most {TEXT_BYTES_MAX} bytes", name

    @property
    def kind(self) -> str:
        """Which of `kinds` was given; "any": none."""
        return next((kind for kind in self.kinds if getattr(self, kind) is not None), "any")

    @property
    def conditions(self) -> bool:
        """Whether there is any."""
        given = (self.user, self.database, self.command)
        return self.kind != "any" or any(value is not None for value in given)

    def row_of(self, target: int, first: int = 0, last: int = 0) -> tuple[Any, ...]:
        """As KeyRules takes it; `first` and `last` are slots."""
        kind = self.kind
        found = "" if kind in ("any", "hash") else getattr(self, kind)
        user = None if self.user is None else self.user.encode()
        commands = tuple(word.encode() for word in self.command or ())
        return (target, kind, found.encode(), first, last, user, self.database, commands)


def plain_of(entry: Model) -> dict[str, Any]:
    """A model as it would be written, without what is null."""
    return {
        field.key: field.plain(getattr(entry, name))
        for name, field in entry.fields.items()
        if getattr(entry, name) is not None
    }


class Entries(Field):
    """A list of maps, each a `model`."""

    what = "a map"
    model: type[Model]

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        before = len(reader.problems)
        entries = self.read_list(node, place, reader)
        return INVALID if len(reader.problems) > before else entries

    def read_list(self, node: Node, place: Place, reader: Reader) -> tuple[Any, ...]:
        """The entries of a list; what is wrong with them goes to `reader`."""
        listed = reader.sequence(node, place, self.kind)
        if isinstance(listed, Invalid):
            return ()
        found = []
        for index, child in enumerate(listed.items):
            at = place.item(index, child.line)
            mapping = reader.mapping(child, at, self.what)
            if not isinstance(mapping, Invalid):
                found.append(self.model.read(mapping, at, reader))
        return tuple(found)

    def plain(self, value: Any) -> Any:
        return [plain_of(entry) for entry in value]
