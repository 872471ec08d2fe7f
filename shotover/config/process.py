"""config.yaml: settings of the process as a whole, as opposed to what it serves."""

from __future__ import annotations

from shotover.config.address import Address
from shotover.config.errors import Place, shown
from shotover.config.fields import Field, address, boolean, choice, number, size, text
from shotover.config.models import Model
from shotover.config.reading import Invalid, Reader
from shotover.config.source import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MiB = 1 << 20
CHANGES, EVERYTHING = "changes", "everything"
TOKEN_CHARACTERS_MIN = 16
ID_DIGITS_MAX = 9
"""Of the number of a user or group."""


class Umask(Field):
    """Permissions that nothing created shall have, as the shell writes them."""

    kind = "an octal number from 000 to 777"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        scalar = reader.scalar(node, place, self.expected)
        if isinstance(scalar, Invalid):
            return scalar
        digits = scalar.text.removeprefix("0o")
        if (
            not 3 <= len(digits) <= 4
            or not set(digits) <= set("01234567")
            or int(digits, 8) > 0o777
        ):
            return self.refuse(scalar, place, reader)
        return int(digits, 8)

    def plain(self, value: Any) -> Any:
        return None if value is None else f"0o{value:03o}"


class ProcessConfig(Model):
    """Log level, observability address, and what happens at shutdown."""

    main_log_level: str = text(
        default="info", doc="comma-separated log directives: a level, or target=level"
    )
    observability_interface: Address | None = address(
        default=None,
        port_min=0,
        literal=True,
        listening=True,
        doc="ip:port of the HTTP endpoint for metrics and health; null is none",
    )
    admin_token: str | None = text(
        default=None,
        secret=True,
        doc="what `Authorization: Bearer` must say to that endpoint and to the switch of a Tee, at least "
        "16 characters; null: only this machine may change something",
    )
    admin_token_for: str = choice(
        CHANGES,
        EVERYTHING,
        default=CHANGES,
        doc="what needs the token: what changes something, or all but /healthz and /readyz",
    )
    drain_timeout_seconds: float = number(
        minimum=0,
        maximum=86_400,
        default=10,
        doc="seconds given to requests in flight at shutdown before their connections are cut",
    )
    memory_limit: int | None = size(
        minimum=16 * MiB,
        maximum=1 << 50,
        default=None,
        doc="bytes that requests, replies and connections may take in all; null is no limit",
    )
    old_metric_names: bool = boolean(
        default=False, doc="also export metrics under the names of older versions"
    )
    core_dumps: bool = boolean(
        default=False,
        doc="whether a crash may leave a core, in which passwords and what clients sent can be read",
    )
    user: str | None = text(
        default=None,
        doc="name or number of the user to become when all is open, for a process started as root; "
        "null stays who it is",
    )
    group: str | None = text(
        default=None, doc="its group, name or number; null is the user's own groups"
    )
    umask: int | None = Umask(  # type: ignore[assignment]
        default=None,
        doc="permissions that files and UNIX sockets made by the process lack; null: as it was started",
    )

    def account(self) -> tuple[int, int, list[int]] | str:
        """(user, group, all groups) as numbers, or what is wrong with `user` or `group`."""
        import os
        import pwd

        assert self.user is not None
        try:
            entry = pwd.getpwuid(int(self.user)) if _is_id(self.user) else pwd.getpwnam(self.user)
            name, uid, gid = entry.pw_name, entry.pw_uid, entry.pw_gid
        except KeyError:
            if not _is_id(self.user):
                return f"there is no user {shown(self.user)} on this machine"
            if self.group is None:
                return f"user {self.user} has no entry on this machine, so group must be given"
            name, uid, gid = "", int(self.user), -1
        if uid == 0:
            return "root is who is to be given up: name another user, or leave the field out"
        if self.group is None:
            return uid, gid, os.getgrouplist(name, gid)
        found = _group(self.group)
        return found if isinstance(found, str) else (uid, found, [found])

    def validate(self) -> Iterator[tuple[str, str | None]]:
        token = self.admin_token
        if token is not None and (
            len(token) < TOKEN_CHARACTERS_MIN or not token.isprintable() or " " in token
        ):
            yield (
                f"expected at least {TOKEN_CHARACTERS_MIN} printable characters without a space; "
                "`openssl rand -hex 32` makes a good token",
                "admin_token",
            )
        elif token is None and self.admin_token_for == EVERYTHING:
            yield "goes with admin_token, which is missing", "admin_token_for"
        if self.user is None:
            if self.group is not None:
                yield "group goes with user, which is missing", "group"
            return
        account = self.account()
        if isinstance(account, str):
            yield account, "group" if account.startswith("there is no group") else "user"


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= ID_DIGITS_MAX


def _group(text: str) -> int | str:
    """Its number, or what is wrong."""
    import grp

    if _is_id(text):
        return int(text)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        return f"there is no group {shown(text)} on this machine"


def read_process(root: Node, file: str, reader: Reader) -> ProcessConfig:
    """The settings a file describes, as far as they can be read; problems go to `reader`."""
    place = Place(file, root.line)
    mapping = reader.mapping(root, place, "a map of settings")
    if isinstance(mapping, Invalid):
        return ProcessConfig(place)
    return ProcessConfig.read(mapping, place, reader)
