"""A run: clients at work, faults one after the other, a watch; then the judgement."""

from __future__ import annotations

import tempfile
import time
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from support.wait import wait_until

from soak.clients import Client
from soak.faults import PAUSE_S, Faults
from soak.rough import ALL
from soak.watch import (
    EXPECTED_LOG,
    LOOK_S,
    Look,
    Watch,
    census,
    common_lines,
    judge_flatness,
    judge_log,
)
from soak.world import ANSWER_S, SOURCES, World

CALM_S = 40.0  # after the last fault everything must be in order within this
WRONG_SHOWN = 20

Tell = Callable[[str], None]


@dataclass
class Outcome:
    """What a run has found; `wrong` is empty when all is well."""

    seed: int
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    tallies: dict[str, Tally[str]] = field(default_factory=dict)  # by source
    faults: Tally[str] = field(default_factory=Tally)
    first: list[Look] = field(default_factory=list)
    last: list[Look] = field(default_factory=list)
    log_lines: int = 0
    log_common: list[tuple[str, int]] = field(default_factory=list)

    def report(self) -> str:
        lines = [f"seed {self.seed}, {self.seconds:.0f} s, {self.faults.total()} faults"]
        names = list(dict.fromkeys(name for tally in self.tallies.values() for name in tally))
        for source, tally in self.tallies.items():
            told = ", ".join(f"{tally[name]:,} {name}" for name in names if tally[name])
            lines.append(f"  {source:<8} {told}")
        lines += [f"  {count:4} x {name}" for name, count in sorted(self.faults.items())]
        if self.first and self.last:
            lines += [
                self.compared("resident", 1 << 20, "MiB"),
                self.compared("descriptors", 1, ""),
            ]
        lines.append(f"  log: {self.log_lines} lines")
        lines += [f"  {count:6} {text[:100]}" for text, count in self.log_common]
        lines += [f"  WRONG: {each}" for each in self.wrong[:WRONG_SHOWN]]
        if len(self.wrong) > WRONG_SHOWN:
            lines.append(f"  and {len(self.wrong) - WRONG_SHOWN} more")
        lines.append("all is well" if not self.wrong else f"{len(self.wrong)} things are wrong")
        return "\n".join(lines)

    def compared(self, name: str, unit: int, title: str) -> str:
        first, last = (
            median(getattr(look, name) for look in looks) / unit
            for looks in (self.first, self.last)
        )
        return f"  {name}: {first:,.1f} {title} in the first fifth, {last:,.1f} {title} in the last"


def soak(seconds: float, seed: int, tell: Tell = lambda line: None) -> Outcome:
    """Everything, once. What goes wrong is in the outcome; only what cannot be started raises."""
    outcome = Outcome(seed)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        world = World(Path(folder), seed)
        try:
            work(world, seconds, outcome, tell)
        finally:
            world.ending.set()
            world.stop()
    return outcome


def work(world: World, seconds: float, outcome: Outcome, tell: Tell) -> None:
    world.proxy.allow_log(*EXPECTED_LOG)
    clients = [
        kind(world, source, number)
        for source in SOURCES
        for kind, count in ALL.items()
        for number in range(count)
    ]
    faults, watch = Faults(world), Watch(world)
    before = watch.look()
    began = time.monotonic()
    for thread in (*clients, watch):
        thread.start()
    tell(f"{len(clients)} clients, {len(faults.kinds)} kinds of faults, seed {world.seed}")
    told = began
    while (now := time.monotonic()) < began + seconds and not any(each.wrong for each in clients):
        name = faults.one()
        outcome.faults[name] += 1
        if now - told > 30:
            told = now
            tell(progress(now - began, clients, watch))
        faults.pause(*PAUSE_S)
    outcome.seconds = time.monotonic() - began
    world.ending.set()
    for thread in (*clients, watch):
        thread.join(2 * ANSWER_S)
        if thread.is_alive():
            outcome.wrong.append(f"{thread.name} still waits for a reply")
    last_looks(world, clients)
    outcome.wrong += [wrong for client in clients for wrong in client.wrong]
    outcome.wrong += faults.wrong + watch.wrong
    for source in SOURCES:
        of = [client for client in clients if client.source == source]
        outcome.tallies[source] = sum((client.tally for client in of), Tally())
        outcome.tallies[source]["forgotten by failovers"] = sum(each.forgotten() for each in of)
    finish(world, outcome, watch, before)


def progress(seconds: float, clients: list[Client], watch: Watch) -> str:
    requests = sum(client.tally["requests"] for client in clients)
    errors = sum(client.tally["errors"] + client.tally["closed"] for client in clients)
    look = watch.looks[-1] if watch.looks else watch.look()
    return (
        f"{seconds:6.0f} s  {requests:,} requests, {errors:,} errors and closes that faults explain, "
        f"{look.resident / (1 << 20):.1f} MiB, {look.descriptors} descriptors"
    )


def last_looks(world: World, clients: list[Client]) -> None:
    """When faults are over and what was loose has settled, each client finds all of its keys as they must be."""
    wait_until(
        lambda: all(world.journal.quiet(source, time.monotonic()) for source in SOURCES),
        "servers have settled",
        deadline_s=CALM_S,
        poll_s=LOOK_S,
    )
    for client in clients:
        if not client.is_alive():
            client.guarded(client.last_look)
            client.drop()


def finish(world: World, outcome: Outcome, watch: Watch, before: Look) -> None:
    """The proxy by itself: what is left, what it has written, how it ends."""
    outcome.first, outcome.last = watch.fifths()
    try:
        wait_until(lambda: no_sessions(world), "no session is left", deadline_s=CALM_S)
        outcome.wrong += census(world, before)
    except (AssertionError, OSError) as error:
        outcome.wrong.append(str(error))
    outcome.wrong += judge_flatness(outcome.first, outcome.last)
    outcome.log_lines = len(world.proxy.log_lines())
    outcome.log_common = common_lines(world)
    flood = judge_log(outcome.log_lines, outcome.faults.total(), outcome.seconds)
    outcome.wrong += [flood] if flood else []
    try:
        world.proxy.stop()  # exit code 0, and nothing in the log that is not expected
    except AssertionError as error:
        outcome.wrong.append(str(error))


def no_sessions(world: World) -> bool:
    return world.proxy.sessions() == 0
