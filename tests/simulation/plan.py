"""A plan is all that a run is drawn from: the world's settings, a topology, scripts, and what goes wrong when."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

MS = 1_000_000


@dataclass
class ClientPlan:
    start_ns: int
    script: list[tuple[Any, ...]]


@dataclass
class Event:
    """At `at_ns`, `action(*values)` of a server ("main", "side") or of the simulation ("")."""

    at_ns: int
    target: str
    action: str
    values: tuple[Any, ...] = ()


@dataclass
class Plan:
    seed: int
    workload: str
    topology: str = ""
    world: dict[str, int] = field(default_factory=dict)
    servers: dict[str, int] = field(default_factory=lambda: {"main": 7000})
    answering: set[str] = field(default_factory=lambda: {"main"})
    """Servers whose replies clients may get."""
    clients: list[ClientPlan] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    excuses: set[str] = field(default_factory=set)
    """Errors that may be seen without a fault, see checks.ERRORS; and why connections may be closed."""
    cluster: dict[str, Any] = field(default_factory=dict)
    """Of cluster.ClusterSimulation: what cluster there is; empty: none."""
    cql: dict[str, int] = field(default_factory=dict)
    """Of cql.CqlSimulation: how its server answers; empty: this is Redis."""
    quorum: int = 0
    """So many servers must have carried out what a client is told was done, whichever they are; and
    a server may be given again what it was given on a connection that broke. 0: there is one."""
    plain_only: bool = False
    """With a quorum: all of a client's writes go one way to each server, so that none overtakes another there."""
    converts: bool = False
    """Clients may speak RESP3, and servers hear of none but RESP2."""
    by_key: bool = False
    """Order is promised for the requests on one key only."""
    sentinels: bool = False
    """There are sentinels, and a master that moves: simulation.sentinel."""
    tls: str = ""
    """Who speaks TLS with the worker: `clients`, `servers` or `both`; empty: nobody."""
    tls_version: str = "TLSv1_3"
    memory_bytes_max: int = 1 << 34
    pending_max: int = 0
    """Most requests of one client that may be under way at once; 0: not looked at."""
    replaces: list[int] = field(default_factory=list)
    """When another source, of the same topology, takes the place of the one that new clients come to."""
    drain_at_ns: int = 0
    """0: when all is quiet."""
    drain_ms: int = 5000

    def sentence(self) -> str:
        mode = "completion" if self.world.get("completion") else "readiness"
        counts = f"{len(self.clients)} clients, {len(self.events)} events"
        return f"seed {self.seed}, workload {self.workload}, {mode}, {counts}"


def draw_world(rng: random.Random) -> dict[str, int]:
    """Mostly mixed weather; now and then one thing is carried to its extreme."""
    return {
        "completion": rng.randrange(2),
        "cut": rng.choice([0, 1, 2, 3, 3, 3]),
        "latency_ns": rng.choice([1000, 20_000, 50_000, 50_000, 300_000]),
        "short_percent": rng.choice([0, 20, 20, 70]),
        "hold_percent": rng.choice([0, 30, 100]),
        "straggle_percent": rng.choice([0, 30, 100]),
        "idle_turn_percent": rng.choice([0, 3]),
        "lose_percent": rng.choice([0, 30, 100]),
        "full_percent": rng.choice([0, 5, 40]),
        "events_max": rng.choice([1, 4, 64, 64]),
        "send_room_max": rng.choice([64, 2048, 65536, 65536]),
        "read_max": rng.choice([16, 1024, 65536, 65536]),
    }


def large_for(world: dict[str, int], rng: random.Random) -> int:
    """The largest value that does not take an age, piece by piece."""
    if world["cut"] in (1, 2) or world["read_max"] < 1024 or world["send_room_max"] < 2048:
        return 0
    return rng.choice([0, 30_000, 90_000, 200_000])


def topology(*chain: str, **source: object) -> str:
    """YAML: a source with these fields and a chain of these steps, each a line of flow YAML."""
    fields = {"name": "s", "listen_addr": '"127.0.0.1:6379"', **source}
    head = ", ".join(f"{name}: {value}" for name, value in fields.items())
    return "sources:\n- Redis: {%s, chain: [\n    %s]}\n" % (head, ",\n    ".join(chain))


def sink(port: int = 7000, **fields: object) -> str:
    chosen = {"remote_address": f'"127.0.0.1:{port}"', "connect_timeout_ms": 200, **fields}
    return "RedisSinkSingle: {%s}" % ", ".join(f"{name}: {value}" for name, value in chosen.items())
