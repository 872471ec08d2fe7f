"""Pages, topologies and commands belong together: none without the others."""

from __future__ import annotations

import re

import pytest

from shotover.runtime import catalogue
from tidy.sources import ROOT, files, shown

PAGES = {path.stem: path.read_text() for path in files(".md", under="shotover/docs")}
CHART = "configs/kubernetes/chart"
TOPOLOGIES = {
    shown(path): path.read_text()
    for path in files(".yaml", under="configs")
    if not shown(path).startswith(CHART)
}
SETTINGS = "configs/config.yaml"
"""What a process is told beside its topology."""
TOPICS = {
    "ProxyProtocol",
    "TLS",
    "commands",
    "configuration",
    "inside",
    "observability",
    "operations",
    "overload",
    "packages",
    "process",
    "security",
    "statements",
    "topology",
}
"""Pages of no name in a topology."""
PAGELESS = {"Python"} - set(PAGES)
"""Names whose page is still to be written."""


def canonical(name: str) -> str:
    """ "RedisSinkSingle" of ValkeySinkSingle: two names of one model share a page."""
    model = catalogue.lookup(name)
    return next(
        other
        for other in (*catalogue.SOURCES, *catalogue.STEPS)
        if other in PAGES and catalogue.lookup(other) is model
    )


BUILT_IN = sorted({*catalogue.SOURCES, *catalogue.STEPS} - set(PAGELESS))


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_name_has_a_page_and_a_topology(name: str) -> None:
    try:
        page = canonical(name)
    except StopIteration:
        pytest.fail(f"there is no shotover/docs/{name}.md")
    using = [
        path
        for path, text in TOPOLOGIES.items()
        if re.search(rf"^\s*- {page}\b", text, re.MULTILINE)
    ]
    assert using, f"no topology in configs/ has a {page}"
    assert any(path in PAGES[page] for path in using), f"{page}.md names none of {using}"


def test_a_page_is_of_something() -> None:
    assert set(PAGES) - TOPICS <= {*catalogue.SOURCES, *catalogue.STEPS}


def test_a_topology_is_on_a_page() -> None:
    papers = "".join([*PAGES.values(), (ROOT / "README.md").read_text()])
    alone = [path for path in TOPOLOGIES if path not in papers and path != SETTINGS]
    assert not alone, f"no page speaks of {alone}"


def test_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY:(.*)$", text, re.MULTILINE)[0].split())
    told = set(re.findall(r"@echo 'make ([\w-]+)", text))
    assert told == phony - {"help"}
