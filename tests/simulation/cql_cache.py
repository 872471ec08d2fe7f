"""A table of Cassandra behind a RedisCache: whoever has been told that a write is done, nobody reads an older value after that.

Every write puts a value of its own. The table notes in which order they were carried out; a client notes, when it sends a read,
the latest value whose writer has been answered by then, or that anybody has read, and may get that one or a later one.
"""

from __future__ import annotations

import random
import re
import struct
from typing import Any, NamedTuple

from simulation import checks, wire
from simulation.cql import Connection, CqlClient, CqlServer, CqlSimulation
from simulation.cql_wire import ERROR, IS_REPLY, OVERLOADED, QUERY, RESULT, Frame, statement, string
from simulation.plan import MS, ClientPlan, Event, Plan
from simulation.workloads import workload

INT, VARCHAR = 9, 13
WRITE_TIMEOUT = 0x1100
READ = re.compile(rb"SELECT v FROM ks\.t WHERE k = (\d+)")
WRITE = re.compile(rb"UPDATE ks\.t SET v = (\d+) WHERE k = (\d+)")
TRUNCATED = b"TRUNCATE ks.t"


def rows(
    keyspace: bytes, table: bytes, names: list[tuple[bytes, int]], cells: list[list[bytes]]
) -> bytes:
    """Body of a RESULT with these columns and rows."""
    body = struct.pack(">iii", 2, 1, len(names)) + string(keyspace) + string(table)
    body += b"".join(string(name) + struct.pack(">H", kind) for name, kind in names)
    body += struct.pack(">i", len(cells))
    return body + b"".join(struct.pack(">i", len(cell)) + cell for row in cells for cell in row)


COLUMNS = rows(
    b"system_schema",
    b"columns",
    [(b"column_name", VARCHAR), (b"kind", VARCHAR), (b"type", VARCHAR)],
    [[b"k", b"partition_key", b"int"], [b"v", b"regular", b"int"]],
)


