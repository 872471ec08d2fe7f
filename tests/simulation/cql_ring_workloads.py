"""Workloads of a ring of Cassandra: see cql_ring."""

from __future__ import annotations

import random

from simulation.cql_workloads import VERSIONS, slow
from simulation.plan import MS, ClientPlan, Event, Plan, large_for
from simulation.workloads import workload

HOST_ID = "00000000-0000-0000-0000-0000000000f0"
STEADY_NS = 5_000 * MS
"""When the proxy knows the ring, and nothing that went wrong explains anything any more."""
COUNTS = [1, 1, 2, 5, 20]
COUNTS_SLOW = [1, 1, 2]


def ring(rng: random.Random, plan: Plan, later: int = 0, **fields: object) -> None:
    count = rng.choice([2, 3, 4]) + later
    plan.servers = {f"n{index}": 7000 + index for index in range(count)}
    plan.answering = set(plan.servers)
    plan.cql = {
        "ring": 1,
        "later": later,
        "copies": rng.choice([1, 2, 3]),
        "tokens": rng.choice([1, 2]),
        "delay_ns": rng.choice([0, 100_000, 5 * MS]),
        "timeout_ns": 50 * MS,
        "late_percent": 0,
        "mute_percent": 0,
        "error_percent": rng.choice([0, 0, 10]),
        "large": large_for(plan.world, rng) if plan.world["send_room_max"] > 2048 else 0,
        "slow": slow(plan.world),
    }
    sink = {
        "first_contact_points": '["127.0.0.1:7000", "127.0.0.1:7001"]',
        "local_shotover_host_id": f'"{HOST_ID}"',
        "shotover_nodes": f'[{{address: "127.0.0.1:6379", data_center: dc1, rack: r1, host_id: "{HOST_ID}"}}]',
        "connect_timeout_ms": 200,
        "heartbeat_interval": 0.3,
        "connection_count": rng.choice([1, 1, 2]),
        "refresh_interval": rng.choice([1, 60]),
        **fields,
    }
    source = {"name": "s", "listen_addr": '"127.0.0.1:6379"'}
    if rng.random() < 0.2:
        source["max_pending_requests"] = str(rng.choice([1, 3, 50]))
    head, listed = (
        ", ".join(f"{name}: {value}" for name, value in each.items()) for each in (source, sink)
    )
    plan.topology = "sources:\n- Cassandra: {%s, chain: [\n    CassandraSinkCluster: {%s}]}\n" % (head, listed)  # fmt: skip


