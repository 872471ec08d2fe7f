"""Audit before a real Redis: what is recorded, where it goes, and what becomes of what there is no room for."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from shotover.transforms._audit_ring import AuditRing
from support.wait import wait_until, wait_until_equal

from chain.bench import Bench, sink
from shotover.transforms.audit_writer import AuditWriter

SECRET = "hunter2-of-the-test"


def records(path: Path) -> list[dict[str, Any]]:
    """Whole lines only, each of them JSON."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


@pytest.fixture
def audited(run, start_server, tmp_path):
    """audited(**fields) -> a Bench with an Audit before a server; `trail` is its file."""

    def start(steps=(), **fields: Any) -> Bench:
        server = start_server()
        bench = run(
            {"Audit": {"file": str(tmp_path / "trail"), **fields}}, *steps, sink(server.port)
        )
        bench.server = server
        bench.trail = tmp_path / "trail"
        return bench

    return start


def test_who_when_what_and_what_came_of_it(audited) -> None:
    bench = audited()
    client = bench.client()
    assert client.ask("SET", "key:1", SECRET) == b"OK"
    assert client.command("LPUSH", "key:1", SECRET).startswith(b"-WRONGTYPE")
    client.ask("PING")
    client.command("NOSUCH", SECRET)
    wait_until(lambda: len(records(bench.trail)) == 4, "all are written")
    found = records(bench.trail)
    said = [(r["command"], r.get("key"), r["outcome"], r.get("code")) for r in found]
    assert said == [
        ("SET", "key:1", "ok", None),
        ("LPUSH", "key:1", "error", "WRONGTYPE"),
        ("PING", None, "ok", None),
        ("NOSUCH", None, "error", "ERR"),
    ]
    for record in found:
        assert record["source"] == "s" and record["took_us"] >= 0
        assert re.fullmatch(r"127\.0\.0\.1:\d+", record["address"])
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["time"])
    assert len({record["client"] for record in found}) == 1
    assert SECRET not in bench.trail.read_text()
    assert os.stat(bench.trail).st_mode & 0o777 == 0o600


def test_the_user_is_who_has_logged_in(audited) -> None:
    bench = audited()
    bench.server.client().execute_command(
        "ACL", "SETUSER", "alice", "on", f">{SECRET}", "~*", "+@all"
    )
    client = bench.client()
    client.ask("GET", "a")
    assert client.command("AUTH", "alice", "wrong").startswith(b"-WRONGPASS")
    client.ask("GET", "b")
    client.ask("AUTH", "alice", SECRET)
    client.ask("GET", "c")
    wait_until(lambda: len(records(bench.trail)) == 5, "all are written")
    found = [
        (r["command"], r.get("login"), r.get("user"), r["outcome"]) for r in records(bench.trail)
    ]
    assert found == [
        ("GET", None, None, "ok"),
        ("AUTH", "alice", None, "error"),
        ("GET", None, None, "ok"),
        ("AUTH", "alice", None, "ok"),
        ("GET", None, "alice", "ok"),
    ]
    assert SECRET not in bench.trail.read_text()


def test_only_what_is_asked_for(audited) -> None:
    bench = audited(only=[{"query_types": ["Write"]}, {"commands": ["CONFIG"]}])
    bench.play("SET a 1", "GET a", "CONFIG GET maxmemory", "DEL a")
    wait_until(lambda: len(records(bench.trail)) == 3, "all are written")
    assert [r["command"] for r in records(bench.trail)] == ["SET", "CONFIG|GET", "DEL"]


@pytest.mark.parametrize(
    "step", [{"LoadBalance": {"max_connections": 3}}, {"ParallelMap": {"parallelism": 2}}]
)
def test_replies_of_any_size_go_through_as_they_were(run, start_server, tmp_path, step) -> None:
    """Also out of a chain that a step below owns."""
    server = start_server()
    [(kind, fields)] = step.items()
    end = {kind: {**fields, "chain": [sink(server.port)]}}
    bench = run({"Audit": {"file": str(tmp_path / "trail")}}, end)
    client = bench.client()
    big = os.urandom(3 << 20)
    assert client.ask("SET", "big", big) == b"OK"
    assert client.ask("GET", "big") == big
    assert client.ask("GET", "none") is None
    wait_until(lambda: len(records(tmp_path / "trail")) == 3, "all are written")
    assert all(record["outcome"] == "ok" for record in records(tmp_path / "trail"))


def test_keys_of_any_bytes_are_json(audited) -> None:
    bench = audited()
    client = bench.client()
    for key in (b'"\\\x00\n', "ключ".encode(), b"\xff\xfe", b"k" * 500):
        client.ask("SET", key, "v")
    wait_until(lambda: len(records(bench.trail)) == 4, "all are written")
    keys = [record["key"] for record in records(bench.trail)]
    assert keys == ['"\\\x00\n', "ключ", "\\xff\\xfe", "k" * 128 + "..."]


def test_transactions_and_subscriptions_go_on_as_before(audited) -> None:
    bench = audited()
    client, other = bench.client(), bench.client()
    for words in (("MULTI",), ("SET", "a", "1"), ("EXEC",)):
        client.command(*words)
    client.command("SUBSCRIBE", "channel")
    other.ask("PUBLISH", "channel", "hello")
    assert b"hello" in client.frame()
    wait_until(lambda: len(records(bench.trail)) == 5, "all are written")
    found = [(r["command"], r["outcome"]) for r in records(bench.trail)]
    assert ("EXEC", "ok") in found and ("SUBSCRIBE", "sent") in found


