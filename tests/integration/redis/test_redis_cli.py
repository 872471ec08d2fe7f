"""redis-cli as people use it, as a subprocess:

Its output through the proxy is what the server gives it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from support.endpoint import Endpoint
from support.resp import encode


def cli(endpoint: Endpoint, *arguments: str, stdin: bytes = b"") -> str:
    """stdout of a redis-cli that must succeed."""
    path = shutil.which("redis-cli")
    if path is None:
        raise RuntimeError("these tests need redis-cli on PATH (Debian: apt install redis-tools)")
    done = subprocess.run(
        [path, "-p", str(endpoint.port), *arguments],
        input=stdin,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_single_commands(endpoint: Endpoint) -> None:
    assert cli(endpoint, "PING") == "PONG\n"
    assert cli(endpoint, "SET", "a", "with spaces") == "OK\n"
    assert cli(endpoint, "GET", "a") == "with spaces\n"
    assert cli(endpoint, "--no-raw", "GET", "missing") == "(nil)\n"
    assert cli(endpoint, "-n", "3", "DBSIZE") == "0\n"
    assert cli(endpoint, "-x", "SET", "stdin", stdin=b"from a file\n") == "OK\n"
    assert cli(endpoint, "-r", "3", "INCR", "n") == "1\n2\n3\n"
    assert "WRONGTYPE" in cli(endpoint, "LPUSH", "a", "x")


def test_commands_on_its_standard_input(endpoint: Endpoint) -> None:
    lines = b"MULTI\nSET a 1\nINCR a\nEXEC\nSELECT 2\nDBSIZE\nNOSUCH\n"
    assert cli(endpoint, stdin=lines).split("\n")[:7] == [
        "OK",
        "QUEUED",
        "QUEUED",
        "OK",
        "2",
        "OK",
        "0",
    ]


def test_resp3_with_dash_3(endpoint: Endpoint) -> None:
    cli(endpoint, "HSET", "h", "f", "v")
    assert cli(endpoint, "-3", "--no-raw", "HGETALL", "h") == '1# "f" => "v"\n'
    assert cli(endpoint, "-3", "--no-raw", "GET", "missing") == "(nil)\n"
    assert cli(endpoint, "-3", "--json", "HGETALL", "h").strip() == '{"f":"v"}'


def test_mass_insertion_with_pipe(endpoint: Endpoint) -> None:
    count = 20_000
    requests = b"".join(encode("SET", f"key:{number}", number) for number in range(count))
    requests += encode("LPUSH", "key:1", "wrong type")
    path = shutil.which("redis-cli")
    assert path is not None
    done = subprocess.run(
        [path, "-p", str(endpoint.port), "--pipe"], input=requests, capture_output=True, timeout=20
    )
    assert f"errors: 1, replies: {count + 1}" in done.stdout.decode()
    assert endpoint.client().dbsize() == count


def test_scan_bigkeys_and_memkeys(endpoint: Endpoint) -> None:
    client = endpoint.client()
    client.mset({f"key:{number}": "x" * number for number in range(500)})
    client.rpush("longest", *range(300))
    assert len(cli(endpoint, "--scan", "--pattern", "key:*").split()) == 500
    report = cli(endpoint, "--bigkeys")
    assert """'"longest"' has 300 items""" in report
    assert """'"key:499"' has 499 bytes""" in report
    assert "Biggest" in cli(endpoint, "--memkeys")


def test_eval_of_a_file(endpoint: Endpoint, tmp_path) -> None:
    script = tmp_path / "script.lua"
    script.write_text("return {KEYS[1], ARGV[1]}")
    assert cli(endpoint, "--eval", str(script), "k", ",", "v") == "k\nv\n"


def test_subscribe_and_publish(endpoint: Endpoint) -> None:
    path = shutil.which("redis-cli")
    assert path is not None
    command = [path, "-p", str(endpoint.port), "SUBSCRIBE", "news", "weather"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert [process.stdout.readline().strip() for _ in range(6)] == [
                "subscribe", "news", "1", "subscribe", "weather", "2",
            ]  # fmt: skip
            assert cli(endpoint, "PUBLISH", "weather", "rain") == "1\n"
            assert [process.stdout.readline().strip() for _ in range(3)] == [
                "message",
                "weather",
                "rain",
            ]
        finally:
            process.terminate()


def test_info_and_acl_through_the_command_line(endpoint: Endpoint) -> None:
    assert f"tcp_port:{endpoint.server.port}" in cli(endpoint, "INFO", "server")
    cli(endpoint, "ACL", "SETUSER", "carol", "on", ">pw", "~*", "+get")
    assert cli(endpoint, "--user", "carol", "--pass", "pw", "--no-auth-warning", "GET", "a") == "\n"
    assert "NOPERM" in cli(
        endpoint, "--user", "carol", "--pass", "pw", "--no-auth-warning", "SET", "a", "1"
    )


def interrupted(endpoint: Endpoint, *arguments: str, enough: bytes) -> bytes:
    """What a redis-cli that would run on prints until `enough` of it is there."""
    path = shutil.which("redis-cli")
    assert path is not None
    command = [path, "-p", str(endpoint.port), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            shown = b""
            while enough not in shown:
                piece = os.read(process.stdout.fileno(), 65536)
                assert piece, f"it ended after {shown!r}"
                shown += piece
            return shown
        finally:
            process.terminate()


def test_reports_that_run_on(endpoint: Endpoint) -> None:
    endpoint.client().set("a", "1")
    assert b"keys" in interrupted(endpoint, "--stat", "-i", "0.05", enough=b"\n1 ")
    assert interrupted(endpoint, "-r", "-1", "-i", "0.01", "PING", enough=b"PONG\nPONG\nPONG\n")
    interrupted(endpoint, "--csv", "SUBSCRIBE", "news", enough=b'"subscribe","news",1\n')


def test_latency_reports(endpoint: Endpoint) -> None:
    minimum, maximum, average, samples = cli(endpoint, "--latency", "-i", "0.2", "--raw").split()[
        :4
    ]
    assert int(samples) > 0
    assert float(minimum) <= float(average) <= float(maximum)


def test_csv_json_and_raw(endpoint: Endpoint) -> None:
    cli(endpoint, "RPUSH", "l", "a", "with,comma", 'with"quote')
    assert cli(endpoint, "--csv", "LRANGE", "l", "0", "-1") == '"a","with,comma","with\\"quote"\n'
    assert (
        cli(endpoint, "--json", "LRANGE", "l", "0", "-1") == '["a","with,comma","with\\"quote"]\n'
    )
    assert cli(endpoint, "--no-raw", "LLEN", "l") == "(integer) 3\n"
    assert cli(endpoint, "-d", ";", "LRANGE", "l", "0", "-1") == 'a;with,comma;with"quote\n'


def test_hotkeys(make_endpoint: Callable[..., Endpoint]) -> None:
    endpoint = make_endpoint("--maxmemory-policy", "allkeys-lfu", "--maxmemory", "100mb")
    client = endpoint.client()
    client.mset({f"key:{number}": number for number in range(50)})
    for _ in range(1000):
        client.get("key:7")
    assert 'keyname: "key:7"' in cli(endpoint, "--hotkeys")


def test_a_monitor_of_the_command_line(endpoint: Endpoint) -> None:
    path = shutil.which("redis-cli")
    assert path is not None
    command = [path, "-p", str(endpoint.port), "MONITOR"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "OK\n"
            cli(endpoint, "SET", "watched", "1")
            while '"SET" "watched" "1"' not in process.stdout.readline():
                assert process.poll() is None
        finally:
            process.terminate()


def test_a_dump_is_refused_by_the_proxy(proxied: Endpoint, tmp_path: Path) -> None:
    path = shutil.which("redis-cli")
    assert path is not None
    done = subprocess.run(
        [path, "-p", str(proxied.port), "--rdb", str(tmp_path / "dump.rdb")],
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode != 0
    assert b"replication" in done.stdout + done.stderr
    assert proxied.client().ping()


def test_redis_benchmark_runs_all_of_its_tests(endpoint: Endpoint) -> None:
    path = shutil.which("redis-benchmark")
    if path is None:
        raise RuntimeError("these tests need redis-benchmark on PATH (Debian: redis-tools)")
    for options in (["-c", "20"], ["-c", "20", "-P", "16"], ["-c", "5", "-3"]):
        done = subprocess.run(
            [path, "-p", str(endpoint.port), "-n", "1000", "--csv", *options],
            capture_output=True,
            timeout=60,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "rror" not in done.stdout + done.stderr
        assert len(done.stdout.splitlines()) >= 15  # a line for each of its tests
