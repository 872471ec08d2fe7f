"""The supervisor beside workers that misbehave on cue: what it starts, reports, cuts short."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable

import pytest

from shotover.config.errors import ConfigError
from shotover.observability import log
from shotover.runtime import serving
from shotover.runtime import supervisor as module
from shotover.runtime.assemble import load
from shotover.runtime.supervisor import Supervisor


class Worker:
    """A worker that does what its class says; every call is noted in `calls`."""

    poller = ("scripted", "a test asked for it")
    calls: list[tuple[object, ...]]
    when_running: Callable[[Worker], None]
    drains = True

    def __init__(self, index: int, poller: str, memory: object) -> None:
        self.index = index
        self.ended = threading.Event()
        self.lines: list[tuple[int, str, dict[str, object]]] = []

    def source(self, name: str, chain: object, options: dict[str, object]) -> str:
        return name

    def open(self, source: str, address: str, fds: list[int]) -> str:
        self.calls.append(("listen", self.index, address))
        return address.replace(":0", ":7777")

    def discard(self, source: str) -> None:
        self.calls.append(("discard", self.index))

    def run(self) -> None:
        type(self).when_running(self)
        assert self.ended.wait(20), "told to end"

    def drain(self, timeout_ms: int) -> None:
        self.calls.append(("drain", self.index, timeout_ms))
        if self.drains:
            self.ended.set()

    def stop(self) -> None:
        self.calls.append(("stop", self.index))
        self.ended.set()

    def log_take(self) -> list[tuple[int, str, dict[str, object]]]:
        lines, self.lines = self.lines, []
        return lines

    def samples(self) -> list[object]:
        return []


def interrupt(worker: Worker, number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture
def supervise(tmp_path, monkeypatch):
    """Runs a supervisor over scripted workers: (exit code, calls)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serving, "build_source", lambda worker, source, *_: source.chain)

    def run(when_running=interrupt, listen="127.0.0.1:0", workers=1, process="", **attributes):
        (tmp_path / "t.yaml").write_text(
            f"sources: [Redis: {{listen_addr: '{listen}', chain: [NullSink]}}]"
        )
        (tmp_path / "c.yaml").write_text(process or "main_log_level: info")
        calls: list[tuple[object, ...]] = []
        body = {"calls": calls, "when_running": staticmethod(when_running), **attributes}
        worker_class = type("Scripted", (Worker,), body)
        loaded = load("t.yaml", "c.yaml", {})
        return Supervisor(loaded, workers, "auto", worker_class).run(), calls

    return run


@pytest.fixture
def logged(tmp_path):
    """The lines logged so far."""
    with open(tmp_path / "log", "w+") as stream:
        log.setup("human", "info", stream)

        def lines() -> list[str]:
            log.flush(1.0)
            return (tmp_path / "log").read_text().splitlines()

        yield lines
        log.setup("human", "info")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_well(supervise, logged, number):
    code, calls = supervise(lambda worker: interrupt(worker, number))
    assert code == 0
    assert calls[-1] == ("drain", 0, 10_000)
    assert [line.partition("shotover: ")[2].partition(" timeout")[0] for line in logged()][-3:] == [
        "Shotover is up and now accepting inbound connections",
        f"received {number.name}, draining",
        "Shotover was shut down cleanly",
    ]


def test_handlers_are_put_back(supervise):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    supervise()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_the_drain_time_out_is_what_is_configured(supervise):
    _code, calls = supervise(process="drain_timeout_seconds: 0.25")
    assert ("drain", 0, 250) in calls


def test_a_worker_that_does_not_drain_is_stopped(supervise, monkeypatch):
    monkeypatch.setattr(module, "STOP_SECONDS", 0.05)
    code, calls = supervise(process="drain_timeout_seconds: 0", drains=False)
    assert (code, calls[-1]) == (0, ("stop", 0))


def test_a_second_signal_ends_at_once(supervise, logged):
    class Twice:
        def drain(self, timeout_ms: int) -> None:
            interrupt(self, signal.SIGINT)

    code, calls = supervise(drain=Twice.drain)
    assert code == 128 + signal.SIGINT
    assert calls[-1] == ("stop", 0)
    assert "received SIGINT again, leaving at once" in logged()[-1]


def test_a_worker_that_fails_ends_the_process(supervise, logged):
    def fail(worker: Worker) -> None:
        if worker.index == 1:
            raise OSError(9, "the poller has failed")

    code, calls = supervise(fail, workers=2)
    assert code == 1
    assert ("drain", 0, 10_000) in calls
    assert any("OSError: [Errno 9] the poller has failed" in line for line in logged())
    assert "cleanly" not in logged()[-1]


def test_a_worker_that_returns_by_itself_ends_the_process(supervise, logged):
    code, _calls = supervise(lambda worker: worker.ended.set())
    assert code == 1
    assert any("a worker ended by itself" in line for line in logged())


def test_every_worker_listens_where_the_first_one_does(supervise):
    _code, calls = supervise(workers=3, listen="127.0.0.1:0")
    assert [call for call in calls if call[0] == "listen"] == [
        ("listen", 0, "127.0.0.1:0"),
        ("listen", 1, "127.0.0.1:7777"),
        ("listen", 2, "127.0.0.1:7777"),
    ]


def test_a_unix_socket_is_served_by_one_worker(supervise):
    _code, calls = supervise(workers=3, listen="unix:/tmp/a.sock?mode=0600")
    assert [call for call in calls if call[0] == "listen"] == [("listen", 0, "unix:/tmp/a.sock")]


def test_log_lines_of_workers_arrive_with_their_level(supervise, logged):
    def speak(worker: Worker) -> None:
        worker.lines = [(40, "broken", {"peer": "a"}), (30, "odd", {}), (10, "hidden", {})]
        interrupt(worker)

    supervise(speak)
    lines = [line.split("Z ", 1)[1].strip() for line in logged() if "shotover::worker" in line]
    assert lines == ["ERROR shotover::worker: broken peer=a", "WARN shotover::worker: odd"]


def test_a_poller_that_cannot_be_had_is_one_line(supervise):
    def refuse(self, index: int, poller: str, memory: object) -> None:
        raise OSError(1, "io_uring is not permitted here")

    with pytest.raises(ConfigError) as caught:
        supervise(__init__=refuse)
    assert caught.value.lines == ["--poller auto: io_uring is not permitted here"]


def test_a_port_in_use_is_found_though_workers_could_share_it(supervise):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            supervise(listen=f"127.0.0.1:{port}")
    assert caught.value.lines == [
        f"t.yaml:1: sources[0].listen_addr: cannot listen on 127.0.0.1:{port}: address already in "
        f"use; stop what listens there (ss -ltnp 'sport = :{port}' names it) or choose another "
        "port"
    ]


def test_an_endpoint_that_cannot_be_had_is_one_line(supervise):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            supervise(process=f"observability_interface: 127.0.0.1:{port}")
    (line,) = caught.value.lines
    assert line.startswith(
        f"c.yaml:1: observability_interface: cannot listen on 127.0.0.1:{port}: "
        "address already in use; "
    )
