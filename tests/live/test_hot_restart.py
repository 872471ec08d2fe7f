"""One process takes the place of another, without a gap: whoever connects is served, whatever becomes of the newer one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from support.proxy import environment
from support.servers import Server
from support.wait import free_port, wait_until, wait_until_equal

from live.conftest import NO_WRITES, Running, source_of

EXIT_S = 20


class Line:
    """Processes that follow each other on the same addresses."""

    def __init__(self, server: Server, folder: Path, **options: Any) -> None:
        self.server = server
        self.path = str(folder / "hot")
        self.options = options
        self.all: list[Running] = []
        self.metrics_port = free_port()
        self.port = free_port()

    def start(self, *arguments: str, drain: float = 1, **options: Any) -> Running:
        flags = [
            "--hotreload-socket",
            self.path,
            "--hotreload-gradual-shutdown-seconds",
            str(drain),
        ]
        found = Running(
            self.server.port,
            port=self.port,
            arguments=[*flags, *arguments],
            config={"observability_interface": f"127.0.0.1:{self.metrics_port}"},
            **{**self.options, **options},
        )
        found.metrics_port = self.metrics_port
        self.all.append(found)
        return found

    def ended(self, proxy: Running) -> None:
        """It ends by itself, and well."""
        assert proxy.process.wait(EXIT_S) == 0, proxy.log()[-2000:]
        proxy.check_log()
        self.all.remove(proxy)


@pytest.fixture
def line(start_server: Callable[..., Server], tmp_path: Path) -> Iterator[Callable[..., Line]]:
    server = start_server()
    lines: list[Line] = []

    def make(**options: Any) -> Line:
        lines.append(Line(server, tmp_path, **options))
        return lines[-1]

    yield make
    for each in lines:
        for proxy in each.all:
            proxy.stop()


def test_the_newer_serves_who_comes_and_the_older_ends_with_its_clients(
    line: Callable[..., Line],
) -> None:
    row = line()
    first = row.start()
    with first.raw() as blocked, first.raw() as idle:
        assert idle.command("SET", "a", "1") == b"+OK\r\n"
        blocked.send(b"BLPOP nothing 1\r\n")
        wait_until_equal(first.sessions, 2, "both are connected")
        second = row.start("--core-threads", "2", chain=[NO_WRITES], drain=3)
        with second.client() as new:
            assert new.get("a") == b"1"
            with pytest.raises(redis.ResponseError, match="filtered out"):
                new.set("a", 2)
        assert idle.rest() == b""
        assert blocked.rest() == b"*-1\r\n", "its reply comes before the end"
        row.ended(first)
    assert second.metric("connections_opened", source="redis") >= 1
    assert os.path.exists(row.path), "the older has left the path to the newer"
    second.stop()
    row.all.remove(second)
    assert not os.path.exists(row.path)


def churn(port: int, ends: threading.Event, failures: list[str], counts: list[int]) -> None:
    """Connects, asks, leaves; what is disconnected between two requests comes again, as any pool's client does."""
    while not ends.wait(0.002):  # a client has some 28,000 ports, each for a minute
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(b"PING\r\n")
                answer = client.recv(100)
                if answer != b"+PONG\r\n":
                    failures.append(f"answered {answer!r}")
                counts[0] += 1
        except OSError as error:
            failures.append(repr(error))


