"""The workloads: each makes a plan of its own kind from a seed. A new one is a function below with @workload."""

from __future__ import annotations

import random
from collections.abc import Callable

from simulation.ops import Draw, Op
from simulation.plan import MS, ClientPlan, Event, Plan, draw_world, large_for, sink, topology

WORKLOADS: dict[str, Callable[[random.Random, Plan], None]] = {}
CUTS = [1, 1, 1, 2, 5]
PACES = [1000, 100_000, 100_000, 5 * MS, 700 * MS]


def workload(make: Callable[[random.Random, Plan], None]) -> Callable[[random.Random, Plan], None]:
    WORKLOADS[make.__name__] = make
    return make


def plan_for(seed: int, name: str = "") -> Plan:
    """The plan of a seed; without a name, seeds take the workloads in turn."""
    names = list(WORKLOADS)
    chosen = name or names[seed % len(names)]
    rng = random.Random(f"{chosen} {seed}")
    plan = Plan(seed, chosen)
    plan.world = draw_world(rng)
    WORKLOADS[chosen](rng, plan)
    return plan


def with_replaces(seed: int, name: str = "") -> Plan:
    """The same, and a few times the source is replaced by one of the same topology, while clients are connected."""
    plan = plan_for(seed, name)
    rng = random.Random(f"replace {seed}")
    most = plan.drain_at_ns or rng.choice([MS, 5 * MS, 30 * MS])
    plan.replaces = [rng.randrange(most) for _ in range(rng.randrange(1, 5))]
    return plan


# ---- parts --------------------------------------------------------------------------------------------------------

Kind = tuple[int, Callable[[Draw], list[Op]]]

PLAIN: list[Kind] = [(10, Draw.data)]
LEASES: list[Kind] = [
    (6, Draw.data),
    (3, Draw.transaction),
    (1, Draw.stray_end),
    (2, Draw.blocking),
    (1, lambda draw: draw.blocking(False)),
    (1, Draw.unknown),
    (1, Draw.waits),
]
STATES: list[Kind] = [*LEASES, (3, Draw.state), (1, Draw.reset)]
EVERYTHING: list[Kind] = [*STATES, (2, Draw.subscription), (1, Draw.identity), (1, Draw.skipped)]
ENDINGS = (
    "await",
    "await",
    "close",
    "reset",
    "finish",
    "half",
    "quit",
    "garbage",
    "endless",
    "open",
    "now",
)


def some(draw: Draw, kinds: list[Kind], most: int) -> list[Op]:
    ops: list[Op] = []
    count = draw.rng.randrange(1, most + 1)
    weights = [weight for weight, _make in kinds]
    while len(ops) < count:
        [(_weight, make)] = draw.rng.choices(kinds, weights)
        ops += make(draw)
    return ops


def leave(draw: Draw, script: list, ending: str) -> None:
    """How a client goes, in the worst of moments."""
    rng = draw.rng
    ways = ["close", "reset", "finish"]
    if ending == "await":
        script.append(("await",))
        return
    if ending in ways:
        script.append(("send", draw.data(), 1))
    elif ending == "half":
        script.append(("half", (draw.big() if draw.bulky else draw.data())[0]))
    elif ending == "quit":
        script.append(("send", [*draw.data(), draw.quit()], rng.choice(CUTS)))
        return
    elif ending == "garbage":
        script.append(("send", [*draw.data(), draw.garbage()], rng.choice(CUTS)))
        return
    elif ending == "endless":
        script.append(
            (
                "send",
                [
                    *(draw.data() if rng.random() < 0.5 else []),
                    draw.endless(),
                    *(draw.data() if rng.random() < 0.3 else []),
                ],
                rng.choice(CUTS),
            )
        )
        if rng.random() < 0.2:
            script.append(("spoil", draw.garbage()))
    elif ending == "open":
        script.append(("send", draw.open_transaction(), rng.choice(CUTS)))
    if rng.random() < 0.5:
        script.append(("sleep", rng.choice([1000, 100_000, 2 * MS])))
    script.append((ending if ending in ways else rng.choice(ways),))


