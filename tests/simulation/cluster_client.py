"""Clients of the proxy before a simulated cluster, and what they may send."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from simulation.client import Client, Sent
from simulation.cluster_node import keys_of, slot_of
from simulation.ops import Draw, Op
from simulation.server import PASSWORD
from simulation.wire import frame_end, request, words_of

if TYPE_CHECKING:
    from simulation.cluster import ClusterSimulation

SPLIT = (b"MGET", b"MSET", b"DEL", b"EXISTS")
KNOWN_NS = (
    11_000_000_000  # so long after a change the proxy knows of it, though no reply has told it
)
TAGS = 12  # hash tags in use: {0} to {11}, each a slot
REFUSALS = (b"-TRYAGAIN", b"-CLUSTERDOWN", b"-LOADING", b"-MASTERDOWN", b"-READONLY", b"-MOVED", b"-ASK", b"-NOAUTH",
            b"-EXECABORT Transaction discarded because of: ")  # fmt: skip


def is_refusal(frame: bytes) -> bool:
    """What a node says that did not carry a request out."""
    return frame.startswith(REFUSALS)


def part_tags(op: Op) -> list[bytes]:
    """The tags under which the parts of a request are written down."""
    if op.name not in SPLIT and op.name not in (b"WATCH", b"BLPOP"):
        return [op.tag]
    found = dict.fromkeys(key[key.index(b"{") :] for key in keys_of(list(op.words)))
    return [op.tag + hashed for hashed in found]


def elements(reply: bytes) -> list[bytes]:
    at, data = reply.index(b"\r\n") + 2, bytearray(reply)
    found = []
    while at < len(reply):
        end = frame_end(data, at)
        found.append(reply[at:end])
        at = end
    return found


class ClusterDraw(Draw):
    """Keys have a hash tag."""

    def __init__(self, rng: random.Random, client: int, large: int) -> None:
        super().__init__(rng, client, large)
        self.tags = [rng.randrange(TAGS) for _ in range(rng.choice([1, 3, 6]))]

    def key(self, kind: str = "k", tag: int | None = None) -> str:
        chosen = self.rng.choice(self.tags) if tag is None else tag
        return super().key(kind) + "{%d}" % chosen

    def data(self) -> list[Op]:
        draw = self.rng.randrange(13)
        if draw < 3:
            return [self.tagged("SET", self.key(), self.value())]
        if draw < 6:
            return [self.tagged("GET", self.key())]
        if draw < 8:
            return [self.tagged("INCR", self.key("n"))]
        if draw == 8:
            return [self.tagged("APPEND", self.key(), self.value())]
        if draw == 9:
            return [self.tagged("PING")]
        if draw == 10:
            return [self.tagged("ECHO", self.value())]
        return self.several()

    def several(self, name: str = "", tag: int | None = None) -> list[Op]:
        """Keys of one slot or more; each slot's part carries the tag."""
        rng = self.rng
        name = name or rng.choice(["MGET", "MGET", "MSET", "DEL", "EXISTS"])
        if tag is None and rng.random() < 0.3:
            tag = rng.choice(self.tags)
        keys = [self.key(tag=tag) for _ in range(rng.randrange(1, 6))]
        self.number += 1
        own = b"@%d.%d" % (self.client, self.number)
        words: list[bytes] = [name.encode()]
        sent = list(words)
        seen = set()
        for key in keys:
            raw = [key.encode()] + ([self.value()] if name == "MSET" else [])
            words += raw
            sent += raw
            hashed = raw[0][raw[0].index(b"{") :]
            if hashed not in seen:
                seen.add(hashed)
                sent += [own + hashed] + ([b"t"] if name == "MSET" else [])
        return [Op("several", tuple(words), request(*sent), own)]

    def exactly(self, *words: bytes | str) -> Op:
        """Never inline."""
        self.number += 1
        own = b"@%d.%d" % (self.client, self.number)
        raw = tuple(word if isinstance(word, bytes) else word.encode() for word in words)
        return Op("answer", raw, request(*raw, own), own)

    def script(self, tag: int | None = None) -> list[Op]:
        return [self.exactly("EVAL", "return redis.call('incr', KEYS[1])", "1", self.key("n", tag))]

    def every(self) -> list[Op]:
        if self.rng.random() < 0.2:
            return [self.tagged("FLUSHALL")._replace(kind="every")]
        return [self.tagged("DBSIZE")._replace(kind="every")]

    def transaction(self) -> list[Op]:
        rng = self.rng
        tag = rng.choice(self.tags)
        ops = []
        if rng.random() < 0.4:
            ops += self.several("WATCH", tag)
            if rng.random() < 0.5:
                ops += self.data()
            if rng.random() < 0.1:
                return [*ops, self.tagged("UNWATCH")]
        ops.append(self.plain("multi", "MULTI"))
        for _ in range(rng.randrange(4)):
            one = rng.choice(["SET", "RPUSH", "EVAL", "several"])
            elsewhere = rng.random() < 0.05
            if one == "several":
                name = rng.choice(["MGET", "DEL", "MSET", "EXISTS"])
                made = self.several(name, None if elsewhere else tag)
            elif one == "EVAL":
                made = self.script(None if elsewhere else tag)
            else:
                key = self.key("k" if one == "SET" else "q", None if elsewhere else tag)
                made = [self.exactly(one, key, self.value())]
            ops += [op._replace(kind="queued") for op in made]
        return [
            *ops,
            self.plain(*rng.choice([("exec", "EXEC"), ("exec", "EXEC"), ("discard", "DISCARD")])),
        ]

    def open_transaction(self) -> list[Op]:
        return self.transaction()[:-1] or [self.plain("multi", "MULTI")]

    def blocking(self, fed: bool = True) -> list[Op]:
        timeout = (
            self.rng.choice(["0", "0.01", "0.2"]) if fed else self.rng.choice(["0.002", "0.02"])
        )
        return [self.waits_for("fed" if fed else "dry", timeout)]

    def endless(self) -> Op:
        return self.waits_for("dry", "0")

    def waits_for(self, kind: str, timeout: str) -> Op:
        self.number += 1
        name = b"%d.%d{%d}" % (self.client, self.number, self.rng.choice(self.tags))
        words = (b"BLPOP", b"l:%b:%b" % (kind.encode(), name), timeout.encode())
        own = b"@%d.%d" % (self.client, self.number)
        wire = request(words[0], words[1], b"@" + name, words[2])
        return Op("waits", words, wire, own, blocks=True)

    def state(self) -> list[Op]:
        draw = self.rng.randrange(4)
        if draw == 0:
            return [self.plain("state", "AUTH", self.rng.choice(["alice", "bob"]), PASSWORD)]
        if draw == 1:
            return [self.plain("state", "HELLO", self.rng.choice(["2", "3"]))]
        if draw == 2:
            return [
                self.plain(
                    "state", "HELLO", "3", "AUTH", "alice", PASSWORD, "SETNAME", "n%d" % self.client
                )
            ]
        return [self.plain("state", "CLIENT", "SETNAME", self.rng.choice(["one", "two"]))]

    def subscription(self) -> list[Op]:
        ops = super().subscription()
        if ops[-1].name != b"UNSUBSCRIBE":
            ops.append(self.plain("channels", "UNSUBSCRIBE", *ops[0].words[1:]))
        return ops


