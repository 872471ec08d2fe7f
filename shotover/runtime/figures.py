"""What /metrics says at two moments -> rates and percentiles of sources, chains and servers. Pure."""

from __future__ import annotations

import math
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


class Reading:
    """A page of metrics, and when it was read (seconds, by any clock)."""

    def __init__(self, text: str, at: float) -> None:
        self.at = at
        self.series: dict[str, list[tuple[dict[str, str], float]]] = {}
        for line in text.splitlines():
            found = _LINE.match(line)
            if found:
                labels = {name: _plain(value) for name, value in _LABEL.findall(found[2] or "")}
                self.series.setdefault(found[1], []).append((labels, float(found[3])))

    def sum(self, name: str, /, **labels: str) -> float:
        """Of all series of a name that have these labels."""
        return sum(value for _, value in self.of(name, labels))

    def of(self, name: str, labels: dict[str, str]) -> Iterator[tuple[dict[str, str], float]]:
        for has, value in self.series.get(name, ()):
            if labels.items() <= has.items():
                yield has, value

    def values(self, name: str, label: str) -> list[str]:
        """The values that a label has in the series of a name, in order."""
        return sorted({has[label] for has, _ in self.series.get(name, ()) if label in has})

    def buckets(self, name: str, /, **labels: str) -> dict[float, float]:
        """A histogram: how many values were up to each bound, summed over series."""
        found: dict[float, float] = {}
        for has, value in self.of(f"{name}_bucket", labels):
            bound = float(has["le"])
            found[bound] = found.get(bound, 0) + value
        return dict(sorted(found.items()))


def _plain(value: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], value)


def quantile(buckets: dict[float, float], share: float) -> float | None:
    """The value that `share` of all are below; within a bucket by proportion, as Prometheus does. None: there are no values."""
    total = max(buckets.values(), default=0)
    if total <= 0:
        return None
    below, start = 0.0, 0.0
    for bound, count in buckets.items():
        if count >= share * total:
            if math.isinf(bound):
                return start
            within = (share * total - below) / (count - below) if count > below else 1.0
            return start + (bound - start) * within
        below, start = count, bound
    return start


class Between:
    """Two readings, of which the first may be missing: then counters have no rates, and histograms are those since start."""

    def __init__(self, before: Reading | None, now: Reading) -> None:
        self.before = before
        self.now = now
        self.seconds = now.at - before.at if before is not None else 0.0

    def rate(self, name: str, /, **labels: str) -> float | None:
        """A second. A counter that went back has begun anew. None: not known."""
        if self.before is None or self.seconds <= 0:
            return None
        grown = self.now.sum(name, **labels) - self.before.sum(name, **labels)
        if grown < 0:
            grown = self.now.sum(name, **labels)
        return grown / self.seconds

    def quantile(self, share: float, name: str, /, **labels: str) -> float | None:
        """Of what came between; of all since start, if nothing is known of before."""
        now = self.now.buckets(name, **labels)
        if self.before is None:
            return quantile(now, share)
        before = self.before.buckets(name, **labels)
        grown = {bound: count - before.get(bound, 0) for bound, count in now.items()}
        return quantile(now if min(grown.values(), default=0) < 0 else grown, share)


def count_text(value: float | None) -> str:
    """1234567 -> 1.23M; None -> -."""
    if value is None:
        return "-"
    for unit, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{sign}"
    return f"{value:.3g}"


def time_text(seconds: float | None) -> str:
    """0.00123 -> 1.23 ms; None -> -."""
    if seconds is None:
        return "-"
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
