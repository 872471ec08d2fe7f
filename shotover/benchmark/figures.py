"""Turns into figures: medians with spread, ratios taken in the same round, verdicts on demands.

A *turn* is one target under one case in one round. Machines are noisy and drift; what two targets did within one round
is comparable, what they did an hour apart is not. So a ratio is taken in each round first and its median after.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from statistics import median

from shotover.benchmark.histogram import Histogram


@dataclass(frozen=True)
class Metric:
    """How a value of a turn is called and written."""

    name: str
    title: str
    decimals: int = 1
    lower_is_better: bool = True


METRICS = {
    metric.name: metric
    for metric in (
        Metric("rps", "requests/s", 0, lower_is_better=False),
        Metric("p50_us", "p50 us"),
        Metric("p99_us", "p99 us", 0),
        Metric("p999_us", "p99.9 us", 0),
        Metric("cpu_us", "CPU us/req", 2),
        Metric("user_us", "user", 2),
        Metric("system_us", "system", 2),
        Metric("server_us", "server CPU", 2),
        Metric("syscalls", "calls/req", 2),
        Metric("rss_mib", "RSS MiB"),
        Metric("peak_mib", "peak MiB"),
        Metric("hop_ns", "ns a hop", 1),
        Metric("accepting_ms", "accepting ms", 1),
        Metric("first_reply_ms", "first reply ms", 1),
        Metric("start_cpu_ms", "CPU ms", 1),
        Metric("idle_bytes", "bytes/idle conn", 0),
        Metric("used_bytes", "bytes/used conn", 0),
        Metric("growth_mib", "growth MiB", 2),
        Metric("generator_us", "generator CPU", 2),
        Metric("lag_us", "generator lag", 1),
        Metric("other_cpu", "other load", 2),
    )
}


@dataclass
class Turn:
    """What one turn measured; a metric that does not apply is absent.

    A turn with a complaint is kept and told, but gives no figures: a target that loses or garbles replies is not fast.
    """

    case: str
    target: str
    round: int
    values: dict[str, float]
    requests: int = 0
    complaint: str = ""  # what went wrong during it; empty when nothing did
    latency: Histogram | None = None


@dataclass(frozen=True)
class Spread:
    median: float
    least: float
    most: float
    count: int


POOLED = (
    "user_us",
    "system_us",
)  # read in ticks of 10 ms: the mean over all rounds, not the median


def spread(values: Iterable[float]) -> Spread | None:
    """None when there are no values."""
    known = sorted(values)
    return Spread(median(known), known[0], known[-1], len(known)) if known else None


@dataclass
class Results:
    """All turns of a session, in the order they were made."""

    turns: list[Turn] = field(default_factory=list)
    notes: list[str] = field(
        default_factory=list
    )  # targets that did not start, cases left out, and why
    setting: dict[str, str] = field(default_factory=dict)

    def targets(self, case: str) -> list[str]:
        return list(dict.fromkeys(turn.target for turn in self.turns if turn.case == case))

    def cases(self) -> list[str]:
        return list(dict.fromkeys(turn.case for turn in self.turns))

    def of(self, case: str, target: str) -> list[Turn]:
        """The turns that give figures."""
        return [
            turn
            for turn in self.turns
            if turn.case == case and turn.target == target and not turn.complaint
        ]

    def spread(self, case: str, target: str, metric: str) -> Spread | None:
        """Over the rounds; the middle of POOLED metrics is their mean, weighted by requests."""
        turns = [turn for turn in self.of(case, target) if metric in turn.values]
        found = spread(turn.values[metric] for turn in turns)
        requests = sum(turn.requests for turn in turns)
        if found is None or metric not in POOLED or not requests:
            return found
        return replace(
            found, median=sum(turn.values[metric] * turn.requests for turn in turns) / requests
        )

    def ratio(
        self, case: str, target: str, against: str, metric: str, beyond: float = 0.0
    ) -> Spread | None:
        """(target - beyond) / against, by round. None when no round has both."""
        base = {
            turn.round: turn.values[metric]
            for turn in self.of(case, against)
            if turn.values.get(metric)
        }
        return spread(
            (turn.values[metric] - beyond) / base[turn.round]
            for turn in self.of(case, target)
            if metric in turn.values and turn.round in base
        )


@dataclass(frozen=True)
class Demand:
    """A bound that the project sets itself: on a ratio to another target, or on the value where `against` is empty."""

    case: str  # a case's name
    metric: str
    bound: float
    against: str = ""
    beyond: float = 0.0  # what the value may have on top of the bound, in its own unit
    target: str = "shotover"
    at_least: bool = False  # else at most

    def text(self) -> str:
        sign = ">=" if self.at_least else "<="
        title = METRICS[self.metric].title
        more = f" + {self.beyond:g}" if self.beyond else ""
        return (
            f"{title} {sign} {self.bound:g} x {self.against}{more}"
            if self.against
            else f"{title} {sign} {self.bound:g}"
        )


@dataclass(frozen=True)
class Verdict:
    demand: Demand
    found: Spread | None  # None: nothing to judge by (the peer is missing, or the metric)

    @property
    def met(self) -> bool | None:
        if self.found is None:
            return None
        if self.demand.at_least:
            return self.found.median >= self.demand.bound
        return self.found.median <= self.demand.bound

    def text(self) -> str:
        if self.found is None:
            return f"{self.demand.text()}: not measured"
        decimals = 2 if self.demand.against else max(1, METRICS[self.demand.metric].decimals)
        figures = f"{self.found.median:.{decimals}f} ({self.found.least:.{decimals}f}-{self.found.most:.{decimals}f})"
        return f"{self.demand.text()}: {figures} {'ok' if self.met else 'MISSED'}"


def both(prefix: str, metric: str, bound: float, against: str = "", **more: object) -> list[Demand]:
    """The same demand on the SET and the GET of a row."""
    return [Demand(f"{prefix}-{verb}", metric, bound, against, **more) for verb in ("set", "get")]  # type: ignore[arg-type]


DEMANDS: tuple[Demand, ...] = (
    *both("c50", "cpu_us", 0.80, "nutcracker"),
    *both("c50", "cpu_us", 0.65, "nutcracker", target="shotover-uring"),
    *both("c50", "cpu_us", 0.60, "haproxy"),
    *both("c50", "user_us", 0.8),
    *both("c50", "syscalls", 2.1),
    *both("c500", "cpu_us", 0.80, "nutcracker"),
    *both("c500", "rps", 0.95, "direct", at_least=True),
    *both("p16", "cpu_us", 0.35, "nutcracker"),
    *both("p16", "cpu_us", 0.75, "haproxy"),
    *both("p16", "rps", 0.75, "direct", at_least=True),
    *both("c1", "cpu_us", 0.90, "nutcracker"),
    *both("c1", "p50_us", 1.0, "nutcracker"),
    *both("c1", "p50_us", 1.0, "haproxy"),
    *both("c1", "p50_us", 1.4, "direct"),
    Demand("open", "p50_us", 1.0, "nutcracker"),
    Demand("open", "p99_us", 1.0, "nutcracker"),
    *both("16k", "cpu_us", 0.85, "nutcracker"),
    *both("16k", "cpu_us", 0.70, "haproxy"),
    *both("1m", "cpu_us", 0.90, "nutcracker"),
    *both("1m", "peak_mib", 40.0),
    Demand("mget", "cpu_us", 0.5, "nutcracker"),
    Demand("mset", "cpu_us", 0.5, "nutcracker"),
    *both("shards", "cpu_us", 0.80, "nutcracker"),
    *both("shards-p16", "cpu_us", 0.35, "nutcracker"),
    Demand("shards-mget", "cpu_us", 0.5, "nutcracker"),
    Demand("shards-stopped", "p99_us", 1.2, "shotover", target="shotover, one stopped"),
    *both("cluster", "cpu_us", 1.25, "one server"),
    *both("cluster-p16", "cpu_us", 1.5, "one server"),
    Demand("cluster-mget", "cpu_us", 2.0, "one server"),
    Demand("cluster-mget", "rps", 3.0, "redis-py", at_least=True),
    Demand("hops", "hop_ns", 10.0, target="compiled transform"),
    Demand("hops", "hop_ns", 250.0, target="Python transform"),
    Demand("disturbed", "p99_us", 1.2, "busy beside", target="busy inside, scraped"),
    *both("tls", "cpu_us", 0.65, "haproxy"),
    *both("tls-16k", "cpu_us", 0.90, "haproxy"),
    Demand("tls-idle", "used_bytes", 24_576.0),
    Demand("startup", "accepting_ms", 100.0),
    Demand("startup", "rss_mib", 16.0),
    Demand("idle", "idle_bytes", 200.0),
    Demand("idle", "growth_mib", 8.0),
    Demand("idle-beside", "p99_us", 1.2, "shotover", target="shotover, idle beside"),
    Demand("idle-beside", "idle_bytes", 200.0, target="shotover, idle beside"),
    *(
        demand
        for case in ("x32-execute", "x32-execute-v5")
        for demand in (
            Demand(case, "cpu_us", 0.75, "haproxy"),
            Demand(case, "cpu_us", 0.4, "cql-proxy"),
            Demand(case, "cpu_us", 6.66),  # 150,000 requests/s of a core
        )
    ),
    Demand("x32-execute", "cpu_us", 1.6, "Shotover before Redis"),
    Demand("x32-execute", "rps", 150_000, at_least=True),
    Demand("node-c1", "p50_us", 1.05, "direct", beyond=60.0),
    Demand("node-open", "p50_us", 1.05, "direct", beyond=60.0),
)


def verdicts(results: Results, case: str) -> list[Verdict]:
    """On all demands of a case whose target was measured in it."""
    present = set(results.targets(case))
    return [
        Verdict(
            demand,
            results.ratio(case, demand.target, demand.against, demand.metric, demand.beyond)
            if demand.against
            else results.spread(case, demand.target, demand.metric),
        )
        for demand in DEMANDS
        if demand.case == case and demand.target in present
    ]
