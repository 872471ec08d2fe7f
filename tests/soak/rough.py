"""Clients that are hard on a proxy: big values, slow readers, subscribers, those who leave, those who send rubbish."""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

from support.resp import Closed, Error, RawClient, encode

from soak.clients import Client, Counters, Queues, Registers, Transactions
from soak.ledger import Register
from soak.world import World

KIB = 1024
SLOW_VALUE_SIZE = 512 * KIB
SLOW_REPLIES = 5
MESSAGES_S = 6.0  # within which a message reaches a subscriber at another node


class Subscribers(Client):
    """What one connection publishes another one gets: once, in order; what a fault delays may be overtaken."""

    kind = "subscribers"

    def __init__(self, world: World, source: str, number: int) -> None:
        super().__init__(world, source, number)
        self.channel = self.key("channel")
        self.publisher: RawClient | None = None
        self.published = self.heard = 0
        self.missing: set[int] = set()  # numbers that others have overtaken

    def turn(self) -> None:
        if self.publisher is None:
            self.publisher = self.world.connect(self.source)
        if self.held is None:
            reply = self.raw().ask(b"SUBSCRIBE", self.channel)
            if self.failed((b"SUBSCRIBE",), reply):
                self.drop()
                return
            self.heard = (
                self.published
            )  # what was published before is for others, but for what comes late
            self.missing.update(range(max(1, self.heard - 50), self.heard + 1))
        certain = True
        for _ in range(self.random.randint(1, 5)):
            self.published += 1
            reply = self.publisher.ask(b"PUBLISH", self.channel, self.published)
            self.tally["requests"] += 1
            certain &= not self.failed((b"PUBLISH",), reply)
        self.listen(certain)

    def listen(self, certain: bool) -> None:
        """Until the last message is there; a PING's answer comes behind what the server had for us before."""
        pings = 0
        while self.heard < self.published:
            self.raw().send(encode(b"PING", b"%d" % pings))
            pings += 1
            while not self.take(self.raw().value()):
                pass
            if not certain or pings * 0.02 > MESSAGES_S:
                break
            self.world.ending.wait(0.02)
            if self.world.ending.is_set():
                return
        if self.heard < self.published:
            self.must_be_explained(f"message {self.published} has not come, {self.heard} has")

    def take(self, reply: Any) -> bool:
        """Whether it is the answer to a PING."""
        if not isinstance(reply, list) or reply[0] != b"message":
            if not isinstance(reply, Error) and (
                not isinstance(reply, list) or reply[0] != b"pong"
            ):
                self.complain(f"{reply!r} in place of the answer to a PING")
            self.failed((b"PING",), reply)
            return True
        number = int(reply[2])
        if number in self.missing:  # it lay in the socket of a node that was stopped
            self.missing.discard(number)
            self.tally["late"] += 1
            self.must_be_explained(f"message {number} came after {self.heard}")
        elif number <= self.heard:
            self.complain(f"message {number} came twice, or is older than {self.heard}")
        elif number > self.heard + 1:
            self.missing.update(range(self.heard + 1, number))
            self.tally["missed"] += number - self.heard - 1
            self.must_be_explained(f"message {number} came after {self.heard}")
        self.heard = max(self.heard, number)
        return False

    def drop(self) -> None:
        super().drop()
        if self.publisher is not None:
            self.publisher.close()
            self.publisher = None


