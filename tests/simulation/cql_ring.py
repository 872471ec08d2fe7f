"""A simulated ring of Cassandra: nodes with tokens, that die, hang, forget and leave; and the clients and the run that have one.

A request says in its tag who asked it; what is asked, and for which key, its `Op` says. The nodes note under the tag what
they carried out. So it is seen when a request is carried out twice that may not be, at a node that has no copy of its row
though all was well, or answered with what was no answer to it.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from simulation.cql import (
    ERRORS,
    Answer,
    Connection,
    CqlClient,
    CqlServer,
    CqlSimulation,
    Sent,
    body_bytes,
    tag_of,
)
from simulation.cql_wire import (
    BATCH,
    ERROR,
    EVENT,
    EXECUTE,
    IS_REPLY,
    PREPARE,
    QUERY,
    RESULT,
    Frame,
    statement,
    string,
)
from simulation.plan import MS, Plan

UNPREPARED, BOOTSTRAPPING = 0x2500, 0x1002
KEYS = 8
"""Different rows; the last of them is written into texts that are prepared."""
LITERAL = KEYS - 1
INT, VARCHAR, UUID, INET = (struct.pack(">H", each) for each in (9, 13, 12, 16))
TEXTS, MAP = b"\0\x22" + VARCHAR, b"\0\x21" + VARCHAR + VARCHAR
SETTLE_NS = 3_000 * MS
"""The proxy's own questions may be under way when all clients have ended."""
PATIENCE_NS = 40_000 * MS
KNOWN_NS = 1_000 * MS
"""So long after it knows all nodes the proxy has a connection to each."""
RING_ERRORS = ERRORS | {
    b"no server of the cluster can be reached": "away",
    b"cannot be prepared again": "unprepared",
}


class Form(NamedTuple):
    """A statement: how its text begins and ends around the key and the tag, in the order in which they stand."""

    name: str
    text: bytes  # {t}: the table; {k}, {v}: key and tag
    idempotent: bool = True
    ordered: bool = False
    keyed: bool = True


FORMS = [
    Form("read", b"SELECT v FROM {t} WHERE k = {k} AND v = {v} ALLOW FILTERING"),
    Form("write", b"INSERT INTO {t} (v, k) VALUES ({v}, {k})"),
    Form("append", b"UPDATE {t} SET v = v + {v} WHERE k = {k}", idempotent=False),
    Form("lwt", b"INSERT INTO {t} (k, v) VALUES ({k}, {v}) IF NOT EXISTS", idempotent=False, ordered=True),
    Form("scan", b"SELECT v FROM {t} WHERE v = {v} ALLOW FILTERING", keyed=False),
]  # fmt: skip
CHANGES = [form for form in FORMS if form.name in ("write", "append")]


class Op(NamedTuple):
    """What one request is."""

    name: str
    key: int | None  # None: nobody can tell
    idempotent: bool
    ordered: bool
    ids: tuple[bytes, ...]  # prepared statements that it needs


class Text(NamedTuple):
    """A text that can be prepared: its values are key and tag, or the tag alone."""

    form: Form
    text: bytes
    literal: bool  # the key stands in it

    @property
    def names(self) -> list[bytes]:
        marks = [(self.form.text.find(b"{%b}" % name), name) for name in (b"k", b"v")]
        there = [(at, name) for at, name in sorted(marks) if at >= 0]
        return [name for _, name in there if not (name == b"k" and self.literal)]


def text_of(form: Form, table: bytes, literal: bool) -> Text:
    key = b"%d" % LITERAL if literal else b"?"
    text = form.text.replace(b"{t}", table).replace(b"{k}", key).replace(b"{v}", b"?")
    return Text(form, text, literal)


TABLES = (b"ks.t", b"t")
PREPARABLE = {
    each.text: each
    for table in TABLES
    for form in FORMS
    for each in (text_of(form, table, False), text_of(form, table, True))
}


