"""Reads Prometheus' text form as its specification has it; strict, and knows nothing of the writer.

What a scraper would refuse raises: a sample without its TYPE, a name twice, a family in two places,
a histogram whose buckets shrink or whose +Inf is not its count.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
ESCAPE = re.compile(r'\\(["\\n])')

Labels = frozenset[tuple[str, str]]


@dataclass
class Family:
    kind: str
    help: str | None
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def value(self, name: str, /, **labels: str) -> float:
        return self.samples[name, frozenset(labels.items())]


def parse(page: bytes) -> dict[str, Family]:
    """Families by name."""
    text = page.decode("utf-8")
    assert not text or text.endswith("\n")
    families: dict[str, Family] = {}
    helps: dict[str, str] = {}
    current = ""
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            name, _, help_text = line[7:].partition(" ")
            assert name not in helps, f"second HELP of {name}"
            helps[name] = help_text
        elif line.startswith("# TYPE "):
            current, kind = line[7:].split(" ")
            assert NAME.fullmatch(current) and kind in ("counter", "gauge", "histogram")
            assert current not in families, f"second TYPE of {current}"
            families[current] = Family(kind, helps.get(current))
        else:
            _sample(line, current, families[current])
    _no_name_means_two_things(families)
    for name, family in families.items():
        if family.kind == "histogram":
            _check_histogram(name, family)
    assert set(helps) <= set(families)
    return families


def _sample(line: str, current: str, family: Family) -> None:
    match = re.fullmatch(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)", line)
    assert match, f"not a sample: {line!r}"
    name, label_text, number = match.groups()
    endings = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
    assert name in [current + ending for ending in endings], f"{name} under {current}"
    labels: dict[str, str] = {}
    rest = label_text or ""
    while rest:
        pair = LABEL.match(rest)
        assert pair, f"bad labels: {line!r}"
        assert pair[1] not in labels, f"label twice: {line!r}"
        labels[pair[1]] = ESCAPE.sub(lambda m: {"n": "\n"}.get(m[1], m[1]), pair[2])
        rest = rest[pair.end() :]
    key = (name, frozenset(labels.items()))
    assert key not in family.samples, f"series twice: {line!r}"
    assert re.fullmatch(r"[+-]?(Inf|NaN|\d+(\.\d+)?([eE][+-]?\d+)?)", number), number
    family.samples[key] = float(number)


def _no_name_means_two_things(families: dict[str, Family]) -> None:
    owners: dict[str, str] = {}
    for name, family in families.items():
        for sample, _ in family.samples:
            assert owners.setdefault(sample, name) == name, f"{sample}: {name} and {owners[sample]}"


def _check_histogram(name: str, family: Family) -> None:
    groups: dict[Labels, dict[float, float]] = {}
    for (sample, labels), value in family.samples.items():
        if sample == f"{name}_bucket":
            bound = float(dict(labels)["le"])
            rest = frozenset(pair for pair in labels if pair[0] != "le")
            groups.setdefault(rest, {})[bound] = value
    for labels, buckets in groups.items():
        counts = [buckets[bound] for bound in sorted(buckets)]
        assert counts == sorted(counts)
        assert buckets[math.inf] == family.samples[f"{name}_count", labels]
        assert (f"{name}_sum", labels) in family.samples
