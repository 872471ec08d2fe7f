"""The topologies in configs/ of the transforms: each starts as a process, serves, and ends cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.proxy import READY, ROOT, environment
from support.resp import RawClient
from support.wait import free_port, wait_until, wait_until_equal

NULL = b"-ERR Handled by shotover null transform\r\n"
FILTERED = b"-ERR Message was filtered out by shotover\r\n"
OK = b"+OK\r\n"
CONFIGS = {  # what `SET key value` is answered with
    "null_sink": NULL, "debug_returner": b"$2\r\n42\r\n", "debug_printer": OK, "query_counter": OK,
    "query_type_filter": FILTERED, "request_throttling": OK, "coalesce": OK, "parallel_map": OK, "load_balance": OK,
    "tee": OK, "tee_compare": OK,
}


@contextmanager
def serving(name: str, tmp_path: Path, first: int, second: int) -> Iterator[tuple[RawClient, int]]:
    """A client of `shotover -t configs/NAME.yaml`, and the port of its switch."""
    port, switch = free_port(), free_port()
    addresses = {"LISTEN": port, "REDIS": first, "REDIS_SECOND": second}
    env = environment() | {key: f"127.0.0.1:{value}" for key, value in addresses.items()} | {"SWITCH": str(switch)}
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "shotover", "-t", f"{ROOT}/configs/{name}.yaml"],
            cwd=tmp_path, env={**os.environ, **env}, stdout=stream, stderr=stream)
    try:
        wait_until(lambda: READY in log.read_text() or process.poll() is not None, "ready")
        assert process.poll() is None, log.read_text()
        with RawClient(port) as client:
            yield client, switch
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_every_topology_of_a_transform_is_tried() -> None:
    transforms = {path.stem.lstrip("_") for path in (ROOT / "shotover/transforms").glob("_*.pyx")}
    assert transforms <= {path.stem for path in (ROOT / "configs").glob("*.yaml")}
    assert transforms <= set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_it_serves(name, tmp_path, start_server) -> None:
    first, second = start_server(), start_server()
    with serving(name, tmp_path, first.port, second.port) as (client, _switch):
        assert client.command("SET", "key", "value") == CONFIGS[name]
        if CONFIGS[name] == OK:
            assert client.ask("GET", "key") == b"value"
        if name.startswith("tee"):
            wait_until_equal(lambda: second.client().get("key"), b"value", "key in the second server")


def test_the_switch_of_a_tee(tmp_path, start_server) -> None:
    first, second = start_server(), start_server()
    first.client().set("who", "first")
    second.client().set("who", "second")
    with serving("tee_compare", tmp_path, first.port, second.port) as (client, port):
        url = f"http://127.0.0.1:{port}/transform/tee/result-source"
        for source, answer in (("regular-chain", b"first"), ("tee-chain", b"second"), ("regular-chain", b"first")):
            request = urllib.request.Request(url, source.encode(), method="PUT")
            assert urllib.request.urlopen(request, timeout=5).read() == b""
            assert urllib.request.urlopen(url, timeout=5).read() == source.encode()
            assert client.ask("GET", "who") == answer


@pytest.mark.parametrize("name", ["NullSink", "DebugReturner", "DebugPrinter", "QueryCounter", "QueryTypeFilter",
                                  "RequestThrottling", "Coalesce", "ParallelMap", "LoadBalance",
                                  "ConnectionBalanceAndPool", "Tee"])
def test_its_page_names_every_field_and_its_topology(name) -> None:
    from shotover.runtime import catalogue, manual

    text = manual.page(name)
    model = catalogue.lookup(name)
    assert [field.key for field in model.fields.values() if field.key not in text and field.key != "name"] == []
    assert "configs/" in text
