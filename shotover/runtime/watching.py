"""Files beside the topology that may change while the process runs: read again when they do.

Looked at once a second by the main thread. A file that has changed is read when it is the same at the next look, so that
one which is being written is not read by half; writing another and renaming it is safe at any time.
"""

from __future__ import annotations

import os
from time import monotonic

from shotover.config.errors import ConfigError
from shotover.observability import log
from shotover.runtime.checks import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from shotover.config.steps import StepConfig
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
    """The file of one step, and all compiled copies of that step."""

    def __init__(self, model: StepConfig, file: str, steps: list[Any]) -> None:
        self.model = model
        self.file = file
        self.steps = steps
        self.read = self.seen = signature(file)

    def look(self) -> None:
        now = signature(self.file)
        if now == self.read or now != self.seen:
            self.seen = now
            return
        self.read = now
        try:
            found = self.model.reread(self.steps)
        except ConfigError as error:
            for line in error.lines:
                _log.error(line, transform=self.model.name)
            _log.error(
                "the file has changed but cannot be used: what it said before stays in force",
                file=self.file,
                transform=self.model.name,
            )
            return
        _log.info(
            "the file has changed and is in force",
            file=self.file,
            transform=self.model.name,
            holds=found,
        )


class Watcher:
    """All such files of a topology."""

    def __init__(self, topology: Topology, steps: Mapping[str, list[Any]]) -> None:
        self._watched = [
            Watched(step, file, steps.get(step.name, []))
            for chain in topology.chains()
            for step in walk(chain)
            if (file := step.watched_file()) is not None
        ]
        self._due = monotonic() + SECONDS

    def look(self) -> None:
        """Reads again what has changed, if it is time."""
        if self._watched and monotonic() >= self._due:
            for watched in self._watched:
                watched.look()
            self._due = monotonic() + SECONDS
