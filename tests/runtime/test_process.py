"""The process as a user starts it: flags, sockets, endpoints, and mistakes that end it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import urllib.error
from pathlib import Path

import pytest
from support.proxy import Proxy, environment
from support.resp import RawClient
from support.wait import free_port, wait_until_equal

UNUSED = [
    "--stack-size",
    "2097152",
]


@pytest.fixture
def proxy_with(start_server):
    """Starts proxies before a server of the test's own; each must end well."""
    server = start_server()
    started: list[Proxy] = []

    def start(**options) -> Proxy:
        started.append(Proxy(server.port, **options))
        return started[-1]

    yield start
    for proxy in started:
        proxy.stop()


def run(folder: Path, topology: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to fail."""
    (folder / "t.yaml").write_text(topology)
    return subprocess.run(
        [sys.executable, "-m", "shotover", "-t", "t.yaml", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize(
    "arguments",
    [["--poller", "epoll"], ["--poller", "epoll", "--core-threads", "2"], ["--core-threads", "2"]],
)
def test_every_poller_and_number_of_workers_serves(proxy_with, arguments):
    proxy = proxy_with(arguments=arguments)
    for _ in range(8):
        with proxy.client() as client:
            assert client.ping()


def test_flags_without_meaning_are_accepted_with_a_warning(proxy_with):
    proxy = proxy_with(arguments=UNUSED)
    proxy.allow_log("has no effect")
    warned = [line.message for line in proxy.log_lines() if line.bad]
    assert warned == [
        "--stack-size has no effect: workers need no large stacks",
    ]


def test_a_unix_socket_is_listened_on_with_its_mode(proxy_with, tmp_path):
    path = tmp_path / "s"
    proxy_with(source={"listen_addr": f"unix:{path}?mode=0600"})
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"PING\r\n")
        assert client.recv(64) == b"+PONG\r\n"


def ready(proxy) -> str:
    try:
        return proxy.http("/readyz")
    except urllib.error.HTTPError as error:
        assert error.code == 503
        return error.read().decode()


@pytest.mark.parametrize("connection", ["shared", "per_client"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_readiness_follows_the_server_without_any_traffic(
    start_server, start_proxy, connection, workers
):
    server = start_server()
    server.kill()
    proxy = start_proxy(
        server.port, sink={"connection": connection}, arguments=["--core-threads", workers]
    )
    proxy.allow_log("cannot connect to the upstream of sink: Connection refused")
    assert (
        ready(proxy) == "not ready\n- chain redis: RedisSinkSingle has not tried its server yet\n"
    )
    down = "not ready\n- chain redis: RedisSinkSingle reaches no server\n"
    wait_until_equal(lambda: ready(proxy), down, "/readyz before a dead server")
    server.start(server.port)
    wait_until_equal(lambda: ready(proxy), "ready\n", "/readyz before a live server")
    assert proxy.metric("shotover_upstream_connections") == int(workers)
    with proxy.client() as client:
        assert client.ping()
    server.kill()
    wait_until_equal(lambda: ready(proxy), down, "/readyz after the server's end")
    server.start(server.port)
    wait_until_equal(lambda: ready(proxy), "ready\n", "/readyz after its return")


def test_the_endpoint_shows_what_runs(proxy_with):
    import json

    proxy = proxy_with()
    assert proxy.http("/healthz") == "ok\n"
    wait_until_equal(lambda: ready(proxy), "ready\n", "/readyz")
    (source,) = json.loads(proxy.http("/topology"))["sources"]
    assert source["Redis"]["listen_addr"] == f"127.0.0.1:{proxy.port}"
    assert source["Redis"]["chain"][-1]["RedisSinkSingle"]["name"] == "sink"
    assert proxy.metric("shotover_draining") == 0


def test_a_second_process_on_the_same_port_is_refused(proxy_with, tmp_path):
    proxy = proxy_with()
    result = run(
        tmp_path,
        f"sources: [Redis: {{listen_addr: '127.0.0.1:{proxy.port}', chain: "
        "[RedisSinkSingle: {remote_address: '127.0.0.1:1'}]}]",
    )
    assert result.returncode == 1
    assert result.stderr == (
        f"shotover: t.yaml:1: sources[0].listen_addr: cannot listen on 127.0.0.1:{proxy.port}: "
        f"address already in use; stop what listens there (ss -ltnp 'sport = :{proxy.port}' names "
        "it) or choose another port\n"
    )
    with RawClient(proxy.port) as client:
        assert client.command("PING") == b"+PONG\r\n"


@pytest.mark.parametrize(
    ("listen", "sink", "line"),
    [
        (
            "unix:/no/such/folder/s",
            "127.0.0.1:1",
            "sources[0].listen_addr: cannot listen on unix:/no/such/folder/s: no such directory",
        ),
        (
            "192.0.2.1:{port}",
            "127.0.0.1:1",
            "sources[0].listen_addr: cannot listen on 192.0.2.1:{port}: this machine has no such address; "
            "0.0.0.0 listens on every IPv4 address, [::] on every address",
        ),
    ],
)
def test_what_cannot_be_listened_on_is_one_line(tmp_path, listen, sink, line):
    port = free_port()
    result = run(
        tmp_path,
        f"sources: [Redis: {{listen_addr: '{listen.format(port=port)}', chain: "
        f"[RedisSinkSingle: {{remote_address: '{sink}'}}]}}]",
    )
    assert result.returncode == 1
    assert result.stderr == f"shotover: t.yaml:1: {line.format(port=port)}\n"


def test_mistakes_in_the_files_end_the_start_before_anything_is_opened(tmp_path):
    result = run(tmp_path, "sources: [Redis: {listen_addr: '127.0.0.1', chain: []}]")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == "shotover: 2 problems"
