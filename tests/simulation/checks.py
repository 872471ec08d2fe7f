"""What must hold in every run (DESIGN.md section 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulation.wire import bulk

if TYPE_CHECKING:
    from simulation.client import Client, Sent
    from simulation.run import Simulation
    from simulation.server import Server

ERRORS = {  # what an error of the proxy says -> what must be in the plan's excuses, if no fault explains it
    b"AdaptiveConcurrency": "shed",
    b"upstream connection lost": "lost",
    b"upstream unavailable": "fds",
    b"the master cannot be reached": "held",
    b"there is no master": "held",
    b"no master is known": "held",
    b"too many leased connections": "leases",
    b"too many requests wait": "pending",
    b"no memory": "memory",
    b"client_memory_limit": "memory",
    b"had no place": "tee_room",
    b"chains differ": "tee_differ",
    b"RequestThrottling": "throttle",
    b"FaultInjection": "made",
    b"filtered out by shotover": "filter",
    b"HELLO cannot be converted within MULTI": "converts",
    b"this large cannot wait for a HELLO": "converts",
    b"belong to several chains": "cross",
    b"must belong to one chain": "cross",
    b"cannot be in a transaction": "cross",
    b"Not enough responses": "quorum",
    b"not enough routes": "quorum",
}
WRITES = {b"SET", b"MSET", b"APPEND", b"INCR", b"DEL", b"RPUSH"}
READS = {b"GET", b"MGET", b"PING", b"ECHO", b"SIM.GET"}
NOBODYS_FAULT = (
    b"too many leased",
    b"too many requests wait",
    b"no memory",
    b"RequestThrottling",
    b"FaultInjection",
    b"filtered out",
    b"HELLO cannot be converted",
    b"this large cannot wait",
    b"Not enough responses",
    b"not enough routes",
)


def check_error(sim: Simulation, client: Client, sent: Sent, frame: bytes) -> None:
    """An error of the proxy's own: only where something explains it."""
    text = next((text for text in ERRORS if text in frame), b"")
    if not text:
        sim.violation(f"{client}: {sent.op!r} was answered {frame!r}, which clients must never see")
    elif text == b"RequestThrottling" and any(sent.op.tag in s.answers for s in sim.servers):
        sim.violation(f"{client}: {sent.op!r} was refused, and carried out all the same")
    elif ERRORS[text] in sim.plan.excuses or "memory" in sim.plan.excuses:
        return
    elif sim.plan.quorum:
        sim.violation(
            f"{client}: {sent.op!r} was answered {frame!r}, though enough servers are well"
        )
    elif text in NOBODYS_FAULT or not sim.explained("error", client):
        sim.violation(f"{client}: {sent.op!r} was answered {frame!r}, and nothing explains it")


def check_pending(sim: Simulation) -> None:
    """Clients with enough requests under way are not read: but for one request each that was read before the pause was
    heard of, and one cut by it."""
    pending = sim.worker.census()["requests"]
    most = sum(client.life for client in sim.clients) * (sim.plan.pending_max + 2)
    if pending > most:
        sim.violation(f"{pending} requests are under way, more than {most}")


def check_quiet(sim: Simulation) -> None:
    """Nothing happens any more, and every client has ended: nothing may be left of the traffic but idle upstreams."""
    for client in sim.clients:
        if not client.over:
            outstanding = [sent.op for sent in client.expected][:4]
            where = f"in step {client.at} of {len(client.script)}"
            sim.violation(f"client {client.index} waits for ever, {where}: {outstanding}")
    upstreams = int(sim.sample("shotover_upstream_connections"))
    census = sim.worker.census()
    left = {
        name: census[name]
        for name in ("requests", "chunks", "segments", "sessions", "uploads")
        if census[name]
    }
    if left:
        sim.violation(f"left when all is quiet: {left}")
    if census["streams"] != upstreams:
        sim.violation(f"{census['streams']} streams for {upstreams} upstream connections")
    if sim.world.fds_open != upstreams + 1:
        sim.violation(
            f"{sim.world.fds_open} descriptors for {upstreams} upstream connections and a listener"
        )
    if len(sim.worker.sources) != 1:
        sim.violation(f"{len(sim.worker.sources)} sources are left, whose clients have all gone")
    if (gauge := int(sim.sample("shotover_tee_held_bytes"))) != 0:
        sim.violation(f"a Tee holds {gauge} bytes when all is quiet")