def test_a_pipeline_is_recorded_in_order(audited) -> None:
    bench = audited()
    bench.play(*[f"SET key:{n} v" for n in range(2000)])
    wait_until(lambda: len(records(bench.trail)) == 2000, "all are written")
    assert [record["key"] for record in records(bench.trail)] == [f"key:{n}" for n in range(2000)]


def test_what_is_lost_is_counted_and_told(audited, tmp_path) -> None:
    """The file cannot be written to: a pipe that nobody reads, until somebody does."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    bench = audited(file=str(pipe), queue_bytes=65536)
    for _ in range(6):
        bench.play(*[f"SET key:{n} v" for n in range(500)])
    assert bench.sample("shotover_audit_records_count", outcome="lost") > 0
    assert bench.sample("shotover_audit_records_count", outcome="refused") == 0
    data = bytearray()

    def drained() -> bool:
        try:
            data.extend(os.read(reader, 1 << 20))
        except BlockingIOError:
            return bench.sample("shotover_audit_waiting_bytes") == 0
        return False

    wait_until(drained, "what waited is written")
    bench.play("SET last v")
    wait_until(lambda: (drained() or True) and b'"key":"last"' in data, "the last one is written")
    found = [json.loads(line) for line in data.decode().split("\n")[:-1]]
    gaps = [record["lost"] for record in found if "lost" in record]
    whole = [record for record in found if "command" in record]
    lost = bench.sample("shotover_audit_records_count", outcome="lost")
    assert sum(gaps) == lost and len(whole) + lost == 3001
    os.close(reader)


def test_with_refuse_nothing_passes_without_a_record(audited, tmp_path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    bench = audited(file=str(pipe), queue_bytes=65536, when_full="refuse")
    passed = refused = 0
    for _ in range(6):
        for reply in bench.play(*[f"INCR counter {n}"[:12] for n in range(500)]):
            if reply.startswith(b"-BUSY shotover: the audit trail has no room"):
                refused += 1
            else:
                passed += 1
    assert refused > 0 and passed + refused == 3000
    assert int(bench.server.client().get("counter")) == passed
    assert bench.sample("shotover_audit_records_count", outcome="lost") == 0
    assert bench.sample("shotover_refusals_count", reason="audit") == refused
    data = bytearray()

    def drained() -> bool:
        try:
            data.extend(os.read(reader, 1 << 20))
        except BlockingIOError:
            return bench.sample("shotover_audit_waiting_bytes") == 0
        return False

    wait_until(drained, "what waited is written")
    assert data.count(b'"command":"INCR"') == passed
    os.close(reader)


def test_records_go_down_a_chain(run, start_server, tmp_path) -> None:
    server, trail = start_server(), start_server()
    bench = run({"Audit": {"chain": [sink(trail.port)]}}, sink(server.port))
    bench.play(*[f"SET key:{n} {SECRET}" for n in range(50)])
    wait_until_equal(lambda: trail.client().xlen("audit"), 50, "all have come")
    found = [json.loads(fields[b"record"]) for _id, fields in trail.client().xrange("audit")]
    assert [record["key"] for record in found] == [f"key:{n}" for n in range(50)]
    assert server.client().dbsize() == 50 and trail.client().dbsize() == 1
    assert SECRET not in json.dumps(found)


def test_a_chain_that_is_away_loses_records_and_says_so(run, start_server) -> None:
    server = start_server()
    from support.wait import free_port

    bench = run({"Audit": {"chain": [sink(free_port())]}}, sink(server.port))
    assert bench.play("SET a 1") == [b"+OK\r\n"]
    wait_until_equal(
        lambda: bench.sample("shotover_audit_records_count", outcome="lost"), 1, "it is counted"
    )
    bench.log()


# ---- the writer ----------------------------------------------------------------------------------------------------


def test_files_are_rotated_by_size_and_the_oldest_go(tmp_path) -> None:
    path = tmp_path / "trail"
    writer = AuditWriter(str(path), 1000, 3, False, lambda *_: None)
    ring = AuditRing(1 << 16)
    writer.add(ring)
    lines = [b'{"n":%d}' % n + b" " * 90 + b"\n" for n in range(100)]
    for at in range(0, 100, 5):
        assert ring.put_bytes(b"".join(lines[at : at + 5]))
        wait_until(lambda: len(ring) == 0, "it is written")
    writer.end(ring)
    files = [path, *(tmp_path / f"trail.{n}" for n in (1, 2, 3))]
    assert all(0 < file.stat().st_size <= 1000 for file in files)
    assert not (tmp_path / "trail.4").exists()
    kept = b"".join(file.read_bytes() for file in reversed(files))
    assert b"".join(lines).endswith(kept)


def test_what_cannot_be_written_waits_and_is_tried_again(tmp_path) -> None:
    folder = tmp_path / "later"
    said: list[str] = []
    writer = AuditWriter(
        str(folder / "trail"), 1 << 20, 3, False, lambda _path, why: said.append(why)
    )
    ring = AuditRing(1 << 16)
    writer.add(ring)
    ring.put_bytes(b"{}\n")
    wait_until(lambda: writer.failures, "it has been tried")
    assert len(ring) == 3 and said[0] == "No such file or directory"
    folder.mkdir()
    wait_until(lambda: len(ring) == 0, "it is written")
    writer.end(ring)
    assert (folder / "trail").read_bytes() == b"{}\n"


def test_a_ring_gives_what_was_put_in() -> None:
    ring, put, got = AuditRing(4096), bytearray(), bytearray()
    for n in range(3000):
        line = b"%d" % n * (n % 37) + b"\n"
        while not ring.put_bytes(line):
            piece = ring.peek(n % 997 + 1)
            got += piece
            ring.skip(len(piece))
        put += line
    got += ring.peek(1 << 20)
    assert got == put
    assert not AuditRing(1).put_bytes(b"x" * 4097)
