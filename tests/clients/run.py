"""Runs a client that is built, and returns what it printed."""

from __future__ import annotations

import subprocess

from clients import build

PROTOCOLS = ("2", "3")
RUN_S = 120.0
LINES_MIN = 50  # fewer, and it has not done its work


def transcript(client: str, port: int, mode: str, protocol: str) -> list[str]:
    """Its lines; AssertionError if it ended badly or too soon."""
    done = subprocess.run(
        [*build.built(client), "127.0.0.1", str(port), mode, protocol],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_S,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{client} ended with {done.returncode}:\n" + "\n".join(
        [*lines[-5:], done.stderr[-3000:]]
    )
    assert lines[-1] == "end.done: true", f"{client} did not finish: {lines[-1]}"
    assert len(lines) >= LINES_MIN, f"{client} printed {len(lines)} lines only"
    return lines