class Uploads(Registers):
    """Values of up to 2 MiB, sent in pieces."""

    kind = "uploads"
    keys_count = 2

    def value(self) -> bytes:
        self.values += 1
        head = self.key(f"v{self.values} ")
        size = self.random.choice((70, 300, 2000)) * KIB
        return head + head * (size // len(head))

    def turn(self) -> None:
        key = self.random.choice(list(self.keys))
        value = self.value()
        wire = encode(b"SET", key, value)
        size = self.random.choice((len(wire), 40 * KIB, 100 * KIB))
        answered = False
        try:
            raw = self.raw()
            for at in range(0, len(wire), size):
                raw.send(wire[at : at + size])
                if size < len(wire):
                    self.pause(0.005)
            reply = raw.value()
            answered = True
        finally:
            self.tally["requests"] += 1
            if not answered:
                self.keys[key].unsure(value)
        self.failed((b"SET",), reply)
        self.settle((b"SET", key, value), reply)
        self.exchange([(b"GET", key)], self.settle)


class SlowClient(RawClient):
    """Takes a little at a time."""

    world: World

    def _receive(self, end: float) -> None:
        self.world.ending.wait(0.01)
        super()._receive(end)


class SlowReaders(Client):
    """Asks for more than it cares to read."""

    kind = "slow"

    def __init__(self, world: World, source: str, number: int) -> None:
        super().__init__(world, source, number)
        self.big = Register(world.journal, source)
        self.writes = 0

    def turn(self) -> None:
        key = self.key("big")
        self.writes += 1
        head = self.key(f"w{self.writes} ")
        value = head + b"y" * SLOW_VALUE_SIZE
        with contextlib.ExitStack() as closing:
            tls = self.world.context if self.source == "tls" else None
            # a new connection each time: the receive buffer has to be small before it is connected
            raw = closing.enter_context(
                SlowClient(
                    self.world.ports[self.source],
                    deadline_s=60,
                    receive_buffer_size=8 * KIB,
                    tls=tls,
                )
            )
            raw.world = self.world
            self.big.unsure(value)
            reply = raw.ask(b"SET", key, value)
            if not self.failed((b"SET",), reply):
                self.big.put(value)
            raw.send(encode(b"GET", key) * SLOW_REPLIES)
            for _ in range(SLOW_REPLIES):
                self.tally["requests"] += 1
                reply = raw.value()
                if not self.failed((b"GET",), reply):
                    self.check(self.big.seen(reply))

    def forgotten(self) -> int:
        return self.big.forgotten


class Leavers(Counters):
    """Goes away in the middle: of a pipeline, of a request, of a transaction, of a wait."""

    kind = "leavers"
    keys_count = (
        400  # what is under way when it leaves settles before its key is used again, mostly
    )

    def turn(self) -> None:
        keys = self.random.sample(list(self.keys), 6)
        wire = b"".join(encode(b"INCR", key) for key in keys)
        last = self.random.choice(
            (
                b"*2\r\n$4\r\nINCR\r\n$5",
                encode(b"BLPOP", self.key("nothing"), 0),
                encode(b"MULTI") + encode(b"INCR", self.key("never")),
                encode(b"SUBSCRIBE", self.key("channel")),
                b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$900000\r\n" + b"z" * 200_000,
                b"",
            )
        )
        done = 0
        try:
            with self.world.connect(self.source) as raw:
                self.tally["connections"] += 1
                raw.send(wire + last)
                for key in keys[: self.random.randint(0, len(keys))]:
                    reply = raw.value()
                    done += 1
                    self.failed((b"INCR",), reply)
                    self.settle((b"INCR", key), reply)
                if self.source != "tls" and self.random.random() < 0.5:
                    raw.reset()
        finally:
            self.tally["requests"] += done
            for key in keys[done:]:
                self.keys[key].unsure()


class Comers(Client):
    """A new connection for each question; where there is TLS, half of them with a ticket."""

    kind = "comers"

    def turn(self) -> None:
        session: ssl.SSLSession | None = None
        for _ in range(self.random.randint(1, 6)):
            with self.world.connect(self.source, session=session) as raw:
                self.tally["connections"] += 1
                token = self.key(f"hello {self.tally['connections']}")
                reply = raw.ask(b"ECHO", token)
                self.tally["requests"] += 1
                if not self.failed((b"ECHO",), reply) and reply != token:
                    self.complain(f"{reply!r} in place of {token!r}")
                if isinstance(raw.socket, ssl.SSLSocket) and self.random.random() < 0.5:
                    session = raw.socket.session


class Babblers(Client):
    """Sends what is no protocol. It gets an error, a close, or nothing; others notice nothing."""

    kind = "babblers"

    def turn(self) -> None:
        plainly = self.random.random() < 0.5
        try:
            with self.world.connect(self.source, plainly=plainly) as raw:
                self.tally["connections"] += 1
                raw.send(self.rubbish())
                while not raw.silent(0.1) and raw.buffer:
                    raw.buffer.clear()
        except (Closed, OSError):
            self.tally["shown out"] += 1

    def rubbish(self) -> bytes:
        kind = self.random.randrange(6)
        if kind == 0:
            return self.random.randbytes(self.random.choice((1, 40, 5000)))
        if kind == 1:
            return b"*%d\r\n" % self.random.choice((-2, 10**9, 2**40))
        if kind == 2:
            return b"*1\r\n$%d\r\n" % self.random.choice((-5, 10**10, 2**63))
        if kind == 3:
            return b'GET "unbalanced\r\n'
        if kind == 4:
            return b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"
        wire = bytearray(encode(b"SET", self.key("rubbish"), b"v" * 50))
        wire[self.random.randrange(len(wire))] ^= 1 << self.random.randrange(8)
        return bytes(wire)


ALL: dict[type[Client], int] = {
    Counters: 2,
    Registers: 2,
    Transactions: 2,
    Queues: 1,
    Subscribers: 1,
    Uploads: 1,
    SlowReaders: 1,
    Leavers: 1,
    Comers: 1,
    Babblers: 1,
}
"""How many of each a source has."""
