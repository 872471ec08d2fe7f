"""A simulated world that speaks CQL: a server that answers in any order, clients with many requests under way.

Each request carries a *tag*, under which the server writes down what it answered and in which keyspace; the answer to no
other request is the same. So whoever gets a reply that is another's, or one twice, is seen to.
"""

from __future__ import annotations

import random
import re
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation import checks
from simulation.client import CONNECTED, ENDED, REFUSED, RESET
from simulation.cql_wire import (
    ERROR,
    EVENT,
    EXECUTE,
    IS_REPLY,
    OPTIONS,
    OVERLOADED,
    QUERY,
    READY,
    REGISTER,
    RESULT,
    STARTUP,
    SUPPORTED,
    BadCql,
    Frame,
    Framing,
    execution,
    statement,
    string,
    string_map,
)
from simulation.run import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulation.plan import Plan

TAG = re.compile(rb"(@\d+\.\d+);")
EVENTS = b"\0\3" + string(b"TOPOLOGY_CHANGE") + string(b"STATUS_CHANGE") + string(b"SCHEMA_CHANGE")
UNASKED = 32_000  # a number that no connection in these runs comes to
ERRORS = {  # what an error of the proxy says -> what must be in the plan's excuses, if no fault explains it
    b"has not answered in time": "late",
    b"upstream connection lost": "lost",
    b"upstream unavailable": "away",
    b"too many requests wait": "pending",
}


class Answer(NamedTuple):
    opcode: int
    body: bytes
    keyspace: bytes


class Connection:
    def __init__(self, conn: int) -> None:
        self.conn = conn
        self.framing = Framing()
        self.keyspace = b""
        self.version = 0
        self.used = False  # asked something behind its STARTUP: before that, no server says anything of its own accord
        self.registered = False
        self.dead = False
        self.under: set[int] = set()  # numbers that have not been answered