def script_for(
    draw: Draw, kinds: list[Kind], rounds: int, most: int, endings: tuple[str, ...] = ENDINGS
) -> list:
    rng = draw.rng
    script: list = []
    for _ in range(rng.randrange(1, rounds + 1)):
        script.append(("send", some(draw, kinds, most), rng.choice(CUTS)))
        if draw.bulky:
            script[-1] += (rng.choice(PACES),)
        what = rng.random()
        if what < 0.7:
            script.append(("await",))
        elif what < 0.8:
            script.append(("sleep", rng.choice([1000, 50_000, 5 * MS])))
        if rng.random() < 0.05:
            script.append(("stall", rng.choice([100_000, 20 * MS])))
        if rng.random() < 0.05:
            script.append(("slow", rng.choice([1 * MS, 30 * MS])))
        if rng.random() < 0.08:
            leave(draw, script, rng.choice(endings))
    leave(draw, script, rng.choice(endings))
    return script


def clients(
    rng: random.Random,
    plan: Plan,
    kinds: list[Kind],
    most: int = 6,
    rounds: int = 5,
    pipeline: int = 12,
    endings: tuple[str, ...] = ENDINGS,
    bulky: float = 0,
) -> None:
    large = large_for(plan.world, rng)
    for index in range(rng.randrange(1, most + 1)):
        draw = Draw(rng, index, large)
        draw.bulky = bulky
        plan.clients.append(
            ClientPlan(rng.randrange(3 * MS), script_for(draw, kinds, rounds, pipeline, endings))
        )


def plain_sink(rng: random.Random, port: int = 7000, **fields: object) -> str:
    """Any of the ways one server is reached."""
    if rng.random() < 0.3:
        fields["connection"] = "per_client"
    elif rng.random() < 0.3:
        fields["connection_count"] = rng.choice([2, 3])
    return sink(port, **fields)


def upstream_faults(
    rng: random.Random, plan: Plan, target: str = "main", most: int = 4, mute: bool = True
) -> None:
    for _ in range(rng.randrange(1, most + 1)):
        at = rng.randrange(8 * MS)
        kind = rng.randrange(9 if mute else 8)
        if kind < 2:
            plan.events.append(Event(at, target, "reset_some"))
        elif kind == 2:
            plan.events.append(Event(at, target, "close_some"))
        elif kind == 3:
            plan.events.append(
                Event(at, target, "mode", (rng.choice([1, 2]), rng.choice([1, 50, 400]) * MS))
            )
            plan.events.append(Event(at + 1000, target, "reset_some"))
        elif kind == 4:
            plan.events.append(Event(at, target, "stall_some", (rng.choice([1, 30]) * MS,)))
        elif kind == 5:
            plan.events.append(Event(at, target, "rest", (rng.choice([1, 30]) * MS,)))
        elif kind == 6:
            plan.events.append(
                Event(at, target, "__setattr__", ("cut_next", rng.choice([1, 3, 20])))
            )
        elif kind == 7:
            plan.events.append(Event(at, target, "__setattr__", ("garbage_next", True)))
        else:
            plan.events.append(Event(at, target, "silence_some"))


def publishing(rng: random.Random, plan: Plan) -> None:
    for _ in range(rng.randrange(20)):
        plan.events.append(
            Event(rng.randrange(8 * MS), "main", "publish", (b"c:%d" % rng.randrange(3),))
        )


# ---- workloads ----------------------------------------------------------------------------------------------------


@workload
def pipelines(rng: random.Random, plan: Plan) -> None:
    """Many clients on shared connections, all kinds of cuts; nothing goes wrong but clients."""
    plan.topology = topology(plain_sink(rng))
    clients(rng, plan, PLAIN, most=12, pipeline=40)


@workload
def leases(rng: random.Random, plan: Plan) -> None:
    """Transactions, blocking and unknown commands between plain ones."""
    plan.topology = topology(plain_sink(rng))
    clients(rng, plan, LEASES, most=8)


@workload
def states(rng: random.Random, plan: Plan) -> None:
    """Databases, users, names, protocols."""
    plan.topology = topology(plain_sink(rng))
    clients(rng, plan, STATES)


@workload
def everything(rng: random.Random, plan: Plan) -> None:
    """All that the server can do, subscriptions too."""
    plan.topology = topology(plain_sink(rng))
    clients(rng, plan, EVERYTHING)
    publishing(rng, plan)


