"""Declared settings: a model is a class whose fields say their type, bounds, default and meaning.

    class KeyLimitConfig(TransformConfig, tag="KeyLimit"):
        \"\"\"Refuse requests whose key is longer than `key_bytes_max`.\"\"\"

        key_bytes_max: int = integer(minimum=1, maximum=65536, doc="longest key let through, bytes")

Reading one notes every problem it finds and always yields an instance, so that rules about whole
chains can still be checked; an instance read with problems is never built. Instances are frozen.
The kinds of fields stand in fields.py.
"""

from __future__ import annotations

from shotover.config.errors import Place, nearest, suggestion
from shotover.config.fields import REQUIRED, Field
from shotover.config.reading import Invalid, Reader
from shotover.config.source import Mapping, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, ClassVar, TypeVar

    M = TypeVar("M", bound="Model")


class Model:
    """Base of everything that is configured; subclasses declare fields.

    `place` is where an instance was written; `given` names the fields (by attribute) that were
    written there, soundly or not, as opposed to those left to their default.
    """

    fields: ClassVar[dict[str, Field]] = {}
    keys: ClassVar[dict[str, Field]] = {}
    place: Place
    given: frozenset[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        fields: dict[str, Field] = {}
        for base in reversed(cls.__mro__[1:]):
            fields.update(vars(base).get("fields", {}))
        for name, value in vars(cls).items():
            if isinstance(value, Field):
                fields[name] = value
        cls.fields = fields
        cls.keys = {key: field for field in fields.values() for key in (field.key, *field.aliases)}

    def __init__(self, place: Place | None = None, **values: Any) -> None:
        """Made by hand (tests, programs): fields by attribute name, unchecked, defaults filled."""
        unknown = values.keys() - self.fields.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        missing = [
            name
            for name, field in self.fields.items()
            if field.default is REQUIRED and name not in values
        ]
        if missing:
            raise TypeError(f"{type(self).__name__} needs {', '.join(missing)}")
        self._fill(place or Place("<code>", 0), values, frozenset(values))

    def _fill(self, place: Place, values: dict[str, Any], given: frozenset[str]) -> None:
        store = self.__dict__
        store["place"] = place
        store["given"] = given
        store["_lines"] = {}
        for name, field in self.fields.items():
            default = None if field.default is REQUIRED else field.default
            store[name] = values.get(name, default)

    @classmethod
    def read(cls: type[M], node: Mapping, place: Place, reader: Reader, **extra: Any) -> M:
        """The instance a map describes; problems go to `reader`, bad fields take their default."""
        values, lines, meant = cls._read_fields(node, place, reader)
        missing = [
            field.key
            for field in cls.fields.values()
            if field.default is REQUIRED and field.name not in lines
        ]
        for key in missing:
            if key not in meant:
                reader.add(place, f"required field {key} is missing")
        model = cls.__new__(cls)
        model._fill(place, values, frozenset(lines))
        model.__dict__.update(extra, _lines=lines)
        sound = len(values) == len(lines) and not missing and not meant
        if sound:  # rules between fields make sense once each is
            for message, name in model.validate():
                where = place.child(cls.fields[name].key, lines.get(name)) if name else place
                reader.add(where, message)
        return model

    @classmethod
    def _read_fields(
        cls, node: Mapping, place: Place, reader: Reader
    ) -> tuple[dict[str, Any], dict[str, int], set[str]]:
        """Values by attribute; the line of each field written, sound or not; names misspelt."""
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        meant: set[str] = set()
        for key, child in node.entries.items():
            at = place.child(key, node.lines[key])
            field = cls.keys.get(key)
            if field is None:
                known = [field.key for field in cls.fields.values()]
                reader.add(at, f"unknown field, {suggestion(key, known)}")
                meant.add(nearest(key, known) or "")
                continue
            if field.name in lines:
                reader.add(
                    at,
                    f"the same field was given on line {lines[field.name]} ({field.key}); keep one",
                )
                continue
            lines[field.name] = at.line
            value = field.read_or_default(child, at, reader)
            if not isinstance(value, Invalid):
                values[field.name] = value
        return values, lines, meant

    def validate(self) -> Iterator[tuple[str, str | None]]:
        """Rules between fields: yields (message, attribute the problem is at, or None)."""
        return iter(())

    def place_of(self, name: str) -> Place:
        """Where the field with attribute `name` was written, or would have been."""
        lines: dict[str, int] = self.__dict__["_lines"]
        return self.place.child(self.fields[name].key, lines.get(name))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.fields)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={field.masked(getattr(self, name))!r}" for name, field in self.fields.items()
        )
        return f"{type(self).__name__}({shown})"


def read_map(node: Node, place: Place, reader: Reader, what: str) -> Mapping | Invalid:
    """`node` as the map of a model's fields; nothing written at all is an empty map."""
    from shotover.config.source import Scalar

    if isinstance(node, Scalar) and node.is_null and node.tag is None:
        return Mapping(node.line)
    return reader.mapping(node, place, what)