class CqlServer:
    """`plan.cql` says how late it may be: `delay_ns`; `late_percent` of requests for longer than the sink's time-out,
    `mute_percent` for ever; `error_percent` with errors."""

    def __init__(self, sim: Any, name: str, port: int, rng: random.Random) -> None:
        self.sim = sim
        self.name = name
        self.port = port
        self.rng = rng
        self.connections: dict[int, Connection] = {}
        self.answers: dict[bytes, Answer] = {}
        self.announced = 0
        sim.world.serve(port)

    def news(self, conn: int, ended: bool) -> None:
        connection = self.connections.setdefault(conn, Connection(conn))
        if connection.dead:
            return
        connection.framing.feed(self.sim.world.read(conn))
        try:
            while not connection.dead and (frame := connection.framing.next()) is not None:
                self.take(connection, frame)
        except BadCql as bad:
            self.sim.violation(f"{self.name} got no request: {bad}")
            self.close(connection, reset=True)
        if ended and not connection.dead:
            self.close(connection, reset=False)

    def close(self, connection: Connection, reset: bool) -> None:
        connection.dead = True
        (self.sim.world.reset if reset else self.sim.world.close)(connection.conn)

    def alive(self) -> list[Connection]:
        return [each for each in self.connections.values() if not each.dead]

    def take(self, connection: Connection, frame: Frame) -> None:
        if frame.stream in connection.under:
            self.sim.violation(f"{self.name} got number {frame.stream}, which is still taken")
        connection.under.add(frame.stream)
        version = frame.version
        connection.used = connection.used or frame.opcode not in (STARTUP, OPTIONS)
        if frame.opcode == STARTUP:
            connection.version = version
            self.say(connection, [Frame(version | IS_REPLY, 0, frame.stream, READY, b"")])
            if version >= 5:
                connection.framing.mode = "lz4" if b"lz4" in frame.body else "plain"
        elif frame.opcode == OPTIONS:
            told = struct.pack(">H", 1) + string(b"COMPRESSION") + b"\0\1" + string(b"lz4")
            self.say(connection, [Frame(version | IS_REPLY, 0, frame.stream, SUPPORTED, told)])
        elif frame.opcode == REGISTER:
            connection.registered = True
            self.say(connection, [Frame(version | IS_REPLY, 0, frame.stream, READY, b"")])
        elif version != connection.version:
            self.sim.violation(f"{self.name} got version {version} on a connection of another")
        else:
            self.carry_out(connection, frame)

    def carry_out(self, connection: Connection, frame: Frame) -> None:
        reply = frame._replace(version=frame.version | IS_REPLY, opcode=RESULT)
        if frame.opcode == QUERY and frame.body[4:7] == b"USE":
            connection.keyspace = frame.body[8:].split(b'"')[1]
            body = struct.pack(">i", 3) + string(connection.keyspace)
            self.say(connection, [reply._replace(body=body)])
            return
        tag = tag_of(frame.body)
        if self.sim.asked.get(tag) != (frame.opcode, frame.body):
            self.sim.violation(f"{self.name} got {tag!r}, which nobody has asked so")
        if tag in self.answers:
            self.sim.violation(f"{self.name} got {tag!r} twice")
        opcode, body = self.answer_to(tag)
        self.answers[tag] = Answer(opcode, body, connection.keyspace)
        delay_ns = self.delay()
        if delay_ns is not None:
            answer = reply._replace(opcode=opcode, body=body)
            self.sim.at(delay_ns, lambda: self.say(connection, [answer]))

    def answer_to(self, tag: bytes) -> tuple[int, bytes]:
        cql = self.sim.plan.cql
        if self.rng.randrange(100) < cql["error_percent"]:
            return ERROR, struct.pack(">i", OVERLOADED) + string(b"busy " + tag)
        size = body_bytes(self.rng, cql)
        filler = bytes((self.rng.randrange(256),)) * size
        return RESULT, struct.pack(">i", 2) + filler + string(tag)

    def delay(self) -> int | None:
        cql = self.sim.plan.cql
        drawn = self.rng.randrange(100)
        if drawn < cql["mute_percent"]:
            return None
        if drawn < cql["mute_percent"] + cql["late_percent"]:
            return cql["timeout_ns"] + self.rng.randrange(1, 2 * cql["timeout_ns"])
        return self.rng.choice([0, 0, self.rng.randrange(1, cql["delay_ns"] + 2)])

    def say(self, connection: Connection, frames: list[Frame]) -> None:
        if connection.dead:
            return
        connection.under -= {frame.stream for frame in frames}
        self.sim.world.send(connection.conn, connection.framing.pack(frames, self.rng))

    # ---- events

    def break_all(self, reset: bool) -> None:
        self.sim.fault(f"{self.name} breaks its connections")
        for connection in self.alive():
            self.close(connection, reset)

    def break_one(self, reset: bool) -> None:
        if alive := self.alive():
            self.sim.fault(f"{self.name} breaks a connection")
            self.close(self.rng.choice(alive), reset)

    def be_away(self, mode: int, for_ns: int) -> None:
        """Connects are refused, or nobody answers them."""
        self.sim.fault(f"{self.name} is away", for_ns)
        self.sim.world.service_mode(self.port, mode)
        self.sim.at(for_ns, lambda: self.sim.world.service_mode(self.port, 0))

    def stall(self, for_ns: int) -> None:
        self.sim.fault(f"{self.name} stalls", for_ns)
        for connection in self.alive():
            self.sim.world.stall(connection.conn, for_ns)

    def spoil(self) -> None:
        """Garbage in place of a reply: a wrong sum, or no frame at all."""
        if alive := [each for each in self.alive() if each.used]:
            self.sim.fault(f"{self.name} sends garbage")
            connection = self.rng.choice(alive)
            self.sim.world.send(connection.conn, b"\x7fno frame or segment begins like this")

    def answer_nothing(self) -> None:
        """A reply to what was never asked: nobody may hear of it."""
        for connection in self.alive():
            if connection.used:
                body = struct.pack(">i", 2) + string(b"@stray")
                stray = Frame(connection.version | IS_REPLY, 0, UNASKED, RESULT, body)
                self.say(connection, [stray])

    def announce(self) -> None:
        self.announced += 1
        body = string(b"STATUS_CHANGE") + string(b"UP") + struct.pack(">i", self.announced)
        for connection in self.alive():
            if connection.registered:
                self.say(connection, [Frame(connection.version | IS_REPLY, 0, -1, EVENT, body)])


def body_bytes(rng: random.Random, cql: dict[str, int]) -> int:
    """Mostly little; now and then more than a segment takes."""
    if cql["slow"]:
        return rng.choice([0, 5, 40])
    if rng.random() < 0.04:
        return rng.randrange(cql["large"] + 1)
    return rng.choice([0, 10, 100, 1000])


def tag_of(body: bytes) -> bytes:
    """`@CLIENT.NUMBER;` somewhere in it."""
    found = TAG.search(body)
    return found[1] if found else b""


class Sent(NamedTuple):
    op: str
    tag: bytes
    keyspace: bytes
    opcode: int


class Got:
    """What has been answered, as test_simulation counts it."""

    def __init__(self, reply: bytes | None) -> None:
        self.reply = reply


