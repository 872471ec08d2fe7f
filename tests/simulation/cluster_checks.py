"""What must hold before a cluster, beside what must hold anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulation.cluster_client import is_refusal, part_tags
from simulation.cluster_node import WRITES, keys_of

if TYPE_CHECKING:
    from simulation.client import Client, Sent
    from simulation.cluster import ClusterSimulation

SLACK_NS = 1_000_000_000
OWN = (
    b"upstream connection lost",
    b"upstream unavailable",
    b"no server is known",
    b"a part of this request was not answered",
)
LEFT = ("clients", "held", "under_way", "leases", "sessions")


def failed(sent: Sent) -> bool:
    """It may have been carried out or not, now or later."""
    return sent.reply is None or b"shotover" in sent.reply or is_refusal(sent.reply)


def check_error(sim: ClusterSimulation, client: Client, sent: Sent, frame: bytes) -> None:
    """An error that is no answer to the request: only where something explains it."""
    if b"NOAUTH" in frame and sim.plan.cluster["locked"]:
        if client.view.user != b"default" and not client.unsure:
            sim.violation(f"{client}: {sent.op!r} was answered {frame!r}, though it has logged in")
        return
    if b"TRYAGAIN" in frame and "tryagain" in sim.plan.excuses:
        return
    if b"no memory" in frame and "memory" in sim.plan.excuses:
        return
    if b"too many leased" in frame and "leases" in sim.plan.excuses:
        return
    if not is_refusal(frame) and not any(text in frame for text in OWN):
        sim.violation(f"{client}: {sent.op!r} was answered {frame!r}, which clients must never see")
    elif not sim.explained("error", client):
        sim.violation(f"{client}: {sent.op!r} was answered {frame!r}, and nothing explains it")


def check_quiet(sim: ClusterSimulation) -> None:
    left = {name: value for name, value in sim.sink().census().items() if name in LEFT and value}
    if left:
        sim.violation(f"left in the sink when all is quiet: {left}")


def check_after(sim: ClusterSimulation) -> None:
    for client in sim.clients:
        check_order(sim, client)
        check_delay(sim, client)
    check_counters(sim)


def carried_out(sim: ClusterSimulation, sent: Sent) -> dict[bytes, int]:
    """Of each key: when, in the order of all, the request was carried out."""
    op = sent.op
    keys = keys_of(list(op.words))
    found: dict[bytes, int] = {}
    tags = part_tags(op)
    for tag in tags:
        for done in sim.done.get(tag, [])[-1:]:
            for key in keys:
                if len(tags) == 1 or key.endswith(tag[tag.index(b"{") :]):
                    found[key] = done.order
    return found


def check_order(sim: ClusterSimulation, client: Any) -> None:
    """The requests of a client on one key are carried out in the order in which it sent them; two that only read may
    change places."""
    last: dict[Any, int] = {}
    written: dict[Any, int] = {}
    for sent in client.history:
        if failed(sent) and sent.op.kind != "queued":
            continue
        writes = sent.op.name in WRITES
        for key, order in carried_out(sim, sent).items():
            if (last if writes else written).get((sent.life, key), 0) > order:
                sim.violation(
                    f"{sent.op!r} of client {client.index} was carried out before what it had sent before"
                )
            for seen in [last, written] if writes else [last]:
                seen[sent.life, key] = max(order, seen.get((sent.life, key), 0))


def check_delay(sim: ClusterSimulation, client: Any) -> None:
    """No request waits for longer than it may be held and then be with a node."""
    if any(step[0] in ("stall", "slow") for step in client.script):
        return
    most = (sim.plan.cluster["retry_ms"] + sim.plan.cluster["read_ms"]) * 1_000_000 + SLACK_NS
    blocked = 0
    for sent in client.history:
        if sent.op.blocks:
            blocked = max(blocked, sent.done_ns or 1 << 62)
        elif sent.done_ns and sent.done_ns - max(sent.at_ns, blocked) > most:
            taken = (sent.done_ns - max(sent.at_ns, blocked)) / 1e6
            sim.violation(
                f"{sent.op!r} of client {client.index} took {taken:.0f} ms; at most {most / 1e6:.0f} are allowed"
            )


def check_counters(sim: ClusterSimulation) -> None:
    """Nothing but INCR and scripts touch such a key: no number is given twice."""
    if "lossy" in sim.plan.excuses or any(
        sent.op.name == b"FLUSHALL" for c in sim.clients for sent in c.history
    ):
        return
    given: dict[bytes, set[bytes]] = {}
    for client in sim.clients:
        for sent in client.history:
            if (
                sent.op.name not in (b"INCR", b"EVAL")
                or sent.op.kind != "answer"
                or sent.reply is None
                or sent.reply[:1] != b":"
            ):
                continue
            key = keys_of(list(sent.op.words))[0]
            if sent.reply in given.setdefault(key, set()):
                sim.violation(f"the counter {key!r} gave {sent.reply!r} twice")
            given[key].add(sent.reply)
