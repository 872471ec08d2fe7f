"""The operating system's accounting, read right; programs found, started and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shotover.benchmark import accounting
from shotover.benchmark.accounting import (
    SystemCalls,
    clock_us,
    descendants,
    parse_perf,
    parse_strace,
    read_memory,
    read_usage,
)
from shotover.benchmark.cases import CASES
from shotover.benchmark.processes import (
    Running,
    StartError,
    answers,
    ask,
    environment,
    free_port,
    start,
)
from shotover.benchmark.redis_benchmark import parse_csv, result_of_row
from shotover.benchmark.targets import Target, find_peers, find_shotovers, parse_peer

BURN = """
import os, sys, time
if sys.argv[1] == "child":
    os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", sys.argv[2], "alone", ""])
else:
    while time.process_time() < 0.3: pass
print("done", flush=True)
sys.stdin.read()
"""


def test_the_cpu_time_of_a_process_is_what_it_used(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BURN, "alone", ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == b"done\n"
        usage = read_usage(process.pid)
        assert 0.29e6 < usage.total_us < 1.0e6
        assert usage.user_us + usage.system_us == pytest.approx(usage.total_us, abs=0.1e6)
        assert 3 < read_memory(process.pid).rss_mib <= read_memory(process.pid).peak_mib < 200
    finally:
        process.kill()
        process.communicate()


def test_children_count_with_their_parent() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BURN, "child", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        until = time.monotonic() + 20
        while read_usage(process.pid).total_us < 0.29e6 or len(descendants(process.pid)) < 2:
            assert time.monotonic() < until, "the child's CPU time never showed up"
        assert descendants(process.pid)[0] == process.pid
    finally:
        for pid in reversed(descendants(process.pid)):
            os.kill(pid, 9)
        process.communicate()


def test_a_process_that_is_gone_costs_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert read_usage(process.pid).total_us == 0
    assert read_memory(process.pid).rss_mib == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0:00.05", 0.05), ("12:34.50", 754.5), ("1:02:03", 3723), ("2-00:00:01", 172801)],
)
def test_the_clock_of_ps_is_read(text: str, seconds: float) -> None:
    assert clock_us(text) == pytest.approx(seconds * 1e6)


def test_reports_of_perf_and_strace_are_read() -> None:
    assert parse_perf("# started\n\n41234,,raw_syscalls:sys_enter,1,100.00,,\n") == 41234
    assert parse_perf("<not counted>,,raw_syscalls:sys_enter,0,0,,\n") is None
    table = "% time  seconds  usecs/call  calls  errors syscall\n99.0 0.1 2 1200 3 recvfrom\n100.00 0.1 2 1234 7 total\n"
    assert parse_strace(table) == 1234
    assert parse_strace("") is None


def test_system_calls_are_counted_or_said_to_be_unknown(server: Running, tmp_path: Path) -> None:
    with SystemCalls(server.pid, tmp_path) as calls:
        for _ in range(200):
            ask(server.address, b"PING")
    assert calls.count is None or calls.count >= 200 * 3


def test_ps_is_read_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "time=,utime=": ["  0:01.50 0:01.00"],
        "rss=": [" 2048"],
        "pid=,ppid=": ["1 0", "7 1", "8 7", "9 1"],
    }
    monkeypatch.setattr(accounting, "LINUX", False)
    monkeypatch.setattr(accounting, "run_ps", lambda *args: told[args[1]])
    assert descendants(7) == [7, 8]
    assert read_usage(9) == accounting.Usage(1.5e6, 1.0e6, 0.5e6)
    assert read_memory(9).rss_mib == 2.0


def test_a_program_that_ends_at_once_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with pytest.raises(StartError, match="odd: ended with 1: no such thing"):
        start("odd", command, ("127.0.0.1", free_port()), tmp_path)


def test_a_program_that_never_answers_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    with pytest.raises(StartError, match="mute: did not answer"):
        start("mute", command, ("127.0.0.1", free_port()), tmp_path, deadline=0.3)


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="gone: cannot run /no/such"):
        start("gone", ["/no/such"], ("127.0.0.1", free_port()), tmp_path)


@pytest.mark.parametrize("peer", find_peers(), ids=lambda peer: peer.name)
def test_each_peer_found_here_starts_and_forwards(
    peer: Target, server: Running, tmp_path: Path
) -> None:
    running = peer.start(tmp_path, server)
    try:
        ask(server.address, b"SET", b"through", peer.name.encode())
        assert ask(running.address, b"GET", b"through").endswith(peer.name.encode() + b"\r\n")
        assert read_memory(running.pid).rss_mib > 0.5
    finally:
        running.stop()
    assert not answers(running.address)


def test_the_topology_for_shotover_is_yaml_that_says_what_was_asked(tmp_path: Path) -> None:
    import yaml

    target = find_shotovers("/opt/shotover --core-threads 1", "io_uring")[0]
    steps = Target(
        target.name,
        target.kind,
        target.program,
        poller=target.poller,
        steps=("QueryCounter: {name: a}",),
    )
    command = steps.command(tmp_path, ("127.0.0.1", 1111), ("127.0.0.1", 2222))
    assert command[:3] == ["/opt/shotover", "--core-threads", "1"]
    assert command[-2:] == ["--poller", "io_uring"]
    source = yaml.safe_load((tmp_path / "topology.yaml").read_text())["sources"][0]["Redis"]
    assert source["listen_addr"] == "127.0.0.1:1111"
    assert [next(iter(step)) for step in source["chain"]] == ["QueryCounter", "RedisSinkSingle"]
    assert source["chain"][-1]["RedisSinkSingle"]["remote_address"] == "127.0.0.1:2222"


def test_a_peer_of_the_users_own_is_a_command_with_two_holes() -> None:
    target = parse_peer("mine=/bin/proxy -l {listen} -p {upstream_port}")
    command = target.command(Path(), ("127.0.0.1", 1), ("127.0.0.1", 2))
    assert (target.name, command) == ("mine", ["/bin/proxy", "-l", "127.0.0.1:1", "-p", "2"])


@pytest.mark.parametrize(
    "text",
    ["", "mine", "=x {listen} {upstream}", "mine=x {listen}", "m=x {listen} {upstream} {else}"],
)
def test_a_peer_without_its_holes_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_peer(text)


CSV = (
    "WARNING: Could not fetch server CONFIG\n"
    '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"\n'
    '"GET","50000.00","0.467","0.112","0.375","1.047","1.271","4.463"\n'
)


def test_what_redis_benchmark_prints_is_read() -> None:
    result = result_of_row(parse_csv(CSV), 100_000, cpu_seconds=1.0)
    assert (result.seconds, result.requests_per_second, result.cpu_us_per_request) == (
        2.0,
        50_000,
        10.0,
    )
    assert result.percentiles == {"p50_us": 375.0, "p99_us": 1271.0}
    with pytest.raises(RuntimeError, match="printed no figures: Could not connect"):
        parse_csv("", "Could not connect to Redis")


def test_case_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_busy_thread_is_busy_and_leaves_shotovers_command_line_as_it_is() -> None:
    process = subprocess.Popen([sys.executable, "-m", "shotover.benchmark.busy", "beside"])
    try:
        until = time.monotonic() + 20
        while read_usage(process.pid).user_us < 0.3e6:
            assert process.poll() is None and time.monotonic() < until
    finally:
        process.kill()
        process.wait()
    inside = [sys.executable, "-m", "shotover.benchmark.busy", "inside", "--version"]
    assert (
        "0."
        in subprocess.run(inside, capture_output=True, text=True, timeout=30, check=True).stdout
    )


def test_programs_are_started_as_a_user_would_with_their_bytecode_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    assert "PYTHONDONTWRITEBYTECODE" not in environment()
    assert environment()["SOMETHING_ELSE"] == "kept"