def restart_under_load(row: Line, times: int) -> int:
    """Returns how many connections were served."""
    ends, failures, counts = threading.Event(), list[str](), [0]
    current = row.start()
    threads = [
        threading.Thread(target=churn, args=(row.port, ends, failures, counts)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for turn in range(times):
        workers = ("1", "3", "2")[turn % 3]
        following = row.start("--core-threads", workers, drain=0.5)
        before = counts[0]
        wait_until(lambda c=before: failures or counts[0] > c + 20, "the newer serves")
        row.ended(current)
        current = following
        assert not failures, (turn, failures[:5])
    ends.set()
    for thread in threads:
        thread.join(20)
    assert not failures, failures[:5]
    return counts[0]


def test_nobody_is_refused_while_processes_follow_each_other(line: Callable[..., Line]) -> None:
    """With more and fewer workers each time."""
    assert restart_under_load(line(), 5) > 200


@pytest.mark.long
@pytest.mark.parametrize("poller", ["io_uring", "epoll"])
def test_a_hundred_follow_each_other(line: Callable[..., Line], poller: str) -> None:
    restart_under_load(line(), 100 if poller == "io_uring" else 20)


def test_a_newer_one_that_cannot_start_changes_nothing(
    line: Callable[..., Line], tmp_path: Path
) -> None:
    row = line()
    first = row.start()
    topology = first.topology
    second = {"Redis": {"name": "taken", "listen_addr": f"127.0.0.1:{row.server.port}"}}
    second["Redis"]["chain"] = [{"NullSink": {"name": "null"}}]  # type: ignore[assignment]
    topology["sources"].append(second)
    (first.directory / "bad.yaml").write_text(yaml.safe_dump(topology))
    done = first.run("run", "-t", "bad.yaml", "-c", "config.yaml", "--hotreload-socket", row.path)
    assert done.returncode == 1 and "address already in use" in done.stderr, done
    (first.directory / "worse.yaml").write_text("sources: 1\n")
    done = first.run("run", "-t", "worse.yaml", "-c", "config.yaml", "--hotreload-socket", row.path)
    assert done.returncode == 1
    with first.client() as client:
        assert client.ping()
    row.start()
    row.ended(first)


def asking(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(10)
    connection.connect(path)
    return connection


def test_a_newer_one_that_dies_on_the_way_changes_nothing(line: Callable[..., Line]) -> None:
    row = line()
    first = row.start()
    for _ in range(6):
        peer = asking(row.path)
        peer.send(b'"SendListeningSockets"')
        data, fds, _flags, _address = socket.recv_fds(peer, 1000, 50)
        assert (json.loads(data), len(fds)) == ("SendListeningSockets", 2), (
            "the source and the endpoint"
        )
        for fd in fds:
            os.close(fd)
        peer.close()
        with first.client() as client:
            assert client.ping()
    second = row.start()
    wait_until(lambda: "has taken the place of another" in second.log(), "the older knows")
    second.process.send_signal(signal.SIGKILL)
    second.process.wait()
    row.all.remove(second)
    row.ended(first)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b'"Nonsense"',
        b'{"GradualShutdown": 7}',
        b'{"GradualShutdown":{"duration":{"secs":-1}}}',
        b"\xff" * 100,
    ],
)
def test_what_is_not_understood_is_told(line: Callable[..., Line], message: bytes) -> None:
    row = line()
    first = row.start()
    if message:
        peer = asking(row.path)
        peer.send(message)
        assert list(json.loads(peer.recv(1000))) == ["Error"]
        peer.close()
    assert first.http("/healthz") == "ok\n"


def test_unix_sockets_are_handed_on(line: Callable[..., Line], tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    row = line(source={"listen_addr": f"unix:{path}"})
    first = row.start()
    inode = os.stat(path).st_ino
    old = redis.Redis(unix_socket_path=path)
    assert old.ping()
    row.start(drain=0)
    row.ended(first)
    assert os.stat(path).st_ino == inode, "it is the same socket"
    assert redis.Redis(unix_socket_path=path).ping()
    old.close()


def test_another_address_is_listened_on_anew(line: Callable[..., Line]) -> None:
    """What the newer one has no use for ends with the older."""
    row = line()
    first = row.start()
    before, row.port = row.port, free_port()
    second = row.start(drain=0)
    row.ended(first)
    assert second.client().ping()
    with pytest.raises(redis.ConnectionError):
        redis.Redis(port=before).ping()


def test_nobody_there_is_a_start_like_any(line: Callable[..., Line]) -> None:
    row = line()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left:
        left.bind(row.path)  # a process that was killed leaves it behind
    first = row.start()
    assert first.client().ping()


def test_listeners_of_systemd_are_taken_over(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """Socket activation: who connected before the process was there is served."""
    server = start_server()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        topology = {
            "sources": [
                {
                    "Redis": {
                        "listen_addr": f"127.0.0.1:{port}",
                        "chain": [
                            {"RedisSinkSingle": {"remote_address": f"127.0.0.1:{server.port}"}}
                        ],
                    }
                }
            ]
        }
        assert source_of(topology)
        (tmp_path / "t.yaml").write_text(yaml.safe_dump(topology))
        early = socket.create_connection(("127.0.0.1", port), timeout=20)
        early.sendall(b"PING\r\n")
        script = (
            f"import os, sys; os.dup2({listener.fileno()}, 3); "
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
            "os.execv(sys.executable, [sys.executable, '-m', 'shotover', '-t', 't.yaml'])"
        )
        with open(tmp_path / "log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", script],
                cwd=tmp_path,
                env=environment(),
                pass_fds=[listener.fileno()],
                stdout=log,
                stderr=log,
            )
        try:
            assert early.recv(100) == b"+PONG\r\n"
            with redis.Redis(port=port) as client:
                wait_until_equal(client.ping, True, "it serves")
        finally:
            early.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(EXIT_S) == 0, (tmp_path / "log").read_text()