class CqlClient:
    """`script` is a list of steps: send COUNT, use KEYSPACE, register, await, sleep ns, slow ns, close, reset, finish."""

    def __init__(
        self, sim: Any, index: int, script: list[tuple[Any, ...]], rng: random.Random
    ) -> None:
        self.sim = sim
        self.index = index
        self.script = script
        self.rng = rng
        self.at = 0
        self.life = 1
        self.over = False
        self.version, self.lz4, self.streams = script[0]
        self.at = 1
        self.framing = Framing()
        self.under: dict[int, Sent] = {}
        self.history: list[Got] = []
        self.keyspace: bytes | None = b""  # None: a USE was answered with an error of the proxy
        self.events: set[int] = set()
        self.registered = self.ready = self.started = self.leaving = False
        self.waits = self.asleep = False
        self.reading = True
        self.got_bytes = 0
        self.tags = 0
        self.conn = sim.world.connect(sim.port)
        sim.peers[self.conn] = self

    def __str__(self) -> str:
        return f"client {self.index} (connection {self.conn})"

    @property
    def expected(self) -> list[Sent]:
        return list(self.under.values())

    # ---- the script

    def advance(self) -> None:
        while not self.over and self.ready and not self.asleep and not self.leaving:
            if self.waits and self.under:
                return
            self.waits = False
            if self.at == len(self.script):
                if not self.under:
                    self.do_close()
                self.waits = True
                return
            step = self.script[self.at]
            if step[0] in ("use", "register") and self.under:
                return
            self.at += 1
            getattr(self, "do_" + step[0])(*step[1:])

    def ask(self, opcode: int, body: bytes, sent: Sent) -> Frame:
        stream = self.rng.randrange(self.streams)
        while stream in self.under:
            stream = (stream + 1) % self.streams
        self.under[stream] = sent
        return Frame(self.version, 0, stream, opcode, body)

    def say(self, frames: list[Frame]) -> None:
        self.sim.world.send(self.conn, self.framing.pack(frames, self.rng))

    def do_send(self, count: int) -> None:
        frames = []
        for _ in range(min(count, self.streams - len(self.under))):
            self.tags += 1
            tag = b"@%d.%d" % (self.index, self.tags)
            filler = b"f" * body_bytes(self.rng, self.sim.plan.cql)
            if self.rng.random() < 0.5:
                opcode, body = QUERY, statement(self.version, b"SELECT '%b;%b'" % (tag, filler))
            else:
                opcode, body = EXECUTE, execution(self.version, tag + b";", filler)
            self.sim.asked[tag] = (opcode, body)
            self.sim.say(f"client {self.index} asks {tag!r}")
            sent = Sent(tag.decode(), tag, self.keyspace or b"", opcode)
            frames.append(self.ask(opcode, body, sent))
        if frames:
            self.say(frames)

    def do_use(self, keyspace: bytes) -> None:
        body = statement(self.version, b'USE "%b"' % keyspace)
        self.say([self.ask(QUERY, body, Sent("USE", b"", keyspace, QUERY))])
        self.waits = True

    def do_register(self) -> None:
        self.registered = True
        self.say([self.ask(REGISTER, EVENTS, Sent("REGISTER", b"", b"", REGISTER))])
        self.waits = True

    def do_await(self) -> None:
        self.waits = True

    def do_sleep(self, delay_ns: int) -> None:
        self.asleep = True
        self.sim.at(delay_ns, self.wake)

    def wake(self) -> None:
        self.asleep = False
        self.advance()

    def do_slow(self, delay_ns: int) -> None:
        self.reading = False
        self.sim.world.window(self.conn, 256)
        self.sim.at(delay_ns, self.read_again)

    def read_again(self) -> None:
        if not self.over:
            self.reading = True
            self.sim.world.window(self.conn, 262_144)
            self.news(self.sim.world.state(self.conn))

    def do_finish(self) -> None:
        self.leaving = True
        self.sim.world.finish(self.conn)

    def do_close(self) -> None:
        self.end()
        self.sim.world.close(self.conn)

    def do_reset(self) -> None:
        self.end()
        self.sim.world.reset(self.conn)

    def end(self) -> None:
        self.over = True
        self.under.clear()
        del self.sim.peers[self.conn]

    # ---- what comes

    def news(self, state: int) -> None:
        if self.over or not self.reading:
            return
        if state & CONNECTED and not self.started:
            self.started = True
            options = {b"CQL_VERSION": b"3.0.0"} | ({b"COMPRESSION": b"lz4"} if self.lz4 else {})
            sent = Sent("STARTUP", b"", b"", STARTUP)
            self.say([self.ask(STARTUP, string_map(options), sent)])
        data = self.sim.world.read(self.conn)
        self.got_bytes += len(data)
        self.framing.feed(data)
        try:
            while not self.over and (frame := self.framing.next()) is not None:
                self.take(frame)
        except BadCql as bad:
            self.sim.violation(f"{self} got no reply: {bad}")
            self.do_reset()
        if self.over:
            return
        if state & (ENDED | RESET | REFUSED):
            self.lost(bool(state & ENDED))
        else:
            self.advance()

    def lost(self, closed: bool) -> None:
        """The proxy has closed."""
        half = bool(self.framing.data or self.framing.payload)
        if not self.leaving and not self.sim.explained("half" if half else "closed"):
            self.sim.violation(f"{self} was closed, and nothing explains it")
        elif self.leaving and self.under and not self.sim.explained("closed"):
            self.sim.violation(f"{self} was closed with {len(self.under)} requests unanswered")
        if closed:
            self.sim.check_bytes(self)
        self.end()
        self.sim.world.close(self.conn)

    def take(self, frame: Frame) -> None:
        if frame.opcode == EVENT:
            self.take_event(frame)
            return
        sent = self.under.pop(frame.stream, None)
        if sent is None or frame.version != self.version | IS_REPLY:
            self.sim.violation(f"{self} got a reply to nothing: {frame!r:.200}")
            return
        self.history.append(Got(frame.body))
        if frame.opcode == ERROR and b"shotover" in frame.body:
            self.sim.check_cql_error(self, sent, frame.body)
            if sent.opcode == STARTUP:
                self.do_reset()
            elif sent.op == "USE":
                self.keyspace = None
        elif sent.opcode == STARTUP:
            self.ready = frame.opcode == READY
            if self.version >= 5:
                self.framing.mode = "lz4" if self.lz4 else "plain"
        elif sent.op == "USE":
            self.keyspace = sent.keyspace
        elif sent.opcode != REGISTER:
            self.check_answer(sent, frame)

    def check_answer(self, sent: Sent, frame: Frame) -> None:
        answer = self.sim.servers[0].answers.get(sent.tag)
        if answer is None or (answer.opcode, answer.body) != (frame.opcode, frame.body):
            self.sim.violation(
                f"{self}: {sent.op} was answered {frame!r:.200}, which is not its answer"
            )
        elif answer.keyspace != sent.keyspace and self.keyspace is not None:
            self.sim.violation(
                f"{self}: {sent.op} found {answer.keyspace!r}, not {sent.keyspace!r}"
            )

    def take_event(self, frame: Frame) -> None:
        [number] = struct.unpack(">i", frame.body[-4:])
        if not self.registered or number in self.events or frame.stream != -1:
            self.sim.violation(f"{self} got event {number}, which is not for it or came before")
        self.events.add(number)