class Table(CqlServer):
    """ks.t, whose column v is 0 in the beginning."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.carried_out: dict[int, list[int]] = {}

    def history(self, key: int) -> list[int]:
        return self.carried_out.setdefault(key, [0])

    def carry_out(self, connection: Connection, frame: Frame) -> None:
        reply = frame._replace(version=frame.version | IS_REPLY, opcode=RESULT)
        text = frame.body[4:]
        if text.startswith(b"SELECT column_name"):
            self.later(connection, reply._replace(body=COLUMNS))
            return
        begun_ns = self.rng.choice([0, self.rng.randrange(1, self.sim.plan.cql["delay_ns"] + 2)])
        if found := READ.match(text):
            self.sim.at(begun_ns, lambda: self.read(connection, reply, int(found[1])))
        elif found := WRITE.match(text):
            self.sim.at(
                begun_ns, lambda: self.write(connection, reply, int(found[2]), int(found[1]))
            )
        else:
            self.sim.violation(f"{self.name} got {text!r}")

    def later(self, connection: Connection, reply: Frame) -> None:
        self.sim.at(self.delay() or 0, lambda: self.say(connection, [reply]))

    def read(self, connection: Connection, reply: Frame, key: int) -> None:
        value = struct.pack(">i", self.history(key)[-1])
        self.later(connection, reply._replace(body=rows(b"ks", b"t", [(b"v", INT)], [[value]])))

    def write(self, connection: Connection, reply: Frame, key: int, value: int) -> None:
        if self.rng.randrange(100) >= self.sim.plan.cql["error_percent"]:
            self.history(key).append(value)
            self.later(connection, reply._replace(body=struct.pack(">i", 1)))
        elif self.rng.random() < 0.5:  # it says that it does not know, and carries it out after all
            body = (
                struct.pack(">i", WRITE_TIMEOUT)
                + string(b"late")
                + b"\0\1\0\0\0\0\0\0\0\1"
                + string(b"SIMPLE")
            )
            self.later(connection, reply._replace(opcode=ERROR, body=body))
            self.sim.at(self.rng.randrange(50 * MS), lambda: self.history(key).append(value))
        else:
            body = struct.pack(">i", OVERLOADED) + string(b"busy")
            self.later(connection, reply._replace(opcode=ERROR, body=body))


class Store:
    """As much of Redis as the cache uses, with what goes wrong with it."""

    def __init__(self, sim: Any, name: str, port: int, rng: random.Random) -> None:
        self.sim = sim
        self.name = name
        self.port = port
        self.rng = rng
        self.kept: dict[bytes, tuple[bytes, int]] = {}
        self.connections: dict[int, wire.Frames] = {}
        self.dead: set[int] = set()
        self.busy_until: dict[int, int] = {}
        sim.world.serve(port)

    def news(self, conn: int, ended: bool) -> None:
        if conn in self.dead:
            return
        frames = self.connections.setdefault(conn, wire.Frames())
        frames.feed(self.sim.world.read(conn))
        while (frame := frames.next()) is not None:
            self.answer(conn, self.reply(wire.words_of(frame)))
        if ended:
            self.dead.add(conn)
            self.sim.world.close(conn)

    def answer(self, conn: int, reply: bytes) -> None:
        """In order, and sometimes late."""
        drawn = self.rng.randrange(self.sim.plan.cql["store_delay_ns"] + 1)
        delay_ns = self.rng.choice([0, drawn])
        at_ns = max(self.sim.world.now + delay_ns, self.busy_until.get(conn, 0))
        self.busy_until[conn] = at_ns
        self.sim.at(at_ns - self.sim.world.now, lambda: self.say(conn, reply))

    def say(self, conn: int, reply: bytes) -> None:
        if conn not in self.dead:
            self.sim.world.send(conn, reply)

    def get(self, key: bytes) -> bytes | None:
        value, until_ns = self.kept.get(key, (b"", 0))
        return value if self.sim.world.now < until_ns else None

    def reply(self, words: list[bytes]) -> bytes:
        if words[0] == b"MGET":
            found = [self.get(key) for key in words[1:]]
            parts = [b"$-1\r\n" if value is None else wire.bulk(value) for value in found]
            return b"*%d\r\n%b" % (len(found), b"".join(parts))
        if words[0] == b"SET":
            if b"NX" in words and self.get(words[1]) is not None:
                return b"$-1\r\n"
            self.put(words[1], words[2], words[-1])
            return b"+OK\r\n"
        if words[0] == b"EVAL":
            self.mark(*words[3:])
            return b":1\r\n"
        self.sim.violation(f"{self.name} got {words!r}")
        return b"-ERR\r\n"

    def mark(
        self, key: bytes, sign: bytes, who: bytes, window: bytes, token: bytes, life: bytes
    ) -> None:
        """What the cache's script does."""
        now_ms = self.sim.world.now // MS
        value = self.get(key) or b""
        marks = (
            [value[at : at + 29] for at in range(1, len(value), 29)] if value[:1] == b"w" else []
        )
        marks = [each for each in marks if int(each[16:]) > now_ms and each[:16] != who]
        if sign == b"+":
            marks.append(who + b"%013d" % (now_ms + int(window)))
        if marks:
            last_ms = max(int(each[16:]) for each in marks)
            self.put(key, b"w" + b"".join(marks), b"%d" % (last_ms - now_ms))
        else:
            self.put(key, token, life)

    def put(self, key: bytes, value: bytes, milliseconds: bytes) -> None:
        self.kept[key] = (value, self.sim.world.now + int(milliseconds) * MS)

    # ---- events

    def lose_all(self) -> None:
        """Another process of it, which has nothing."""
        self.kept.clear()

    def evict(self) -> None:
        for key in list(self.kept):
            if self.rng.random() < 0.5:
                del self.kept[key]

    def break_all(self, reset: bool) -> None:
        for conn in self.connections:
            if conn not in self.dead:
                self.dead.add(conn)
                (self.sim.world.reset if reset else self.sim.world.close)(conn)

    def be_away(self, mode: int, for_ns: int) -> None:
        self.sim.world.service_mode(self.port, mode)
        self.sim.at(for_ns, lambda: self.sim.world.service_mode(self.port, 0))

    def stall(self, for_ns: int) -> None:
        for conn in self.connections:
            if conn not in self.dead:
                self.sim.world.stall(conn, for_ns)


class Asked(NamedTuple):
    op: str
    tag: bytes
    keyspace: bytes
    opcode: int
    key: int
    value: int  # of a write; of a read 0
    floor: int  # of a read: the place, among those carried out, of the latest that was seen


class CacheClient(CqlClient):
    def do_send(self, count: int) -> None:
        frames = []
        for _ in range(min(count, self.streams - len(self.under))):
            key = self.rng.randrange(self.sim.plan.cql["keys"])
            if self.rng.random() < 0.85:
                text, value, op = b"SELECT v FROM ks.t WHERE k = %d" % key, 0, "read"
            else:
                value = self.sim.next_value()
                text, op = b"UPDATE ks.t SET v = %d WHERE k = %d" % (value, key), "write"
            self.sim.say(f"client {self.index}: {text.decode()}")
            sent = Asked(op, b"", b"", QUERY, key, value, self.sim.floors.get(key, 0))
            frames.append(self.ask(QUERY, statement(self.version, text), sent))  # type: ignore[arg-type]
        if frames:
            self.say(frames)

    def check_answer(self, sent: Any, frame: Frame) -> None:
        history = self.sim.servers[0].history(sent.key)
        if frame.opcode == ERROR:
            return
        if sent.op == "write":
            place = history.index(sent.value)
            self.sim.floors[sent.key] = max(self.sim.floors.get(sent.key, 0), place)
            return
        [value] = struct.unpack(">i", frame.body[-4:])
        self.sim.say(f"client {self.index}: k = {sent.key} has v = {value}")
        if value not in history:
            self.sim.violation(f"{self} read {value} of {sent.key}, which nobody has written")
        elif history.index(value) < sent.floor:
            self.sim.violation(
                f"{self} read {value} of {sent.key}, though {history[sent.floor]} was seen before it asked"
            )
        else:
            self.sim.floors[sent.key] = max(self.sim.floors.get(sent.key, 0), history.index(value))