def clients(
    rng: random.Random, plan: Plan, begin_ns: int, over_ns: int, endings: list[str], most: int = 6
) -> None:
    """They ask from `begin_ns` on, for about as long as `over_ns`."""
    counts = COUNTS_SLOW if plan.cql["slow"] else COUNTS
    for _ in range(rng.randrange(2, most + 1)):
        version, lz4 = rng.choice(VERSIONS)
        steps: list[tuple] = [(version, lz4, rng.choice([2, 16, 128, 32_768]))]
        if rng.random() < 0.5:
            steps.append(("use", b"ks"))
        for _ in range(rng.randrange(2, 12)):
            drawn = rng.random()
            if drawn < 0.05:
                steps.append(("use", rng.choice([b"ks", b"other"])))
            elif drawn < 0.1:
                steps.append(("register",))
            elif drawn < 0.3:
                steps.append(("sleep", rng.randrange(1000, over_ns // 6)))
            else:
                steps.append(("send", rng.choice(counts)))
                if rng.random() < 0.4:
                    steps.append(("await",))
        ending = rng.choice(endings)
        if ending != "await":
            steps += [("send", rng.choice(counts)), ("sleep", rng.choice([1, 100_000, MS]))]
        steps.append((ending,))
        plan.clients.append(ClientPlan(begin_ns + rng.randrange(over_ns // 3), steps))


def afterwards(rng: random.Random, plan: Plan, at_ns: int) -> None:
    """Once all is over no error is seen, and each request goes where its row is."""
    clients(rng, plan, at_ns + STEADY_NS, 300 * MS, ["await"], 3)


ENDINGS = ["await", "await", "close", "reset", "finish"]


@workload
def cql_ring(rng: random.Random, plan: Plan) -> None:
    """Nothing goes wrong, but nodes forget what they have prepared and the schema changes."""
    ring(rng, plan)
    clients(rng, plan, 0, 40 * MS, ENDINGS)
    begin = STEADY_NS
    clients(rng, plan, begin, 400 * MS, ENDINGS)
    for _ in range(rng.randrange(6)):
        at = begin + rng.randrange(500 * MS)
        action = rng.choice(["forget", "forget", "alter", "answer_nothing"])
        plan.events.append(Event(at, rng.choice(list(plan.servers)), action))


@workload
def cql_ring_moves(rng: random.Random, plan: Plan) -> None:
    """Nodes join, or begin: no client may notice."""
    ring(rng, plan, later=rng.choice([1, 2]))
    over = rng.choice([100, 1000]) * MS
    clients(rng, plan, STEADY_NS, over, ENDINGS)
    for _ in range(rng.randrange(1, 6)):
        action = rng.choice(["join", "begin", "forget", "alter"])
        values = (rng.choice([1, 50, 300]) * MS,) if action == "begin" else ()
        target = "n0" if action == "begin" else rng.choice(list(plan.servers))
        plan.events.append(Event(STEADY_NS + rng.randrange(over), target, action, values))
    last = f"n{len(plan.servers) - 1}"
    plan.events.append(Event(STEADY_NS + rng.randrange(over), last, "join"))
    afterwards(rng, plan, STEADY_NS + over)


@workload
def cql_ring_slow(rng: random.Random, plan: Plan) -> None:
    """Servers that take their time get rivals, and sometimes die meanwhile, or do not know the statement."""
    fields = {"speculative_delay_ms": rng.choice([1, 5, 20]), "speculative_percent": 100}
    if rng.random() < 0.5:
        fields["read_timeout"] = 0.2
        plan.excuses |= {"late", "lost"}
    ring(rng, plan, retry_percent=rng.choice([0, 100]), **fields)
    plan.excuses.add("twice")
    plan.cql["timeout_ns"] = 30 * MS
    plan.cql["late_percent"] = rng.choice([5, 40])
    over = rng.choice([100, 1000]) * MS
    clients(rng, plan, STEADY_NS, over, ENDINGS)
    last = over
    for _ in range(rng.randrange(5)):
        lasts = rng.choice([1, 50, 300]) * MS
        action, values = rng.choice(
            [
                ("stall", (lasts,)),
                ("break_one", (rng.random() < 0.5,)),
                ("die", (1, lasts)),
                ("hang", (lasts,)),
                ("forget", ()),
                ("alter", ()),
            ]
        )
        at = rng.randrange(over)
        plan.events.append(Event(STEADY_NS + at, rng.choice(list(plan.servers)), action, values))
        last = max(last, at + lasts)
    afterwards(rng, plan, STEADY_NS + last)


@workload
def cql_ring_broken(rng: random.Random, plan: Plan) -> None:
    """Nodes die, hang, and come back having forgotten; connections break; nodes come and go meanwhile."""
    ring(rng, plan, later=rng.choice([0, 1]), retry_percent=rng.choice([0, 10, 100]))
    begin = rng.choice([0, STEADY_NS])
    over = rng.choice([100, 1000]) * MS
    last = over
    clients(rng, plan, begin, over, ENDINGS)
    for _ in range(rng.randrange(1, 7)):
        lasts = rng.choice([1, 50, 300, 900]) * MS
        action, values = rng.choice(
            [
                ("die", (rng.choice([1, 2]), lasts)),
                ("hang", (lasts,)),
                ("break_all", (rng.random() < 0.5,)),
                ("break_one", (rng.random() < 0.5,)),
                ("spoil", ()),
                ("forget", ()),
                ("leave", ()),
                ("join", ()),
                ("alter", ()),
                ("begin", (lasts,)),
            ]
        )
        at = rng.randrange(over)
        plan.events.append(Event(begin + at, rng.choice(list(plan.servers)), action, values))
        last = max(last, at + lasts)
    if rng.random() < 0.2:
        plan.drain_at_ns = begin + rng.randrange(over)
    else:
        afterwards(rng, plan, begin + last)
