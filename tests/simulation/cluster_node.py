"""A node of a simulated cluster: the server of server.py, but for its own slots only.

A tag may stand anywhere in a request here (`@CLIENT.NUMBER`, `@CLIENT.NUMBER{SLOT}` among keys): so that each part of a
request that the proxy splits has one. MSET's tag has a value behind it.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, NamedTuple

from simulation.server import (
    COMMANDS,
    ONLY_SUBSCRIBED,
    WHILE_SUBSCRIBED,
    Blocked,
    Connection,
    Server,
    View,
)
from simulation.wire import bulk

if TYPE_CHECKING:
    from simulation.cluster import ClusterSimulation, Map

SLOT_COUNT = 16384
CROSS = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
ABORTED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
NOT_LOADED = b"-LOADING Redis is loading the dataset in memory\r\n"
ONE_KEY = {b"GET", b"SET", b"INCR", b"APPEND", b"RPUSH"}
MANY_KEYS = {b"MGET", b"DEL", b"EXISTS", b"WATCH"}
WRITES = {b"SET", b"INCR", b"APPEND", b"RPUSH", b"DEL", b"MSET", b"EVAL", b"FLUSHALL", b"BLPOP"}
WHILE_LOADING = {b"AUTH", b"HELLO", b"MULTI", b"EXEC", b"DISCARD", b"WATCH", b"UNWATCH", b"SUBSCRIBE",
                 b"UNSUBSCRIBE", b"RESET", b"ASKING"}  # fmt: skip
WHILE_LOCKED = {b"AUTH", b"HELLO", b"QUIT", b"RESET"}


def slot_of(key: bytes) -> int:
    begin = key.find(b"{")
    end = key.find(b"}", begin + 1)
    hashed = key[begin + 1 : end] if 0 <= begin < end - 1 else key
    return binascii.crc_hqx(hashed, 0) % SLOT_COUNT


def keys_of(words: list[bytes]) -> list[bytes]:
    name = words[0].upper()
    if name in ONE_KEY:
        return words[1:2]
    if name in MANY_KEYS:
        return words[1:]
    if name == b"MSET":
        return words[1::2]
    if name == b"BLPOP":
        return words[1:-1]
    if name == b"EVAL":
        return words[3 : 3 + int(words[2])]
    return []


def strip_tag(words: list[bytes]) -> tuple[bytes, list[bytes]]:
    """The tag (b"": none) and the request without it."""
    for at, word in enumerate(words):
        if word[:1] == b"@":
            behind = at + (2 if words[0].upper() == b"MSET" else 1)
            return word, words[:at] + words[behind:]
    return b"", words


class Done(NamedTuple):
    """What was carried out under a tag."""

    reply: bytes
    view: View
    at_ns: int
    order: int  # among all that the cluster has carried out
    node: Node
    conn: int
    words: tuple[bytes, ...]
    watched: frozenset[bytes]  # tags of the WATCHes that bound a transaction


class NodeConnection(Connection):
    server: Node

    def __init__(self, server: Node, conn: int) -> None:
        super().__init__(server, conn)
        self.asking = False
        self.known = False  # has logged in
        self.watch_tags: set[bytes] = set()

    def carry_out(self, words: list[bytes]) -> bytes:
        self.server.sim.say(f"{self.server.name} gets {words} on {self.conn}")
        whole = words
        tag, words = strip_tag(words)
        name = words[0].upper()
        asking, self.asking = self.asking, name == b"ASKING"
        if tag:
            self.server.check_asked(tag, words)
        if name == b"ASKING":
            return b"+OK\r\n"
        refusal = self.server.refusal(name, self)
        if refusal:
            return self.refuse(refusal)
        if self.channels and self.view.protocol == 2 and name not in WHILE_SUBSCRIBED:
            return self.answered(tag, ONLY_SUBSCRIBED % words[0].lower(), self.view, words)
        if name == b"CLUSTER":
            return bulk(self.server.cluster_nodes())
        if name == b"EXEC":
            return self.end_transaction()
        refusal = self.server.redirect(words, asking)
        if refusal:
            return self.refuse(refusal)
        if self.view.multi and name not in (b"MULTI", b"DISCARD", b"WATCH"):
            self.queue.append((tag, words if name != b"MGET" else whole))
            return b"+QUEUED\r\n"
        command = NODE_COMMANDS.get(name) or COMMANDS.get(name)
        if command is None:
            return b"-ERR unknown command '%b'\r\n" % words[0][:100]
        before = self.view
        reply = command(
            self, (words if name != b"MGET" else whole)[1:], tag
        )  # there is no such key as a tag
        if name in (b"AUTH", b"HELLO") and reply[:1] != b"-":
            self.known = self.known or self.view.user != b"default" or name == b"AUTH"
        elif name == b"RESET":
            self.known = False
        if name == b"WATCH":
            self.watch_tags.add(tag)
        elif name in (b"UNWATCH", b"DISCARD", b"RESET"):
            self.watch_tags.clear()
        if self.blocked is not None:
            return b""
        return self.answered(tag, reply, before, words)

    def refuse(self, refusal: bytes) -> bytes:
        if self.view.multi:
            self.aborted = True
        return refusal

    def answered(
        self, tag: bytes, reply: bytes, before: View, words: list[bytes] | None = None
    ) -> bytes:
        if tag:
            self.server.done(
                tag, reply, before._replace(multi=False), self.conn, tuple(words or ())
            )
        return reply

    def end_transaction(self) -> bytes:
        queue, watched = self.queue, frozenset(self.watch_tags)
        broken = any(self.server.versions.get(key, 0) != seen for key, seen in self.watched.items())
        open_, aborted, self.aborted = self.view.multi, self.aborted, False
        self.watch_tags.clear()
        self.end_multi()
        if not open_:
            return b"-ERR EXEC without MULTI\r\n"
        if aborted:
            return ABORTED
        for _tag, words in queue:
            refusal = self.server.redirect(strip_tag(words)[1], False)
            if refusal:
                return refusal
        if broken:
            for tag, _words in queue:
                self.server.cluster.voided[tag] = watched
            return self.nil_array()
        replies = []
        for tag, words in queue:
            command = NODE_COMMANDS.get(words[0].upper()) or COMMANDS[words[0].upper()]
            reply = command(self, words[1:], tag)
            self.server.done(tag, reply, self.view, self.conn, tuple(words), watched)
            replies.append(reply)
        return b"*%d\r\n" % len(replies) + b"".join(replies)

    def moved_away(self) -> None:
        """What it waits for is served by another node now."""
        assert self.blocked is not None
        refusal = self.server.redirect([b"MGET", *self.blocked.keys], False)
        if refusal:
            self.blocked = None
            self.server.waiting.remove(self)
            self.say(refusal)
            self.go_on()

    # -- commands

    def put(self, key: bytes, value: bytes | list[bytes]) -> None:
        self.server.journal.append(((0, key), self.server.data.get((0, key))))
        super().put(key, value)

    def do_exists(self, words: list[bytes], tag: bytes) -> bytes:
        return b":%d\r\n" % sum(self.get(key) is not None for key in words)

    def do_eval(self, words: list[bytes], tag: bytes) -> bytes:
        return self.do_incr(words[2:3], tag)

    def do_dbsize(self, words: list[bytes], tag: bytes) -> bytes:
        return b":%d\r\n" % len(self.server.cluster.data_of(self.server))

    def do_flushall(self, words: list[bytes], tag: bytes) -> bytes:
        for db, key in list(self.server.data):
            self.server.touch(db, key)
            if not key.startswith(b"fixed"):
                del self.server.data[db, key]
        return b"+OK\r\n"

    def do_scan(self, words: list[bytes], tag: bytes) -> bytes:
        """Two keys at a time or a few more, in the order of their hashes: so none that stays is missed."""
        cursor, following = int(words[0]), 0
        found: list[bytes] = []
        for at, key in sorted(
            (binascii.crc_hqx(key, 1), key) for _db, key in self.server.cluster.data_of(self.server)
        ):
            if len(found) >= 2 and at != following:
                following = at
                break
            if at >= cursor:
                found.append(key)
                following = at
        else:
            following = 0
        return (
            b"*2\r\n"
            + bulk(b"%d" % following)
            + b"*%d\r\n" % len(found)
            + b"".join(bulk(key) for key in found)
        )


NODE_COMMANDS = {
    name.encode().upper(): getattr(NodeConnection, "do_" + name)
    for name in ("exists", "eval", "dbsize", "flushall", "scan")
}


class Node(Server):
    """`map` is what it knows of the cluster; the truth is the cluster's."""

    sim: ClusterSimulation

    def __init__(self, sim: ClusterSimulation, name: str, port: int, rng: object) -> None:
        super().__init__(sim, name, port, rng)  # type: ignore[arg-type]
        self.id = name[7:]
        self.cluster = sim
        self.map: Map | None = None  # it has not met the others
        self.dead = False
        self.loading_until = 0
        self.down_until = 0
        self.migrating: dict[int, Node] = {}
        self.importing: set[int] = set()
        self.journal: list[tuple[tuple[int, bytes], bytes | list[bytes] | None]] = []

    # -- what it answers

    def refusal(self, name: bytes, connection: NodeConnection) -> bytes:
        now = self.sim.world.now
        if self.sim.plan.cluster["locked"] and not connection.known and name not in WHILE_LOCKED:
            return b"-NOAUTH Authentication required.\r\n"
        if now < self.loading_until and name not in WHILE_LOADING:
            return NOT_LOADED
        if name == b"FLUSHALL" and self.map is not None and self not in self.map.masters:
            return b"-READONLY You can't write against a read only replica.\r\n"
        return b""

    def redirect(self, words: list[bytes], asking: bool) -> bytes:
        """Why these keys cannot be had here; b"": they can."""
        keys = keys_of(words)
        if not keys:
            return b""
        slots = {slot_of(key) for key in keys}
        if len(slots) > 1:
            return CROSS
        [slot] = slots
        if self.sim.world.now < self.down_until:
            return b"-CLUSTERDOWN The cluster is down\r\n"
        owner = self.map.owner(slot) if self.map else None
        missing = sum((0, key) not in self.data for key in keys)
        if owner is self:
            to = self.migrating.get(slot)
            if to is not None and missing:
                if missing < len(keys):
                    return b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n"
                return b"-ASK %d 127.0.0.1:%d\r\n" % (slot, to.port)
            return b""
        if slot in self.importing and asking:
            if missing and len(keys) > 1:
                return b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n"
            return b""
        if owner is None:
            return b"-CLUSTERDOWN Hash slot not served\r\n"
        return b"-MOVED %d 127.0.0.1:%d\r\n" % (slot, owner.port)

    def cluster_nodes(self) -> bytes:
        if self.map is None:
            return b"%b :%d@1 myself,master - 0 0 0 connected\n" % (self.id.encode(), self.port)
        return self.map.text(self)

    def check_asked(self, tag: bytes, words: list[bytes]) -> None:
        """What arrives is what a client has sent: all of it, or the words of one slot."""
        name, _, _ = tag.partition(b"{")
        asked = self.sim.asked.get(name)
        if (
            asked is not None
            and b"{" in tag
            and asked[0].upper() in (b"MGET", b"DEL", b"EXISTS", b"WATCH", b"MSET")
        ):
            step = 2 if asked[0].upper() == b"MSET" else 1
            slot = slot_of(tag)
            kept = [asked[0]]
            for at in range(1, len(asked), step):
                if slot_of(asked[at]) == slot:
                    kept += asked[at : at + step]
            asked = tuple(kept)
        if asked is not None and asked[0] == b"SCAN":
            asked = (asked[0], words[1])  # the cursor is the proxy's own
        if asked != tuple(words):
            self.sim.violation(
                f"{self.name} got {[word[:40] for word in words]} as {tag!r}: no client has sent that"
            )

    def done(
        self,
        tag: bytes,
        reply: bytes,
        view: View,
        conn: int,
        words: tuple[bytes, ...],
        watched: frozenset[bytes] = frozenset(),
    ) -> None:
        before = self.sim.done.setdefault(tag, [])
        every = words and words[0].upper() in (b"DBSIZE", b"FLUSHALL", b"SCAN")
        for other in before:
            repeats = (
                words and words[0].upper() not in WRITES and other.node.connections[other.conn].dead
            )
            if not repeats and not (every and other.node is not self):
                self.sim.violation(
                    f"{self.name} carried out {tag!r}, which {other.node.name} had carried out before"
                )
        self.sim.say(f"{self.name} carries out {tag!r} on {conn} in {view}: {reply[:40]!r}")
        order = self.sim.carried_out = self.sim.carried_out + 1
        before.append(Done(reply, view, self.sim.world.now, order, self, conn, words, watched))

    # -- data

    def block(
        self, connection: Connection, keys: list[bytes], tag: bytes, timeout_s: float
    ) -> None:
        connection.blocked = Blocked(keys, tag)
        self.waiting.append(connection)
        blocked = connection.blocked
        if timeout_s:
            self.sim.at(int(timeout_s * 1e9), lambda: self.time_out(connection, blocked))
        if b":fed:" in keys[0] and tag not in self.sim.fed:
            self.sim.fed.add(tag)
            self.sim.at(self.rng.randrange(3_000_000), lambda: self.sim.feed_list(keys[0]))

    # -- news of the cluster

    def learn(self, known: Map) -> None:
        if self.map is not None and known.epoch <= self.map.epoch:
            return
        self.map = known
        for slot in list(self.migrating):
            if known.owner(slot) is not self:
                del self.migrating[slot]
        for connection in list(self.waiting):
            if connection.blocked is not None and not connection.dead:
                connection.moved_away()  # type: ignore[attr-defined]

    def news(self, conn: int, ended: bool) -> None:
        connection = self.connections.get(conn)
        if connection is None:
            connection = self.connections[conn] = NodeConnection(self, conn)
            if self.dead:
                self.drop(connection)
                self.sim.world.reset(conn)
        super().news(conn, ended)

    # -- faults

    def kill(self) -> None:
        self.sim.fault(f"{self.name} dies")
        self.dead = True
        self.sim.world.service_mode(self.port, 1)
        for connection in self.alive():
            self.drop(connection)
            self.sim.world.reset(connection.conn)

    def revive(self, loads_ns: int) -> None:
        self.dead = False
        self.sim.world.service_mode(self.port, 0)
        self.load(loads_ns)

    def load(self, for_ns: int) -> None:
        self.sim.fault(f"{self.name} is loading for {for_ns} ns", for_ns)
        self.loading_until = self.sim.world.now + for_ns

    def no_cluster(self, for_ns: int) -> None:
        self.sim.fault(f"{self.name} says CLUSTERDOWN for {for_ns} ns", for_ns)
        self.down_until = self.sim.world.now + for_ns

    def hang(self, for_ns: int) -> None:
        """Answers nothing, but takes connects; goes on where it was, or, if it was deposed, knows that it is."""
        self.sim.fault(f"{self.name} hangs for {for_ns} ns", for_ns)
        self.rest(for_ns)
