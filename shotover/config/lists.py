"""Fields that are lists: of words, of commands, of maps that are each read as a model."""

from __future__ import annotations

from shotover.config.fields import Field
from shotover.config.models import Model
from shotover.config.reading import INVALID, Invalid, Reader
from shotover.config.source import Scalar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from shotover.config.errors import Place
    from shotover.config.source import Node


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
    most = 0
    """Most entries; 0: any number."""

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        before = len(reader.problems)
        entries = self.read_list(node, place, reader)
        return INVALID if len(reader.problems) > before else entries

    def read_list(self, node: Node, place: Place, reader: Reader) -> tuple[Any, ...]:
        """The entries of a list; what is wrong with them goes to `reader`."""
        listed = reader.sequence(node, place, self.kind)
        if isinstance(listed, Invalid):
            return ()
        if self.most and len(listed.items) > self.most:
            reader.add(place, f"expected at most {self.most} entries, got {len(listed.items)}")
            return ()
        found = []
        for index, child in enumerate(listed.items):
            at = place.item(index, child.line)
            mapping = reader.mapping(child, at, self.what)
            if not isinstance(mapping, Invalid):
                found.append(self.model.read(mapping, at, reader))
        return tuple(found)

    def plain(self, value: Any) -> Any:
        return [plain_of(entry) for entry in value or ()]
