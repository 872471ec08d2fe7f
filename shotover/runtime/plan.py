"""What a new configuration would change, and how each change takes effect.

    add       a listener is opened
    remove    a listener is closed; its clients are answered and disconnected within the drain time-out
    replace   new clients meet the new chain; those that are connected stay with the old one until they leave
    live      in force at once, for everybody
    restart   a setting of the process that only a restart brings into force

Two sources are one if they have the same name, or else listen on the same address. Nothing is opened or built here.
"""

from __future__ import annotations

from shotover.runtime.explain import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shotover.config.steps import SourceConfig
    from shotover.runtime.assemble import Loaded
    from shotover.runtime.serving import Served

ADD, REMOVE, REPLACE, LIVE, RESTART = "add", "remove", "replace", "live", "restart"
SAYS = {
    ADD: "opens its listener",
    REMOVE: "closes its listener and drains {clients}",
    REPLACE: "new connections only; {clients} stay with what was before until they leave",
    LIVE: "in force at once",
    RESTART: "needs a restart",
}
LIVE_SETTINGS = frozenset({"main_log_level", "drain_timeout_seconds"})
"""Of the process."""
LINES_MAX = 40
"""Differences of one change that are listed one by one."""


class Change:
    """One thing that changes: `kind` as above, `what` it is, `lines` that say how, `clients` it concerns."""

    def __init__(self, kind: str, what: str, lines: list[str], clients: int = 0) -> None:
        self.kind = kind
        self.what = what
        self.lines = lines
        self.clients = clients

    @property
    def effect(self) -> str:
        number = "1 connection" if self.clients == 1 else f"{self.clients} connections"
        return SAYS[self.kind].format(clients=number)

    def as_tree(self) -> dict[str, object]:
        return {
            "change": self.kind,
            "what": self.what,
            "effect": self.effect,
            "connections": self.clients,
            "differences": self.lines,
        }


class Plan:
    """The changes from what runs to `loaded`; `pairs` are sources and what runs of each, or None."""

    def __init__(self, before: Loaded, loaded: Loaded, running: Mapping[str, Served]) -> None:
        self.before = before
        self.loaded = loaded
        self.pairs = pair(loaded.topology.sources, running)
        kept = {served.model.name for _source, served in self.pairs if served is not None}
        self.gone = [served for name, served in running.items() if name not in kept]
        self.changes = [*self._sources(), *self._process()]

    @property
    def needs_restart(self) -> list[str]:
        return [change.what for change in self.changes if change.kind == RESTART]

    def _sources(self) -> Iterator[Change]:
        for source, served in self.pairs:
            if served is None:
                yield Change(ADD, f"source {source.name}", [f"listens on {source.listen_addr}"])
            elif source != served.model:
                lines = list(differences(served.model, source))
                yield Change(REPLACE, f"source {source.name}", lines, served.connections())
        for served in self.gone:
            yield Change(REMOVE, f"source {served.model.name}", [], served.connections())

    def _process(self) -> Iterator[Change]:
        old, new = self.before.process, self.loaded.process
        for name, field in new.fields.items():
            was, is_now = getattr(old, name), getattr(new, name)
            if was != is_now:
                kind = LIVE if name in LIVE_SETTINGS else RESTART
                line = f"{field.masked(was)} -> {field.masked(is_now)}"
                yield Change(kind, f"setting {field.key}", [line])

    def text(self) -> str:
        """For people; ends with a newline."""
        if not self.changes:
            return "nothing would change\n"
        lines = []
        for change in self.changes:
            lines.append(f"{change.what}: {change.kind} ({change.effect})")
            lines += [f"    {line}" for line in change.lines]
        return "\n".join(lines) + "\n"

    def summary(self) -> str:
        """In one line."""
        return ", ".join(f"{change.what}: {change.kind}" for change in self.changes) or "no change"


def pair(
    sources: list[SourceConfig], running: Mapping[str, Served]
) -> list[tuple[SourceConfig, Served | None]]:
    """Each source with what runs of it: under its name and on its address, or under another name there; else None."""
    taken: set[str] = set()
    found: dict[int, Served] = {}
    for source in sources:
        served = running.get(source.name)
        if served is not None and source.listen_addr == served.model.listen_addr:
            found[id(source)] = served
            taken.add(source.name)
    for source in sources:
        for name, served in running.items():
            address = source.listen_addr
            same = address == served.model.listen_addr and (address.port or address.path)
            if id(source) not in found and name not in taken and same:
                found[id(source)] = served
                taken.add(name)
    return [(source, found.get(id(source))) for source in sources]


def differences(old: SourceConfig, new: SourceConfig) -> Iterator[str]:
    """`path: was -> is`, for each value that differs; secrets hidden."""
    before, after = dict(_flat(tree(old))), dict(_flat(tree(new)))
    old_secrets, new_secrets = dict(_flat(tree(old, False))), dict(_flat(tree(new, False)))
    lines = []
    for path in [*after, *(path for path in before if path not in after)]:
        if path not in before:
            lines.append(f"{path}: {after[path]!r} is new")
        elif path not in after:
            lines.append(f"{path}: {before[path]!r} goes")
        elif before[path] != after[path]:
            lines.append(f"{path}: {before[path]!r} -> {after[path]!r}")
        elif old_secrets.get(path) != new_secrets.get(path):
            lines.append(f"{path}: another secret")
    yield from lines[:LINES_MAX]
    if len(lines) > LINES_MAX:
        yield f"... and {len(lines) - LINES_MAX} more"


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Values with their paths; an empty map or list is a value."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _flat(child, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, child in enumerate(value):
            yield from _flat(child, f"{path}[{index}]")
    else:
        yield path, value
