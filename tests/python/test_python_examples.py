"""The worked examples of shotover/docs/Python.md, each as a user runs it: the installed command, a real server."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
from support.proxy import ROOT
from support.resp import encode
from support.servers import Server
from support.topologies import Running
from support.wait import wait_until

EXAMPLES = ROOT / "configs/python"
PAGE = (ROOT / "shotover/docs/Python.md").read_text()


@pytest.fixture
def direct(server: Server) -> Iterator[redis.Redis]:
    """The server itself, empty."""
    server.clean()
    with server.client() as client:
        yield client


@pytest.fixture
def run(tmp_path: Path, server: Server, direct: redis.Redis) -> Callable[..., Running]:
    return lambda name, **more: Running(f"python/{name}", tmp_path, REDIS=server.port, **more)


def test_guard(run: Any, direct: redis.Redis) -> None:
    direct.execute_command("ACL", "SETUSER", "admin", "on", ">pw", "~*", "&*", "+@all")
    direct.set("k", "v")
    with run("guard") as running, running.raw() as client:
        for _ in range(3):
            assert client.command("KEYS", "*") == b"-NOPERM KEYS is for admin\r\n"
        assert client.command("GET", "k") == b"$1\r\nv\r\n"
        assert client.command("AUTH", "admin", "wrong").startswith(b"-WRONGPASS")
        assert client.command("KEYS", "*").startswith(b"-NOPERM")
        assert client.command("AUTH", "admin", "pw") == b"+OK\r\n"
        assert client.command("KEYS", "*") == b"*1\r\n$1\r\nk\r\n"
    assert running.log().count('"refused"') == 1, "once for a connection"


def test_tenants(run: Any, direct: redis.Redis) -> None:
    for user in ("ann", "bob"):
        direct.execute_command("ACL", "SETUSER", user, "on", f">{user}", f"~{{{user}}}:*", "+@all")
    with (
        run("tenants") as running,
        running.client(username="ann", password="ann") as ann,
        running.client(username="bob", password="bob") as bob,
    ):
        ann.mset({"k": "of ann", "l": "1"})
        bob.set("k", "of bob")
        assert (ann.get("k"), bob.get("k"), bob.exists("k", "l")) == (b"of ann", b"of bob", 1)
        ann.rpush("queue", "x")
        assert ann.blpop("queue", timeout=1) == (b"queue", b"x")
        with pytest.raises(redis.exceptions.NoPermissionError, match="not for tenants"):
            ann.keys()
        with ann.pipeline(transaction=True) as pipe:
            assert pipe.incr("l").get("k").execute() == [2, b"of ann"]
    assert sorted(direct.keys()) == [b"{ann}:k", b"{ann}:l", b"{bob}:k"]


def test_quota(run: Any, direct: redis.Redis) -> None:
    with run("quota") as running, running.raw() as client:
        assert client.command("QUOTA") == b":5\r\n"
        client.send(
            b"".join(encode("INCR", "k") for _ in range(7)) + encode("GET", "k") + encode("QUOTA")
        )
        replies = [client.frame() for _ in range(9)]
    assert replies[:5] == [b":%d\r\n" % number for number in range(1, 6)]
    assert replies[5] == replies[6] == b"-LIMIT quota of 5 writes a minute is used up\r\n"
    assert replies[7:] == [b"$1\r\n5\r\n", b":0\r\n"]
    assert direct.get("k") == b"5"


def test_split(run: Any, direct: redis.Redis, second: Server) -> None:
    with run("split", REDIS_SECOND=second.port) as running, running.client() as client:
        client.mset({"session:1": "a", "cart:1": "b"})
        client.set("k", "v")
        assert client.mget("session:1", "cart:1") == [b"a", b"b"]
        assert client.get("k") == b"v"
        with pytest.raises(redis.ResponseError, match="different servers"):
            client.execute_command("MGET", "k", "cart:1")
    assert direct.keys() == [b"k"]
    assert sorted(second.client().keys()) == [b"cart:1", b"session:1"]


def test_pause(run: Any, direct: redis.Redis, tmp_path: Path) -> None:
    pause = tmp_path / "pause"
    with run("pause", PAUSE=pause) as running, running.raw() as client, running.raw() as other:
        assert client.command("SET", "k", "before") == b"+OK\r\n"
        pause.touch()
        client.send(encode("SET", "k", "after") + encode("GET", "k"))
        for _ in range(20):  # reads go on, and what was held was not sent
            assert other.command("GET", "k") == b"$6\r\nbefore\r\n"
        pause.unlink()
        assert [client.frame(), client.frame()] == [b"+OK\r\n", b"$5\r\nafter\r\n"]


class Service(BaseHTTPRequestHandler):
    """Says yes for keys that begin with the user's name; notes what it was asked."""

    asked: list[str]

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        self.server.asked.append(asked["key"][0])  # type: ignore[attr-defined]
        self.send_response(200 if asked["key"][0].startswith(asked["user"][0]) else 403)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        server.asked = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_ask(run: Any, direct: redis.Redis, service: Any) -> None:
    with run("ask", SERVICE=service.server_port) as running, running.raw() as client:
        client.send(
            encode("SET", "default:a", "1")
            + encode("SET", "b", "2")
            + encode("GET", "default:a")
            + encode("PING")
        )
        assert [client.frame() for _ in range(4)] == [
            b"+OK\r\n",
            b"-NOPERM the service says no\r\n",
            b"$1\r\n1\r\n",
            b"+PONG\r\n",
        ]
        assert client.command("GET", "default:a") == b"$1\r\n1\r\n"
    assert direct.keys() == [b"default:a"]
    assert sorted(set(service.asked)) == ["b", "default:a"]
    assert len(service.asked) <= 3, "the last GET was known"


def test_a_service_that_is_gone_is_an_error_of_the_request(
    run: Any, direct: redis.Redis, service: Any
) -> None:
    service.server_close()
    with run("ask", SERVICE=service.server_port) as running, running.raw() as client:
        assert (
            client.command("GET", "k")
            == b"-ERR shotover: transform python failed: ConnectionRefusedError\r\n"
        )
        assert client.command("PING") == b"+PONG\r\n"
    assert "ConnectionRefusedError" in running.log()


def test_the_packaged_example(
    run: Any, direct: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    source = shutil.copytree(EXAMPLES / "trail", tmp_path / "trail")  # building leaves files behind
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--no-build-isolation",
            "--target",
            site,
            source,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(str(site))  # handed on by support.proxy.environment
    with run("trail") as running, running.raw() as client:
        client.command("SET", "k" * 100, "v")
        client.command("GET", "k")
        client.command("LPUSH", "k" * 100, "v")
        wait_until(lambda: running.log().count('"write"') == 2, "both writes are in the log")
    assert re.findall(r'"failed": ?(\w+)', running.log()) == ["false", "true"]
    assert f'"{"k" * 64}"' in running.log()
    assert '"LPUSH"' in running.log()
    assert '"GET"' not in running.log()


def test_the_page_shows_each_example_as_it_is() -> None:
    for file in [*EXAMPLES.glob("*.py"), EXAMPLES / "trail/shotover_trail.py"]:
        assert f"```python\n{file.read_text().split(chr(10), 2)[2].lstrip()}```" in PAGE, file.name
        assert f"configs/python/{file.relative_to(EXAMPLES)}" in PAGE


def test_every_example_is_run_here() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} <= tested | {"trail"}