class ClusterClient(Client):
    """A step more: `scan`, all keys of the cluster, with as many requests as it takes."""

    sim: ClusterSimulation

    def begin(self) -> None:
        self.transaction: list[Op] = []
        self.refused = False  # a command of it was
        self.watches: set[bytes] = set()
        self.unsure_watch = False
        self.scanned: set[bytes] = set()
        self.scans = 0
        super().begin()

    def do_scan(self) -> None:
        self.scanned = set()
        self.scan_from = len(self.sim.changes) + len(self.sim.faults)
        self.scan_ns = self.sim.world.now
        self.scan(b"0")

    def scan(self, cursor: bytes) -> None:
        self.scans += 1
        tag = b"@%d.s%d.%d" % (self.index, self.life, self.scans)
        op = Op("scan", (b"SCAN", cursor), request(b"SCAN", cursor, tag), tag)
        self.record(op)
        self.send(op.wire)

    # -- what comes

    def frame(self, frame: bytes) -> None:
        if not self.expected or not is_refusal(frame):
            self.sim.progress_ns = self.sim.world.now
            if self.expected and frame[:1] == b"-" and b"shotover" in frame:
                self.failed(self.expected[0])
            super().frame(frame)
            return
        sent = self.expected.popleft()
        sent.reply, sent.done_ns = frame, self.sim.world.now
        self.failed(sent)
        self.unsure = self.unsure or sent.op.kind == "state"
        self.sim.check_error(self, sent, frame)

    def failed(self, sent: Sent) -> None:
        if sent.op.name in (b"WATCH", b"UNWATCH", b"EXEC", b"DISCARD"):
            self.unsure_watch = True
        if sent.op.name in (b"EXEC", b"DISCARD"):
            self.transaction, self.refused = [], False
        self.refused = self.refused or sent.op.kind == "queued"

    def got_answer(self, sent: Sent, frame: bytes) -> None:
        found = self.sim.done.get(sent.op.tag, [])
        match = [done for done in found if done.reply == frame]
        if not match:
            self.wrong(
                sent,
                frame,
                [done.reply[:80] for done in found] or "anything: no node has carried it out",
            )
            return
        self.check_view(sent, match[-1].view)
        if sent.op.name == b"UNWATCH" and frame == b"+OK\r\n":
            self.watches.clear()

    def check_view(self, sent: Sent, seen: Any) -> None:
        if seen != self.view and not self.unsure:
            self.sim.violation(f"{self}: {sent.op!r} was carried out in {seen}, not {self.view}")

    def got_waits(self, sent: Sent, frame: bytes) -> None:
        key = sent.op.words[1]
        tag = sent.op.tag + key[key.index(b"{") :]
        match = [done for done in self.sim.done.get(tag, []) if done.reply == frame]
        if not match:
            self.wrong(sent, frame, "what a node has answered")
        else:
            self.check_view(sent, match[-1].view)

    def got_several(self, sent: Sent, frame: bytes) -> None:
        """The parts' replies, joined."""
        name = sent.op.name
        parts = {}
        for tag in part_tags(sent.op):
            found = self.sim.done.get(tag, [])
            if not found:
                self.wrong(sent, frame, f"an error: no node has carried out {tag!r}")
                return
            parts[tag] = found[-1]
            self.check_view(sent, found[-1].view)
        errors = [done.reply for done in parts.values() if done.reply[:1] == b"-"]
        if errors:
            if frame not in errors:
                self.wrong(sent, frame, errors)
            return
        must = b"+OK\r\n"
        if name in (b"DEL", b"EXISTS"):
            must = b":%d\r\n" % sum(int(done.reply[1:]) for done in parts.values())
        elif name == b"MGET":
            left = {tag: elements(done.reply) for tag, done in parts.items()}
            keys = words_of(sent.op.wire)[1:]
            values = [left[sent.op.tag + key[key.index(b"{") :]].pop(0) for key in keys]
            must = b"*%d\r\n" % len(values) + b"".join(values)
        elif name == b"WATCH":
            self.watches.update(parts)
        if frame != must:
            self.wrong(sent, frame, must[:80])

    def got_every(self, sent: Sent, frame: bytes) -> None:
        """From every master."""
        found = self.sim.done.get(sent.op.tag, [])
        errors = [done.reply for done in found if done.reply[:1] == b"-"]
        must = (
            b":%d\r\n" % sum(int(done.reply[1:]) for done in found)
            if sent.op.name == b"DBSIZE"
            else b"+OK\r\n"
        )
        if errors:
            must = frame if frame in errors else errors[0]
        if frame != must or not found:
            self.wrong(sent, frame, must)
        masters = set(self.sim.truth.masters[: self.sim.truth.shards])
        if (
            not self.sim.changes
            and not self.sim.faults
            and not errors
            and {done.node for done in found} < masters
        ):
            self.sim.violation(f"{self}: {sent.op!r} has not been to every master")

    def got_scan(self, sent: Sent, frame: bytes) -> None:
        found = self.sim.done.get(sent.op.tag, [])
        if frame[:1] != b"*":
            if not (found and found[-1].reply == frame):
                self.wrong(sent, frame, "a cursor and keys")
            return
        if frame == b"*2\r\n$1\r\n0\r\n*0\r\n" and not found:
            return  # there are fewer nodes than there were
        cursor, keys = elements(frame)
        if not found or elements(found[-1].reply)[1] != keys:
            self.wrong(sent, frame, "keys of a node")
            return
        self.scanned.update(element.split(b"\r\n")[1] for element in elements(keys))
        following = cursor.split(b"\r\n")[1]
        if following != b"0" and self.scans < 500:
            if not self.leaving:
                self.scan(following)
            return
        must = {b"fixed:%d{%d}" % (number, tag) for number in range(2) for tag in range(TAGS)}
        calm = self.scan_from == len(self.sim.changes) + len(self.sim.faults)
        if (
            not must <= self.scanned
            and calm
            and not self.sim.changed_since(self.sim.world.now - self.scan_ns + KNOWN_NS)
        ):
            self.sim.violation(f"{self}: a scan has missed {sorted(must - self.scanned)[:3]}")

    # -- transactions

    def got_multi(self, sent: Sent, frame: bytes) -> None:
        self.transaction, self.refused = [], False
        if frame != b"+OK\r\n":
            self.wrong(sent, frame, "+OK")

    def got_queued(self, sent: Sent, frame: bytes) -> None:
        slots = {
            slot_of(key) for op in [*self.transaction, sent.op] for key in keys_of(list(op.words))
        }
        if frame == b"+QUEUED\r\n" and len(slots) < 2:
            self.transaction.append(sent.op)
        elif frame.startswith(b"-CROSSSLOT") and (
            len(slots) > 1 or self.watches or self.unsure_watch
        ):
            self.refused = True
        else:
            self.wrong(sent, frame, "+QUEUED" if len(slots) < 2 else "-CROSSSLOT")

    def got_exec(self, sent: Sent, frame: bytes) -> None:
        queued, self.transaction = self.transaction, []
        watches, self.watches = self.watches, set()
        unsure, self.unsure_watch = self.unsure_watch, False
        if self.refused:
            self.refused = False
            if not frame.startswith(b"-EXECABORT"):
                self.wrong(sent, frame, "-EXECABORT")
            return
        tags = [part_tags(op)[0] for op in queued]
        if frame in (b"*-1\r\n", b"_\r\n"):
            why = any(self.sim.voided.get(tag) for tag in tags)
            if not (watches or unsure) or not (
                why or not tags or self.sim.changed_since(5_000_000_000)
            ):
                self.wrong(sent, frame, "replies: nothing it watched has changed")
            return
        found = [self.sim.done.get(tag, []) for tag in tags]
        if not all(found):
            self.wrong(sent, frame, "an error: no node has carried it out")
            return
        must = b"*%d\r\n" % len(found) + b"".join(done[-1].reply for done in found)
        if frame != must:
            self.wrong(sent, frame, must[:80])
        for done in found:
            self.check_view(sent, done[-1].view._replace(multi=False))
            if not unsure and done[-1].watched != watches:
                self.sim.violation(
                    f"{self}: {sent.op!r} ran with the watches {sorted(done[-1].watched)}, not {sorted(watches)}"
                )

    def got_discard(self, sent: Sent, frame: bytes) -> None:
        self.transaction, self.refused = [], False
        self.watches = set()
        if frame != b"+OK\r\n":
            self.wrong(sent, frame, "+OK")