class CacheSimulation(CqlSimulation):
    def __init__(self, plan: Plan, trace: bool = False) -> None:
        self.values = 0
        self.floors: dict[int, int] = {}
        super().__init__(plan, trace)

    def next_value(self) -> int:
        self.values += 1
        return self.values

    def make_server(self, name: str, port: int) -> Any:
        kind: Any = Table if port == 7000 else Store
        return kind(self, name, port, random.Random(self.rng.random()))

    def make_client(self, index: int, script: list[Any], rng: random.Random) -> Any:
        return CacheClient(self, index, script, rng)

    def performer(self, event: Event) -> Any:
        target = self.servers[event.target == "store"]
        return lambda: getattr(target, event.action)(*event.values)

    def check_quiet(self) -> None:
        """As ever, but that statements are remembered."""
        before = len(self.violations)
        checks.check_quiet(self)
        self.violations[before:] = [
            each
            for each in self.violations[before:]
            if not re.fullmatch(r"left when all is quiet: \{'chunks': \d+\}", each)
        ]


@workload
def cql_cache(rng: random.Random, plan: Plan) -> None:
    """Readers and writers of few rows, with a store that is slow, loses what it has, hangs up and is away."""
    plan.servers = {"main": 7000, "store": 7001}
    small = (
        plan.world["cut"] in (1, 2)
        or plan.world["read_max"] < 1024
        or plan.world["send_room_max"] < 2048
    )
    plan.cql = {
        "delay_ns": rng.choice([0, 100_000, 5 * MS]),
        "timeout_ns": 50 * MS,
        "late_percent": 0,
        "mute_percent": 0,
        "error_percent": rng.choice([0, 0, 10, 40]),
        "store_delay_ns": rng.choice([0, 100_000, 5 * MS, 40 * MS]),
        "keys": rng.choice([1, 1, 3]),
        "slow": small,
        "cache": 1,
    }
    cache = {
        "caching_schema": "{ks.t: {partition_key: [k], range_key: []}}",
        "timeout_ms": rng.choice([5, 30, 500]),
        "ttl": rng.choice([0.01, 1, 60]),
        "write_window": rng.choice([1, 30]),
        "chain": '[RedisSinkSingle: {remote_address: "127.0.0.1:7001", connect_timeout_ms: 50}]',
    }
    listed = ", ".join(f"{name}: {value}" for name, value in cache.items())
    plan.topology = (
        'sources:\n- Cassandra: {name: s, listen_addr: "127.0.0.1:6379", chain: [\n'
        "    RedisCache: {%s},\n"
        '    CassandraSinkSingle: {remote_address: "127.0.0.1:7000", connect_timeout_ms: 200, connection_count: %d}]}\n'
        % (listed, rng.choice([1, 2]))
    )
    for _ in range(rng.randrange(1, 7)):
        steps: list[tuple[Any, ...]] = [(rng.choice([3, 4, 5]), False, rng.choice([2, 16, 128]))]
        for _ in range(rng.randrange(5, 12 if small else 60)):
            steps.append(("send", rng.choice([1, 1, 2, 5] if small else [1, 2, 5, 20])))
            if rng.random() < 0.8:
                steps.append(("await",))
            if rng.random() < 0.2:
                steps.append(("sleep", rng.choice([1000, MS, 20 * MS])))
        steps.append((rng.choice(["await", "await", "close", "reset"]),))
        plan.clients.append(ClientPlan(rng.randrange(5 * MS), steps))
    # A mark that is lost while nobody knows what becomes of its write is more than the cache promises to live through.
    loses: list[tuple[str, tuple[Any, ...]]] = (
        [] if plan.cql["error_percent"] else [("lose_all", ()), ("evict", ())]
    )
    for _ in range(rng.choice([0, 0, 2, 5])):
        action, values = rng.choice(
            [
                *loses,
                ("break_all", (rng.random() < 0.5,)),
                ("be_away", (rng.choice([1, 2]), rng.choice([MS, 50 * MS]))),
                ("stall", (rng.choice([MS, 40 * MS]),)),
            ]
        )
        plan.events.append(Event(rng.randrange(100 * MS), "store", action, values))
