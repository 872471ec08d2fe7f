"""The proxy as its users start it: files, a process, a log, /metrics, signals."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redis
import yaml

from support.resp import RawClient
from support.wait import free_port, wait_until, wait_until_equal

ROOT = Path(__file__).resolve().parents[2]
READY = "now accepting inbound connections"
READY_S = 15.0
EXIT_S = 15.0  # the proxy's own drain is bounded by 10 s
SESSIONS_METRIC = "shotover_connections"
SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
HUMAN_BAD = re.compile(r"\b(WARN|ERROR)\b|Traceback")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class LogLine:
    """One line of the proxy's log;

    In its JSON form, what is not JSON (a traceback) counts as an error.
    """

    def __init__(self, text: str, form: str = "json") -> None:
        self.text = text
        if form != "json":
            found = HUMAN_BAD.search(text)
            self.level, self.message = (found[0] if found else "INFO"), text.rstrip()
            return
        try:
            entry = json.loads(text)
            self.level = str(entry["level"]).upper()
            self.message = str(entry["fields"]["message"])
        except (ValueError, KeyError, TypeError):
            self.level, self.message = "ERROR", text

    @property
    def bad(self) -> bool:
        return self.level not in ("TRACE", "DEBUG", "INFO")

    def __repr__(self) -> str:
        return self.text


def redis_topology(
    listen_port: int,
    upstream_port: int,
    *,
    source: dict[str, Any] | None = None,
    sink: dict[str, Any] | None = None,
    chain: Sequence[Any] = (),
    end: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One Redis source, `chain`, one RedisSinkSingle, or `end` in its place;

    `source` and `sink` add fields to those two.
    """
    single = {
        "RedisSinkSingle": {
            "name": "sink",
            "remote_address": f"127.0.0.1:{upstream_port}",
            "connect_timeout_ms": 3000,
            **(sink or {}),
        }
    }
    return {
        "sources": [
            {
                "Redis": {
                    "name": "redis",
                    "listen_addr": f"127.0.0.1:{listen_port}",
                    **(source or {}),
                    "chain": [
                        *chain,
                        end or single,
                    ],
                }
            }
        ]
    }