@workload
def leaving(rng: random.Random, plan: Plan) -> None:
    """Clients that block or open a transaction, and leave in that moment."""
    pending = f"max_pending_requests: {rng.choice([1, 2, 1024])}".split(": ")
    plan.topology = topology(plain_sink(rng), **{pending[0]: pending[1]})
    clients(
        rng,
        plan,
        LEASES,
        most=10,
        rounds=1,
        pipeline=3,
        endings=("endless", "endless", "open", "half", "close", "reset", "finish"),
    )


@workload
def paused(rng: random.Random, plan: Plan) -> None:
    """Pipelines against max_pending_requests, before a server that stops and starts: clients must be slowed down."""
    plan.pending_max = rng.choice([1, 2, 4])
    plan.world["read_max"] = 16  # no read brings more than one request
    plan.topology = topology(plain_sink(rng), max_pending_requests=plan.pending_max)
    clients(rng, plan, PLAIN, most=3, rounds=2, pipeline=30, endings=("await", "close", "reset"))
    for _ in range(rng.randrange(4)):
        plan.events.append(
            Event(rng.randrange(3 * MS), "main", "rest", (rng.choice([1, 30]) * MS,))
        )


@workload
def broken_upstream(rng: random.Random, plan: Plan) -> None:
    """The server resets, closes, refuses, stalls, falls silent, answers by half or garbage."""
    last = plain_sink(rng, read_timeout=2)
    clients(rng, plan, rng.choice([PLAIN, LEASES, EVERYTHING]), most=8)
    upstream_faults(rng, plan)
    if rng.random() < 0.5:  # what falls silent is given up at once, or soon
        last = last.replace(
            "read_timeout: 2", f"read_timeout: 2, breaker_timeouts: {rng.choice([1, 2])}"
        )
    plan.topology = topology(last)


@workload
def tee(rng: random.Random, plan: Plan) -> None:
    """A copy of everything for a second server, which may stall, fall silent or break."""
    tee_plan(rng, plan, PLAIN if rng.random() < 0.5 else STATES)


def tee_plan(rng: random.Random, plan: Plan, kinds: list[Kind]) -> None:
    behavior = rng.choice(["Ignore", "FailOnMismatch", "LogWarningOnMismatch", "aside"])
    fields = ["chain: [%s]" % sink(7001, read_timeout=2)]
    plan.servers["side"] = 7001
    if behavior == "aside":
        fields.append("behavior: {SubchainOnMismatch: [%s]}" % sink(7002, read_timeout=2))
        plan.servers["aside"] = 7002
    else:
        fields.append(f"behavior: {behavior}")
    if rng.random() < 0.5:
        fields.append(f"timeout_micros: {rng.choice([0, 100, 5000])}")
    fields.append(f"buffer_size: {rng.choice([1, 2, 5, 100])}")
    plan.topology = topology("Tee: {%s}" % ", ".join(fields), plain_sink(rng, read_timeout=2))
    plan.excuses |= {"tee_differ", "tee_room"} if behavior == "FailOnMismatch" else set()
    if behavior == "FailOnMismatch":
        plan.excuses.add("closes")  # told that a SELECT has failed, a client must not go on
    clients(rng, plan, kinds)
    if rng.random() < 0.6:
        upstream_faults(rng, plan, "side")


@workload
def fan_out(rng: random.Random, plan: Plan) -> None:
    """ParallelMap, Coalesce, filters and counters before the sink, one in another."""
    steps = []
    if rng.random() < 0.3:
        steps.append("QueryCounter: {name: counted}")
    if rng.random() < 0.3:
        steps.append(
            f"QueryTypeFilter: {{{rng.choice(['DenyList: [Write]', 'AllowList: [Read, ReadWrite]'])}}}"
        )
        plan.excuses.add("filter")
    if rng.random() < 0.2:
        steps.append("RequestThrottling: {max_requests_per_second: %d}" % rng.choice([50, 5000]))
        plan.excuses.add("throttle")
    if rng.random() < 0.6:
        count = rng.choice(["null", 1, 5, 100])
        steps.append(
            "Coalesce: {flush_when_buffered_message_count: %s, flush_when_millis_since_last_flush: %s}"
            % (count, rng.choice([1, 20]) if count == "null" or count == 100 else "null")
        )
        if count == 5:  # what is held may wait for a fifth that never comes
            steps[-1] = steps[-1].replace("null}", "2}")
    last = plain_sink(rng)
    if rng.random() < 0.5:
        plan.by_key = True
        last = "ParallelMap: {parallelism: %d, ordered_results: true, chain: [%s]}" % (
            rng.choice([1, 2, 4]),
            last,
        )
    plan.topology = topology(*steps, last)
    clients(rng, plan, rng.choice([PLAIN, LEASES, STATES]))