def token_of(key: int) -> int:
    """Of murmur3 of an int, which is shorter than a block: its tail alone."""
    mask = (1 << 64) - 1

    def mixed(h: int) -> int:
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            h = (h ^ h >> 33) * factor & mask
        return h ^ h >> 33

    k = int.from_bytes(struct.pack(">i", key), "little") * 0x87C37B91114253D5 & mask
    k = ((k << 31 | k >> 33) & mask) * 0x4CF5AD432745937F & mask
    first, second = (k ^ 4) + 4 & mask, 4
    second = second + first & mask
    token = mixed(first) + mixed(second) & mask
    return token - (1 << 64) if token >> 63 else token


def value(data: bytes) -> bytes:
    return struct.pack(">i", len(data)) + data


def listed(texts: list[str]) -> bytes:
    return struct.pack(">i", len(texts)) + b"".join(value(text.encode()) for text in texts)


def table(name: str, columns: dict[str, bytes], rows: list[dict[str, bytes]]) -> bytes:
    """Body of a RESULT."""
    body = struct.pack(">iii", 2, 1, len(columns)) + string(b"system") + string(name.encode())
    body += b"".join(string(column.encode()) + kind for column, kind in columns.items())
    body += struct.pack(">i", len(rows))
    return body + b"".join(value(row[column]) for row in rows for column in columns)


