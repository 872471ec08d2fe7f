"""Planted secrets, looked for wherever a running proxy says, shows or leaves something."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.certificates import Authority
from support.proxy import Proxy, environment
from support.resp import Closed, RawClient, encode
from support.wait import wait_until

PLANTED = re.compile(rb"planted-[a-z0-9]+")
"""What none may show; each secret below is of this form."""
PAGES = ("/", "/metrics", "/healthz", "/readyz", "/topology", "/filter", "/none")
CODE = """
from shotover import Transform
class Guest(Transform):
    def __init__(self, config):
        super().__init__(config)
        assert config["door"] == "planted-door", "the file was not read"
        self.log(f"made with {config}", config=config)
    def on_request(self, request):
        if request.command == b"ECHO":
            raise ValueError(f"it fails with {self.config}")
"""


def plant(folder: Path, name: str) -> str:
    """A reference to a file that holds a secret."""
    (folder / name).write_text(f"planted-{name}\n")
    return f"${{file:{folder}/{name}}}"


SINKS: dict[str, Callable[[Path, str], dict[str, Any]]] = {
    "RedisSinkCluster": lambda folder, address: {
        "first_contact_points": [address],
        "username": "somebody",
        "password": plant(folder, "cluster"),
    },
    "RedisSinkSentinel": lambda folder, address: {
        "sentinels": [address],
        "master_name": "main",
        "sentinel_password": "${PLANTED_USER}",
        "password": "planted-literal",
    },
}


@pytest.fixture
def start(
    tmp_path: Path, start_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Proxy]]:
    """Starts a proxy whose every secret field is planted, before a server that refuses its passwords."""
    monkeypatch.setenv("PLANTED_USER", "planted-user")
    authority = Authority(tmp_path)
    locked = authority.issue("server", dns=["localhost"], password=b"planted-key")
    plant(tmp_path, "key")
    (tmp_path / "guest.py").write_text(CODE)
    guest = {
        "path": str(tmp_path / "guest.py"),
        "class": "Guest",
        "config": {"door": plant(tmp_path, "door"), "api_token": "planted-token", "plain": "seen"},
    }
    started: list[Proxy] = []

    def begin(
        kind: str = "RedisSinkCluster",
        tls: bool = False,
        server: Sequence[str] = ("--requirepass", "another"),
        **options: Any,
    ) -> Proxy:
        port = start_server(*server).port
        inwards = {**locked.fields(), "private_key_password_path": str(tmp_path / "key")}
        proxy = Proxy(
            port,
            source={"tls": inwards} if tls else {},
            chain=["DebugPrinter", {"Python": guest}],
            end={kind: {"name": "sink", **SINKS[kind](tmp_path, f"127.0.0.1:{port}")}},
            config={"main_log_level": "trace", **options.pop("config", {})},
            **options,
        )
        started.append(proxy)
        return proxy

    yield begin
    for proxy in started:
        proxy.kill()


def requests() -> Sequence[bytes]:
    """What clients say that has passwords in it, sound or not."""
    word = b"planted-client"
    return [
        encode("AUTH", word),
        encode("auth", "default", word),
        encode("HELLO", "3", "AUTH", "default", word),
        encode("CONFIG", "SET", "requirepass", word),
        encode("CONFIG", "SET", "masterauth", word, "maxmemory", "0"),
        encode("ACL", "SETUSER", "bob", "on", b">" + word),
        encode("MIGRATE", "127.0.0.1", "1", "k", "0", "10", "AUTH", word),
        encode("SENTINEL", "SET", "main", "auth-pass", word),
        encode("MULTI") + encode("AUTH", word) + encode("EXEC"),
        b"AUTH " + word + b"\r\n",
        b'"AUTH" "' + word + b'"\r\n',
        encode("AUTH", word + b"x" * 70_000),
        encode("AUTH", word)[:-4],
        encode("AUTH", word, "and", "too", "many", "words"),
        encode("ECHO", "x"),
        b"*2\r\n$4\r\nAUTH\r\n$14\r\n" + word + b"!!\r\n",
        b"*2\r\n$4\r\nAUTH\r\n:1\r\n" + word,
    ]


def talk(proxy: Proxy) -> bytes:
    """Sends all of them, each over a connection of its own; what came back."""
    said = []
    for request in requests():
        with RawClient(proxy.port) as client, contextlib.suppress(AssertionError):
            client.send(request)
            with contextlib.suppress(Closed):
                client.deadline_s = 0.3
                client.socket.settimeout(0.3)
                while True:
                    said.append(client.frame())
    return b"\n".join(said)


def pages(proxy: Proxy) -> bytes:
    """All that the endpoint says, to GET and to what it refuses."""
    found = []
    for path in PAGES:
        for method in ("GET", "PUT", "POST"):
            request = urllib.request.Request(
                f"http://127.0.0.1:{proxy.metrics_port}{path}", method=method, data=None
            )
            with contextlib.suppress(urllib.error.HTTPError):
                try:
                    with urllib.request.urlopen(request, timeout=5) as answer:
                        found.append(answer.read())
                except urllib.error.HTTPError as error:
                    found.append(error.read())
                    raise
    return b"\n".join(found)


@pytest.mark.parametrize(
    "server",
    [
        ("--requirepass", "another"),
        ("--rename-command", "AUTH", "", "--rename-command", "HELLO", ""),
    ],
    ids=["refuses", "quotes"],  # the second repeats the words of a command that it does not know
)
@pytest.mark.parametrize("kind", SINKS)
def test_nothing_that_is_shown_has_a_secret_in_it(start, kind, server):
    proxy = start(kind, server=server, log_format="human" if "another" in server else "json")
    replies, answers = talk(proxy), pages(proxy)
    wait_until(lambda: "Request: ECHO" in proxy.log().replace('\\"', '"'), "the guest is asked")
    wait_until(lambda: "it fails with" in proxy.log(), "the guest's failure is logged")
    command = Path(f"/proc/{proxy.process.pid}/cmdline")
    line = command.read_bytes() if command.exists() else b""
    proxy.signal()
    assert proxy.wait_exit() == 0
    log = proxy.log().encode()
    assert b"seen" in log and b"AUTH (what follows is not shown)" in log, "what should be there"
    assert b"hidden" in answers and b"seen" in answers
    said = PLANTED.findall(replies)
    assert all(word.startswith(b"planted-client") for word in said), (
        "a server may repeat these alone"
    )
    for where in (log, answers, line):
        assert not PLANTED.findall(where)


def test_neither_has_explain_nor_a_check_of_files_full_of_mistakes(start, tmp_path):
    proxy = start(tls=True)
    done = run("explain", proxy.directory)
    assert done.returncode == 0 and b"<hidden>" in done.stdout
    assert not PLANTED.findall(done.stdout + done.stderr)
    topology = yaml.safe_load((proxy.directory / "topology.yaml").read_text())
    source = topology["sources"][0]["Redis"]
    sink = source["chain"][-1]["RedisSinkCluster"]
    good = sink["password"]
    for wrong in (["planted-list"], {"planted": "planted-map"}, f"{good}${{", f"{good}${{UNSET}}"):
        sink["password"] = wrong
        sink["read_timeout"] = "never"
        (tmp_path / "topology.yaml").write_text(yaml.safe_dump(topology))
        shutil.copy(proxy.directory / "config.yaml", tmp_path)
        done = run("check", tmp_path)
        assert done.returncode == 1 and b"read_timeout" in done.stderr
        assert b".password: " in done.stderr
        assert not PLANTED.findall(done.stdout + done.stderr)
    sink["password"] = good
    del sink["read_timeout"]
    (tmp_path / "key").write_text("planted-wrong")
    (tmp_path / "topology.yaml").write_text(yaml.safe_dump(topology))
    done = run("check", tmp_path)
    assert done.returncode == 1 and b"private_key_password_path" in done.stderr
    assert not PLANTED.findall(done.stdout + done.stderr)


def test_passwords_that_a_server_tells_are_not_logged(start_server, start_proxy):
    server = start_server("--requirepass", "planted-own")
    proxy = start_proxy(server.port, chain=["DebugPrinter"])
    with RawClient(proxy.port) as client:
        for words in (("AUTH", "planted-own"), ("CONFIG", "GET", "requirepass"), ("PING", "x")):
            client.send(encode(*words))
            said = client.frame()
            assert (b"planted-own" in said) == (words[0] == "CONFIG")
    wait_until(lambda: 'Response: \\"x\\"' in proxy.log(), "all of it is logged")
    log = proxy.log()
    assert "CONFIG" in log and "Response: (not shown)" in log and "Response: +OK" in log
    assert not PLANTED.findall(log.encode())
    with proxy.client(password="planted-own") as client:
        client.config_set("requirepass", "")


def run(verb: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "shotover", verb, "-t", "topology.yaml", "-c", "config.yaml"]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, check=False, timeout=30
    )


def ended_with_core(process: subprocess.Popen[bytes]) -> bool:
    found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert found is not None and found.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
    return found.si_code == os.CLD_DUMPED


@pytest.fixture
def cores_allowed(tmp_path: Path) -> Iterator[None]:
    """Processes that are started may leave a core in their folder; skips where the system gives none."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    if before[1] == 0:
        pytest.skip("this system's limit of cores is 0")
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as control:
            control.send_signal(signal.SIGABRT)
            if not ended_with_core(control):
                pytest.skip("this system leaves no cores")
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def test_a_crash_leaves_no_core(start, cores_allowed):
    proxy = start()
    proxy.signal(signal.SIGABRT)
    assert not ended_with_core(proxy.process)
    assert not list(proxy.directory.glob("*core*"))


def test_it_leaves_one_where_the_settings_say_so(start, cores_allowed):
    proxy = start(config={"core_dumps": True})
    proxy.signal(signal.SIGABRT)
    assert ended_with_core(proxy.process)
    cores = list(proxy.directory.glob("*core*"))
    assert not cores or any(PLANTED.search(core.read_bytes()) for core in cores)