def check_ended(sim: Simulation) -> None:
    """The worker has drained."""
    upstreams = int(sim.sample("shotover_upstream_connections"))
    if sim.world.fds_open > upstreams:
        sim.violation(
            f"after the drain {sim.world.fds_open} descriptors are open for {upstreams} upstream connections"
        )
    late = sim.world.now - sim.drain_at_ns > (sim.plan.drain_ms + 1000) * 1_000_000
    if late:
        sim.violation(
            f"the drain took {(sim.world.now - sim.drain_at_ns) / 1e6:.0f} ms of {sim.plan.drain_ms}"
        )
    census = sim.worker.census()
    if census["sessions"] or census["uploads"]:
        sim.violation(f"left after the drain: {census}")


def check_after(sim: Simulation) -> None:
    """Of what has been written down: order, bytes, and counters that only grow."""
    if sim.worker_done and sim.plan.drain_at_ns:
        sim.check_ended()
    for server in sim.servers:
        if server.name != "server aside":  # gets what differs, when that is found out
            check_order(sim, server)
    check_counters(sim)
    check_last_words(sim)
    if sim.plan.quorum:
        check_own_writes(sim)
        if sim.plan.plain_only:
            check_all_alike(sim)
    read, sent = sim.world.totals
    counted_read = sim.sample("shotover_loop_bytes_received_count")
    counted_sent = sim.sample("shotover_loop_bytes_sent_count")
    if counted_read > read or counted_sent > sent:
        sim.violation(
            f"the worker counts {counted_read} and {counted_sent} bytes of {read} and {sent}"
        )


def check_order(sim: Simulation, server: Server) -> None:
    """Requests of one connection are carried out in their order, except where one was answered with an error or never:
    its connection had broken, and what was still on the way there may arrive at any time."""
    for client in sim.clients:
        answers = server.answers
        history = [sent for sent in client.history if sent.op.tag in answers]
        last: dict[Any, Any] = {}
        for sent in history:
            if sim.plan.by_key and len(sent.op.words) < 2:
                continue
            if sim.plan.quorum and not (sim.plan.plain_only and sent.op.name in WRITES):
                continue  # the shared connection and a lease to one server may break one without the other
            # what a server that does not answer was asked again on another connection, nobody can tell
            lane = (
                sent.life,
                # KeyRouter: another database or user may be somewhere else
                (sent.op.words[1], sent.db, sent.user) if sim.plan.by_key else None,
                0 if server in sim.answering else answers[sent.op.tag].connection,
            )
            order = answers[sent.op.tag].order
            before = last.get(lane)
            # what a subscriber may not ask is refused wherever it listens
            failed = (
                sent.reply is None or b"shotover" in sent.reply or b"Can't execute" in sent.reply
            )
            if before is not None and before > order and not failed:
                who = f"{sent.op!r} of client {client.index}"
                sim.violation(f"{server.name} carried out {who} before what was sent before it")
            if not failed:
                last[lane] = max(order, before if before is not None else 0)