class RingNode(CqlServer):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.index = self.port - 7000
        self.prepared: set[bytes] = set()
        self.starting = False

    # ---- what it knows of the ring

    def row(self) -> dict[str, bytes]:
        tokens = [str(token) for token in self.sim.tokens[self.index]]
        port = struct.pack(">i", self.port)
        return {
            "key": b"local", "peer": b"\x7f\0\0\1", "rpc_address": b"\x7f\0\0\1", "native_address": b"\x7f\0\0\1",
            "data_center": b"dc1", "rack": b"r1", "host_id": bytes(15) + bytes((self.index + 1,)),
            "schema_version": self.sim.schema_version, "release_version": b"5.0.9", "tokens": listed(tokens),
            "partitioner": b"org.apache.cassandra.dht.Murmur3Partitioner", "rpc_port": port, "native_port": port,
        }  # fmt: skip

    def table(self, text: bytes) -> bytes:
        columns = {
            "host_id": UUID,
            "data_center": VARCHAR,
            "rack": VARCHAR,
            "tokens": TEXTS,
            "schema_version": UUID,
        }
        if b"system.local" in text:
            columns |= {
                "key": VARCHAR,
                "partitioner": VARCHAR,
                "rpc_address": INET,
                "rpc_port": INT,
            }
            return table("local", columns, [self.row()])
        if b"system.peers" in text:
            peers = [node.row() for node in self.sim.members() if node is not self]
            columns |= {"peer": INET, "rpc_address": INET}
            if b"peers_v2" in text:
                columns = {**columns, "native_address": INET, "native_port": INT}
                return table("peers_v2", columns, peers)
            return table("peers", columns, peers)
        if b"keyspaces" in text:
            said = ["class", "SimpleStrategy", "replication_factor", str(self.sim.copies)]
            replication = struct.pack(">i", 2) + listed(said)[4:]
            row = {"keyspace_name": b"ks", "replication": replication}
            return table("keyspaces", {"keyspace_name": VARCHAR, "replication": MAP}, [row])
        names = ("keyspace_name", "table_name", "column_name", "kind", "type")
        told = ((b"ks", b"t", b"k", b"partition_key", b"int"), (b"ks", b"t", b"v", b"regular", b"text"))  # fmt: skip
        rows = [
            dict(zip(names, row, strict=True)) | {"position": struct.pack(">i", -at)}
            for at, row in enumerate(told)
        ]
        return table("columns", {**dict.fromkeys(names, VARCHAR), "position": INT}, rows)

    # ---- requests

    def carry_out(self, connection: Connection, frame: Frame) -> None:
        reply = frame._replace(version=frame.version | IS_REPLY, opcode=RESULT)
        if frame.opcode == PREPARE:
            self.prepare(connection, reply)
            return
        if frame.opcode == QUERY and b" system" in frame.body:
            self.say(connection, [reply._replace(body=self.table(frame.body))])
            return
        if frame.opcode == QUERY and frame.body[4:7] == b"USE":
            super().carry_out(connection, frame)
            return
        tag = tag_of(frame.body)
        op = self.sim.ops.get(tag)
        if op is None or self.sim.asked[tag] != (frame.opcode, frame.body):
            self.sim.violation(f"{self.name} got {tag!r}, which nobody has asked so")
            return
        answer = self.answered(connection, tag, op)
        delay_ns = self.delay()
        if delay_ns is not None:
            said = reply._replace(opcode=answer[0], body=answer[1])
            self.sim.at(delay_ns, lambda: self.say(connection, [said]))

    def answered(self, connection: Connection, tag: bytes, op: Op) -> tuple[int, bytes]:
        for id in op.ids:
            if id not in self.prepared:
                self.sim.say(f"{self.name} does not know what {tag!r} needs")
                return ERROR, struct.pack(">i", UNPREPARED) + string(b"unknown") + string(id)
        if self.starting:
            return ERROR, struct.pack(">i", BOOTSTRAPPING) + string(b"not yet")
        opcode, body = self.answer_to(tag)
        self.sim.say(f"{self.name} carries out {tag!r}, {op.name} of {op.key}")
        self.sim.carried_out(self, tag, op, Answer(opcode, body, connection.keyspace))
        return opcode, body

    def prepare(self, connection: Connection, reply: Frame) -> None:
        size = struct.unpack_from(">i", reply.body)[0]
        text = reply.body[4 : 4 + size]
        known = PREPARABLE.get(text)
        if known is None:
            self.sim.violation(f"{self.name} is to prepare {text!r}, which nobody has asked")
            return
        if b"ks." not in text and connection.keyspace != b"ks":
            self.sim.violation(f"{self.name} is to prepare {text!r} in {connection.keyspace!r}")
        id = id_of(text)
        self.prepared.add(id)
        self.sim.say(f"{self.name} prepares {text!r}")
        body = struct.pack(">i", 4) + string(id)
        if connection.version >= 5:
            body += string(b"rows")
        names = known.names
        body += struct.pack(">ii", 1, len(names))
        if connection.version >= 4:
            keys = [at for at, name in enumerate(names) if name == b"k"]
            body += struct.pack(f">i{len(keys)}H", len(keys), *keys)
        body += string(b"ks") + string(b"t")
        for name in names:
            body += string(name) + (INT if name == b"k" else VARCHAR)
        body += struct.pack(">ii", 4, 0)
        delay_ns = self.rng.randrange(self.sim.plan.cql["delay_ns"] + 1)
        self.sim.at(delay_ns, lambda: self.say(connection, [reply._replace(body=body)]))

    # ---- events

    def forget(self) -> None:
        """No fault: clients must not notice."""
        self.sim.say(f"{self.name} forgets what was prepared")
        self.prepared.clear()

    def die(self, mode: int, for_ns: int) -> None:
        """A process that is started again after a while."""
        self.break_all(self.rng.random() < 0.5)
        self.be_away(mode, for_ns)
        self.prepared.clear()

    def hang(self, for_ns: int) -> None:
        self.stall(for_ns)
        self.be_away(2, for_ns)

    def begin(self, for_ns: int) -> None:
        """It is there, but does nothing yet, and says so."""
        self.sim.change(f"{self.name} begins", for_ns)
        self.starting = True

        def begun() -> None:
            self.starting = False

        self.sim.at(for_ns, begun)

    def leave(self) -> None:
        """Its rows are others' from now on, and soon after that it ends."""
        if self.index not in self.sim.away and len(self.sim.members()) > 2:
            self.sim.away.add(self.index)
            self.sim.ring_changed(self, b"REMOVED_NODE")
            self.sim.at(self.rng.randrange(100 * MS), self.depart)

    def depart(self) -> None:
        if self.index in self.sim.away:
            self.prepared.clear()
            self.break_all(self.rng.random() < 0.5)
            self.sim.world.service_mode(self.port, 1)

    def join(self) -> None:
        if self.index in self.sim.away:
            self.sim.away.discard(self.index)
            self.sim.world.service_mode(self.port, 0)
            self.sim.ring_changed(self, b"NEW_NODE")

    def tell(self, kind: bytes, change: bytes, about: RingNode) -> None:
        body = string(kind) + string(change) + b"\4\x7f\0\0\1" + struct.pack(">i", about.port)
        self.event(body)

    def alter(self) -> None:
        """The schema has another version, though it says the same."""
        self.sim.schema_version = self.rng.randbytes(16)
        words = (b"SCHEMA_CHANGE", b"UPDATED", b"TABLE", b"ks", b"t")
        for node in self.sim.servers:
            node.event(b"".join(map(string, words)))

    def event(self, body: bytes) -> None:
        for connection in self.alive():
            if connection.registered:
                self.say(connection, [Frame(connection.version | IS_REPLY, 0, -1, EVENT, body)])


