"""memory_limit and client_memory_limit: who takes too much is slowed down, then goes; nobody else notices."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from support.resp import RawClient, encode
from support.wait import wait_until, wait_until_equal

from chain.bench import Bench, Silent, sink

KiB, MiB = 1 << 10, 1 << 20
VALUE = b"v" * 100 * KiB


def refused(bench: Bench, reason: str) -> float:
    return bench.sample("shotover_refusals_count", reason=reason)


def limited(bench: Bench) -> float:
    return bench.sample("shotover_limits_hit_count", limit="memory")


def asks_and_does_not_read(bench: Bench, count: int, key: str = "big") -> RawClient:
    """A client with a small window that is owed `count` values."""
    client = RawClient(bench.port, receive_buffer_size=4096)
    bench.clients.append(client)
    client.send(encode("GET", key) * count)
    return client


@pytest.fixture
def server(start_server: Any) -> Any:
    server = start_server()
    server.client().set("big", VALUE)
    return server


class Busy:
    """A well-behaved client that asks and reads, over and over, until it is asked how that went."""

    def __init__(self, bench: Bench) -> None:
        self.client = bench.client()
        self.over = threading.Event()
        self.wrong: list[bytes] = []
        self.count = 0
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        while not self.over.is_set():
            reply = self.client.command("ECHO", self.count)
            if not reply.endswith(b"\r\n%d\r\n" % self.count):
                self.wrong.append(reply)
            self.count += 1

    def stop(self) -> int:
        self.over.set()
        self.thread.join()
        assert not self.wrong
        return self.count


@pytest.mark.parametrize("poller", ["epoll", "auto"])
def test_who_does_not_read_goes_and_others_on_its_connection_do_not_notice(
    run, server, poller
) -> None:
    bench = run(sink(server.port), source={"client_memory_limit": "1MiB"}, poller=poller)
    other = Busy(bench)
    slow = asks_and_does_not_read(bench, 100)
    wait_until_equal(lambda: refused(bench, "client_memory_limit"), 1, "clients sent away")
    assert len(slow.rest()) < 100 * len(VALUE)
    before = other.count
    wait_until(lambda: other.count > before + 10, "the other client is served")
    assert other.stop() > 0
    assert bench.sample("shotover_upstream_lost_count") == 0
    assert any("client_memory_limit" in line for line in bench.log())


def test_a_reader_that_is_slow_but_reads_gets_everything(run, server) -> None:
    """240 values are more than half of what it may take, even without those that the kernel holds, less than all of it."""
    bench = run(sink(server.port), source={"client_memory_limit": "32MiB"})
    client = asks_and_does_not_read(bench, 240)
    for turn in range(1, 4):
        wait_until_equal(lambda: limited(bench), turn, "pauses")
        client.send(encode("GET", "big") * 240)  # is not read before it has caught up
        for _ in range(240):
            assert client.frame() == b"$%d\r\n%b\r\n" % (len(VALUE), VALUE)
    assert refused(bench, "client_memory_limit") == 0


def test_who_waits_for_a_slow_server_with_much_is_not_read(run) -> None:
    silent = Silent()
    bench = run(sink(silent.port), source={"client_memory_limit": "1MiB"})
    client = bench.client()
    client.socket.settimeout(0.5)
    with pytest.raises(
        TimeoutError
    ):  # the proxy reads no more, so that nothing can be sent any more
        for _ in range(1000):
            client.send(encode("SET", "a", b"x" * 60 * KiB))
    assert limited(bench) >= 1
    assert refused(bench, "client_memory_limit") == 0
    assert bench.memory_taken() < 3 * MiB
    silent.close()
    client.close()
    bench.gone()


def test_a_request_that_has_to_be_gathered_and_is_too_big_is_answered(run) -> None:
    coalesce = {"Coalesce": {"flush_when_buffered_message_count": 1}}
    bench = run(
        coalesce, {"DebugReturner": {"Redis": "42"}}, source={"client_memory_limit": "1MiB"}
    )
    client = bench.client()
    client.send(encode("GET", "a") + encode("SET", "a", b"x" * MiB)[: 100 * KiB])
    assert client.frame() == b"$2\r\n42\r\n"
    assert client.frame().startswith(b"-OOM shotover: the request takes more than half of client_m")
    assert client.rest() == b""
    assert refused(bench, "client_memory_limit") == 1


@pytest.mark.parametrize("where", ["process", "source"])
def test_the_heaviest_go_before_the_limit_is_reached(run, server, where) -> None:
    limit = 32 * MiB  # a turn's reads must fit between three quarters of it and all of it
    if where == "process":
        bench = run(sink(server.port), memory_limit=limit)
    else:
        bench = run(sink(server.port), source={"memory_limit": limit})
    other = Busy(bench)
    most = 0
    slow = []
    for _ in range(10):
        slow.append(asks_and_does_not_read(bench, 160))
        before = other.count
        wait_until(lambda before=before: other.count > before + 20, "the other client is served")
        most = max(most, bench.memory.bytes if where == "process" else bench.memory_taken())
    wait_until(lambda: refused(bench, "memory_limit") >= 1, "the heaviest was disconnected")
    assert other.stop() > 0
    if where == "process":
        assert most <= limit
    wait_until(lambda: bench.memory_taken() <= limit, "a source is back below its limit")
    assert any("memory_limit" in line for line in bench.log())
    for client in slow:
        client.close()
    wait_until(lambda: bench.memory_taken() < MiB, "memory is free again")
    wait_until(lambda: bench.client().command("GET", "big")[:1] == b"$", "new clients are served")


def test_who_comes_while_memory_is_scarce_is_told(run) -> None:
    """Most of it is held by clients of a server that does not read, and by none of them much."""
    silent = Silent(reads=False)
    bench = run(sink(silent.port), memory_limit=16 * MiB)
    refused_text = b"-ERR max number of clients reached (shotover: memory_limit)\r\n"
    answers: list[bytes] = []

    def turned_away() -> bool:
        client = bench.client()
        client.send(encode("SET", "a", b"x" * 30 * KiB) * 2)
        if bench.sample("shotover_refusals_count", reason="memory_limit") > 0:
            probe = bench.client()
            answers.append(probe.rest())
        return refused_text in answers

    wait_until(turned_away, "a client is turned away", deadline_s=20)
    silent.close()


def test_memory_is_told_by_kind(run, server) -> None:
    bench = run(sink(server.port), memory_limit=64 * MiB)
    bench.play("GET big")
    kinds = {
        labels["kind"]: value
        for name, labels, _kind, value in bench.worker.samples()
        if name == "shotover_memory_used_bytes"
    }
    assert set(kinds) == {"buffers", "spare_buffers", "requests", "sessions", "queues"}
    assert bench.memory.bytes >= kinds["requests"] > 0
