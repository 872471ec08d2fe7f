"""Load at twice the capacity of a server that becomes ten times slower for a while; and one client that wants it all.

The short runs look at what must hold whatever the machine does meanwhile: one reply for each request, refusals of the right
form, memory within its limit. The long one measures goodput, and prints it: `make test-long ARGS="tests/overload -s"`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chain.bench import Bench, sink
from support.resp import RawClient

from overload.load import Client, goodput, play

SERVICE_MS = 2.0
CAPACITY = 1000 / SERVICE_MS
CLIENTS = 50
DEADLINE_S = 0.5
"""A reply that comes later is of no use."""
MEMORY = 64 << 20
ADAPTIVE = {"AdaptiveConcurrency": {"max_concurrency": 100}}
SLOW_S = float(os.environ.get("OVERLOAD_SECONDS", "20"))
"""How long the server is slow in the long run."""


class Server:
    def __init__(self) -> None:
        program = Path(__file__).with_name("paced.py")
        self.process = subprocess.Popen(
            [sys.executable, str(program), str(SERVICE_MS)], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.control = RawClient(self.port)

    def pace(self, service_ms: float) -> None:
        self.control.send(
            b"*2\r\n$4\r\nPACE\r\n$%d\r\n%g\r\n" % (len(b"%g" % service_ms), service_ms)
        )

    def close(self) -> None:
        self.control.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def bench_of(server: Server, *steps: dict[str, Any]) -> Bench:
    return Bench(
        [*steps, sink(server.port)],
        source={"client_memory_limit": "4MiB"},
        memory_limit=MEMORY,
    )


def crowd(rate: float, count: int = CLIENTS) -> list[Client]:
    return [Client(rate / CLIENTS) for _ in range(count)]


def whole(clients: list[Client]) -> None:
    for client in clients:
        assert not client.pending, "requests without a reply"
        assert not client.odd


def capacity_of(bench: Bench, server: Server, service_ms: float) -> float:
    server.pace(service_ms)
    clients = [Client(0, depth=2) for _ in range(10)]
    play(bench.port, clients, 5)
    came = [sent.at_s + sent.took_s for client in clients for sent in client.sent]
    return sum(1 <= at < 5 for at in came) / 4


def test_each_request_has_one_reply_while_too_many_come(server) -> None:
    bench = bench_of(server, {"AdaptiveConcurrency": {"max_concurrency": 20, "queue_target_ms": 5}})
    clients = crowd(2 * CAPACITY)
    play(
        bench.port,
        clients,
        3,
        (1, lambda: server.pace(10 * SERVICE_MS)),
        (2, lambda: server.pace(SERVICE_MS)),
    )
    whole(clients)
    assert bench.sample("shotover_refusals_count", reason="queue_age") > 0
    assert bench.memory.bytes <= MEMORY
    good = sum(sent.good for client in clients for sent in client.sent)
    refused = sum(len(client.sent) for client in clients) - good
    assert good > 0
    assert refused == sum(
        bench.sample("shotover_refusals_count", reason=reason)
        for reason in ("queue_age", "queue_full")
    )
    bench.close()


@pytest.mark.long
@pytest.mark.parametrize("protected", [True, False], ids=["protected", "bare"])
def test_goodput_while_the_server_is_ten_times_slower(server, protected) -> None:
    """Measured: quick for 5 s, slow, quick for 10 s. Bare, it is only printed, to compare.

    Capacity is what the same server gives to clients that always have something waiting, on the same machine just before.
    """
    bench = bench_of(server)
    slow_capacity, capacity = (
        capacity_of(bench, server, ms) for ms in (10 * SERVICE_MS, SERVICE_MS)
    )
    bench.close()
    bench = bench_of(server, *([ADAPTIVE] if protected else []))
    clients = crowd(2 * CAPACITY)
    back_s = 5 + SLOW_S
    play(
        bench.port,
        clients,
        back_s + 10,
        (5, lambda: server.pace(10 * SERVICE_MS)),
        (back_s, lambda: server.pace(SERVICE_MS)),
    )
    shares = {
        "before": goodput(clients, 2, 5, DEADLINE_S) / capacity,
        "slow": goodput(clients, 5 + 3, back_s, DEADLINE_S) / slow_capacity,
        "after": goodput(clients, back_s + 3, back_s + 10, DEADLINE_S) / capacity,
    }
    seconds = [
        goodput(clients, back_s + second, back_s + second + 1, DEADLINE_S) for second in range(10)
    ]
    recovered = next((at for at, rate in enumerate(seconds) if rate >= 0.9 * capacity), None)
    print(f"capacity {capacity:.0f}/s, slow {slow_capacity:.0f}/s")
    print(
        {name: round(share, 3) for name, share in shares.items()},
        f"recovered in second {recovered}",
    )
    print(f"memory {bench.memory.bytes / (1 << 20):.1f} MiB of {MEMORY >> 20}")
    whole(clients)
    assert bench.memory.bytes <= MEMORY
    if protected:
        assert min(shares.values()) >= 0.9
        assert recovered is not None
        assert recovered <= 3
    bench.close()


@pytest.mark.long
def test_one_of_fifty_who_wants_it_all_costs_the_others_little(server) -> None:
    """The 49 want 80 % of the capacity. What they get with the greedy one beside them, against what they get without."""
    bench = bench_of(server, ADAPTIVE)
    ratios = []
    for _ in range(3):
        got = []
        for greedy in ([], [Client(0, depth=500)]):
            others = crowd(0.8 * CAPACITY, CLIENTS - 1)
            play(bench.port, [*others, *greedy], 6)
            whole([*others, *greedy])
            got.append(goodput(others, 1, 6, DEADLINE_S))
        ratios.append(got[1] / got[0])
    print(f"the others get {statistics.median(ratios):.3f} of what they get without", ratios)
    assert statistics.median(ratios) >= 0.95
    bench.close()
