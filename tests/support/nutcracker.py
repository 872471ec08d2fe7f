"""Twemproxy (its program is called nutcracker) before servers of the tests: what our placing of keys is held against."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from support.wait import free_port, wait_until

ATTEMPTS = 5  # a port found free may be taken before it is bound
SBIN = "/usr/sbin:/usr/local/sbin"  # where daemons are, which is not on everybody's PATH


def nutcracker_path() -> str:
    """The nutcracker of this machine."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), SBIN])
    found = shutil.which("nutcracker", path=path)
    if found is None:
        raise RuntimeError(
            "these tests need nutcracker (twemproxy) on PATH (Debian: apt install nutcracker)"
        )
    return found


class Nutcracker:
    """One running nutcracker. `pools`: by name, as nutcracker.yml has them, but for what is the same in all.

    It listens on UNIX sockets, `path(name)` of a pool: many ports would be too many to be free at once.
    """

    def __init__(self, pools: dict[str, dict[str, Any]]) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="nutcracker-"))
        self.log_file = self.directory / "log"
        settings = {
            name: {"listen": str(self.path(name)), "redis": True, **pool}
            for name, pool in pools.items()
        }
        plain = json.loads(json.dumps(settings))  # nothing twice: its YAML has no anchors
        (self.directory / "nutcracker.yml").write_text(
            yaml.safe_dump(plain, default_flow_style=False, sort_keys=False)
        )
        for _ in range(ATTEMPTS):
            if self._try_start([self.path(name) for name in pools]):
                return
        raise RuntimeError(f"nutcracker did not start:\n{self.log_file.read_text()[-2000:]}")

    def path(self, name: str) -> Path:
        return self.directory / name

    def _try_start(self, paths: list[Path]) -> bool:
        command = [
            nutcracker_path(), "--conf-file", str(self.directory / "nutcracker.yml"),
            "--output", str(self.log_file), "--mbuf-size", "65536",
            "--stats-addr", "127.0.0.1", "--stats-port", str(free_port()),
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_until(
            lambda: self.process.poll() is not None or all(map(_accepts, paths)),
            "nutcracker accepts",
        )
        return self.process.poll() is None

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
