"""What entries of a transform's list may ask of a request: key, user, certificate, database and command. Made for KeyRules."""

from __future__ import annotations

from shotover.config.fields import integer, text
from shotover.config.lists import Commands
from shotover.config.models import Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, ClassVar

TEXT_BYTES_MAX = 1024
"""Longest key, prefix, glob or user of a condition."""


class Conditions(Model):
    """All of which must hold."""

    kinds: ClassVar[tuple[str, ...]] = ("key", "prefix", "glob")
    """Fields about the key, of which one may be given."""

    key: str | None = text(default=None, doc="this key")
    prefix: str | None = text(default=None, doc="keys that begin so")
    glob: str | None = text(default=None, doc="keys that match, as for KEYS")
    user: str | None = text(default=None, doc="requests of this user")
    certificate: str | None = text(
        default=None, doc="requests of clients whose certificate names this; see TLS"
    )
    database: int | None = integer(
        minimum=0, maximum=65_535, default=None, doc="requests in this database"
    )
    command: tuple[str, ...] | None = Commands(default=None, doc="these commands")  # type: ignore[assignment]

    def validate(self) -> Iterator[tuple[str, str | None]]:
        kinds = [kind for kind in self.kinds if getattr(self, kind) is not None]
        if len(kinds) > 1:
            yield f"expected one of {', '.join(self.kinds)}, got {' and '.join(kinds)}", None
        for name in ("key", "prefix", "glob", "user", "certificate"):
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
        given = (self.user, self.certificate, self.database, self.command)
        return self.kind != "any" or any(value is not None for value in given)

    def row_of(self, target: int, first: int = 0, last: int = 0) -> tuple[Any, ...]:
        """As KeyRules takes it; `first` and `last` are slots."""
        kind = self.kind
        found = "" if kind in ("any", "hash") else getattr(self, kind)
        user = None if self.user is None else self.user.encode()
        commands = tuple(word.encode() for word in self.command or ())
        certificate = None if self.certificate is None else self.certificate.encode()
        where = (target, kind, found.encode(), first, last)
        return (*where, user, self.database, commands, certificate)
