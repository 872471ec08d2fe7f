"""`shotover top --once`: one picture of a running process, as text."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis
from support.proxy import environment

from live.conftest import Running

pytest.importorskip("rich")

Start = Callable[..., Running]
ALL = {"hot_keys": {"sample_percent": 100}, "slow_requests": {"over_ms": 15}}
DELAY = {"FaultInjection": {"faults": [{"delay_ms": 20, "commands": ["STRLEN"]}]}}


@contextmanager
def traffic(port: int) -> Iterator[None]:
    """Somebody reads the same key until the end of the block."""
    over = threading.Event()

    def read() -> None:
        with redis.Redis(port=port) as client:
            while not over.is_set():
                client.get("popular")

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        over.set()
        reader.join()


def row(text: str, title: str, name: str) -> list[str]:
    """The cells of the line that begins with `name`, below a title."""
    below = text[text.index(title) :]
    found = re.search(rf"^{re.escape(name)} .*$", below, re.M)
    assert found, text
    return re.split(r"\s{2,}", found[0].strip())


def test_one_frame_shows_sources_chains_servers_keys_and_slow_requests(proxy_with: Start) -> None:
    proxy = proxy_with(source=ALL, chain=[DELAY])
    with redis.Redis(port=proxy.port) as client:
        client.set("big", b"secret" * 1_000_000)
        client.strlen("\x1b[31mred")
    with traffic(proxy.port):
        done = proxy.run("top", "--once", "--every", "0.5", "-c", "config.yaml")
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert f"Shotover at 127.0.0.1:{proxy.metrics_port}  workers 1  generation 1" in text
    _, clients, requests, *_ = row(text, "sources", "redis")
    assert clients == "1" and float(requests.rstrip("kM")) > 0
    assert row(text, "chains", "redis")[3].endswith(("µs", "ms"))
    assert row(text, "servers", "sink")[1] == "1"
    keys = row(text, "hot keys of redis", "popular")
    assert keys[2] == "big"
    assert "STRLEN" in text and r"\x1b[31mred" in text
    assert "\x1b" not in text and "secret" not in text


def test_who_may_not_see_keys_is_told_so(proxy_with: Start) -> None:
    proxy = proxy_with(
        source=ALL, config={"admin_token": "right-0123456789", "admin_token_for": "changes"}
    )
    with redis.Redis(port=proxy.port) as client:
        client.get("private")
    asked = ["top", "--once", "--every", "0.05", "--admin", f"127.0.0.1:{proxy.metrics_port}"]
    done = subprocess.run(
        [sys.executable, "-m", "shotover", *asked],
        env=environment(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "private" not in done.stdout
    assert "are shown to those who may change something" in done.stdout
    assert "private" in proxy.run("top", "--once", "--every", "0.05", "-c", "config.yaml").stdout
    assert proxy.ask("GET", "/hotkeys").status == 401
    assert proxy.ask("GET", "/hotkeys", authorization="Bearer right-0123456789").status == 200


def test_nobody_there_is_one_clear_line(proxy_with: Start) -> None:
    proxy = proxy_with()
    done = proxy.run("top", "--once", "--admin", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.startswith("shotover: 127.0.0.1:1: no answer from the process")
    assert proxy.run("top", "--every", "0").returncode == 2