def id_of(text: bytes) -> bytes:
    return hashlib.md5(text).digest()


class RingClient(CqlClient):
    """It prepares what it needs, and again when it is told to, as drivers do."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.ids: dict[bytes, bytes] = {}  # by text; b"": it has been asked for

    def do_send(self, count: int) -> None:
        frames = []
        for _ in range(min(count, self.streams - len(self.under))):
            frames.append(self.request())
        if frames:
            self.say(frames)

    def request(self) -> Frame:
        chance = self.rng
        qualified = self.keyspace != b"ks" or chance.random() < 0.5
        name = TABLES[0] if qualified else TABLES[1]
        kind = chance.choice([EXECUTE, EXECUTE, QUERY, BATCH])
        text = text_of(
            chance.choice(CHANGES if kind == BATCH else FORMS), name, chance.random() < 0.2
        )
        if kind != QUERY and not self.ids.get(text.text):
            if text.text not in self.ids:
                self.ids[text.text] = b""
                body = struct.pack(">i", len(text.text)) + text.text
                body += b"\0\0\0\0" if self.version >= 5 else b""
                return self.ask(PREPARE, body, Sent("PREPARE", text.text, self.keyspace or b"", PREPARE))  # fmt: skip
            kind = QUERY
        self.tags += 1
        tag = b"@%d.%d" % (self.index, self.tags)
        said = tag + b";" + b"f" * body_bytes(chance, self.sim.plan.cql)
        key = LITERAL if text.literal else chance.randrange(KEYS)
        if kind == QUERY:
            op, body = self.query(text, name, key, said)
        elif kind == EXECUTE:
            op, body = self.execute(text, key, said)
        else:
            op, body = self.batch(text, name, key, said)
        self.sim.ops[tag] = op
        self.sim.asked[tag] = (kind, body)
        self.sim.say(f"client {self.index} asks {tag!r}")
        return self.ask(kind, body, Sent(tag.decode(), tag, self.keyspace or b"", kind))

    def query(self, text: Text, name: bytes, key: int, said: bytes) -> tuple[Op, bytes]:
        form = text.form
        whole = literal(form, name, key, said)
        return op_of(form, key, ()), statement(self.version, whole)

    def execute(self, text: Text, key: int, said: bytes) -> tuple[Op, bytes]:
        body = (
            string(self.ids[text.text]) + (string(b"rows") if self.version >= 5 else b"") + b"\0\1"
        )
        body += b"\0\0\0\1" if self.version >= 5 else b"\1"
        op = op_of(text.form, key, (self.ids[text.text],))
        return op, body + values(text, key, said)

    def batch(self, text: Text, name: bytes, key: int, said: bytes) -> tuple[Op, bytes]:
        """A prepared statement, before or behind it perhaps another one as a text."""
        parts = [b"\1" + string(self.ids[text.text]) + values(text, key, said)]
        forms = [text.form]
        if self.rng.random() < 0.5:
            form = self.rng.choice(CHANGES)
            forms.append(form)
            more = literal(form, name, key, b"more")
            at = self.rng.randrange(2)
            parts.insert(at, b"\0" + struct.pack(">i", len(more)) + more + b"\0\0")
        body = b"\0" + struct.pack(">H", len(parts)) + b"".join(parts) + b"\0\1"
        body += b"\0\0\0\0" if self.version >= 5 else b"\0"
        op = Op("batch", key, all(form.idempotent for form in forms), False, (self.ids[text.text],))
        return op, body

    # ---- what comes

    def check_answer(self, sent: Sent, frame: Frame) -> None:
        if sent.opcode == PREPARE:
            if frame.opcode != RESULT or id_of(sent.tag) not in frame.body:
                self.sim.violation(f"{self}: PREPARE {sent.tag!r} was answered {frame!r:.200}")
            self.ids[sent.tag] = id_of(sent.tag)
            return
        code = struct.unpack_from(">i", frame.body)[0] if frame.opcode == ERROR else 0
        if code in (UNPREPARED, BOOTSTRAPPING):
            if code == UNPREPARED:
                self.ids = {text: id for text, id in self.ids.items() if id not in frame.body}
            if not self.sim.explained("error") and not self.sim.changed():
                self.sim.violation(
                    f"{self}: {sent.op} was answered {frame!r:.200}, and nothing explains it"
                )
            return
        done = self.sim.done.get(sent.tag, [])
        if (frame.opcode, frame.body) not in [(each.opcode, each.body) for each in done]:
            self.sim.violation(
                f"{self}: {sent.op} was answered {frame!r:.200}, which is not its answer"
            )
        elif self.keyspace is not None and any(each.keyspace != sent.keyspace for each in done):
            self.sim.violation(f"{self}: {sent.op} found {done!r:.200}, not {sent.keyspace!r}")

    def take(self, frame: Frame) -> None:
        sent = self.under.get(frame.stream)
        if sent is not None and sent.opcode == PREPARE and frame.opcode == ERROR:
            self.ids.pop(sent.tag, None)  # asked again by whoever needs it
            if b"shotover" not in frame.body:
                self.under.pop(frame.stream)
                return
        super().take(frame)

    def take_event(self, frame: Frame) -> None:
        if not self.registered or frame.stream != -1:
            self.sim.violation(f"{self} got an event that is not for it: {frame!r:.200}")


def literal(form: Form, name: bytes, key: int, said: bytes) -> bytes:
    text = form.text.replace(b"{t}", name).replace(b"{k}", b"%d" % key)
    return text.replace(b"{v}", b"'" + said + b"'")


def values(text: Text, key: int, said: bytes) -> bytes:
    found = [value(struct.pack(">i", key) if name == b"k" else said) for name in text.names]
    return struct.pack(">H", len(found)) + b"".join(found)


def op_of(form: Form, key: int, ids: tuple[bytes, ...]) -> Op:
    return Op(form.name, key if form.keyed else None, form.idempotent, form.ordered, ids)


class RingSimulation(CqlSimulation):
    """plan.cql, beside what CqlServer wants: `copies` of each row, `tokens` of each node."""

    def __init__(self, plan: Plan, trace: bool = False) -> None:
        self.ops: dict[bytes, Op] = {}
        self.done: dict[bytes, list[Answer]] = {}
        self.changes: list[tuple[int, int]] = []
        self.away: set[int] = set(range(len(plan.servers) - plan.cql["later"], len(plan.servers)))
        self.schema_version = bytes(16)
        self.known_ns = self.progress_ns = self.ended_ns = 0
        super().__init__(plan, trace)
        self.copies = plan.cql["copies"]
        chance = random.Random(self.rng.random())
        self.tokens = [
            [chance.randrange(-(1 << 63) + 1, 1 << 63) for _ in range(plan.cql["tokens"])]
            for _ in self.servers
        ]

    def make_server(self, name: str, port: int) -> Any:
        return RingNode(self, name, port, random.Random(self.rng.random()))

    def make_client(self, index: int, script: list[Any], rng: random.Random) -> Any:
        return RingClient(self, index, script, rng)

    def performer(self, event: Any) -> Callable[[], None]:
        target = next(node for node in self.servers if node.name == f"server {event.target}")
        return lambda: getattr(target, event.action)(*event.values)

    # ---- the ring

    def members(self) -> list[Any]:
        return [node for node in self.servers if node.index not in self.away]

    def owners(self, key: int) -> list[int]:
        """Indexes of the nodes with a copy, the first of them first."""
        ring = sorted((token, node.index) for node in self.members() for token in self.tokens[node.index])  # fmt: skip
        token = token_of(key)
        begin = next((at for at, (each, _) in enumerate(ring) if each >= token), 0)
        found: list[int] = []
        for at in range(len(ring)):
            index = ring[(begin + at) % len(ring)][1]
            if index not in found:
                found.append(index)
        return found[: self.copies]

    def known(self) -> bool:
        """Whether the proxy has had time to reach all nodes since it first knew them."""
        nodes, down = (self.sample(f"shotover_cluster_{what}") for what in ("nodes", "nodes_down"))
        if not self.known_ns and nodes == len(self.members()) and not down:
            self.known_ns = self.world.now
        return bool(self.known_ns) and self.world.now > self.known_ns + KNOWN_NS

    def change(self, text: str, lasts_ns: int = 0) -> None:
        """Clients must not notice; but for a while requests may go where the rows are not."""
        self.say("change: " + text)
        self.changes.append((self.world.now, self.world.now + lasts_ns))

    def changed(self) -> bool:
        return any(until + 3_000 * MS >= self.world.now for _, until in self.changes)

    def ring_changed(self, about: RingNode, what: bytes) -> None:
        self.change(f"{about.name}: {what.decode()}")
        for node in self.servers:
            node.tell(b"TOPOLOGY_CHANGE", what, about)

    def carried_out(self, node: RingNode, tag: bytes, op: Op, answer: Answer) -> None:
        before = self.done.setdefault(tag, [])
        if before and not op.idempotent:
            self.violation(
                f"{node.name} carries out {tag!r} ({op.name}), which was carried out before"
            )
        elif before and not self.explained("error") and "twice" not in self.plan.excuses:
            self.violation(
                f"{node.name} carries out {tag!r} ({op.name}) again, and nothing was lost"
            )
        before.append(answer)
        if op.key is None or not self.known() or self.explained("error") or self.changed():
            return
        owners = self.owners(op.key)
        if node.index not in owners:
            self.violation(
                f"{node.name} carries out {tag!r} ({op.name} of {op.key}), whose row is at {owners}"
            )
        elif op.ordered and node.index != owners[0]:
            self.violation(
                f"{node.name} carries out {tag!r} ({op.name} of {op.key}), which belongs to {owners[0]}"
            )

    # ---- the run

    def at(self, delay_ns: int, act: Callable[[], None]) -> None:
        def noted() -> None:
            self.progress_ns = self.world.now
            act()

        super().at(delay_ns, noted)

    def step(self) -> bool:
        """As of any run; but the proxy never rests, since it asks for the ring again and again."""
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
        return closed and not census["requests"] and not census["chunks"]

    def check_cql_error(self, client: Any, sent: Sent, body: bytes) -> None:
        excuse = next((RING_ERRORS[text] for text in RING_ERRORS if text in body), "")
        if not excuse:
            self.violation(
                f"{client}: {sent.op} was answered {body!r}, which clients must never see"
            )
        elif excuse not in self.plan.excuses and not self.explained("error"):
            self.violation(f"{client}: {sent.op} was answered {body!r}, and nothing explains it")
        elif (
            excuse in ("pending", "away")
            and sent.tag in self.done
            and not self.ops[sent.tag].idempotent
        ):
            self.violation(f"{client}: {sent.op} was refused, and carried out all the same")
