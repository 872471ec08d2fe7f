"""Looks at the proxy while it works: memory, descriptors, log; and judges them when all is over."""

from __future__ import annotations

import threading
import time
import urllib.error
from collections import Counter as Tally
from dataclasses import dataclass
from statistics import median

from soak.world import World

LOOK_S = 0.5
WARM_UP = 0.2  # the share of a run that is not compared with
MEMORY_GROWTH_MAX = 0.10
MEMORY_SLACK = 4 << 20  # bytes that a process may grow by in any case
DESCRIPTORS_SLACK = 12  # connections come and go
LINES_PER_FAULT = 15
LINES_A_SECOND = 2.0  # what babblers are worth: each wording is limited
LINES_FREE = 40
EXPECTED_LOG = (
    r"connect",
    r"lost",
    r"timed out",
    r"unavailable",
    r"refused",
    r"server .* is (dead|back|away)",
    r"was not let in",
    r"certificate",
    r"protocol",
)
NEVER = (
    "shotover_upstream_garbage_count",
    "shotover_log_lines_lost_count",
    "shotover_metrics_bad_samples_count",
    "shotover_memory_refused_count",
    "shotover_connections_accept_failures_count",
)
"""Counters that have to be 0."""
ENDED = (
    "shotover_connections",
    "shotover_leases",
    "shotover_held_requests",
    "shotover_tls_handshakes_under_way",
)
"""Gauges that are 0 when all clients have gone."""


@dataclass(frozen=True)
class Look:
    when: float
    resident: int  # bytes
    descriptors: int
    traffic: float  # bytes of memory that hold traffic


class Watch(threading.Thread):
    """A look every half second, each with a scrape."""

    def __init__(self, world: World) -> None:
        super().__init__(name="watch", daemon=True)
        self.world = world
        self.looks: list[Look] = []
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self.world.ending.wait(LOOK_S):
            try:
                self.looks.append(self.look())
            except (OSError, urllib.error.URLError, KeyError) as error:
                self.wrong.append(f"a scrape failed: {error!r}")
                return

    def look(self) -> Look:
        proxy = self.world.proxy
        return Look(
            time.monotonic(),
            proxy.resident_size(),
            proxy.descriptor_count(),
            proxy.metric("shotover_memory_bytes"),
        )

    def fifths(self) -> tuple[list[Look], list[Look]]:
        """The first and the last after the warm-up."""
        warm = self.looks[int(len(self.looks) * WARM_UP) :]
        size = max(1, len(warm) // 5)
        return warm[:size], warm[-size:]


def flat(name: str, first: float, last: float, most: float) -> str:
    """What is wrong: it has grown past `most`."""
    return (
        ""
        if last <= most
        else f"{name} grew from {first:,.0f} to {last:,.0f} (at most {most:,.0f})"
    )


def memory_bound(first: float) -> float:
    return first * (1 + MEMORY_GROWTH_MAX) + MEMORY_SLACK


def judge_flatness(first: list[Look], last: list[Look]) -> list[str]:
    """Medians, so that a burst at either end does not matter."""
    if not first or not last:
        return ["nothing was looked at"]
    resident = [median(look.resident for look in looks) for looks in (first, last)]
    open_files = [median(look.descriptors for look in looks) for looks in (first, last)]
    found = (
        flat("resident memory", *resident, memory_bound(resident[0])),
        flat("descriptors", *open_files, open_files[0] * 1.1 + DESCRIPTORS_SLACK),
    )
    return [each for each in found if each]


def judge_log(lines: int, faults: int, seconds: float) -> str:
    most = LINES_FREE + LINES_PER_FAULT * faults + LINES_A_SECOND * seconds
    return flat("the log", 0, lines, most)


def census(world: World, before: Look) -> list[str]:
    """All clients have gone: nothing may be left of them. Raises AssertionError while gauges still fall."""
    samples: Tally[str] = Tally()
    for (name, _), value in world.proxy.metrics().items():
        samples[name] += value
    left = {name: samples[name] for name in ENDED if samples[name]}
    assert not left, f"left of clients that have gone: {left}"
    wrong = [f"{name} is {samples[name]:g}" for name in NEVER if samples[name]]
    if samples["shotover_replies_count"] > samples["shotover_requests_count"]:
        wrong.append(
            f"{samples['shotover_replies_count']:g} replies to {samples['shotover_requests_count']:g} requests"
        )
    descriptors = world.proxy.descriptor_count()
    wrong += filter(
        None,
        [flat("descriptors of nobody", before.descriptors, descriptors, before.descriptors + 40)],
    )
    return wrong


def common_lines(world: World) -> list[tuple[str, int]]:
    """The wordings of the log, most frequent first."""
    return Tally(f"{line.level} {line.message}" for line in world.proxy.log_lines()).most_common(12)
