"""What is easy to forget, file by file."""

from __future__ import annotations

import ast
import re

import pytest

from tidy.sources import CYTHON, ROOT, files, shown, tracked

LINES_MAX = 800
LONGER = {
    "shotover/_codec/generated/redis_commands.h": "generated",
    "tests/net/pollers.c": "one suite of cases over one set of helpers",
}
GIL = {
    "shotover/_proxy/worker.pyx": "another configuration: between two turns, rare",
    "shotover/_proxy/python_step.pyx": "the door for guests written in Python",
    "shotover/sinks/_cassandra_cluster.pyx": "system.local and system.peers, of which drivers ask when they connect: rare",
    "shotover/sinks/_cassandra_control.pyx": "what a cluster says of itself, and events: rare",
    "shotover/sinks/_redis_scripts.pyx": "a new script, a script that a server has lost: rare",
    "shotover/sinks/_redis_sentinel.pyx": "starts a thread that looks up the name of a master: rare",
    "shotover/transforms/_protect.pyx": "a new data key, one that a value names for the first time: rare",
    "shotover/sinks/_redis_cluster.pyx": "a map that has changed, a node that is new, CLUSTER: rare",
}
"""Files that may take the GIL, each with why."""
FOLDERS = ("shotover", "tests", "tools", "bench", "configs", ".ci")
TEXT = (".py", ".pyx", ".pxd", ".pyi", ".h", ".c", ".md", ".yaml", ".toml", ".in", "")
MACHINE = re.compile(
    r"(?<![\w.])/(?:root|work|home/\w+|Users/\w+)/"
    + "|"
    + r"pythonhosted\.org|pypi\.org|index-"
    + r"url|extra-"
    + r"index"
)
NOEXCEPT = re.compile(r"\bnoexcept\b|\bexcept\b")
VOID = re.compile(
    r"^[ \t]*cdef (?:inline )?void (?!\*)[^\n(]*\((?:[^()]|\([^()]*\))*\)([^\n]*)$", re.MULTILINE
)


def test_no_file_is_too_long() -> None:
    long = {}
    for path in files(*TEXT):
        count = path.read_bytes().count(b"\n")
        if count > LINES_MAX:
            long[shown(path)] = count
    assert set(long) <= set(LONGER), f"longer than {LINES_MAX} lines: {long}"
    assert set(LONGER) <= set(long), f"short enough by now: {set(LONGER) - set(long)}"


def test_the_gil_is_taken_in_few_places() -> None:
    taking = {
        shown(path)
        for path in files(*CYTHON, under="shotover")
        if re.search(r"\bwith gil\b", code(path.read_text()))
    }
    assert taking == set(GIL)


def code(text: str) -> str:
    """Without comments and docstrings (which talk of the GIL a good deal)."""
    text = re.sub(r'"""(?:.|\n)*?"""', "", text)
    return re.sub(r"#[^\n]*", "", text)


def test_no_function_without_a_result_swallows_an_exception() -> None:
    """A cdef void that may raise checks after each call, or prints and goes on: it says which by noexcept or except *."""
    wrong = []
    for path in files(*CYTHON):
        text = path.read_text()
        for match in VOID.finditer(text):
            if not NOEXCEPT.search(match[1]):
                wrong.append(f"{shown(path)}:{text.count(chr(10), 0, match.start()) + 1}")
    assert not wrong, f"cdef void without noexcept: {wrong}"


def test_every_compiled_module_has_its_contract() -> None:
    lacking = [shown(path) for path in files(".pyx") if not path.with_suffix(".pxd").exists()]
    assert not lacking, f"no .pxd beside {lacking}"


def test_nothing_is_included() -> None:
    """An import shows a dependency, an include hides it."""
    wrong = [
        shown(path)
        for path in files(*CYTHON)
        if re.search(r"^\s*include\s+[\"']", path.read_text(), re.MULTILINE)
    ]
    assert not wrong


def test_tests_wait_for_conditions() -> None:
    """Only support/wait.py lets time pass. (Coroutines may: asyncio's sleep is what is tested there.)"""
    wrong = []
    for path in files(".py", under="tests"):
        if shown(path) == "tests/support/wait.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep"
            taken = (
                isinstance(node, ast.ImportFrom)
                and node.module == "time"
                and "sleep" in [each.name for each in node.names]
            )
            if named or taken:
                wrong.append(f"{shown(path)}:{node.lineno}")
    assert not wrong, f"time.sleep in {wrong}"


def test_no_file_names_a_machine() -> None:
    wrong = []
    for path in tracked():
        if path.suffix in TEXT and path != ROOT / "tests/tidy/test_files.py":
            for number, line in enumerate(
                path.read_text(encoding="utf-8", errors="replace").splitlines(), 1
            ):
                if MACHINE.search(line):
                    wrong.append(f"{shown(path)}:{number}: {line.strip()[:100]}")
    assert not wrong, "\n".join(wrong)


def test_nothing_that_is_made_is_kept() -> None:
    made = [shown(path) for path in tracked() if path.suffix in (".so", ".o", ".pyc", ".html")]
    assert not made


@pytest.mark.parametrize(
    "name", ["Makefile", "README.md", "shotover/ARCHITECTURE.md", "bench/README.md"]
)
def test_paths_that_papers_name_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    folders = "|".join(map(re.escape, FOLDERS))
    named = re.findall(
        rf"(?<![\w./-])(?<!wildcard )((?:{folders})/[\w./-]+[\w/])(?![\w*{{$])", text
    )
    missing = sorted({path for path in named if not (ROOT / path).exists()})
    assert not missing, f"{name} speaks of {missing}"
