"""The configuration of a running process: what it is, what was before, and how it becomes another.

    plan      what a document would change
    apply     it is checked, everything new is built, doors are opened; only then anything is switched, between two turns of each
              worker. Whatever goes wrong before that leaves all as it was
    rollback  applies the document of an earlier generation

A document is the tree of a topology; each one that came into force has a number, its generation. The main thread does all of it.
"""

from __future__ import annotations

from collections import deque
from time import monotonic, time

from shotover.config import apart
from shotover.config.errors import ConfigError
from shotover.observability import log
from shotover.runtime.assemble import Loaded, load
from shotover.runtime.plan import Plan
from shotover.runtime.serving import Served

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from shotover.config.source import Node
    from shotover.observability.metrics import Sample
    from shotover.runtime.supervisor import Supervisor

HISTORY_MAX = 50
"""Generations that can be gone back to."""
GUARD_SECONDS = 1.0
"""Between two looks at how many requests fail."""
GUARD_FAILURES_MIN = 5
"""Fewer say nothing."""

_log = log.get("shotover::config")


class Conflict(Exception):
    """It cannot be applied now; the text says why, and what to do."""


class Generation:
    """A configuration that came into force: its number, when and by whom, its document, what it changed."""

    def __init__(self, number: int, document: Node, author: str, changes: str) -> None:
        self.number = number
        self.document = document
        self.author = author
        self.changes = changes
        self.time = time()

    def as_tree(self) -> dict[str, object]:
        return {
            "generation": self.number,
            "time": round(self.time, 3),
            "author": self.author,
            "changes": self.changes,
        }


