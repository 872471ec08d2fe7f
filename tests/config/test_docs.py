"""The pages of shotover/docs say what the program does: their tables, their topologies, their links."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from support.certificates import usual

from shotover.runtime import catalogue, manual

ROOT = Path(__file__).parents[2]
DOCS = Path(manual.DOCS)
sys.path.insert(0, str(ROOT / "tools"))

import field_tables  # noqa: E402

PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md"])
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(BLOCK.findall(page.read_text()), 1)
    if "Trail" not in block
]  # a package, which tests/python installs and runs


@pytest.mark.parametrize("name", sorted({*catalogue.SOURCES, *catalogue.STEPS}))
def test_everything_that_can_be_named_has_a_page(name):
    model = catalogue.lookup(name)
    text = manual.page(name)
    assert text == (DOCS / f"{model.tags[0]}.md").read_text()
    assert all(tag in text.splitlines()[0] for tag in model.tags)


@pytest.mark.parametrize(("name", "heading"), field_tables.tables())
def test_every_field_is_on_its_page_with_bounds_and_default(name, heading):
    text = (DOCS / f"{name}.md").read_text()
    expected = field_tables.written(text, heading, field_tables.tables()[name, heading])
    assert text == expected, "run tools/field_tables.py and commit what it has written"


@pytest.mark.parametrize(
    "name",
    [name for name, heading in field_tables.tables() if (name, heading) not in field_tables.TABLES],
)
def test_a_page_names_a_topology_that_uses_it(name):
    text = (DOCS / f"{name}.md").read_text()
    files = [ROOT / file for file in re.findall(r"configs/[\w/]+\.yaml", text)]
    assert files
    assert all(file.exists() for file in files)
    tags = catalogue.lookup(name).tags
    assert any(f"- {tag}" in file.read_text() for tag in tags for file in files)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_topologies_on_a_page_are_sound(config, block, monkeypatch):
    monkeypatch.chdir(config.folder)
    authority, server = usual().authority, usual().server
    for name, file in (("server.crt", server.certificate), ("server.key", server.key)):
        (config.folder / name).write_bytes(file.read_bytes())
    for name in ("clients-ca.crt", "servers-ca.crt"):
        (config.folder / name).write_bytes(authority.certificate.read_bytes())
    for file in (ROOT / "configs/python").glob("*.py"):
        (config.folder / file.name).write_text(file.read_text())
    (config.folder / "hide_names.py").write_text("class HideNames: pass\n")
    lines = [line for line in block.splitlines() if line.strip() and not line.startswith("#")]
    if lines[0].startswith("sources:"):
        assert config.load(block).topology.sources
        return
    indent = len(lines[0]) - len(lines[0].lstrip())
    steps = "\n".join("        " + line[indent:] for line in lines)
    last = re.findall(r"^ {8}- (\w+)", steps, re.MULTILINE)[-1]
    spoken = catalogue.lookup(last).protocols or {"redis"}
    source = "Redis" if "redis" in spoken else "Cassandra"
    head = f"sources:\n  - {source}:\n      listen_addr: h:1\n      chain:\n"
    if not catalogue.lookup(last).terminating:
        steps += "\n        - NullSink"
    config.environ = {"CREDENTIALS_DIRECTORY": str(config.folder)}
    (config.folder / "redis").write_text("password")
    assert config.load(head + steps).topology.sources


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_the_list_names_every_page():
    listed = {line.split()[0] for line in manual.index().splitlines()}
    assert {page.stem for page in DOCS.glob("*.md")} <= listed


def test_the_readme_names_no_target_that_make_does_not_have():
    targets = re.findall(r"^ +make (\w[\w-]*)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert targets
    made = (ROOT / "Makefile").read_text()
    assert [target for target in targets if f"\n{target}:" not in made] == []
