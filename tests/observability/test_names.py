"""Names agree: what is counted, what the registry knows, what is written down."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shotover.observability.families import FAMILIES, OLD_NAMES

ROOT = Path(__file__).parents[2] / "shotover"
SAMPLE = re.compile(r'\(\s*"(\w+)",[^()]*?"(counter|gauge|histogram)"')
SOURCES = sorted(
    path
    for path in (*ROOT.rglob("*.pyx"), *ROOT.rglob("*.py"))
    if "observability" not in path.relative_to(ROOT).parts
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_counted_is_registered_with_its_kind(path: Path) -> None:
    found = dict(SAMPLE.findall(path.read_text()))
    assert found == {name: FAMILIES[name][0] for name in found if name in FAMILIES}


def test_the_search_for_names_finds_some() -> None:
    found = {name for path in SOURCES for name, _ in SAMPLE.findall(path.read_text())}
    assert {"shotover_requests_count", "shotover_upstream_wait_seconds"} <= found


PAGE = (ROOT / "docs" / "observability.md").read_text()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_metric_stands_in_the_documentation(name: str) -> None:
    kind, meaning, _ = FAMILIES[name]
    assert re.search(rf"^\| `{name}` \| {kind} \| [^|]*\| {re.escape(meaning)} \|$", PAGE, re.M)


def test_old_names_stand_in_the_documentation() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|$", PAGE, re.M))
    assert rows == OLD_NAMES


def test_names_follow_prometheus_and_hide_no_other_name() -> None:
    kinds = {name: kind for name, (kind, _, _) in FAMILIES.items()}
    kinds |= {old: kinds[name] for name, old in OLD_NAMES.items()}
    assert len(kinds) == len(FAMILIES) + len(OLD_NAMES)
    for name, kind in kinds.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        endings = ("_bucket", "_sum", "_count") if kind == "histogram" else ()
        assert not [ending for ending in endings if name + ending in kinds]
