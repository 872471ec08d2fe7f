"""A simulated cluster: who serves which slot, and how that changes; and the run that has one."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from simulation import cluster_checks
from simulation.cluster_client import TAGS, ClusterClient
from simulation.cluster_node import SLOT_COUNT, Done, Node, slot_of
from simulation.plan import MS, Plan
from simulation.run import PORT, Simulation

SLOTS = [slot_of(b"{%d}" % tag) for tag in range(TAGS)]
PATIENCE_NS = 40_000 * MS  # nothing has come to any client for so long: it never will
SETTLE_NS = 3_000 * MS  # the proxy's own questions may be under way when all clients have ended


class Map:
    """What may be known of the cluster: for each shard its master, and the slots that are not where they were at first."""

    def __init__(
        self,
        epoch: int,
        masters: tuple[Node, ...],
        moved: dict[int, int],
        shards: int,
        replicas: dict[Node, int],
        gone: frozenset[Node] = frozenset(),
    ) -> None:
        self.epoch = epoch
        self.masters = masters
        self.moved = moved  # slot -> shard; -1: nobody's
        self.shards = shards  # those that had slots at first
        self.replicas = replicas  # -> shard
        self.gone = gone  # dead, as they know
        self.texts: dict[Node, bytes] = {}

    def home(self, slot: int) -> int:
        return slot * self.shards // SLOT_COUNT

    def shard(self, slot: int) -> int:
        return self.moved.get(slot, self.home(slot))

    def owner(self, slot: int) -> Node | None:
        shard = self.shard(slot)
        return None if shard < 0 else self.masters[shard]

    def ranges(self, shard: int) -> list[str]:
        found = []
        if shard < self.shards:
            first = -(-shard * SLOT_COUNT // self.shards)
            end = -(-(shard + 1) * SLOT_COUNT // self.shards)
            for slot in sorted(slot for slot in self.moved if first <= slot < end):
                if slot > first:
                    found.append(f"{first}-{slot - 1}")
                first = slot + 1
            if first < end:
                found.append(f"{first}-{end - 1}")
        return found + [str(slot) for slot, to in sorted(self.moved.items()) if to == shard]

    def text(self, asked: Node) -> bytes:
        """CLUSTER NODES, as `asked` says it."""
        lines = []
        for shard, node in enumerate(self.masters):
            flags = ("myself," if node is asked else "") + (
                "master,fail" if node in self.gone else "master"
            )
            slots = " ".join(self.ranges(shard))
            if node is asked:
                slots += "".join(f" [{slot}->-{to.id}]" for slot, to in node.migrating.items())
            lines.append(
                f"{node.id} 127.0.0.1:{node.port}@1 {flags} - 0 0 {self.epoch} connected {slots}".strip()
            )
        for node, shard in self.replicas.items():
            flags = ("myself," if node is asked else "") + (
                "slave,fail" if node in self.gone else "slave"
            )
            master = self.masters[shard].id
            lines.append(
                f"{node.id} 127.0.0.1:{node.port}@1 {flags} {master} 0 0 {self.epoch} connected"
            )
        return ("\n".join(lines) + "\n").encode()


class ClusterSimulation(Simulation):
    """plan.cluster: shards, replicas (a master's), extra (nodes that join later), locked, forms_at_ns, retry_ms, read_ms."""

    servers: list[Node]  # type: ignore[assignment]

    def __init__(self, plan: Plan, trace: bool = False) -> None:
        self.done: dict[bytes, list[Done]] = {}  # by tag
        self.voided: dict[
            bytes, frozenset[bytes]
        ] = {}  # tags of transactions that a WATCH has stopped -> its tags
        self.carried_out = 0
        self.fed: set[bytes] = set()
        self.changes: list[int] = []  # when slots have moved
        self.published: dict[bytes, int] = {}
        self.progress_ns = 0
        self.ended_ns = 0
        super().__init__(plan, trace)
        self.chance = random.Random(self.rng.random())
        by_id = {node.id: node for node in self.servers}
        shards = plan.cluster["shards"]
        masters = tuple(by_id[f"n{index}"] for index in range(shards + plan.cluster["extra"]))
        replicas = {
            node: int(node.id[1:].split("_")[0]) for node in self.servers if node.id[0] == "r"
        }
        moved = {SLOTS[tag]: -1 for tag in plan.cluster.get("bare", ())}
        self.truth = Map(1, masters, moved, shards, replicas)
        for tag in range(TAGS):
            owner = self.truth.owner(SLOTS[tag])
            for number in range(2):
                key = b"fixed:%d{%d}" % (number, tag)
                (owner or masters[0]).data[0, key] = b"always"
        for node in self.servers:
            node.map = self.truth
        if plan.cluster["forms_at_ns"]:
            for node in self.servers:
                node.map = None
            self.fault("the cluster forms", plan.cluster["forms_at_ns"] + 200 * MS)
            self.at(plan.cluster["forms_at_ns"], lambda: self.tell(self.truth, []))

    def make_server(self, name: str, port: int) -> Any:
        return Node(self, name, port, random.Random(self.rng.random()))

    def make_client(self, index: int, script: list[Any], rng: random.Random) -> Any:
        return ClusterClient(self, index, script, rng)

    # -- changes

    def changed_since(self, before_ns: int) -> bool:
        """Whether slots have moved, or anything went wrong, in the last `before_ns`."""
        since = self.world.now - before_ns
        return any(at >= since for at in self.changes) or any(
            until >= since for _at, until, _text in self.faults
        )

    def node(self, id: str) -> Node:
        return next(node for node in self.servers if node.id == id)

    def change(self, knowing: list[Node], **fields: Any) -> None:
        """A new truth, which the nodes `knowing` have brought about; the others hear of it later."""
        old = self.truth
        self.truth = Map(
            old.epoch + 1,
            fields.get("masters", old.masters),
            fields.get("moved", old.moved),
            old.shards,
            fields.get("replicas", old.replicas),
            fields.get("gone", old.gone),
        )
        self.changes.append(self.world.now)
        self.tell(self.truth, knowing)

    def tell(self, known: Map, knowing: list[Node]) -> None:
        for node in self.servers:
            if node in knowing:
                node.learn(known)
            else:
                self.at(self.chance.randrange(30 * MS), lambda node=node: self.hears(node, known))

    def hears(self, node: Node, known: Map) -> None:
        if node.dead:
            return  # until it comes back
        if node.reading:
            node.learn(known)
        else:
            self.at(5 * MS, lambda: self.hears(node, known))

    def migrate(self, tag: int, to_shard: int, pace_ns: int) -> None:
        """The slot's keys go one by one, then the slot."""
        slot = SLOTS[tag]
        source, to = self.truth.owner(slot), self.truth.masters[to_shard]
        if (
            source is None
            or source is to
            or source.dead
            or to.dead
            or slot in source.migrating
            or slot in to.migrating
        ):
            return
        if source.migrating or not (source.reading and to.reading):
            return
        self.say(f"slot {slot} ({tag}) begins to move from {source.name} to {to.name}")
        self.changes.append(self.world.now)
        to.importing.add(slot)
        source.migrating[slot] = to
        self.at(self.chance.randrange(pace_ns), lambda: self.move_key(slot, source, to, pace_ns))

    def move_key(self, slot: int, source: Node, to: Node, pace_ns: int) -> None:
        if slot not in source.migrating:
            return
        keys = sorted(key for _db, key in source.data if slot_of(key) == slot)
        if not keys:
            self.end_migration(slot, source, to)
            return
        self.carry(self.chance.choice(keys), source, to)
        self.at(self.chance.randrange(pace_ns), lambda: self.move_key(slot, source, to, pace_ns))

    def carry(self, key: bytes, source: Node, to: Node) -> None:
        self.say(f"{key!r} moves from {source.name} to {to.name}")
        self.changes.append(self.world.now)
        to.data[0, key] = source.data.pop((0, key))
        to.touch(0, key)
        source.touch(0, key)
        to.serve_blocked(0, key)

    def end_migration(self, slot: int, source: Node, to: Node) -> None:
        for key in sorted(key for _db, key in source.data if slot_of(key) == slot):
            self.carry(key, source, to)
        self.say(f"slot {slot} is served by {to.name}")
        to.importing.discard(slot)
        shard = self.truth.masters.index(to)
        first = [to] if self.chance.random() < 0.7 else [to, source]
        self.change(first, moved=self.truth.moved | {slot: shard})

    def end_migrations_of(self, node: Node) -> None:
        for source in self.servers:
            for slot, to in list(source.migrating.items()):
                if node in (source, to):
                    source.migrating.pop(slot)
                    self.end_migration(slot, source, to)
                    source.learn(self.truth)
                    to.learn(self.truth)

    def data_of(self, node: Node) -> dict[tuple[int, bytes], Any]:
        """What the node holds: a replica, the same as its master."""
        shard = self.truth.replicas.get(node)
        return node.data if shard is None else self.truth.masters[shard].data

    def cover(self, tag: int, shard: int) -> None:
        """A slot that nobody had."""
        node = self.truth.masters[shard]
        self.say(f"slot {SLOTS[tag]} is given to {node.name}")
        self.change([node], moved=self.truth.moved | {SLOTS[tag]: shard})

    def fail_over(self, shard: int, how: str, after_ns: int, lost: int, back_ns: int) -> None:
        """The shard's master dies, hangs or steps down; `after_ns` later a replica, which lacks the last `lost` writes,
        has its slots. What was a master comes back as a replica."""
        master = self.truth.masters[shard]
        replica = next(
            (n for n, s in self.truth.replicas.items() if s == shard and not n.dead and n.reading),
            None,
        )
        if master.dead or not master.reading or replica is None:
            return
        self.end_migrations_of(master)
        if how == "by hand":
            self.promote(shard, master, replica, 0)
            return
        if how == "hangs":
            master.reading = False
            self.fault(f"{master.name} hangs", after_ns + 100 * MS)
        else:
            master.kill()
            self.fault(f"the successor of {master.name} is not there yet", after_ns + 100 * MS)
        self.at(
            self.chance.randrange(1, after_ns),
            lambda: self.change([], gone=self.truth.gone | {master}),
        )
        self.at(after_ns, lambda: self.promote(shard, master, replica, lost))
        self.at(after_ns + back_ns, lambda: self.comes_back(master))

    def promote(self, shard: int, master: Node, replica: Node, lost: int) -> None:
        self.say(f"{replica.name} takes over from {master.name}")
        replica.data = dict(master.data)
        for at, value in reversed(master.journal[-lost:] if lost else []):
            if value is None:
                replica.data.pop(at, None)
            else:
                replica.data[at] = value
        for db, key in replica.data:
            replica.touch(db, key)
        masters = list(self.truth.masters)
        masters[shard] = replica
        replicas = {n: s for n, s in self.truth.replicas.items() if n is not replica} | {
            master: shard
        }
        self.change([replica], masters=tuple(masters), replicas=replicas)
        if not master.dead and master.reading:
            master.learn(self.truth)

    def comes_back(self, node: Node) -> None:
        for connection in node.alive():  # what had been sent to it goes with what it was
            node.drop(connection)
            self.world.reset(connection.conn)
        node.reading = True
        node.learn(self.truth)
        node.data = {}
        node.down_until = 0
        node.revive(self.chance.randrange(50 * MS))
        self.at(30 * MS, lambda: self.change([], gone=self.truth.gone - {node}))

    def rename(self, shard: int, id: str) -> None:
        """The master is now found at another address."""
        old, new = self.truth.masters[shard], self.node(id)
        if old.dead or not old.reading or old is new:
            return
        self.end_migrations_of(old)
        self.say(f"{old.name} is {new.name} from now on")
        new.data, new.versions = old.data, dict(old.versions)
        old.kill()
        old.data = {}
        masters = list(self.truth.masters)
        masters[shard] = new
        self.change([new], masters=tuple(masters))

    # -- other ways

    def feed_list(self, key: bytes) -> None:
        """Another client, who came by another way, pushes: where the key is now."""
        slot = slot_of(key)
        node = self.truth.owner(slot)
        if node is not None and slot in node.migrating and (0, key) not in node.data:
            node = node.migrating[slot]
        if (
            node is None
            or node.dead
            or not node.reading
            or node.map is None
            or self.world.now < node.loading_until
        ):
            self.at(5 * MS, lambda: self.feed_list(key))
            return
        node.feed(0, key)

    def publish(self, channel: bytes) -> None:
        number = self.published[channel] = self.published.get(channel, 0) + 1
        for node in self.servers:
            for connection in list(node.listeners.get(channel, {}).values()):
                connection.message(channel, b"%d" % number)

    # -- the run

    def at(self, delay_ns: int, act: Callable[[], None]) -> None:
        def noted() -> None:
            self.progress_ns = self.world.now
            act()

        super().at(delay_ns, noted)

    def step(self) -> bool:
        """As of any run; but the proxy never rests, since it asks for the map again and again."""
        super().step()
        if self.worker_done:
            return False
        if self.draining or self.due:
            return True
        if all(client.over for client in self.clients):
            self.ended_ns = self.ended_ns or self.world.now
            return not self.settled() and self.world.now < self.ended_ns + SETTLE_NS
        return self.world.now < self.progress_ns + PATIENCE_NS

    def settled(self) -> bool:
        """The proxy asks nothing just now, and what it has closed is gone."""
        census = self.worker.census()
        upstreams = int(self.sample("shotover_upstream_connections"))
        closed = census["streams"] == upstreams and self.world.fds_open == upstreams + 1
        return closed and not census["requests"] and not self.sink().census()["clients"]

    def lose_patience(self) -> bool:
        if super().lose_patience():
            self.progress_ns = self.world.now
            return True
        return False

    def sink(self) -> Any:
        return self.chain.steps[-1]

    def check_error(self, client: Any, sent: Any, frame: bytes) -> None:
        cluster_checks.check_error(self, client, sent, frame)

    def check_quiet(self) -> None:
        super().check_quiet()
        cluster_checks.check_quiet(self)

    def check_after(self) -> None:
        cluster_checks.check_after(self)


__all__ = ["PORT", "ClusterSimulation"]
