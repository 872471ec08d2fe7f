"""Breaks the code in known ways (mutants.yaml), one after the other, and plays seeds until one of them notices.

    python tests/simulation/mutants.py [WORD ...]     all mutants, or those whose name contains a WORD

Works on a copy of the tree in build/mutants; each mutant builds one module there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
COPY = ROOT / "build" / "mutants"
PLAY_S = 60  # a mutant that lives through so much is alive
GRACE_S = 60  # for the run under way then; what takes longer never ends
BUILD_S = 600


class Mutant(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    only: str = ""  # workloads whose names begin so, not all
    replace: bool = False  # in runs in which the source is replaced


class Fate(NamedTuple):
    mutant: Mutant
    caught: str  # what failed; "": nothing
    build_s: float
    play_s: float


def read() -> list[Mutant]:
    """All mutants; AssertionError names one whose place is not to be found, or not for certain."""
    mutants = [
        Mutant(**fields)
        for fields in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    ]
    for mutant in mutants:
        found = (ROOT / mutant.file).read_text().count(mutant.old)
        assert found == 1, (
            f"mutant {mutant.name!r}: its text is in {mutant.file} {found} times, not once"
        )
        assert mutant.old != mutant.new, f"mutant {mutant.name!r} changes nothing"
    return mutants


def prepare() -> None:
    """A copy of all that is built and played, as fresh as the original: nothing is compiled that need not be."""
    shutil.rmtree(COPY, ignore_errors=True)
    for folder in ("shotover", "tools", "tests/simulation", "tests/support"):
        shutil.copytree(ROOT / folder, COPY / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "setup.py", COPY)
    code, said = run(["tests/simulation", "--seeds", "0:60"], PLAY_S + GRACE_S)
    if code != 0:  # it would seem to notice every mutant
        raise RuntimeError(f"the copy fails unchanged:\n{said[-3000:]}")


def run(command: list[Any], seconds: float, **environment: str) -> tuple[int | None, str]:
    """Exit code (None: it had to be stopped) and output."""
    try:
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=COPY,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(COPY), **environment},
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout + done.stderr


def build(file: str) -> None:
    code, said = run(
        ["setup.py", "--quiet", "build_ext", "--inplace"],
        BUILD_S,
        SHOTOVER_BUILD_SOURCES=file,
        SHOTOVER_BUILD_JOBS="1",
    )
    if code != 0:
        raise RuntimeError(f"{file} does not compile:\n{said[-3000:]}")


def play(only: str, replace: bool = False) -> str:
    """What failed first; "": nothing did."""
    code, said = run(
        [
            "tests/simulation",
            "--seeds",
            "0:1000000",
            "--first",
            "--seconds",
            PLAY_S,
            "--only",
            only,
            *(["--replace"] if replace else []),
        ],
        PLAY_S + GRACE_S,
    )
    if code is None:
        return "a turn that never ends"
    if code < 0:
        return f"a crash (signal {-code})"
    return said.strip().splitlines()[0] if code else ""


def judge(mutant: Mutant) -> Fate:
    """Builds it, plays it, and puts everything back."""
    path = COPY / mutant.file
    stem = Path(mutant.file).stem
    kept = {one: one.read_bytes() for one in [path, *path.parent.glob(f"{stem}.*.so")]}
    begun = time.monotonic()
    try:
        path.write_text(kept[path].decode().replace(mutant.old, mutant.new))
        build(mutant.file)
        built = time.monotonic()
        return Fate(
            mutant, play(mutant.only, mutant.replace), built - begun, time.monotonic() - built
        )
    finally:
        for one, content in kept.items():
            one.unlink()  # a new file: the old one may be mapped by a process that is just ending
            one.write_bytes(content)


def all_fates(words: list[str] | None = None) -> Iterator[Fate]:
    """Judges the mutants whose name contains one of `words`; without words, all."""
    chosen = [
        mutant for mutant in read() if not words or any(word in mutant.name for word in words)
    ]
    prepare()
    for mutant in chosen:
        yield judge(mutant)


def row(fate: Fate) -> str:
    """Two lines of the table: seconds to build and to play, and what noticed."""
    verdict = "caught" if fate.caught else "ALIVE"
    return (
        f"{verdict:6} {fate.build_s:5.1f} + {fate.play_s:4.1f} s  {fate.mutant.name}\n"
        f"{'':22}{fate.caught[:150]}"
    )


def main(words: list[str]) -> int:
    alive, count = [], 0
    for fate in all_fates(words):
        print(row(fate), flush=True)
        count += 1
        if not fate.caught:
            alive.append(fate.mutant.name)
    print(
        f"{count - len(alive)} of {count} caught"
        + (f"; alive: {', '.join(alive)}" if alive else "")
    )
    return bool(alive)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
