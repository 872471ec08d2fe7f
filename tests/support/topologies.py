"""Topologies as a user runs them: `shotover -t FILE`, with addresses from the environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import redis

from support.proxy import READY, ROOT, environment
from support.resp import RawClient
from support.wait import free_port, wait_until

BARE = ("CASSANDRA", "LISTEN", "REDIS", "REDIS_SECOND", "REDIS_THIRD")
EXIT_S = 15.0  # its own drain is bounded by 10 s
COMMAND = Path(sys.executable).with_name("shotover")  # as pip has installed it


class Running:
    """One of them, started; leaving it ends it and proves that it ends cleanly."""

    def __init__(
        self, topology: str | Path, folder: Path, *arguments: object, **addresses: object
    ) -> None:
        """`topology`: a file, or the name of one in configs/.

        `addresses`: what it takes from the environment; a bare port is one of 127.0.0.1.
        """
        self.port = free_port()
        file = topology if isinstance(topology, Path) else ROOT / "configs" / f"{topology}.yaml"
        found = {"LISTEN": self.port, **addresses}
        variables = {
            key: f"127.0.0.1:{value}" if key in BARE and isinstance(value, int) else str(value)
            for key, value in found.items()
        }
        self.log_file = folder / "log"
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [COMMAND, "-t", file, "--log-format", "json", *map(str, arguments)],
                cwd=folder,
                env={**os.environ, **environment(), **variables},
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: READY in self.log() or self.process.poll() is not None, "it is ready")
        if self.process.poll() is not None:
            raise AssertionError(f"it has ended with {self.process.returncode}:\n{self.log()}")

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def raw(self, **options: Any) -> RawClient:
        return RawClient(self.port, **options)

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(port=self.port, **{"protocol": 2, "socket_timeout": 10, **options})

    def __enter__(self) -> Running:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(EXIT_S)
            assert code == 0 or kind is not None, f"it has ended with {code}:\n{self.log()}"
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