@workload
def throttled(rng: random.Random, plan: Plan) -> None:
    """RequestThrottling by limits, some of which are reached: what is refused has its place among the replies, and is not
    carried out."""
    limits = [
        "{name: all, rate: 2000, burst: 40}",
        "{name: users, rate: 100, burst: 20, per: user}",
        "{name: clients, rate: 100, burst: 5, per: client}",
        "{name: keys, rate: 50, burst: 3, per: key, max_keys: 8}",
        "{name: owners, rate: 100, burst: 8, per: prefix, prefix: 'k:'}",
        "{name: writes, rate: 500, burst: 10, class: write, per: command}",
        "{name: alice, rate: 10, burst: 2, user: alice}",
        "{name: second, rate: 10, burst: 2, database: 1, glob: '*:0'}",
        "{name: logins, rate: 20, burst: 2, command: [AUTH, HELLO, SELECT], per: client}",
    ]
    weights = ["{class: write, weight: 2}", "{command: [MGET, MSET, DEL], each_key: true}"]
    plan.excuses.add("throttle")
    plan.topology = topology(
        "RequestThrottling: {limits: [%s], weights: [%s]}"
        % (", ".join(rng.sample(limits, rng.randrange(1, 5))), rng.choice([weights[0], "", ", ".join(weights)])),
        plain_sink(rng, read_timeout=2),
    )  # fmt: skip
    kinds = rng.choice([PLAIN, LEASES, STATES, [*STATES, (3, Draw.skipped)]])
    if len(kinds) > len(STATES):
        plan.excuses.add("skips")  # who has skipped a reply and is refused is cut off
    clients(rng, plan, kinds, pipeline=rng.choice([4, 12, 40]))
    if rng.random() < 0.3:
        upstream_faults(rng, plan)


@workload
def last_words(rng: random.Random, plan: Plan) -> None:
    """Clients that leave while a Coalesce holds what they sent: it is carried out in their database all the same."""
    triggers = "flush_when_buffered_message_count: 1000, flush_when_millis_since_last_flush: 20"
    plan.topology = topology("Coalesce: {%s}" % triggers, plain_sink(rng))
    for index in range(rng.randrange(1, 6)):
        draw = Draw(rng, index, 0)
        script: list = [("send", draw.state(), 1), ("await",)]
        script += [
            ("send", some(draw, [(1, Draw.data)], 4), 1),
            ("sleep", rng.choice([100_000, 1 * MS, 30 * MS])),
        ]
        leave(draw, script, rng.choice(["close", "reset", "reset", "finish", "await"]))
        plan.clients.append(ClientPlan(rng.randrange(30 * MS), script))


@workload
def delayed(rng: random.Random, plan: Plan) -> None:
    """FaultInjection: some requests wait, some are refused, some end their connection; the order of a client holds."""
    faults = [
        "{delay_ms: [%g, %g], percent: %d}"
        % (rng.choice([0, 1]), rng.choice([1, 3, 20]), rng.choice([5, 50, 100]))
    ]
    if rng.random() < 0.4:
        faults.append("{delay_ms: 2, query_types: [Write], clients: [127.0.0.0/8]}")
    if rng.random() < 0.4:
        faults.insert(
            rng.randrange(2), '{error: "ERR made (shotover: FaultInjection)", percent: 10}'
        )
        plan.excuses.add("made")
    if rng.random() < 0.4:
        faults.append("{close: %s, percent: 3}" % rng.choice(["before", "after"]))
        plan.excuses.add(
            "slow"
        )  # closed while the client still sends: a reset may overtake replies
    step = "FaultInjection: {seed: %d, faults: [%s]}" % (rng.randrange(99), ", ".join(faults))
    plan.topology = topology(step, plain_sink(rng))
    clients(rng, plan, rng.choice([PLAIN, LEASES, STATES]), most=8)