class Live:
    """See above."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._label = supervisor.loaded.topology.file
        first = Generation(1, supervisor.loaded.document, "start", f"read from {self._label}")
        self.history: deque[Generation] = deque([first], HISTORY_MAX)
        self._guard: _Guard | None = None

    @property
    def current(self) -> Generation:
        return self.history[-1]

    @property
    def leaving(self) -> int:
        """Connections that are still served as an earlier generation said."""
        return sum(int(source.session_count) for source in self._leaving())

    def _leaving(self) -> Iterator[Any]:
        current = {
            id(source)
            for served in self._supervisor.served.values()
            for source in served.sources.values()
        }
        for thread in self._supervisor.threads:
            yield from (each for each in list(thread.worker.sources) if id(each) not in current)

    # -- what would change

    def check(self, document: Node, label: str, config_file: str | None = None) -> Loaded:
        """The document as a checked configuration. Raises ConfigError with every problem."""

        def tree_of(file: str) -> Node:
            return document if file == label else apart.read(file)

        loaded = load(label, config_file, tree_of=tree_of)
        if config_file is None:  # a topology alone; the settings of the process stay as they are
            loaded.process = self._supervisor.loaded.process
            loaded.config_file = self._supervisor.loaded.config_file
        return loaded

    def plan(self, document: Node, label: str, config_file: str | None = None) -> Plan:
        loaded = self.check(document, label, config_file)
        return Plan(self._supervisor.loaded, loaded, self._supervisor.served)

    # -- changing

    def apply(
        self, document: Node, label: str, author: str, config_file: str | None = None
    ) -> Plan:
        """Brings a document into force. Raises ConfigError or Conflict; then nothing has changed."""
        plan = self.plan(document, label, config_file)
        if self._supervisor.draining:
            raise Conflict("the process is about to end")
        if not plan.changes:
            return plan
        self._refuse_if_owed(plan)
        number = self.current.number + 1
        self._switch(plan)
        self._supervisor.changed(plan.loaded)
        self.history.append(Generation(number, document, author, plan.summary()))
        _log.info("configuration applied", generation=number, author=author, changes=plan.summary())
        for what in plan.needs_restart:
            _log.warning(
                "this setting needs a restart; what was before stays in force", setting=what
            )
        return plan

    def rollback(self, number: int | None, author: str) -> Plan:
        """Applies the document of generation `number`, or of the one before this. Raises Conflict when it is not known."""
        if number is None:
            if len(self.history) < 2:
                raise Conflict("there is nothing before the first generation")
            number = self.history[-2].number
        for generation in self.history:
            if generation.number == number:
                return self.apply(generation.document, f"generation {number}", author)
        known = f"{self.history[0].number} to {self.current.number}"
        raise Conflict(f"generation {number} is not kept; there are {known}")

    def _refuse_if_owed(self, plan: Plan) -> None:
        """A chain that owes its servers what they have missed may not be replaced: that would be late, or lost."""
        for served in [*(served for _model, served in plan.pairs), *plan.gone]:
            if served is None or all(served is not other for other in self._touched(plan)):
                continue
            for name, steps in served.steps.items():
                owed = sum(int(step.owed()) for step in steps)
                if owed:
                    raise Conflict(
                        f"{name} of source {served.model.name} still has {owed} writes for servers that are away: wait until "
                        "they have them (shotover_scatter_journal_requests), then apply again"
                    )

    def _touched(self, plan: Plan) -> list[Served]:
        return [
            served for model, served in plan.pairs if served and served.model != model
        ] + plan.gone

    def _switch(self, plan: Plan) -> None:
        """Builds and opens what is new, then puts it in the place of what was."""
        supervisor = self._supervisor
        running: dict[str, Served] = {}
        prepared: list[tuple[Served, Served | None]] = []
        try:
            for model, before in plan.pairs:
                if before is not None and before.model == model:
                    running[model.name] = before
                    continue
                served = Served(model, supervisor.threads)
                served.prepare(before)
                prepared.append((served, before))
                if before is None:
                    served.open(supervisor.who)
            supervisor.prepare_switches(
                plan.loaded
            )  # the last that can fail: it leaves nothing open then
        except BaseException:
            for served, _before in prepared:
                served.discard()
            raise
        for served, before in prepared:
            if before is not None:
                served.replace(before)
            running[served.model.name] = served
        drain_ms = int(supervisor.loaded.process.drain_timeout_seconds * 1000)
        for served in plan.gone:
            served.close(drain_ms)
        order = [model.name for model, _before in plan.pairs]
        supervisor.served = {name: running[name] for name in order}
        # What goes on as it was keeps the models that it was built from: files are read again into those.
        kept = [running[name].model for name in order]
        plan.loaded.topology.sources = kept

    def read_again(self) -> str:
        """The files as they are now, into force. What that changed; ConfigError: it cannot be, and nothing has changed."""
        topology_file, config_file = self._label, self._supervisor.loaded.config_file
        try:
            plan = self.apply(apart.read(topology_file), topology_file, "files", config_file)
        except (Conflict, TimeoutError) as error:
            raise ConfigError([str(error)]) from None
        return plan.summary()

    # -- taking back

    def watch_over(self, percent: float, seconds: float) -> None:
        """For so long the newest generation is taken back if more requests than that fail."""
        failed, asked = self._counts()
        self._guard = _Guard(self.current.number, percent, monotonic() + seconds, failed, asked)

    def look(self) -> None:
        """Called a few times a second."""
        guard = self._guard
        if guard is None or monotonic() < guard.next_look:
            return
        guard.next_look = monotonic() + GUARD_SECONDS
        if self.current.number != guard.number or self._supervisor.draining:
            self._guard = None
            return
        failed, asked = self._counts()
        failed, asked = failed - guard.failed, asked - guard.asked
        if failed * 100 > guard.percent * asked and failed >= GUARD_FAILURES_MIN:
            self._guard = None
            _log.error(
                "too many requests fail: the configuration is taken back",
                generation=guard.number,
                failed=int(failed),
                requests=int(asked),
            )
            try:
                self.rollback(None, "rollback_on")
            except (ConfigError, Conflict, TimeoutError) as error:
                _log.error("it cannot be taken back", reason=str(error))
        elif monotonic() >= guard.until:
            self._guard = None
            _log.info("the configuration has proved itself", generation=guard.number)

    def _counts(self) -> tuple[float, float]:
        """(requests that have failed, requests) of the sources there are."""
        made_here = answered = asked = 0.0
        for thread in self._supervisor.threads:
            for name, _labels, _kind, value in thread.worker.samples():
                if name == "shotover_chain_failures_count":
                    made_here += value
                elif name == "shotover_failed_requests_count":
                    answered += value
                elif name == "shotover_requests_count":
                    asked += value
        return max(
            made_here, answered
        ), asked  # many a request is in both: failed by a sink, and so for its client

    def samples(self) -> list[Sample]:
        return [
            ("shotover_config_generation", {}, "gauge", self.current.number),
            ("shotover_config_earlier_connections", {}, "gauge", self.leaving),
        ]

    def drain_replaced(self, drain_ms: int) -> int:
        """Answers and disconnects who is still served as an earlier generation said. Returns how many those are."""
        left = self.leaving
        gone = {id(source) for source in self._leaving()}
        for thread in self._supervisor.threads:
            for source in list(thread.worker.sources):
                if id(source) in gone:
                    thread.call(thread.worker.remove, source, drain_ms)
        return left


class _Guard:
    """What a new generation has to prove until then: that of the requests since then no more fail than so many percent."""

    def __init__(
        self, number: int, percent: float, until: float, failed: float, asked: float
    ) -> None:
        self.number = number
        self.percent = percent
        self.until = until
        self.failed = failed
        self.asked = asked
        self.next_look = 0.0