def cassandra_topology(
    listen_port: int,
    upstream_port: int,
    *,
    source: dict[str, Any] | None = None,
    sink: dict[str, Any] | None = None,
    chain: Sequence[Any] = (),
    end: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The same for Cassandra."""
    single = {"remote_address": f"127.0.0.1:{upstream_port}", **(sink or {})}
    fields = {"name": "cassandra", "listen_addr": f"127.0.0.1:{listen_port}", **(source or {})}
    steps = [*chain, end or {"CassandraSinkSingle": {"name": "sink", **single}}]
    return {"sources": [{"Cassandra": {**fields, "chain": steps}}]}


class Proxy:
    """A running `shotover` before one Redis server; `stop` proves a clean end."""

    def __init__(
        self,
        upstream_port: int,
        *,
        source: dict[str, Any] | None = None,
        sink: dict[str, Any] | None = None,
        chain: Sequence[Any] = (),
        end: dict[str, Any] | None = None,
        arguments: Sequence[str] = (),
        port: int = 0,
        log_format: str = "json",
        config: dict[str, Any] | None = None,
        topology: Callable[..., dict[str, Any]] = redis_topology,
    ) -> None:
        self.port = port or free_port()
        self.log_format = log_format
        self.metrics_port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="shotover-"))
        self.allowed: list[re.Pattern[str]] = []
        self.looked = 0  # log lines that `check_log` has passed
        self._write(
            "topology.yaml",
            topology(self.port, upstream_port, source=source, sink=sink, chain=chain, end=end),
        )
        self._write(
            "config.yaml",
            {
                "main_log_level": "info",
                "observability_interface": f"127.0.0.1:{self.metrics_port}",
                **(config or {}),
            },
        )
        self.process = self._start(arguments)
        self._wait_ready()

    def _write(self, name: str, content: object) -> None:
        (self.directory / name).write_text(yaml.safe_dump(content, sort_keys=False))

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "shotover", "-t", "topology.yaml", "-c", "config.yaml"]
        command += ["--log-format", self.log_format, *arguments]
        with open(self.directory / "log", "wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.directory,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment(),
            )

    def _wait_ready(self) -> None:
        def ready_or_gone() -> bool:
            return self.process.poll() is not None or any(
                line.message.endswith(READY) for line in self.log_lines()
            )

        try:
            wait_until(ready_or_gone, f"the proxy logs '{READY}'", deadline_s=READY_S)
            assert self.process.poll() is None, (
                f"the proxy ended with {self.process.returncode} at start"
            )
        except AssertionError as error:
            log = self.log()[-4000:]
            self.kill()
            raise AssertionError(f"{error}\n{log}") from None

    # --- clients

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis(port=self.port, **{"protocol": 2, **options})

    def raw(self, **options: Any) -> RawClient:
        return RawClient(self.port, **options)

    # --- log

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def log_lines(self) -> list[LogLine]:
        """Whole lines only: the last may still be growing."""
        return [LogLine(line, self.log_format) for line in self.log().split("\n")[:-1] if line]

    def allow_log(self, *patterns: str) -> None:
        """From now on warnings and errors that match one of `patterns` are expected."""
        self.allowed += [re.compile(pattern, re.IGNORECASE) for pattern in patterns]

    def check_log(self) -> None:
        """Fail on each warning or error since the last look that nobody declared."""
        lines = self.log_lines()
        fresh, self.looked = lines[self.looked :], len(lines)
        bad = [
            line
            for line in fresh
            if line.bad and not any(p.search(line.text) for p in self.allowed)
        ]
        assert not bad, "undeclared warnings or errors in the proxy's log:\n" + "\n".join(
            map(repr, bad)
        )

    # --- metrics and the operating system's view

    def http(self, path: str) -> str:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.metrics_port}{path}", timeout=5
        ) as answer:
            return str(answer.read().decode())

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Every sample of /metrics by (name, sorted labels)."""
        samples = {}
        for line in self.http("/metrics").splitlines():
            match = SAMPLE.match(line)
            if match and not line.startswith("#"):
                labels = tuple(sorted(LABEL.findall(match["labels"] or "")))
                samples[match["name"], labels] = float(match["value"])
        return samples

    def metric(self, name: str, /, **labels: str) -> float:
        """The sum of `name` over all samples that carry `labels`; KeyError if there is none."""
        found = [
            value
            for (sample, carried), value in self.metrics().items()
            if sample == name and labels.items() <= dict(carried).items()
        ]
        if not found:
            raise KeyError(f"{name} {labels}")
        return sum(found)

    def sessions(self) -> float:
        """Client sessions open now."""
        return self.metric(SESSIONS_METRIC)

    def descriptor_count(self) -> int:
        """File descriptors open in the process."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_size(self) -> int:
        """Resident memory in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    # --- the end

    def check_idle(self) -> None:
        """No session is left once every client has gone, and nothing undeclared was logged."""
        assert self.process.poll() is None, (
            f"the proxy died with {self.process.returncode}:\n{self.log()[-4000:]}"
        )
        wait_until_equal(
            self.sessions, 0.0, f"{SESSIONS_METRIC} after the test's clients have gone"
        )
        self.check_log()

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait_exit(self, deadline_s: float = EXIT_S) -> int:
        """The exit code; kills and fails past `deadline_s`."""
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            log = self.log()[-4000:]
            self.kill()
            raise AssertionError(f"no exit within {deadline_s} s of the signal:\n{log}") from None

    def stop(self) -> None:
        """SIGTERM; exit code 0 within the deadline; a clean log."""
        if not self.directory.exists():
            return  # killed before, by a failure that has been reported
        try:
            if self.process.poll() is None:
                self.signal()
            code = self.wait_exit()
            assert code == 0, f"exit code {code}:\n{self.log()[-4000:]}"
            self.check_log()
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL if it still runs, and forget its files."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def environment() -> dict[str, str]:
    """Ours, with the shotover that pytest itself sees (a checkout or an installed wheel)."""
    path = os.pathsep.join(os.path.abspath(each) for each in sys.path)
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