@workload
def scarce(rng: random.Random, plan: Plan) -> None:
    """Big values, slow readers, and limits on memory: who takes too much goes, and leaves nothing behind."""
    plan.world["cut"] = rng.choice([0, 3, 3])
    plan.world["read_max"] = rng.choice([4096, 65536, 65536])
    plan.world["send_room_max"] = rng.choice([16384, 65536, 65536])
    plan.world["short_percent"] = rng.choice([0, 20])
    limits = {"client_memory_limit": rng.choice([1 << 20, 1 << 21]), "memory_limit": 1 << 20}
    plan.topology = topology(plain_sink(rng), **limits)
    plan.excuses |= {"slow", "memory"}
    clients(rng, plan, PLAIN, most=8, bulky=0.5)
    for _ in range(rng.randrange(3)):
        pause = rng.choice([1, 30]) * MS
        plan.events.append(Event(rng.randrange(8 * MS), "main", "rest", (pause,)))


@workload
def crowded(rng: random.Random, plan: Plan) -> None:
    """AdaptiveConcurrency with little room: requests wait in turns, or are refused; the order of a client holds."""
    few = rng.choice([1, 2, 4])
    fields = "min_concurrency: %d, max_concurrency: %d, queue_target_ms: %d, queue_max: %d" % (
        few,
        few + rng.choice([0, 8]),
        rng.choice([1, 5, 1000]),
        rng.choice([1, 5, 10_000]),
    )
    if rng.random() < 0.5:
        fields += ", priorities: [{priority: background, query_types: [Read]}, "
        fields += "{priority: critical, commands: [PING, ECHO, INCR]}]"
    plan.topology = topology("AdaptiveConcurrency: {%s}" % fields, plain_sink(rng, read_timeout=2))
    plan.excuses.add("shed")
    clients(rng, plan, rng.choice([PLAIN, LEASES, STATES, EVERYTHING]), most=12)
    if rng.random() < 0.3:
        upstream_faults(rng, plan)


@workload
def routed(rng: random.Random, plan: Plan) -> None:
    """KeyRouter: two ways to one server, by key, user, database and command. Transactions are left out: what it answers
    itself of them, the server does not write down."""
    rules = [
        "{prefix: 'k:0:', to: b}", "{prefix: 'k:all', to: b}", "{glob: 'n:*:1', to: b}", "{glob: 'l:fed:*', to: b}",
        "{user: alice, to: b}", "{user: bob, prefix: 'k:', to: b}", "{database: 1, to: b}", "{hash: 0-8191, to: b}",
        "{command: [PING, SUBSCRIBE, UNSUBSCRIBE], to: b}",
    ]  # fmt: skip
    fields = [
        "chains: {b: [%s]}" % plain_sink(rng, read_timeout=2),
        "default: [%s]" % plain_sink(rng, read_timeout=2),
        "rules: [%s]" % ", ".join(rng.sample(rules, rng.randrange(1, 6))),
        "multi_key: refuse",
    ]
    plan.topology = topology("KeyRouter: {%s}" % ", ".join(fields))
    plan.by_key = True
    plan.excuses.add("cross")
    kinds = [
        (6, Draw.data),
        (2, Draw.blocking),
        (1, lambda draw: draw.blocking(False)),
        (3, Draw.state),
        (1, Draw.reset),
    ]
    if rng.random() < 0.4:
        kinds += [(2, Draw.subscription), (1, Draw.skipped)]
        publishing(rng, plan)
    clients(
        rng, plan, kinds, most=6, endings=tuple(ending for ending in ENDINGS if ending != "open")
    )
    if rng.random() < 0.4:
        upstream_faults(rng, plan)


@workload
def converted(rng: random.Random, plan: Plan) -> None:
    """Clients of both protocols before a server that is spoken to in RESP2: HELLO and RESET in the middle of pipelines."""
    plan.topology = topology("RedisProtocolConverter", plain_sink(rng, read_timeout=2))
    plan.converts = True
    plan.excuses.add("converts")
    kinds = [kind for kind in STATES if kind[1] is not Draw.unknown]
    hello: Kind = (3, lambda draw: [draw.plain("state", "HELLO", draw.rng.choice(["2", "3", "3"]))])
    kinds += [hello, (1, Draw.identity), (1, Draw.skipped)]
    if rng.random() < 0.5:
        kinds.append((2, Draw.subscription))
        publishing(rng, plan)
    clients(rng, plan, kinds, most=8)
    if rng.random() < 0.4:
        upstream_faults(rng, plan)
    if rng.random() < 0.15:
        plan.memory_bytes_max = rng.choice([20_000, 100_000, 400_000])
        plan.excuses.add("memory")


