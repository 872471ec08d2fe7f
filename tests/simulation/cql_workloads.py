"""Workloads of CQL: clients whose requests share connections by number, and what may go wrong with those."""

from __future__ import annotations

import random

from simulation.plan import MS, ClientPlan, Event, Plan, large_for
from simulation.workloads import workload

TIMEOUT_NS = 50 * MS
VERSIONS = [(3, False), (4, False), (4, False), (5, False), (5, False), (5, True)]
COUNTS = [1, 1, 2, 5, 20, 100]
COUNTS_SLOW = [1, 1, 2, 5]  # where bytes go one by one


def cql_topology(sink: dict[str, object], source: dict[str, object]) -> str:
    fields = {"name": "s", "listen_addr": '"127.0.0.1:6379"', **source}
    head = ", ".join(f"{name}: {value}" for name, value in fields.items())
    chosen = {"remote_address": '"127.0.0.1:7000"', "connect_timeout_ms": 200, **sink}
    listed = ", ".join(f"{name}: {value}" for name, value in chosen.items())
    return "sources:\n- Cassandra: {%s, chain: [\n    CassandraSinkSingle: {%s}]}\n" % (
        head,
        listed,
    )


def script(rng: random.Random, plan: Plan, rounds: int, endings: list[str]) -> list[tuple]:
    """Its first step says what the client speaks, and how many numbers it uses."""
    counts = COUNTS_SLOW if plan.cql["slow"] else COUNTS
    version, lz4 = rng.choice(VERSIONS)
    steps: list[tuple] = [(version, lz4, rng.choice([2, 16, 128, 32_768]))]
    for _ in range(rng.randrange(1, rounds + 1)):
        drawn = rng.random()
        if drawn < 0.1:
            steps.append(("use", rng.choice([b"one", b"two", b'th"ree'.replace(b'"', b"")])))
        elif drawn < 0.15:
            steps.append(("register",))
        elif drawn < 0.2:
            steps.append(("slow", rng.choice([MS, 20 * MS])))
        elif drawn < 0.35:
            steps.append(("sleep", rng.choice([1000, 100_000, 5 * MS, 60 * MS])))
        else:
            steps.append(("send", rng.choice(counts)))
            if rng.random() < 0.3:
                steps.append(("await",))
    ending = rng.choice(endings)
    if ending != "await":
        steps += [("send", rng.choice(counts)), ("sleep", rng.choice([1, 100_000, MS]))]
    steps.append((ending,))
    return steps


def fill(rng: random.Random, plan: Plan, endings: list[str], most: int = 8) -> None:
    for _ in range(rng.randrange(1, most + 1)):
        plan.clients.append(ClientPlan(rng.randrange(5 * MS), script(rng, plan, 8, endings)))


def slow(world: dict[str, int]) -> bool:
    """Whether it takes an age to get a few KiB through."""
    return world["cut"] in (1, 2) or world["read_max"] < 1024 or world["send_room_max"] < 2048


def base(rng: random.Random, plan: Plan, **sink: object) -> None:
    plan.cql = {
        "delay_ns": rng.choice([0, 100_000, 5 * MS, 30 * MS]),
        "timeout_ns": TIMEOUT_NS,
        "late_percent": 0,
        "mute_percent": 0,
        "error_percent": rng.choice([0, 0, 10]),
        "large": large_for(plan.world, rng) if plan.world["send_room_max"] > 2048 else 0,
        "slow": slow(plan.world),
    }
    source = {"max_pending_requests": rng.choice([1, 3, 50])} if rng.random() < 0.2 else {}
    fields = {"connection_count": rng.choice([1, 1, 2, 5]), **sink}
    plan.topology = cql_topology(fields, source)
    if rng.random() < 0.15:
        plan.drain_at_ns = rng.randrange(1, 10 * MS)


@workload
def cql_streams(rng: random.Random, plan: Plan) -> None:
    """Many requests under way over few connections, answered in any order; clients leave in the middle of it."""
    base(rng, plan)
    fill(rng, plan, ["await", "await", "close", "reset", "finish"], most=12)
    for _ in range(rng.randrange(4)):
        plan.events.append(Event(rng.randrange(10 * MS), "main", "answer_nothing"))
    for _ in range(rng.randrange(4)):
        plan.events.append(Event(rng.randrange(10 * MS), "main", "announce"))


@workload
def cql_late(rng: random.Random, plan: Plan) -> None:
    """Some answers come when nobody waits for them any more, some never. No other request may get them."""
    limit = rng.choice([4, 40, 40, 1000, 32_768])
    more = {"breaker_timeouts": rng.choice([1, 2, 5])} if rng.random() < 0.4 else {}
    base(rng, plan, read_timeout=TIMEOUT_NS / 1e9, max_pending_requests=limit, **more)
    plan.cql["late_percent"] = rng.choice([0, 10, 40])
    plan.cql["mute_percent"] = rng.choice([0, 0, 3, 20])
    plan.excuses |= {"late"}
    if more:
        plan.excuses |= {"away"}  # taken to be silent
    if limit < 1000:
        plan.excuses |= {"pending"}
    if plan.cql["mute_percent"] or plan.cql["late_percent"]:
        plan.excuses |= {"lost"}  # a connection without a sign of life is given up
    fill(rng, plan, ["await", "await", "close", "reset"])


@workload
def cql_broken(rng: random.Random, plan: Plan) -> None:
    """Connections to the server break, stall, speak garbage; nobody answers, or nobody is there."""
    base(rng, plan)
    fill(rng, plan, ["await", "await", "close", "finish"])
    for _ in range(rng.randrange(1, 5)):
        action, values = rng.choice(
            [
                ("break_all", (rng.random() < 0.5,)),
                ("break_one", (rng.random() < 0.5,)),
                ("be_away", (rng.choice([1, 2]), rng.choice([MS, 50 * MS, 300 * MS]))),
                ("stall", (rng.choice([MS, 20 * MS]),)),
                ("spoil", ()),
                ("answer_nothing", ()),
                ("announce", ()),
            ]
        )
        plan.events.append(Event(rng.randrange(12 * MS), "main", action, values))