class CqlSimulation(Simulation):
    def __init__(self, plan: Plan, trace: bool = False) -> None:
        super().__init__(plan, trace)

    def make_server(self, name: str, port: int) -> Any:
        return CqlServer(self, name, port, random.Random(self.rng.random()))

    def make_client(self, index: int, script: list[Any], rng: random.Random) -> Any:
        return CqlClient(self, index, script, rng)

    def performer(self, event: Any) -> Callable[[], None]:
        return lambda: getattr(self.servers[0], event.action)(*event.values)

    def lose_patience(self) -> bool:
        return False

    def check_cql_error(self, client: CqlClient, sent: Sent, body: bytes) -> None:
        """An error of the proxy's own: only where something explains it."""
        excuse = next((ERRORS[text] for text in ERRORS if text in body), "")
        if not excuse:
            self.violation(
                f"{client}: {sent.op} was answered {body!r}, which clients must never see"
            )
        elif excuse not in self.plan.excuses and not self.explained("error"):
            self.violation(f"{client}: {sent.op} was answered {body!r}, and nothing explains it")
        elif excuse == "pending" and sent.tag in self.servers[0].answers:
            self.violation(f"{client}: {sent.op} was refused, and carried out all the same")

    def check_after(self) -> None:
        """Counters say what the world says."""
        if self.worker_done and self.plan.drain_at_ns:
            checks.check_ended(self)
        read, sent = self.world.totals
        if self.sample("shotover_loop_bytes_received_count") > read:
            self.violation("more bytes are counted than were read")
        if self.sample("shotover_loop_bytes_sent_count") > sent:
            self.violation("more bytes are counted than were sent")