@workload
def small_limits(rng: random.Random, plan: Plan) -> None:
    """Little memory, few descriptors, short queues, few connections, slow readers, idle time-outs."""
    source: dict[str, object] = {}
    fields: dict[str, object] = {}
    limits = ["memory", "fds", "pending", "queue", "leases", "hard", "soft", "idle", "output"]
    for limit in rng.sample(limits, rng.choice([1, 1, 2])):
        if limit == "memory":
            plan.memory_bytes_max = rng.choice([20_000, 100_000, 400_000])
            plan.excuses.add("memory")
        elif limit == "fds":
            plan.world["fd_max"] = rng.choice([3, 5, 8])
            plan.excuses.add("fds")
        elif limit == "pending":
            source["max_pending_requests"] = rng.choice([1, 2, 10])
        elif limit == "queue":
            fields["max_pending_requests"] = rng.choice([1, 5, 20])
            plan.excuses.add("pending")
        elif limit == "leases":
            fields["max_leases"] = rng.choice([0, 1, 2])
            plan.excuses.add("leases")
        elif limit in ("hard", "soft"):
            source["connection_limit"] = rng.choice([1, 2, 3])
            source["hard_connection_limit"] = "true" if limit == "hard" else "false"
            plan.excuses |= {"limit"} if limit == "hard" else set()
        elif limit == "idle":
            source["timeout"] = 1
            plan.excuses.add("idle")
        else:
            source["client_output_buffer_bytes"] = 65536
            plan.excuses.add("slow")
    plan.topology = topology(
        sink(**fields) if "max_leases" in fields else plain_sink(rng, **fields), **source
    )
    clients(rng, plan, EVERYTHING, most=8)
    publishing(rng, plan)


@workload
def drain(rng: random.Random, plan: Plan) -> None:
    """The worker drains in the middle of it."""
    plan.topology = topology(plain_sink(rng, read_timeout=2))
    if rng.random() < 0.3:
        tee_plan(rng, plan, EVERYTHING)
    else:
        clients(rng, plan, EVERYTHING, most=8)
        publishing(rng, plan)
    plan.drain_at_ns = rng.randrange(1, 8 * MS)
    plan.drain_ms = rng.choice([1, 100, 5000])
    plan.excuses.add("closes")


@workload
def storm(rng: random.Random, plan: Plan) -> None:
    """Everything at once."""
    tee_plan(rng, plan, EVERYTHING)
    upstream_faults(rng, plan, "main", most=6)
    upstream_faults(rng, plan, "side", most=6)
    publishing(rng, plan)
    if rng.random() < 0.3:
        plan.drain_at_ns = rng.randrange(1, 12 * MS)
        plan.excuses.add("closes")


@workload
def uploads(rng: random.Random, plan: Plan) -> None:
    """Big requests, cut, so that they are streamed: in pipelines, transactions and silence; slow, left in the middle,
    refused, before a server that breaks or rests, with few leases or little memory, in a worker that drains."""
    plan.world["cut"] = rng.choice([0, 3, 3])
    plan.world["read_max"] = rng.choice([4096, 65536, 65536])
    plan.world["send_room_max"] = rng.choice([16384, 65536, 65536])
    fields: dict[str, object] = {"read_timeout": 2}
    source: dict[str, object] = {}
    steps = []
    trouble = rng.choice(
        ["", "", "faults", "faults", "filter", "leases", "memory", "idle", "drain"]
    )
    if trouble == "filter":
        steps.append(
            "QueryTypeFilter: {%s}" % rng.choice(["DenyList: [Write]", "DenyList: [Read]"])
        )
        plan.excuses.add("filter")
    elif trouble == "leases":
        fields["max_leases"] = rng.choice([1, 2, 4])
        plan.excuses.add("leases")
    elif trouble == "memory":
        plan.memory_bytes_max = rng.choice([200_000, 600_000, 2_000_000])
        plan.excuses.add("memory")
    elif trouble == "idle":
        source["timeout"] = 1
        plan.excuses.add("idle")
    elif trouble == "drain":
        plan.drain_at_ns = rng.randrange(1, 12 * MS)
        plan.drain_ms = rng.choice([1, 100, 5000])
        plan.excuses.add("closes")
    last = sink(**fields) if "max_leases" in fields else plain_sink(rng, **fields)
    plan.topology = topology(*steps, last, **source)
    endings = (*ENDINGS, "half", "half", "half")
    # a client that listens is told of DISCARD, where it said EXEC, when a command before it was filtered out
    kinds = rng.choice([PLAIN, LEASES, STATES if trouble == "filter" else EVERYTHING])
    clients(rng, plan, kinds, most=6, rounds=4, pipeline=8, endings=endings, bulky=0.2)
    if trouble == "faults":
        upstream_faults(rng, plan, most=6)
    elif rng.random() < 0.3:
        plan.events.append(
            Event(rng.randrange(8 * MS), "main", "rest", (rng.choice([1, 30]) * MS,))
        )


