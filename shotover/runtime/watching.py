"""Files beside the topology that may change while the process runs: read again when they do.

Looked at once a second by the main thread, and read in any case on SIGHUP. A file that has changed is read when it is the
same at the next look, so that one which is being written is not read by half; writing another and renaming it is safe at
any time.
"""

from __future__ import annotations

import os
from functools import partial
from time import monotonic

from shotover.config.errors import ConfigError
from shotover.config.tls import TlsConfig
from shotover.observability import log
from shotover.runtime.checks import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from shotover.config.steps import Named
    from shotover.config.topology import Topology

SECONDS = 1.0
"""How often files are looked at."""

_log = log.get("shotover")


def signature(file: str) -> tuple[int, ...] | None:
    """What changes when a file does; None while there is none."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Watched:
    """Files that say one thing together, and how that is read anew: `reread` says what they hold, or raises ConfigError."""

    def __init__(
        self, name: str, files: Sequence[str], reread: Callable[[], str], alone: bool = True
    ) -> None:
        """`alone`: also without being told to."""
        self.alone = alone
        self.name = name
        self.files = files
        self.reread = reread
        self.read = self.seen = self._signature()

    def _signature(self) -> tuple[object, ...]:
        return tuple(map(signature, self.files))

    def look(self, force: bool = False) -> None:
        """Reads them if they have changed and are at rest; `force`: in any case."""
        now = self._signature()
        if not force and (now == self.read or now != self.seen):
            self.seen = now
            return
        changed = now != self.read
        self.read = self.seen = now
        file = ", ".join(self.files)
        try:
            found = self.reread()
        except ConfigError as error:
            for line in error.lines:
                _log.error(line, name=self.name)
            _log.error(
                "the file has changed but cannot be used: what it said before stays in force"
                if changed
                else "the file cannot be used: what it said before stays in force",
                file=file,
                name=self.name,
            )
            return
        if changed:
            _log.info(
                "the file has changed and is in force", file=file, name=self.name, holds=found
            )


class Watcher:
    """All such files of a topology; `own` are those of the configuration itself."""

    def __init__(
        self, topology: Topology, steps: Mapping[str, list[Any]], own: Watched | None = None
    ) -> None:
        self._own = own
        self._watched: list[Watched] = []
        for source in topology.sources:
            self._add_tls(source)
        for chain in topology.chains():
            for step in walk(chain):
                self._add_tls(step)
                file = step.watched_file()
                if file is not None:
                    reread = partial(step.reread, steps.get(step.name, []))
                    self._watched.append(Watched(step.name, [file], reread))
        self._due = monotonic() + SECONDS

    def _add_tls(self, model: Named) -> None:
        for name in model.fields:
            block = getattr(model, name)
            if isinstance(block, TlsConfig):
                files = block.context.files()
                self._watched.append(Watched(model.label, files, block.reread))

    def unreadable(self) -> list[tuple[str, str]]:
        """(name, file) of each file that this process may not read (any more)."""
        return [
            (watched.name, file)
            for watched in [*self._watched, *([self._own] if self._own and self._own.alone else [])]
            for file in watched.files
            if not os.access(file, os.R_OK)
        ]

    def look(self, force: bool = False) -> None:
        """Reads again what has changed, if it is time; `force`: everything, at once.

        The configuration comes last: another watcher may take the place of this one then.
        """
        if not force and monotonic() < self._due:
            return
        self._due = monotonic() + SECONDS
        for watched in self._watched:
            watched.look(force)
        if self._own is not None and (force or self._own.alone):
            self._own.look(force)
