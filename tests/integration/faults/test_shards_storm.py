"""RedisSinkShards while servers die, stop and come back: each request has one answer, and never a wrong one."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.proxy import Proxy
from support.resp import Error, RawClient, encode
from support.servers import Server
from support.wait import wait_until

from shotover.sinks._redis_distribution import Distribution

SERVERS = 4
CLIENTS = 6
STORM_S = 6.0
CALM = 0  # this server is left in peace


class ShardsProxy(Proxy):
    def __init__(self, servers: list[Server], **fields: Any) -> None:
        lines = [f"127.0.0.1:{server.port}:1 s{index}" for index, server in enumerate(servers)]
        self.sink = {"RedisSinkShards": {"servers": lines, **fields}}
        super().__init__(0)

    def _write(self, name: str, content: Any) -> None:
        if name == "topology.yaml":
            content["sources"][0]["Redis"]["chain"] = [self.sink]
        super()._write(name, content)


class Client(threading.Thread):
    """Pipelines of its own keys; remembers what each key may hold, and what was wrong."""

    def __init__(
        self, number: int, proxy: Proxy, placing: Distribution, ending: threading.Event
    ) -> None:
        super().__init__()
        self.number, self.proxy, self.placing, self.ending = number, proxy, placing, ending
        self.source = random.Random(number)
        self.keys = [b"c%d:%d" % (number, index) for index in range(40)]
        self.calm = [key for key in self.keys if placing.place_of(key) == CALM]
        self.held: dict[bytes, bytes | None] = dict.fromkeys(self.calm)
        self.wrong: list[str] = []
        self.answered = self.failed = 0

    def run(self) -> None:
        try:
            with RawClient(self.proxy.port, deadline_s=20) as raw:
                while not self.ending.is_set():
                    self.pipeline(raw)
        except (AssertionError, OSError) as error:
            self.wrong.append(f"client {self.number}: {error}")

    def pipeline(self, raw: RawClient) -> None:
        asked: list[tuple[bytes, tuple[bytes, ...]]] = []
        for step in range(self.source.randint(1, 30)):
            some = self.source.sample(self.keys, 6)
            value = b"%d.%d.%d" % (self.number, self.answered, step)
            kind = self.source.randrange(6)
            if kind < 2:
                asked.append((b"SET", (some[0], value)))
            elif kind < 4:
                asked.append((b"GET", (some[0],)))
            elif kind == 4:
                asked.append((b"MGET", tuple(some)))
            else:
                asked.append((b"MSET", tuple(word for key in some for word in (key, value))))
        raw.send(b"".join(encode(name, *words) for name, words in asked))
        for name, words in asked:
            self.check(name, words, raw.value())

    def check(self, name: bytes, words: tuple[bytes, ...], reply: Any) -> None:
        self.answered += 1
        failed = isinstance(reply, Error)
        self.failed += failed
        if name in (b"SET", b"MSET"):
            pairs = list(zip(words[::2], words[1::2], strict=True))
            alone = all(key in self.held for key, _ in pairs)
            if failed and alone:
                self.wrong.append(f"{name!r} {words!r}: {reply}")
            for key, value in pairs:
                if key in self.held:  # its part is done even when another's has failed
                    self.held[key] = value
            return
        if failed:
            if all(key in self.held for key in words):
                self.wrong.append(f"{name!r} {words!r}: {reply}")
            return
        values = reply if name == b"MGET" else [reply]
        for key, value in zip(words, values, strict=True):
            if key in self.held and value != self.held[key]:
                self.wrong.append(f"{key!r}: {value!r}, not {self.held[key]!r}")
            if value is not None and not value.startswith(b"%d." % self.number):
                self.wrong.append(f"{key!r} has another client's value: {value!r}")


@pytest.mark.timeout(90)
@pytest.mark.parametrize("mode", ["fail", "remap"])
def test_servers_die_stop_and_come_back(start_server: Callable[..., Server], mode: str) -> None:
    servers = [start_server() for _ in range(SERVERS)]
    fields: dict[str, Any] = {
        "read_timeout": 0.5,
        "retry_timeout": 0.3,
        "keys_of_dead_servers": mode,
    }
    if mode == "remap":
        fields |= {"failure_limit": 1, "rejoin_timeout": 0.2}
    proxy = ShardsProxy(servers, **fields)
    try:
        storm(proxy, servers)
        if mode == "remap":
            wait_until(
                lambda: proxy.metric("shotover_shards_ejected") == 0, "all have their keys again"
            )
        wait_until(lambda: proxy.metric("shotover_held_requests") == 0, "nothing is held")
        proxy.stop()
    finally:
        proxy.kill()


def storm(proxy: Proxy, servers: list[Server]) -> None:
    proxy.allow_log(
        r"server .* is (dead|back)", "upstream", "unavailable", "timed out", "refused", "lost"
    )
    placing = Distribution("ketama", [(b"s%d" % index, 1) for index in range(SERVERS)])
    ending = threading.Event()
    clients = [Client(number, proxy, placing, ending) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    source = random.Random(4)
    end = time.monotonic() + STORM_S
    try:
        while time.monotonic() < end and not any(client.wrong for client in clients):
            disturb(source, servers[source.randrange(1, SERVERS)], clients)
    finally:
        ending.set()
        for client in clients:
            client.join(30)
    assert not [wrong for client in clients for wrong in client.wrong][:5]
    assert sum(client.failed for client in clients) > 0, "the storm was felt"
    assert all(client.answered > 50 for client in clients)
    with proxy.raw() as raw:  # all is as before
        for index in range(200):
            wait_until(
                lambda index=index: raw.command("SET", b"after:%d" % index, "1") == b"+OK\r\n",
                "it works",
            )


def disturb(source: random.Random, server: Server, clients: list[Client]) -> None:
    """Kill it or stop it, for as long as clients need for some answers, few or many; then bring it back."""
    killed = source.random() < 0.4
    if killed:
        server.kill()
    else:
        os.kill(server.process.pid, signal.SIGSTOP)
    try:
        answers(clients, source.choice((5, 50, 400)))
    finally:
        if killed:
            server.start(server.port)
        else:
            os.kill(server.process.pid, signal.SIGCONT)
    answers(clients, source.choice((5, 400)))


def answers(clients: list[Client], count: int) -> None:
    enough = sum(client.answered for client in clients) + count
    wait_until(
        lambda: (
            sum(client.answered for client in clients) >= enough
            or any(each.wrong for each in clients)
        ),
        "clients are answered",
    )
