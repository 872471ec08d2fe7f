"""Sums the workers' samples and writes them in Prometheus' text form.

A sample is `(name, labels, kind, value)`; a histogram's value is `(count, sum, cumulative counts)`,
as `shotover._core.counters` gives it. Equal name and labels from several workers are added up.

The page is made a worker and a family at a time (`pieces`), so that whoever serves it can let other
Python code run in between; workers themselves hold no lock that this could wait for.
"""

from __future__ import annotations

from operator import add

from shotover._core.counters import BOUNDS_SECONDS, BOUNDS_SIZE

from .families import FAMILIES, HISTOGRAM, OLD_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    Sample = tuple[str, Mapping[str, str], str, Any]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LABEL_VALUE_MAX = 128  # characters of a label's value; the rest is cut
SERIES_MAX = 2000  # label sets of one name; further ones are added up under the value "other"
LABELS_CACHED_MAX = 20_000  # label sets whose text is kept from scrape to scrape

_KINDS = frozenset({"counter", "gauge", "histogram"})
_BOUND_TEXTS = {
    len(bounds): tuple(f"{bound:g}" for bound in bounds) for bounds in (BOUNDS_SECONDS, BOUNDS_SIZE)
}
_labels_text: dict[tuple[tuple[str, str], ...], str] = {}


class _Family:
    """One name: its kind and, for each label text, the sum so far."""

    __slots__ = ("kind", "series")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.series: dict[str, Any] = {}


def render(workers: Iterable[Iterable[Sample]], old_names: bool = False) -> bytes:
    """The page as a whole; `workers` holds a list of samples for each worker."""
    return b"".join(pieces(workers, old_names))


def pieces(workers: Iterable[Iterable[Sample]], old_names: bool = False) -> Iterator[bytes]:
    """The page in pieces: an empty one for each worker added up, then families sorted by name."""
    families: dict[str, _Family] = {}
    bad = 0
    if len(_labels_text) > LABELS_CACHED_MAX:
        _labels_text.clear()
    for samples in workers:
        bad += _add_worker(families, samples)
        yield b""
    if bad:
        families["shotover_metrics_bad_samples_count"] = family = _Family("counter")
        family.series[""] = bad
    names = [(name, name) for name in families]
    if old_names:
        olds = ((OLD_NAMES[name], name) for name in families if name in OLD_NAMES)
        names += [(old, name) for old, name in olds if old not in families]
    for shown, name in sorted(names):
        yield _family_text(shown, name, families[name]).encode("utf-8", "replace")


def _add_worker(families: dict[str, _Family], samples: Iterable[Sample]) -> int:
    """Adds a worker's samples by name and labels; how many made no sense and were left out."""
    bad = 0
    for sample in samples:
        try:
            name, labels, kind, value = sample
            family = families.get(name)
            if family is None:
                family = _family_of(families, name, kind)
            if family.kind != kind:
                raise ValueError(f"{name}: a {kind} among samples of a {family.kind}")
            _add(family, _text_of(labels), value)
        except (TypeError, ValueError, AttributeError):  # a guest's must not cost the page
            bad += 1
    return bad


def _family_of(families: dict[str, _Family], name: str, kind: str) -> _Family:
    """The family for a name not met before as it is spelled; names are mended, kinds are not."""
    if kind not in _KINDS:
        raise ValueError(f"{kind!r} is no kind of metric")
    mended = _metric_name(name)
    family = families.get(mended)
    if family is None:
        family = families[mended] = _Family(kind)
    return family


def _add(family: _Family, labels: str, value: Any) -> None:
    series = family.series
    before = series.get(labels)
    if before is None and len(series) >= SERIES_MAX:
        labels = _other(labels)
        before = series.get(labels)
    if family.kind != HISTOGRAM:
        if not isinstance(value, (int, float)):
            raise TypeError(f"{value!r} is not a number")
        series[labels] = value if before is None else before + value
        return
    count, total, cumulative = value
    if not isinstance(count, int) or not isinstance(total, (int, float)):
        raise TypeError("a histogram's count or sum is not a number")
    if before is None:
        if len(cumulative) not in _BOUND_TEXTS or not all(isinstance(n, int) for n in cumulative):
            raise ValueError("a histogram of unknown bounds")
        series[labels] = value
    elif len(before[2]) == len(cumulative):
        below = tuple(map(add, before[2], cumulative))
        series[labels] = (count + before[0], total + before[1], below)
    else:
        raise ValueError("histograms of different bounds")


def _family_text(shown: str, name: str, family: _Family) -> str:
    known = FAMILIES.get(name)
    lines = [f"# HELP {shown} {_help_text(known[1])}\n"] if known else []
    lines.append(f"# TYPE {shown} {family.kind}\n")
    if family.kind == HISTOGRAM:
        lines.extend(
            _histogram_text(shown, labels, family.series[labels]) for labels in family.series
        )
    else:
        for labels, value in family.series.items():
            braces = f"{{{labels}}}" if labels else ""
            lines.append(f"{shown}{braces} {_number(value)}\n")
    return "".join(lines)


def _histogram_text(name: str, labels: str, value: tuple[int, float, Sequence[int]]) -> str:
    count, total, cumulative = value
    head = f'{name}_bucket{{{labels},le="' if labels else f'{name}_bucket{{le="'
    braces = f"{{{labels}}}" if labels else ""
    bounds = _BOUND_TEXTS[len(cumulative)]
    buckets = [
        f'{head}{bound}"}} {below}\n' for bound, below in zip(bounds, cumulative, strict=True)
    ]
    return (
        f'{"".join(buckets)}{head}+Inf"}} {count}\n'
        f"{name}_sum{braces} {_number(total)}\n{name}_count{braces} {count}\n"
    )


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value) if isinstance(value, float) else str(int(value))


def _text_of(labels: Mapping[str, str]) -> str:
    """`a="x",b="y"`, sorted by name, escaped and cut; the same for equal labels in any order."""
    key = tuple(labels.items())
    text = _labels_text.get(key)
    if text is None:
        pairs = [(_label_name(name), _label_value(value)) for name, value in sorted(key)]
        if len(dict(pairs)) != len(pairs):
            raise ValueError(f"two labels of one name in {key}")
        text = ",".join(f'{name}="{value}"' for name, value in pairs)
        _labels_text[key] = text
    return text


def _other(labels: str) -> str:
    """The same label names with the value "other" each, for series past SERIES_MAX."""
    names = []
    rest = labels
    while rest:
        name, _, rest = rest.partition('="')
        names.append(name)
        end = 0
        while rest[end] != '"':  # values are escaped: a quote ends one unless a backslash precedes
            end += 2 if rest[end] == "\\" else 1
        rest = rest[end + 2 :]
    return ",".join(f'{name}="other"' for name in names)


def _label_value(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if len(text) > LABEL_VALUE_MAX:
        text = text[: LABEL_VALUE_MAX - 1] + "…"
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _help_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _metric_name(name: str) -> str:
    """`name`, with what a metric's name may not hold replaced by underscores."""
    if name.isascii() and name.replace(":", "_").isidentifier():
        return name
    signs = (sign if sign.isascii() and (sign.isalnum() or sign == ":") else "_" for sign in name)
    mended = "".join(signs)
    return mended if mended and not mended[0].isdigit() else "_" + mended


def _label_name(name: str) -> str:
    name = _metric_name(name).replace(":", "_")
    # `le` belongs to buckets, a leading `__` to Prometheus itself
    return "label_" + name.lstrip("_") if name == "le" or name.startswith("__") else name
