"""A server that speaks Redis, for the simulated world. It keeps state, so what clients got can be held against it.

The last word of a request may be a *tag*, `@CLIENT.NUMBER`: the server takes it off before it looks at the command, and
writes down under it what it answered, and in which state (database, user, transaction ...) it found the connection.
That is how a reply, however plain, can be told from every other.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from simulation.wire import BadFrame, Frames, bulk, words_of

if TYPE_CHECKING:
    from simulation.run import Simulation

OK = b"+OK\r\n"
QUEUED = b"+QUEUED\r\n"
PASSWORD = b"sesame"
FOR_EVER = 1 << 62
ONLY_SUBSCRIBED = (
    b"-ERR Can't execute '%b': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
    b"in this context\r\n"
)


class View(NamedTuple):
    """What a command sees of its connection."""

    db: int = 0
    user: bytes = b"default"
    name: bytes = b""
    protocol: int = 2
    multi: bool = False


class Answer(NamedTuple):
    reply: bytes  # b"": none, as asked for
    view: View
    at_ns: int
    connection: int
    order: int  # among all answers of this server


class Blocked(NamedTuple):
    keys: list[bytes]
    tag: bytes


class Connection:
    """One connection to the server."""

    def __init__(self, server: Server, conn: int) -> None:
        self.server = server
        self.conn = conn
        self.frames = Frames(inline=True)
        self.view = View()
        self.queue: list[tuple[bytes, list[bytes]]] = []
        self.watched: dict[tuple[int, bytes], int] = {}
        self.aborted = False
        self.channels: dict[bytes, None] = {}
        self.blocked: Blocked | None = None
        self.mute = False  # CLIENT REPLY OFF
        self.skip = 0  # CLIENT REPLY SKIP: 2 for the command itself, 1 for the one after
        self.dead = False
        self.silent = False  # a fault: takes everything, answers nothing

    def nil(self) -> bytes:
        return b"_\r\n" if self.view.protocol == 3 else b"$-1\r\n"

    def nil_array(self) -> bytes:
        return b"_\r\n" if self.view.protocol == 3 else b"*-1\r\n"

    def receive(self, data: bytes) -> None:
        self.frames.feed(data)
        self.go_on()

    def go_on(self) -> None:
        """Carries out what is whole, up to a command that blocks."""
        out: list[bytes] = []
        while not self.dead and self.blocked is None:
            try:
                frame = self.frames.next()
            except (BadFrame, ValueError):
                self.server.sim.violation(
                    f"{self.server.name} got no request: {bytes(self.frames.data[:60])!r}"
                )
                self.dead = True
                break
            if frame is None:
                break
            words = words_of(frame)
            if words:
                out.append(self.carry_out(words))
        self.say(b"".join(out))

    def say(self, data: bytes) -> None:
        if data and not self.dead and not self.silent:
            self.server.send(self, data)

    def carry_out(self, words: list[bytes]) -> bytes:
        """One request. Returns its reply, b"" for none (yet)."""
        if words[0] == b"OBJECT":  # the proxy asks; what looks like a key may be a tag
            return self.dispatch(words, b"")
        tag = words.pop() if words[-1][:1] == b"@" else b""
        if (
            words[0].upper() == b"BLPOP"
        ):  # its last word is a time-out, so that its list's name stands for a tag
            tag = b"@" + words[1].rpartition(b":")[2]
        if tag:
            self.server.check_asked(tag, words)
        before = self.view
        reply = self.dispatch(words, tag)
        if self.blocked is not None:
            return b""
        return self.answered(tag, reply, before)

    def answered(self, tag: bytes, reply: bytes, before: View) -> bytes:
        if self.mute or self.skip:
            self.skip = max(self.skip - 1, 0)
            reply = b""
        if tag:
            self.server.note(tag, reply, before, self.conn)
        return reply

    def dispatch(self, words: list[bytes], tag: bytes) -> bytes:
        name = words[0].upper()
        command = COMMANDS.get(name)
        if command is None:
            return b"-ERR unknown command '%b', with args beginning with: \r\n" % words[0][:128]
        if self.channels and self.view.protocol == 2 and name not in WHILE_SUBSCRIBED:
            return ONLY_SUBSCRIBED % words[0].lower()
        if self.view.multi and name not in NOT_QUEUED:
            self.queue.append((tag, words))
            return QUEUED
        try:
            return command(self, words[1:], tag)
        except (IndexError, ValueError):
            return b"-ERR wrong number of arguments for '%b' command\r\n" % words[0].lower()

    # -- data

    def get(self, key: bytes) -> bytes | list[bytes] | None:
        return self.server.data.get((self.view.db, key))

    def put(self, key: bytes, value: bytes | list[bytes]) -> None:
        self.server.data[self.view.db, key] = value
        self.server.touch(self.view.db, key)

    def do_get(self, words: list[bytes], tag: bytes) -> bytes:
        value = self.get(words[0])
        return self.nil() if value is None else bulk(value if isinstance(value, bytes) else b"list")

    def do_set(self, words: list[bytes], tag: bytes) -> bytes:
        self.put(words[0], words[1])
        return OK

    def do_mset(self, words: list[bytes], tag: bytes) -> bytes:
        for key, value in zip(words[::2], words[1::2], strict=True):
            self.put(key, value)
        return OK

    def do_append(self, words: list[bytes], tag: bytes) -> bytes:
        value = self.get(words[0]) or b""
        assert isinstance(value, bytes)
        self.put(words[0], (value + words[1])[-4000:])
        return b":%d\r\n" % len(value + words[1])

    def do_incr(self, words: list[bytes], tag: bytes) -> bytes:
        value = self.get(words[0]) or b"0"
        assert isinstance(value, bytes)
        if not value.isdigit():
            return b"-ERR value is not an integer or out of range\r\n"
        self.put(words[0], b"%d" % (int(value) + 1))
        return b":%d\r\n" % (int(value) + 1)

    def do_del(self, words: list[bytes], tag: bytes) -> bytes:
        found = [
            key for key in words if self.server.data.pop((self.view.db, key), None) is not None
        ]
        for key in found:
            self.server.touch(self.view.db, key)
        return b":%d\r\n" % len(found)

    def do_mget(self, words: list[bytes], tag: bytes) -> bytes:
        return b"*%d\r\n" % len(words) + b"".join(self.do_get([key], b"") for key in words)

    def do_rpush(self, words: list[bytes], tag: bytes) -> bytes:
        value = self.get(words[0]) or []
        if not isinstance(value, list):
            return b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
        value = [*value, *words[1:]]
        self.put(words[0], value)
        self.server.serve_blocked(self.view.db, words[0])
        return b":%d\r\n" % len(value)

    def do_blpop(self, words: list[bytes], tag: bytes) -> bytes:
        keys, timeout = words[:-1], float(words[-1])
        for key in keys:
            value = self.get(key)
            if isinstance(value, list) and value:
                return self.popped(key, value)
        if self.view.multi:
            return self.nil_array()
        self.server.block(self, keys, tag, timeout)
        return b""

    def popped(self, key: bytes, value: list[bytes]) -> bytes:
        if len(value) > 1:
            self.put(key, value[1:])
        else:
            self.do_del([key], b"")
        return b"*2\r\n" + bulk(key) + bulk(value[0])

    def unblock(self, reply: bytes) -> None:
        blocked = self.blocked
        assert blocked is not None
        self.blocked = None
        self.say(self.answered(blocked.tag, reply, self.view))
        self.go_on()

    # -- transactions

    def do_multi(self, words: list[bytes], tag: bytes) -> bytes:
        if self.view.multi:
            return b"-ERR MULTI calls can not be nested\r\n"
        self.view = self.view._replace(multi=True)
        return OK

    def end_multi(self) -> None:
        self.view = self.view._replace(multi=False)
        self.queue = []
        self.watched = {}

    def do_discard(self, words: list[bytes], tag: bytes) -> bytes:
        if not self.view.multi:
            return b"-ERR DISCARD without MULTI\r\n"
        self.end_multi()
        return OK

    def do_exec(self, words: list[bytes], tag: bytes) -> bytes:
        if not self.view.multi:
            return b"-ERR EXEC without MULTI\r\n"
        broken = any(self.server.versions.get(key, 0) != seen for key, seen in self.watched.items())
        queue = self.queue
        if broken:
            self.end_multi()
            return self.nil_array()
        replies = []
        for _tag, queued in queue:
            replies.append(COMMANDS[queued[0].upper()](self, queued[1:], b""))
        self.end_multi()
        return b"*%d\r\n" % len(replies) + b"".join(replies)

    def do_watch(self, words: list[bytes], tag: bytes) -> bytes:
        if self.view.multi:
            return b"-ERR WATCH inside MULTI is not allowed\r\n"
        for key in words:
            self.watched[self.view.db, key] = self.server.versions.get((self.view.db, key), 0)
        return OK

    def do_unwatch(self, words: list[bytes], tag: bytes) -> bytes:
        self.watched = {}
        return OK

    # -- the connection

    def do_ping(self, words: list[bytes], tag: bytes) -> bytes:
        if self.channels and self.view.protocol == 2:
            return b"*2\r\n" + bulk(b"pong") + bulk(words[0] if words else b"")
        return bulk(words[0]) if words else b"+PONG\r\n"

    def do_select(self, words: list[bytes], tag: bytes) -> bytes:
        if not words[0].isdigit() or int(words[0]) > 15:
            return b"-ERR DB index is out of range\r\n"
        self.view = self.view._replace(db=int(words[0]))
        return OK

    def do_auth(self, words: list[bytes], tag: bytes) -> bytes:
        if words[-1] != PASSWORD:
            return b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
        self.view = self.view._replace(user=words[0] if len(words) == 2 else b"default")
        return OK

    def do_hello(self, words: list[bytes], tag: bytes) -> bytes:
        protocol = int(words[0]) if words else self.view.protocol
        if protocol not in (2, 3):
            return b"-NOPROTO unsupported protocol version\r\n"
        rest = words[1:]
        view = self.view._replace(protocol=protocol)
        while rest:
            if rest[0].upper() == b"AUTH":
                if rest[2] != PASSWORD:
                    return b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
                view, rest = view._replace(user=rest[1]), rest[3:]
            else:
                view, rest = view._replace(name=rest[1]), rest[2:]
        self.view = view
        head = b"%3\r\n" if protocol == 3 else b"*6\r\n"
        numbers = bulk(b"proto") + b":%d\r\n" % protocol + bulk(b"id") + b":%d\r\n" % self.conn
        return head + bulk(b"server") + bulk(b"redis") + numbers

    def do_client(self, words: list[bytes], tag: bytes) -> bytes:
        name = words[0].upper()
        if name == b"SETNAME":
            self.view = self.view._replace(name=words[1])
            return OK
        if name == b"GETNAME":
            return bulk(self.view.name) if self.view.name else self.nil()
        if name == b"ID":
            return b":%d\r\n" % self.conn
        if name == b"REPLY":
            mode = words[1].upper()
            self.mute = mode == b"OFF"
            self.skip = 2 if mode == b"SKIP" else 0
            return OK
        return OK

    def do_reset(self, words: list[bytes], tag: bytes) -> bytes:
        self.end_multi()
        self.unsubscribe_all()
        self.view = View()
        self.mute = False
        return b"+RESET\r\n"

    def do_object(self, words: list[bytes], tag: bytes) -> bytes:
        """OBJECT IDLETIME; reads do not count as use here."""
        if self.get(words[1]) is None:
            return b"-ERR no such key\r\n"
        written = self.server.used[self.view.db, words[1]]
        return b":%d\r\n" % ((self.server.sim.world.now - written) // 1_000_000_000)

    def do_role(self, words: list[bytes], tag: bytes) -> bytes:
        return b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"

    def do_wait(self, words: list[bytes], tag: bytes) -> bytes:
        return b":0\r\n"

    def do_quit(self, words: list[bytes], tag: bytes) -> bytes:
        return OK

    # -- pub/sub

    def push_head(self) -> bytes:
        return b">3\r\n" if self.view.protocol == 3 else b"*3\r\n"

    def do_subscribe(self, words: list[bytes], tag: bytes) -> bytes:
        out = []
        for channel in words:
            self.channels[channel] = None
            self.server.listeners.setdefault(channel, {})[self.conn] = self
            out.append(
                self.push_head()
                + bulk(b"subscribe")
                + bulk(channel)
                + b":%d\r\n" % len(self.channels)
            )
        return b"".join(out)

    def do_unsubscribe(self, words: list[bytes], tag: bytes) -> bytes:
        out = []
        for channel in words or list(self.channels):
            self.channels.pop(channel, None)
            self.server.listeners.get(channel, {}).pop(self.conn, None)
            out.append(
                self.push_head()
                + bulk(b"unsubscribe")
                + bulk(channel)
                + b":%d\r\n" % len(self.channels)
            )
        return b"".join(out) or self.push_head() + bulk(b"unsubscribe") + self.nil() + b":0\r\n"

    def unsubscribe_all(self) -> None:
        for channel in list(self.channels):
            self.server.listeners.get(channel, {}).pop(self.conn, None)
        self.channels = {}

    def message(self, channel: bytes, text: bytes) -> None:
        self.say(self.push_head() + bulk(b"message") + bulk(channel) + bulk(text))

    def end(self) -> None:
        """The connection is gone."""
        self.dead = True
        self.unsubscribe_all()


COMMANDS: dict[bytes, Callable[[Connection, list[bytes], bytes], bytes]] = {
    name.encode().upper(): getattr(Connection, "do_" + name)
    for name in (
        "append",
        "auth",
        "blpop",
        "client",
        "del",
        "discard",
        "exec",
        "get",
        "hello",
        "incr",
        "mget",
        "mset",
        "multi",
        "object",
        "ping",
        "quit",
        "reset",
        "role",
        "rpush",
        "select",
        "set",
        "subscribe",
        "unsubscribe",
        "unwatch",
        "wait",
        "watch",
    )
}
COMMANDS[b"ECHO"] = Connection.do_ping
COMMANDS[b"SIM.GET"] = Connection.do_get  # the proxy knows no such command
NOT_QUEUED = {b"MULTI", b"EXEC", b"DISCARD", b"WATCH", b"RESET", b"QUIT"}
REPEATABLE = {b"GET", b"MGET"}
WHILE_SUBSCRIBED = {b"SUBSCRIBE", b"UNSUBSCRIBE", b"PING", b"RESET", b"QUIT"}


class Server:
    """A service of the world. `answers` and `carried_out` are for the checks."""

    def __init__(self, sim: Simulation, name: str, port: int, rng: random.Random) -> None:
        self.sim = sim
        self.name = name
        self.port = port
        self.rng = rng
        self.data: dict[tuple[int, bytes], bytes | list[bytes]] = {}
        self.versions: dict[tuple[int, bytes], int] = {}
        self.connections: dict[int, Connection] = {}
        self.listeners: dict[bytes, dict[int, Connection]] = {}
        self.waiting: list[Connection] = []
        self.answers: dict[bytes, Answer] = {}
        self.reading = True
        self.cut_next = (
            0  # a fault: the next reply is cut after so many bytes, then the connection breaks
        )
        self.garbage_next = False
        self.published: dict[bytes, int] = {}
        self.repeated = 0  # requests carried out more than once
        self.used: dict[tuple[int, bytes], int] = {}  # when a key was written last
        sim.world.serve(port)

    def touch(self, db: int, key: bytes) -> None:
        self.versions[db, key] = self.versions.get((db, key), 0) + 1
        self.used[db, key] = self.sim.world.now

    def check_asked(self, tag: bytes, words: list[bytes]) -> None:
        """What arrives here is, byte by byte, what a client has sent, and has sent whole."""
        asked = self.sim.asked.get(tag)
        if asked != tuple(words):
            seen = [word[:40] for word in words]
            self.sim.violation(f"{self.name} got {seen} as {tag!r}, which no client has sent so")

    def note(self, tag: bytes, reply: bytes, view: View, conn: int) -> None:
        if tag in self.answers and not self.may_repeat(tag):
            self.sim.violation(f"{self.name} got {tag!r} twice")
        if self.sim.plan.quorum and tag in self.answers:
            self.repeated += 1
            return  # its place in the order is that of the first time
        self.answers[tag] = Answer(reply, view, self.sim.world.now, conn, len(self.answers))

    def may_repeat(self, tag: bytes) -> bool:
        """The proxy sends a read again when the connection it went to has hung up before it was answered."""
        before = self.connections[self.answers[tag].connection]
        repeatable = self.sim.asked[tag][0].upper() in REPEATABLE
        if self.sim.plan.quorum and self.uncertain(tag):
            return True
        return before.dead and repeatable

    def uncertain(self, tag: bytes) -> bool:
        """Whether the proxy may not know that this was carried out: a reply was lost, or nobody waited for it."""
        number = int(tag[1:].partition(b".")[0])
        client = next(client for client in self.sim.clients if client.index == number)
        gone = any(sent.op.tag == tag and sent.life < client.life for sent in client.history)
        faulted = any(self.name in text for _at, _until, text in self.sim.faults)
        return gone or client.over or bool(client.leaving) or faulted

    # -- what the world tells

    def news(self, conn: int, ended: bool) -> None:
        connection = self.connections.get(conn)
        if connection is None:
            connection = self.connections[conn] = Connection(self, conn)
        if connection.dead:
            return
        if self.reading:
            data = self.sim.world.read(conn)
            if data:
                connection.receive(data)
        if ended and self.reading and not connection.dead:
            self.drop(connection)
            self.sim.world.close(conn)

    def drop(self, connection: Connection) -> None:
        connection.end()
        if connection in self.waiting:
            self.waiting.remove(connection)

    def send(self, connection: Connection, data: bytes) -> None:
        if self.garbage_next:
            self.garbage_next = False
            self.sim.fault(f"{self.name} answers garbage")
            self.sim.world.send(connection.conn, b"?no reply begins like this\r\n" + data)
            return
        if self.cut_next:
            kept = min(self.cut_next, len(data) - 1)
            self.cut_next = 0
            self.sim.fault(f"{self.name} breaks a reply after {kept} of {len(data)} bytes")
            self.sim.world.send(connection.conn, data[:kept])
            self.drop(connection)
            self.sim.world.finish(connection.conn)
            self.sim.at(
                self.rng.randrange(1_000_000), lambda: self.sim.world.reset(connection.conn)
            )
            return
        self.sim.world.send(connection.conn, data)

    # -- blocking commands

    def block(
        self, connection: Connection, keys: list[bytes], tag: bytes, timeout_s: float
    ) -> None:
        connection.blocked = Blocked(keys, tag)
        self.waiting.append(connection)
        blocked = connection.blocked
        if timeout_s:
            self.sim.at(int(timeout_s * 1e9), lambda: self.time_out(connection, blocked))
        if b":fed:" in keys[0]:  # somebody will push to this list
            db = connection.view.db
            self.sim.at(self.rng.randrange(3_000_000), lambda: self.feed(db, keys[0]))

    def time_out(self, connection: Connection, blocked: Blocked) -> None:
        if connection.blocked is blocked and not connection.dead:
            self.waiting.remove(connection)
            connection.unblock(connection.nil_array())

    def feed(self, db: int, key: bytes) -> None:
        """Another client, who came by another way, pushes."""
        value = self.data.get((db, key)) or []
        assert isinstance(value, list)
        self.data[db, key] = [*value, b"fed to " + key]
        self.touch(db, key)
        self.serve_blocked(db, key)

    def serve_blocked(self, db: int, key: bytes) -> None:
        for connection in list(self.waiting):
            value = self.data.get((db, key))
            if not isinstance(value, list) or not value:
                return
            if (
                connection.blocked is not None
                and connection.view.db == db
                and key in connection.blocked.keys
            ):
                self.waiting.remove(connection)
                connection.unblock(connection.popped(key, value))

    def publish(self, channel: bytes) -> None:
        """A message, numbered, to whoever listens."""
        listeners = list(self.listeners.get(channel, {}).values())
        number = self.published[channel] = self.published.get(channel, 0) + 1
        for connection in listeners:
            connection.message(channel, b"%d" % number)

    # -- faults

    def alive(self) -> list[Connection]:
        return [connection for connection in self.connections.values() if not connection.dead]

    def reset_some(self) -> None:
        alive = self.alive()
        for connection in alive:
            if self.rng.random() < 0.6 or len(alive) == 1:
                self.sim.fault(f"{self.name} resets connection {connection.conn}")
                self.drop(connection)
                self.sim.world.reset(connection.conn)

    def close_some(self) -> None:
        alive = self.alive()
        for connection in alive:
            if self.rng.random() < 0.6 or len(alive) == 1:
                self.sim.fault(f"{self.name} closes connection {connection.conn}")
                self.drop(connection)
                self.sim.world.close(connection.conn)

    def silence_some(self) -> None:
        for connection in self.alive():
            if self.rng.random() < 0.6:
                self.sim.fault(
                    f"{self.name} falls silent on connection {connection.conn}", FOR_EVER
                )
                connection.silent = True

    def stall_some(self, delay_ns: int) -> None:
        for connection in self.alive():
            if self.rng.random() < 0.7:
                self.sim.fault(
                    f"connection {connection.conn} of {self.name} stalls for {delay_ns} ns",
                    delay_ns,
                )
                self.sim.world.stall(connection.conn, delay_ns)

    def rest(self, delay_ns: int) -> None:
        """Reads nothing for a while: the worker's sends back up."""
        self.reading = False
        for connection in self.alive():
            self.sim.world.window(connection.conn, 512)

        def wake() -> None:
            self.reading = True
            for connection in self.alive():
                self.sim.world.window(connection.conn, 262144)
                self.news(connection.conn, bool(self.sim.world.state(connection.conn) & 6))

        self.sim.at(delay_ns, wake)

    def mode(self, mode: int, delay_ns: int) -> None:
        """Refuses (1) or ignores (2) connects for a while."""
        self.sim.fault(
            f"{self.name} {'refuses' if mode == 1 else 'ignores'} connects for {delay_ns} ns",
            delay_ns,
        )
        self.sim.world.service_mode(self.port, mode)
        self.sim.at(delay_ns, lambda: self.sim.world.service_mode(self.port, 0))
