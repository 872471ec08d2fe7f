"""Workloads before a cluster. Each ends with clients that must be served on every slot, whatever has happened."""

from __future__ import annotations

import random

from simulation.cluster_client import TAGS, ClusterDraw
from simulation.ops import Draw
from simulation.plan import MS, ClientPlan, Event, Plan, topology
from simulation.server import PASSWORD
from simulation.workloads import CUTS, ENDINGS, Kind, leave, some, workload

PLAIN: list[Kind] = [(10, ClusterDraw.data), (3, ClusterDraw.several)]
MIXED: list[Kind] = [
    *PLAIN,
    (2, ClusterDraw.transaction),
    (1, ClusterDraw.script),
    (1, ClusterDraw.every),
    (1, ClusterDraw.blocking),
    (1, lambda draw: draw.blocking(False)),
]
EVERYTHING: list[Kind] = [
    *MIXED,
    (2, ClusterDraw.state),
    (1, ClusterDraw.subscription),
    (1, Draw.reset),
]
OVER_NS = 3_500 * MS  # after the last fault: nothing may show it any more


def cluster(
    rng: random.Random,
    plan: Plan,
    *,
    replicas: int = 0,
    extra: int = 0,
    locked: bool = False,
    source: dict[str, object] | None = None,
    **fields: object,
) -> None:
    shards = rng.choice([2, 3, 3, 4])
    names = [f"n{index}" for index in range(shards + extra)]
    names += [f"r{index}_{number}" for index in range(shards) for number in range(replicas)]
    plan.servers = {name: 7000 + index for index, name in enumerate(names)}
    plan.answering = set(names)
    retry_ms, read_ms = rng.choice([300, 800]), rng.choice([150, 400])
    plan.cluster = {
        "shards": shards,
        "extra": extra,
        "locked": locked,
        "forms_at_ns": 0,
        "retry_ms": retry_ms,
        "read_ms": read_ms,
    }
    points = ", ".join(
        f'"127.0.0.1:{plan.servers[name]}"' for name in rng.sample(names, min(2, len(names)))
    )
    chosen = {
        "first_contact_points": f"[{points}]",
        "connect_timeout_ms": 100,
        "read_timeout": read_ms / 1000,
        "retry_timeout": retry_ms / 1000,
        "refresh_interval": rng.choice([0.5, 10]),
        "connection_count": rng.choice([1, 1, 2]),
        **fields,
    }
    step = "RedisSinkCluster: {%s}" % ", ".join(
        f"{name}: {value}" for name, value in chosen.items()
    )
    plan.topology = topology(step, **(source or {}))


