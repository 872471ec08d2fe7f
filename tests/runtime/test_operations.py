"""The operator's page: what stands in its `console` blocks is done, in order, by one shell, and prints what it says.

Files are those of the page. Ports and the folder are exchanged for free ones, so that the page may name the usual.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.servers import Server
from support.wait import free_port

PAGE = Path(__file__).resolve().parents[2] / "shotover/docs/operations.md"
FOLDER = "/etc/shotover"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# file: (\S+)\n")
END = "\x01"


def steps(text: str) -> list[tuple[str, str]]:
    """(command, what it prints) of each line that begins with a $."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            command, printed = found[-1]
            found[-1] = (command, f"{printed}{line}\n")
    return found


def as_pattern(printed: str) -> str:
    return ".*".join(re.escape(part) for part in printed.rstrip("\n").split("..."))


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server("redis")
    yield server
    with suppress(OSError), server.raw() as raw:
        raw.send(b"SHUTDOWN NOSAVE\r\n")  # to the one that the page has started in its place
        raw.rest()
    server.stop()


def test_what_the_page_says_is_what_happens(server: Server, tmp_path: Path) -> None:
    page = PAGE.read_text().replace(FOLDER, str(tmp_path))
    for usual, ours in (("6379", server.port), ("6380", free_port()), ("9001", free_port())):
        page = re.sub(rf"\b{usual}\b", str(ours), page)
    commands: list[tuple[str, str]] = []
    for kind, text in BLOCK.findall(page):
        if named := FILE.match(text):
            Path(named[1]).write_text(text)
        elif kind == "console":
            commands += steps(text)
    assert len(commands) > 20
    commands.insert(0, (f"PATH={Path(sys.executable).parent}:$PATH", ""))
    done = subprocess.run(
        ["bash", "--norc"],
        input="".join(f"{command}\nprintf '{END}'\n" for command, _ in commands),
        text=True,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=50,
    )
    printed = done.stdout.split(END)
    for (command, expected), seen in zip(commands, printed, strict=False):
        assert re.fullmatch(as_pattern(expected), seen.rstrip("\n"), re.DOTALL), (
            f"$ {command}\n{seen}"
        )
    assert len(printed) == len(commands) + 1