@workload
def scatter(rng: random.Random, plan: Plan) -> None:
    """Three servers of which one (now and then two) dies, stalls, comes back, loses what was on its way: quorums hold,
    what was missed is carried out in order, and in the end all of them hold the same."""
    names = ["one", "three", "two"]
    plan.servers = {name: 7000 + index for index, name in enumerate(names)}
    plan.answering = set(names)
    plan.quorum = 2
    fields = {
        "write_consistency": 2,
        "read_consistency": 2,
        "timeout_ms": rng.choice([3000, 20_000]),
        "probe_ms": rng.choice([10, 50]),
    }
    routes = ", ".join(
        f"{name}: [RedisTimestampTagger, {plain_sink(rng, port=port, read_timeout=2)}]"
        for name, port in plan.servers.items()
    )
    chosen = ", ".join(f"{name}: {value}" for name, value in fields.items())
    plan.topology = topology("TuneableConsistencyScatter: {%s, route_map: {%s}}" % (chosen, routes))
    plan.plain_only = rng.random() < 0.6
    strict = plan.plain_only and rng.random() < 0.7  # nobody ever sees that a server is gone
    kinds = PLAIN if plan.plain_only else rng.choice([LEASES, STATES])
    endings = ("await", "quit") if strict else ("await", "await", "close", "reset", "quit")
    clients(rng, plan, kinds, most=6, endings=endings)
    if not strict:
        plan.excuses |= {"quorum", "lost", "closes"}
    for name in rng.sample(names, 1 if strict else 2):
        upstream_faults(rng, plan, name, most=5)


@workload
def secured(rng: random.Random, plan: Plan) -> None:
    """One of the others, with TLS before the worker, behind it, or on both sides."""
    rng.choice(
        [pipelines, leases, leaving, broken_upstream, small_limits, last_words, storm, uploads]
    )(rng, plan)
    plan.tls = rng.choice(["clients", "servers", "both"])
    plan.tls_version = rng.choice(["TLSv1_2", "TLSv1_3", "TLSv1_3"])


@workload
def sentinels(rng: random.Random, plan: Plan) -> None:
    """A master that moves, sentinels that hear of it late or are away; and what else may go wrong with a server."""
    plan.sentinels = True
    timeout = rng.choice([0.02, 1, 5, 5])
    if timeout < 1:
        plan.excuses.add("held")
    fields: dict[str, object] = {
        "sentinels": '["127.0.0.1:26000", "127.0.0.1:26001", "127.0.0.1:26002"]',
        "master_name": "m",
        "failover_timeout": timeout,
        "connect_timeout_ms": 200,
        "read_timeout": 2,
    }
    if rng.random() < 0.3:
        fields["connection"] = "per_client"
    listed = ", ".join(f"{key}: {value}" for key, value in fields.items())
    plan.topology = topology("RedisSinkSentinel: {%s}" % listed)
    clients(rng, plan, rng.choice([PLAIN, STATES, EVERYTHING]), most=8, rounds=8)
    publishing(rng, plan)
    for _ in range(rng.randrange(1, 4)):
        values = (rng.random() < 0.5, rng.random() < 0.5, rng.choice([1, 20, 300]) * MS)
        plan.events.append(Event(rng.randrange(12 * MS), "", "fail_over", values))
    for _ in range(rng.randrange(3)):
        values = (rng.randrange(3), rng.choice([1, 50, 800]) * MS)
        plan.events.append(Event(rng.randrange(12 * MS), "", "lose_sentinel", values))
    if rng.random() < 0.3:
        upstream_faults(rng, plan, mute=False)
