"""Clients that know what every reply must be. Each has keys of its own, and a seed of its own."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from typing import Any

from support.resp import Closed, Error, RawClient, encode

from soak.ledger import Counter, Register, short
from soak.world import World

PAUSE_S = 0.15  # between two turns of a client, on average: two cores have to do for all of them and the servers
WRONG_MAX = 5  # after so many a client has said enough
UNKNOWN = object()
"""In place of a reply that did not come."""

Words = Sequence[bytes | int]


class Client(threading.Thread):
    """One thread, one connection at a time. `turn` asks for something and judges the replies."""

    kind = ""

    def __init__(self, world: World, source: str, number: int) -> None:
        self.label = f"{self.kind}.{source}.{number}"
        super().__init__(name=self.label, daemon=True)
        self.world, self.source, self.number = world, source, number
        self.random = random.Random(f"{world.seed}.{self.label}")
        self.tally: Tally[str] = Tally()
        self.wrong: list[str] = []
        self.held: RawClient | None = None
        self.began = (
            time.monotonic()
        )  # of the turn; what went wrong in it is explained by faults since

    def key(self, name: object) -> bytes:
        return f"{self.label}:{name}".encode()

    def run(self) -> None:
        try:
            while not self.world.ending.is_set() and len(self.wrong) < WRONG_MAX:
                self.guarded(self.turn)
                self.pause(PAUSE_S)
        finally:
            self.drop()

    def guarded(self, deed: Callable[[], None]) -> None:
        """Run it; a connection that ends must have been ended by a fault."""
        self.began = time.monotonic()
        try:
            deed()
        except (Closed, OSError) as error:
            self.tally["closed"] += 1
            self.must_be_explained(f"closed: {type(error).__name__} {error}")
            self.drop()
        except AssertionError as error:
            self.complain(f"no reply: {error}")
            self.drop()

    def turn(self) -> None:
        raise NotImplementedError

    def last_look(self) -> None:
        """Once more, when faults are over: everything must be there."""

    def forgotten(self) -> int:
        """Acknowledged writes that a failover has lost."""
        return 0

    def pause(self, mean_s: float) -> None:
        self.world.ending.wait(self.random.expovariate(1 / mean_s))

    # --- what is wrong

    def complain(self, what: str) -> None:
        self.wrong.append(f"{self.label}: {what}")

    def check(self, what: str) -> None:
        if what:
            self.complain(what)

    def must_be_explained(self, what: str) -> None:
        now = time.monotonic()
        if not self.world.journal.explains(self.source, self.began, now):
            self.complain(f"{what} (no fault in the {now - self.began:.1f} s)")

    def failed(self, words: Words, reply: Any) -> bool:
        """Whether it is an error; one that no fault explains is wrong."""
        if not isinstance(reply, Error):
            return False
        self.tally["errors"] += 1
        self.must_be_explained(f"{short(bytes(words[0]))}: {reply}")
        return True

    # --- asking

    def raw(self) -> RawClient:
        """The connection; a new one if there is none. Odd clients speak RESP3."""
        if self.held is None:
            self.tally["connections"] += 1
            self.held = self.world.connect(self.source)
            if self.number % 2:
                words = (b"HELLO", 3)
                if self.failed(words, self.held.ask(*words)):
                    raise Closed(b"")
        return self.held

    def drop(self) -> None:
        if self.held is not None:
            self.held.close()
            self.held = None

    def exchange(self, asked: Sequence[Words], settle: Callable[[Words, Any], None]) -> None:
        """Send them in one write; `settle` gets each with its reply, in order: an Error, a value, UNKNOWN.

        An ECHO comes last, so that a reply too many or too few is noticed at once.
        """
        token = self.key(f"echo {self.tally['requests']}")
        done = 0
        try:
            raw = self.raw()
            raw.send(b"".join(encode(*words) for words in (*asked, (b"ECHO", token))))
            for words in asked:
                reply = raw.value()
                done += 1
                self.failed(words, reply)
                settle(words, reply)
            echo = raw.value()
            if not self.failed((b"ECHO",), echo) and echo != token:
                self.complain(f"{echo!r} in place of {token!r}, after {asked!r:.300}")
        finally:
            self.tally["requests"] += done + 1
            for words in asked[done:]:
                self.tally["unknown"] += 1
                settle(words, UNKNOWN)


def failed(reply: Any) -> bool:
    return reply is UNKNOWN or isinstance(reply, Error)


class Counters(Client):
    """INCR and GET in pipelines."""

    kind = "counters"
    keys_count = 20

    def __init__(self, world: World, source: str, number: int) -> None:
        super().__init__(world, source, number)
        self.keys = {
            self.key(index): Counter(world.journal, source) for index in range(self.keys_count)
        }

    def turn(self) -> None:
        asked = [
            (self.random.choice((b"INCR", b"GET")), self.random.choice(list(self.keys)))
            for _ in range(self.random.choice((1, 1, 4, 30)))
        ]
        self.exchange(asked, self.settle)

    def settle(self, words: Words, reply: Any) -> None:
        kept = self.keys[bytes(words[1])]
        if failed(reply):
            if words[0] == b"INCR":
                kept.unsure()
            return
        wrong = kept.counted(reply) if words[0] == b"INCR" else kept.seen(int(reply or 0))
        self.check(wrong and f"{words!r}: {wrong}")

    def last_look(self) -> None:
        self.exchange([(b"GET", key) for key in self.keys], self.settle)

    def forgotten(self) -> int:
        return sum(kept.forgotten for kept in self.keys.values())


class Registers(Client):
    """SET, GET, DEL, MSET and MGET in pipelines; with many keys over several slots or servers."""

    kind = "registers"
    keys_count = 16

    def __init__(self, world: World, source: str, number: int) -> None:
        super().__init__(world, source, number)
        self.keys = {
            self.key(index): Register(world.journal, source) for index in range(self.keys_count)
        }
        self.values = 0

    def value(self) -> bytes:
        self.values += 1
        head = self.key(f"v{self.values} ")
        return head + b"x" * self.random.choice((0, 10, 200, 9000))

    def turn(self) -> None:
        asked: list[Words] = []
        for _ in range(self.random.choice((1, 2, 10))):
            some = self.random.sample(list(self.keys), 4)
            name = self.random.choice((b"SET", b"SET", b"GET", b"GET", b"DEL", b"MSET", b"MGET"))
            if name == b"SET":
                asked.append((name, some[0], self.value()))
            elif name == b"MSET":
                asked.append((name, *(word for key in some for word in (key, self.value()))))
            else:
                asked.append((name, *(some if name == b"MGET" else some[:1])))
        self.exchange(asked, self.settle)

    def settle(self, words: Words, reply: Any) -> None:
        name, *rest = words
        if name in (b"SET", b"MSET", b"DEL"):
            pairs = [(rest[0], None)] if name == b"DEL" else zip(rest[::2], rest[1::2], strict=True)
            for key, value in pairs:
                if failed(reply):
                    self.keys[key].unsure(value)
                else:
                    self.keys[key].put(value)
            if not failed(reply) and name != b"DEL" and reply != b"OK":
                self.complain(f"{name!r}: {reply!r:.200}")
        elif not failed(reply):
            values = reply if name == b"MGET" else [reply]
            if len(values) != len(rest):
                self.complain(f"{len(values)} values for {len(rest)} keys")
                return
            for key, value in zip(rest, values, strict=True):
                wrong = self.keys[key].seen(value)
                self.check(wrong and f"{name!r} {key!r}: {wrong}")

    def last_look(self) -> None:
        self.exchange([(b"MGET", *self.keys)], self.settle)

    def forgotten(self) -> int:
        return sum(kept.forgotten for kept in self.keys.values())


class Transactions(Client):
    """Two counters that only transactions touch: they are the same at all times."""

    kind = "transactions"

    def __init__(self, world: World, source: str, number: int) -> None:
        super().__init__(world, source, number)
        self.kept = Counter(world.journal, source)
        tag = f"{{{self.label}}}"
        self.pair = (self.key(f"{tag}a"), self.key(f"{tag}b"))

    def turn(self) -> None:
        first, second = self.pair
        asked: list[Words] = [(b"MULTI",), (b"INCR", first), (b"INCR", second), (b"EXEC",)]
        if self.random.random() < 0.3:
            asked = [(b"WATCH", first), (b"MGET", first, second), *asked]
        if self.random.random() < 0.2:
            asked[-1] = (b"DISCARD",)
        self.exchange(asked, self.settle)

    def settle(self, words: Words, reply: Any) -> None:
        name = words[0]
        if name == b"INCR" and reply != b"QUEUED" and not failed(reply):
            self.complain(f"an INCR between MULTI and EXEC was answered with {reply!r}")
        if name == b"EXEC":
            if reply is None:  # what it watched has moved to another node
                self.tally["void"] += 1
                self.must_be_explained("EXEC found that a key had changed")
            elif failed(reply):
                self.kept.unsure()
            else:
                self.same(reply, self.kept.counted)
        elif name == b"MGET" and not failed(reply):
            self.same([int(value or 0) for value in reply], self.kept.seen)

    def same(self, values: list[int], judge: Callable[[int], str]) -> None:
        if len(values) != 2 or values[0] != values[1]:
            self.complain(f"half a transaction: {values}")
        else:
            self.check(judge(values[0]))

    def last_look(self) -> None:
        self.exchange([(b"MGET", *self.pair)], self.settle)

    def forgotten(self) -> int:
        return self.kept.forgotten


class Queues(Client):
    """BLPOP on one connection, RPUSH on another: each item comes once, in order."""

    kind = "queues"

    def __init__(self, world: World, source: str, number: int) -> None:
        super().__init__(world, source, number)
        self.queue = self.key("queue")
        self.pushed = self.popped = self.excused = self.repeated = 0
        self.pusher: RawClient | None = None

    def turn(self) -> None:
        if self.pusher is None:
            self.pusher = self.world.connect(self.source)
        timeout = self.random.choice((0.05, 0.5, 5))
        pushes = timeout > 0.05
        asked = False
        try:
            self.raw().send(encode(b"BLPOP", self.queue, timeout))
            asked = True
            if pushes:
                self.pause(0.02)
                self.push()
            reply = self.raw().value()
            asked = False
        finally:
            self.excused += asked  # popped, perhaps, for nobody
            self.tally["requests"] += 1
        if self.failed((b"BLPOP",), reply):
            self.excused += 1
        elif reply is not None:
            self.pop(int(reply[1]))

    def push(self) -> None:
        self.pushed += 1
        sent = False
        try:
            reply = self.pusher.ask(b"RPUSH", self.queue, self.pushed)
            sent = True
        finally:
            self.tally["requests"] += 1
            self.excused += not sent
        if self.failed((b"RPUSH",), reply):
            self.excused += 1

    def pop(self, item: int) -> None:
        lossy = self.world.journal.lossy_since(self.source, self.began, time.monotonic())
        if item <= self.popped:
            self.repeated += 1
            if lossy is None:
                self.complain(f"item {item} came after {self.popped}")
        missing = item - self.popped - 1
        if missing > self.excused and lossy is None:
            self.complain(
                f"item {item} came after {self.popped}; only {self.excused} may be missing"
            )
        self.excused = max(0, self.excused - max(0, missing))
        self.popped = max(self.popped, item)

    def drop(self) -> None:
        super().drop()
        if self.pusher is not None:
            self.pusher.close()
            self.pusher = None
