"""What shells complete, asked of the shells themselves; the manual page, asked of its linter."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shotover.cli import VERBS, main
from shotover.runtime import catalogue, grammar, manual
from shotover.runtime.flags import Parser

SHELL_S = 20.0
"""For a shell to start and to answer, on a busy machine."""


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Path]:
    """The file with the script for a shell; beside it two files to complete."""

    def write(shell: str) -> Path:
        (tmp_path / "one topology.yaml").touch()
        (tmp_path / "folder").mkdir()
        assert main(["completion", shell]) == 0
        file = tmp_path / f"script.{shell}"
        file.write_text(capsys.readouterr().out)
        return file

    return write


def run(*command: str, folder: Path) -> list[str]:
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, timeout=SHELL_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.splitlines()


def in_bash(script: Path, line: str) -> set[str]:
    """What bash offers at the end of a line; it cuts words at = itself."""
    words = [word for word in re.split(r" |(=)", line) if word is not None]
    quoted = " ".join(f"'{word}'" for word in words)
    program = (
        f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        "compopt() { :; }; _shotover; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    return set(run("bash", "--norc", "-c", program, folder=script.parent)) - {""}


def in_fish(script: Path, line: str) -> set[str]:
    program = f"source {script}; complete -C '{line}'"
    return {each.split("\t")[0] for each in run("fish", "-N", "-c", program, folder=script.parent)}


CASES = [
    ("shotover che", {"check"}),
    ("shotover apply --dr", {"--drain"}),
    ("shotover check --co", {"--config-file"}),
    ("shotover --log-format j", {"json"}),
    ("shotover run --poller ", {"auto", "io_uring", "epoll"}),
    ("shotover docs RedisSinkS", {"RedisSinkSentinel", "RedisSinkShards", "RedisSinkSingle"}),
    ("shotover service ", {"install"}),
    ("shotover --core-threads ", set()),  # a number: nothing can be offered
]


@pytest.mark.parametrize(("line", "offered"), CASES)
def test_bash(script: Callable[[str], Path], line: str, offered: set[str]) -> None:
    found = in_bash(script("bash"), line)
    if line == "shotover service ":  # here flags are offered beside it
        assert offered < found
    else:
        assert found == offered


def test_bash_offers_files_with_their_spaces(script: Callable[[str], Path]) -> None:
    file = script("bash")
    assert in_bash(file, "shotover check -t one") == {"one topology.yaml"}
    assert in_bash(file, "shotover service --root fo") == {"folder"}


def test_bash_knows_a_value_behind_an_equals_sign(script: Callable[[str], Path]) -> None:
    file = script("bash")
    assert in_bash(file, "shotover --log-format=h") == {"human"}
    assert in_bash(file, "shotover --log-format=") - {"human", "json"} == set()


def test_bash_offers_all_verbs_and_the_flags_of_run_at_first(script: Callable[[str], Path]) -> None:
    found = in_bash(script("bash"), "shotover ")
    assert set(VERBS) < found and {"-t", "--watch"} < found
    assert "--drain" not in found


@pytest.mark.parametrize(("line", "offered"), CASES)
def test_fish(script: Callable[[str], Path], line: str, offered: set[str]) -> None:
    assert in_fish(script("fish"), line) == offered


def test_fish_offers_files_where_a_file_is_named(script: Callable[[str], Path]) -> None:
    assert in_fish(script("fish"), "shotover check -t one") == {"one topology.yaml"}


class Zsh:
    """A zsh at a terminal: its completion can be asked in no other way."""

    def __init__(self, script: Path) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(script.parent)
            os.environ.update(TERM="dumb", PS1="> ", ZDOTDIR=str(script.parent))
            os.execlp("zsh", "zsh", "-f", "-i")
        self.seen = ""
        setup = f"autoload -U compinit; compinit -D -u; source {script}; unsetopt zle_bracketed_paste; echo set'-'up"
        self.type(setup + "\n")
        self.until("set-up")

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def until(self, pattern: str) -> None:
        end = time.monotonic() + SHELL_S
        while not re.search(pattern, self.seen):
            left = end - time.monotonic()
            assert left > 0, f"no {pattern!r} in {self.seen!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.seen += os.read(self.fd, 65536).decode("utf-8", "replace")

    def completes(self, line: str, pattern: str) -> None:
        self.seen = ""
        self.type(line + "\t")
        self.until(pattern)
        self.type("\x15")  # the line is taken back

    def close(self) -> None:
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def test_zsh(script: Callable[[str], Path]) -> None:
    zsh = Zsh(script("zsh"))
    try:
        zsh.completes("shotover che", "check ")
        zsh.completes("shotover apply --dr", r"--drain\b")
        zsh.completes("shotover --log-format j", "json")
        zsh.completes("shotover check -t one", r"one\\ topology\.yaml")
        zsh.completes("shotover docs RedisSinkSi", "RedisSinkSingle")
        zsh.completes("shotover service --ro", "--root")
    finally:
        zsh.close()


def test_the_manual_page_is_well_formed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["completion", "man"]) == 0
    page = tmp_path / "shotover.1"
    page.write_text(capsys.readouterr().out)
    done = subprocess.run(
        ["mandoc", "-T", "lint", str(page)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stdout.splitlines() if "missing date" not in line]
    assert not complaints
    shown = subprocess.run(
        ["mandoc", "-T", "ascii", "-O", "width=200", str(page)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shown = re.sub(".\b", "", shown)
    for verb in VERBS:
        assert f"\n   {verb}\n" in shown
    assert "-t, --topology-file FILE" in shown
    assert "... which is rid of its clients" in shown, "a line that begins with a dot is lost"


def test_every_verb_tells_what_it_takes() -> None:
    found = {verb.name: verb for verb in grammar.verbs(VERBS)}
    assert list(found) == list(VERBS)
    assert all(
        verb.about and verb.flags and verb.usage.startswith("shotover") for verb in found.values()
    )
    assert found["docs"].words == [*catalogue.names(), *manual.GUIDES]
    assert not Parser.describing