def check_own_writes(sim: Simulation) -> None:
    """Who has been told that his SET was done finds it: however many servers have missed it, they are not asked."""
    for client in sim.clients:
        known: dict[Any, bytes | None] = {}
        multi = False
        for sent in client.history:
            op = sent.op
            reply = sent.reply
            multi = op.name == b"MULTI" or (multi and op.name not in (b"EXEC", b"DISCARD"))
            well = reply is not None and reply[:1] != b"-" and sent.db is not None
            if multi or op.kind == "state" or not well or sent.life > 1:
                if op.name not in READS:
                    known = {}
                continue
            key = (sent.db, op.words[1] if len(op.words) > 1 else b"")
            if b":all:" in key[1]:
                continue
            if op.name == b"SET":
                known[key] = op.words[2]
            elif op.name == b"GET" and key in known:
                if reply != bulk(known[key]):
                    sim.violation(
                        f"{op!r} of client {client.index} was answered {reply[:60]!r} after it had been set"
                    )
            elif op.name not in READS:
                known = {}


def check_all_alike(sim: Simulation) -> None:
    """When all is quiet, what only one client has written is the same on every server that did nothing twice."""
    servers = [server for server in sim.servers if not server.repeated]
    for client in sim.clients:
        if client.life > 1:
            continue
        owner = b":%d:" % client.index
        alike = [
            {place: value for place, value in server.data.items() if owner in place[1]}
            for server in servers
        ]
        if any(data != alike[0] for data in alike):
            sim.violation(f"servers differ in what client {client.index} has written: {alike}")


def check_last_words(sim: Simulation) -> None:
    """What is carried out for clients that have gone has the database and the user that it would have had."""
    if sim.faults or sim.plan.excuses or sim.violations or len(sim.answering) != 1:
        return
    answers = sim.answering[0].answers
    for client in sim.clients:
        for life in range(1, client.life + 1):
            history = [sent for sent in client.history if sent.life == life]
            if any(
                sent.op.kind in ("channels", "mute") or sent.op.name == b"RESET" for sent in history
            ):
                continue
            db, user, queued, multi = 0, b"default", list[Any](), False
            for sent in history:
                op = sent.op
                answer = answers.get(op.tag)
                if answer is not None and (answer.view.db, answer.view.user) != (db, user):
                    sim.violation(
                        f"{op!r} of client {client.index}, who has left, was carried out in {answer.view}, "
                        f"not in database {db} of {user!r}"
                    )
                changes = [op] if op.kind == "state" else []
                if op.name == b"MULTI":
                    multi = True
                elif op.name in (b"EXEC", b"DISCARD"):
                    done = op.name == b"EXEC" and (
                        answer is None or answer.reply[:2] not in (b"*-", b"_\r")
                    )
                    changes, queued, multi = (queued if done else []), [], False
                elif multi:
                    queued, changes = queued + changes, []
                for change in changes:
                    if change.name == b"SELECT" and change.words[1] != b"99":
                        db = int(change.words[1])
                    elif change.name == b"AUTH" or (
                        change.name == b"HELLO" and len(change.words) > 2
                    ):
                        user = change.words[1 if change.name == b"AUTH" else 3]


def check_counters(sim: Simulation) -> None:
    """A key that only INCR touches is a counter; from the clients' side alone: no number is given twice, and who was
    answered before another began got the smaller one."""
    if len(sim.answering) != 1:
        return
    counters: dict[Any, list[tuple[int, int, int]]] = {}
    for client in sim.clients:
        for sent in client.history:
            if (
                sent.op.name != b"INCR"
                or sent.db is None
                or sent.reply is None
                or sent.reply[:1] != b":"
            ):
                continue
            counters.setdefault((sent.db, sent.op.words[1]), []).append(
                (sent.at_ns, sent.done_ns, int(sent.reply[1:]))
            )
    for key, calls in counters.items():
        numbers = [number for _begun, _done, number in calls]
        if len(set(numbers)) != len(numbers):
            sim.violation(f"the counter {key} gave a number twice")
        for begun, _done, number in calls:
            earlier = max((n for _b, d, n in calls if d < begun), default=0)
            if number < earlier:
                sim.violation(f"the counter {key} gave {number} after {earlier} had been answered")