def clients(
    rng: random.Random,
    plan: Plan,
    kinds: list[Kind],
    *,
    most: int = 6,
    over_ns: int = 40 * MS,
    login: bool = False,
    scans: bool = True,
) -> None:
    """They act while the cluster changes, over `over_ns`."""
    for index in range(rng.randrange(2, most + 1)):
        draw = ClusterDraw(rng, index, 0)
        script: list = []
        if login and rng.random() < 0.9:
            script.append(("send", [draw.plain("state", "AUTH", "alice", PASSWORD)], 1))
            if rng.random() < 0.7:
                script.append(("await",))
        for _ in range(rng.randrange(1, 7)):
            script.append(("send", some(draw, kinds, 10), rng.choice(CUTS)))
            what = rng.random()
            if what < 0.5:
                script.append(("await",))
            if what < 0.8:
                script.append(("sleep", rng.randrange(1000, over_ns // 4)))
            if scans and rng.random() < 0.1:
                script += [("await",), ("scan",), ("await",)]
            if rng.random() < 0.03:
                script.append(("stall", rng.choice([100_000, 20 * MS])))
            if rng.random() < 0.03:
                script.append(("slow", rng.choice([1 * MS, 30 * MS])))
            if rng.random() < 0.06:
                leave(draw, script, rng.choice(ENDINGS))
                if login:
                    script.append(("send", [draw.plain("state", "AUTH", "alice", PASSWORD)], 1))
        leave(draw, script, rng.choice(("await", "await", *ENDINGS)))
        plan.clients.append(ClientPlan(rng.randrange(over_ns // 4), script))


def afterwards(rng: random.Random, plan: Plan, at_ns: int, login: bool = False) -> None:
    """Every slot is read and written once all is over."""
    for number in range(2):
        draw = ClusterDraw(rng, 90 + number, 0)
        ops = [draw.plain("state", "AUTH", "alice", PASSWORD)] if login else []
        for tag in range(TAGS):
            draw.tags = [tag]
            ops += [draw.tagged("SET", draw.key(), draw.value()), draw.tagged("GET", draw.key())]
        draw.tags = list(range(TAGS))
        ops += (
            draw.several("MGET")
            + draw.several("MSET")
            + [draw.tagged("DBSIZE")._replace(kind="every")]
        )
        script = (
            [("send", ops, 1), ("await",)]
            if number
            else [step for op in ops for step in (("send", [op], 1), ("await",))]
        )
        plan.clients.append(ClientPlan(at_ns + OVER_NS, [*script, ("scan",), ("await",)]))


def migrations(rng: random.Random, plan: Plan, over_ns: int, most: int = 8) -> None:
    shards = plan.cluster["shards"] + plan.cluster["extra"]
    pace = rng.choice([200_000, 2 * MS, 10 * MS])
    for _ in range(rng.randrange(1, most + 1)):
        values = (rng.randrange(TAGS), rng.randrange(shards), pace)
        plan.events.append(Event(rng.randrange(over_ns), "", "migrate", values))


def faults(rng: random.Random, plan: Plan, over_ns: int, most: int = 4) -> int:
    """Faults of single nodes and connections. Returns when the last of them is over."""
    last = over_ns
    for _ in range(rng.randrange(1, most + 1)):
        at = rng.randrange(over_ns)
        target = rng.choice([name for name in plan.servers if name[0] == "n"])
        kind = rng.choice(
            [
                "reset_some",
                "close_some",
                "stall_some",
                "hang",
                "cut",
                "garbage",
                "silence_some",
                "load",
                "no_cluster",
                "mode",
            ]
        )
        lasts = rng.choice([1, 20, 200, 600]) * MS
        if kind in ("reset_some", "close_some", "silence_some"):
            plan.events.append(Event(at, target, kind))
        elif kind in ("stall_some", "hang", "load", "no_cluster"):
            plan.events.append(Event(at, target, kind, (lasts,)))
        elif kind == "mode":
            plan.events.append(Event(at, target, "mode", (rng.choice([1, 2]), lasts)))
            plan.events.append(Event(at + 1000, target, "reset_some"))
        elif kind == "cut":
            plan.events.append(
                Event(at, target, "__setattr__", ("cut_next", rng.choice([1, 3, 20])))
            )
        else:
            plan.events.append(Event(at, target, "__setattr__", ("garbage_next", True)))
        last = max(last, at + lasts)
    return last + (plan.cluster["read_ms"] + 1000) * MS


@workload
def cluster_calm(rng: random.Random, plan: Plan) -> None:
    """Nothing goes wrong but clients."""
    cluster(rng, plan, replicas=rng.randrange(2))
    clients(rng, plan, EVERYTHING)
    publishing(rng, plan, 40 * MS)
    afterwards(rng, plan, 100 * MS)


@workload
def cluster_moving(rng: random.Random, plan: Plan) -> None:
    """Slots move, key by key, under load: no client may notice."""
    extra = rng.randrange(2)
    cluster(rng, plan, extra=extra, retry_timeout=20)
    plan.cluster["retry_ms"] = 20_000
    plan.excuses.add("tryagain")
    over = rng.choice([10, 60]) * MS
    clients(rng, plan, rng.choice([PLAIN, MIXED, EVERYTHING]), over_ns=over)
    migrations(rng, plan, over)
    publishing(rng, plan, over)
    afterwards(rng, plan, 2 * over)


@workload
def cluster_failover(rng: random.Random, plan: Plan) -> None:
    """Masters die, hang or step down, and replicas take over, now and then without the last writes."""
    cluster(rng, plan, replicas=rng.choice([1, 2]))
    over = rng.choice([40, 400]) * MS
    clients(rng, plan, rng.choice([PLAIN, MIXED, EVERYTHING]), over_ns=over)
    last = over
    for _ in range(rng.randrange(1, 4)):
        lost = rng.choice([0, 0, 3])
        if lost:
            plan.excuses.add("lossy")
        at, after, back = (
            rng.randrange(over),
            rng.choice([1, 50, 250]) * MS,
            rng.choice([1, 50, 500]) * MS,
        )
        how = rng.choice(["dies", "hangs", "by hand"])
        plan.events.append(
            Event(
                at, "", "fail_over", (rng.randrange(plan.cluster["shards"]), how, after, lost, back)
            )
        )
        last = max(last, at + after + back + 100 * MS)
    if rng.random() < 0.4:
        migrations(rng, plan, over, 3)
        plan.excuses.add("tryagain")
    publishing(rng, plan, over)
    afterwards(rng, plan, last + 1000 * MS)


@workload
def cluster_broken(rng: random.Random, plan: Plan) -> None:
    """Nodes and connections fail in all ways, while slots move."""
    cluster(rng, plan, retries=rng.choice([0, 10, 100]))
    over = rng.choice([20, 200]) * MS
    clients(rng, plan, rng.choice([PLAIN, MIXED, EVERYTHING]), over_ns=over)
    last = faults(rng, plan, over)
    if rng.random() < 0.5:
        migrations(rng, plan, over, 4)
        plan.excuses.add("tryagain")
    publishing(rng, plan, over)
    afterwards(rng, plan, last)


@workload
def cluster_forming(rng: random.Random, plan: Plan) -> None:
    """The proxy is there before the cluster: nodes load, have not met, lack slots; it wants a login, or gets new names."""
    locked = rng.random() < 0.5
    own = (
        {"username": "alice", "password": PASSWORD.decode()}
        if locked and rng.random() < 0.3
        else {}
    )
    cluster(rng, plan, extra=1, locked=locked, **own)
    over = rng.choice([20, 200]) * MS
    last = over
    clients(rng, plan, rng.choice([PLAIN, MIXED, EVERYTHING]), over_ns=over, login=locked)
    if rng.random() < 0.4:
        plan.cluster["forms_at_ns"] = rng.choice([1, 30, 250]) * MS
    if rng.random() < 0.4:
        bare = rng.sample(range(TAGS), rng.randrange(1, 4))
        plan.cluster["bare"] = bare
        for tag in bare:
            values = (tag, rng.randrange(plan.cluster["shards"]))
            plan.events.append(Event(rng.randrange(over), "", "cover", values))
    for name in plan.servers:
        if rng.random() < 0.3:
            plan.events.append(Event(0, name, "load", (rng.choice([1, 50, 200]) * MS,)))
    if rng.random() < 0.5:
        shards = plan.cluster["shards"]
        plan.events.append(
            Event(rng.randrange(over), "", "rename", (rng.randrange(shards), f"n{shards}"))
        )
    afterwards(rng, plan, last + 1500 * MS, login=locked)


@workload
def cluster_storm(rng: random.Random, plan: Plan) -> None:
    """Everything at once, now and then in a worker that drains."""
    cluster(rng, plan, replicas=1, retries=rng.choice([0, 10, 100]))
    over = rng.choice([40, 400]) * MS
    clients(rng, plan, EVERYTHING, most=8, over_ns=over)
    last = faults(rng, plan, over, 6)
    for _ in range(rng.randrange(1, 3)):
        at, after, back = (
            rng.randrange(over),
            rng.choice([1, 50, 250]) * MS,
            rng.choice([1, 50, 500]) * MS,
        )
        values = (
            rng.randrange(plan.cluster["shards"]),
            rng.choice(["dies", "hangs", "by hand"]),
            after,
            0,
            back,
        )
        plan.events.append(Event(at, "", "fail_over", values))
        last = max(last, at + after + back + 1500 * MS)
    migrations(rng, plan, over)
    plan.excuses.add("tryagain")
    publishing(rng, plan, over)
    if rng.random() < 0.3:
        plan.drain_at_ns = rng.randrange(1, over)
        plan.drain_ms = rng.choice([1, 100, 5000])
        plan.excuses.add("closes")
    else:
        afterwards(rng, plan, last)


def publishing(rng: random.Random, plan: Plan, over_ns: int) -> None:
    for _ in range(rng.randrange(20)):
        plan.events.append(
            Event(rng.randrange(over_ns), "", "publish", (b"c:%d" % rng.randrange(3),))
        )
