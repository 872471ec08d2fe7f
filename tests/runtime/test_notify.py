"""What a service manager hears: a process with a socket for NOTIFY_SOCKET, as systemd starts one."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.proxy import Proxy
from support.wait import can_connect, stays_true, wait_until

from shotover.runtime import notify
from shotover.runtime.notify import ServiceManager

HANGS = """\
from shotover import Transform

class Hangs(Transform):
    def on_request(self, request):
        open({path!r}).read()  # until somebody writes
"""


class Ear:
    """The manager's end; `heard` are the messages so far."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.heard: list[dict[str, str]] = []

    def listen(self) -> list[dict[str, str]]:
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except BlockingIOError:
                return self.heard
            self.heard.append(dict(line.split("=", 1) for line in text.split("\n")))

    def wait_for(self, name: str, after: int = 0) -> dict[str, str]:
        """The first message with that name behind `after` of them."""

        def found() -> dict[str, str] | None:
            return next((each for each in self.listen()[after:] if name in each), None)

        message = wait_until(found, f"{name} is told")
        assert message is not None
        return message

    def count(self, name: str) -> int:
        return sum(name in message for message in self.listen())


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(str(tmp_path / "notify"))
    yield ear
    ear.socket.close()


@pytest.fixture
def told(
    ear: Ear,  # first, for what ends last
    start_server: Callable[..., Any],
    start_proxy: Callable[..., Proxy],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Proxy]:
    """Starts a proxy that is to tell `ear`."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

    def start(watchdog_s: float = 0, **options: Any) -> Proxy:
        if watchdog_s:
            monkeypatch.setenv("WATCHDOG_USEC", str(int(watchdog_s * 1_000_000)))
        return start_proxy(start_server().port, **options)

    return start


def test_from_ready_to_the_end(told: Callable[..., Proxy], ear: Ear) -> None:
    proxy = told()
    ready = ear.wait_for("READY")
    assert ready == {"READY": "1", "STATUS": "serving redis; configuration 1"}
    assert can_connect(proxy.port)
    proxy.signal(signal.SIGTERM)
    proxy.wait_exit()
    assert ear.listen() == [
        ready,
        {"STOPPING": "1", "STATUS": "draining", "EXTEND_TIMEOUT_USEC": "13000000"},
    ]


@pytest.mark.skipif(
    sys.platform != "linux", reason="the clock of other systems has another beginning"
)
def test_a_reload_is_told_with_its_time_and_then_its_end(
    told: Callable[..., Proxy], ear: Ear
) -> None:
    proxy = told()
    ear.wait_for("READY")
    file = proxy.directory / "topology.yaml"
    topology = yaml.safe_load(file.read_text())
    topology["sources"][0]["Redis"]["timeout"] = 60
    file.write_text(yaml.safe_dump(topology))
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    proxy.signal(signal.SIGHUP)
    ready = ear.wait_for("READY", after=1)
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert ready["STATUS"] == "serving redis; configuration 2"
    _first, reloading, last = ear.listen()
    assert reloading["RELOADING"] == "1" and last is ready
    assert before <= int(reloading["MONOTONIC_USEC"]) <= after


def test_a_reload_that_fails_ends_too(told: Callable[..., Proxy], ear: Ear) -> None:
    """What was before stays in force, and the manager waits for nothing."""
    proxy = told()
    proxy.allow_log("")
    ear.wait_for("READY")
    (proxy.directory / "topology.yaml").write_text("nonsense")
    proxy.signal(signal.SIGHUP)
    assert ear.wait_for("READY", after=1)["STATUS"] == "serving redis; configuration 1"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_signs_of_life_come_in_time(told: Callable[..., Proxy], ear: Ear, workers: str) -> None:
    told(watchdog_s=6, arguments=["--core-threads", workers])
    wait_until(lambda: ear.count("WATCHDOG") >= 2, "two signs of life")


def test_a_worker_that_hangs_is_noticed_until_it_goes_on(
    told: Callable[..., Proxy], ear: Ear, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    file = tmp_path / "hangs.py"
    file.write_text(HANGS.format(path=str(pipe)))
    step = {"Python": {"path": str(file), "class": "Hangs"}}
    proxy = told(watchdog_s=1.2, chain=[step])
    proxy.allow_log("a worker takes no turns")
    wait_until(lambda: ear.count("WATCHDOG") >= 2, "signs of life")
    with proxy.raw() as client:
        client.send(b"PING\r\n")
        wait_until(lambda: "takes no turns" in proxy.log(), "it is logged")
        count = ear.count("WATCHDOG")
        stays_true(lambda: ear.count("WATCHDOG") == count, "no sign of life", period_s=1.5)
        pipe.write_text("go on")
        assert client.frame() == b"+PONG\r\n"
    wait_until(lambda: ear.count("WATCHDOG") >= count + 2, "signs of life again")


def test_nothing_is_said_where_nobody_listens() -> None:
    manager = ServiceManager({})
    manager.ready("x")
    manager.look([])
    assert manager.seconds is None


def test_what_transforms_start_does_not_find_the_variables(tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "s"), "WATCHDOG_USEC": "5000000", "A": "b"}
    assert ServiceManager(environment).seconds == 5
    assert environment == {"A": "b"}


@pytest.mark.parametrize(
    ("microseconds", "process", "seconds"),
    [
        ("3000000", "own", 3),
        ("3000000", "1", None),  # it looks at another process
        ("0", "", None),
        ("-1", "", None),
        ("much", "", None),
        ("", "", None),
    ],
)
def test_whom_the_watchdog_looks_at(microseconds: str, process: str, seconds: float | None) -> None:
    environment = {
        "WATCHDOG_USEC": microseconds,
        "WATCHDOG_PID": process.replace("own", str(os.getpid())),
    }
    assert ServiceManager(environment).seconds == seconds


@pytest.mark.skipif(sys.platform != "linux", reason="names without a file are Linux's")
def test_a_name_without_a_file() -> None:
    name = f"@shotover-test-{os.getpid()}"
    ear = Ear(name)
    ServiceManager({"NOTIFY_SOCKET": name}).ready("x")
    assert ear.listen() == [{"READY": "1", "STATUS": "x"}]
    ear.socket.close()


@pytest.mark.parametrize("address", ["vsock:2:1234", "relative", "@", ""])
def test_other_addresses_are_left_alone(address: str) -> None:
    assert notify._address(address) is None


def test_a_manager_that_is_gone_is_a_line_in_the_log(
    start_server: Callable[..., Any],
    start_proxy: Callable[..., Proxy],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    proxy = start_proxy(start_server().port)
    said = "the service manager cannot be told how this process is doing"
    wait_until(lambda: said in proxy.log(), "a warning")
    proxy.signal(signal.SIGHUP)
    with proxy.raw() as client:
        assert client.command("PING") == b"+PONG\r\n"
    assert proxy.log().count(said) == 1
    proxy.allow_log(said)
