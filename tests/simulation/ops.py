"""What clients may send: single requests and the sequences they come in, drawn from a random.Random."""

from __future__ import annotations

import random
from typing import NamedTuple

from simulation.server import PASSWORD
from simulation.wire import request

KEYS = 3  # private keys a client has, shared keys there are
BULKY = (65_000, 65_600, 90_000, 250_000)  # bytes: some so few that their request is gathered


class Op(NamedTuple):
    """One request. What its reply must be is decided by `kind`:

    answer    what the server wrote down under its tag
    state     a change of the connection's state: +OK, or a map for HELLO
    channels  as many confirmations as there are channels
    id        the same number as before
    mute      none
    local     the proxy's own: QUIT, or what is no request
    """

    kind: str
    words: tuple[bytes, ...]
    wire: bytes
    tag: bytes = b""
    blocks: bool = False

    @property
    def name(self) -> bytes:
        return self.words[0].upper()

    def __repr__(self) -> str:
        words = b" ".join(
            word if len(word) < 40 else word[:20] + b"...(%d)" % len(word) for word in self.words
        )
        return f"{words.decode('latin-1')} {self.tag.decode()}".strip()


class Draw:
    """Draws the requests of one client; its tags are numbered from 1."""

    def __init__(self, rng: random.Random, client: int, large: int) -> None:
        self.rng = rng
        self.client = client
        self.large = large  # bytes of the largest value
        self.number = 0
        self.bulky = (
            0.0  # how many values are so big that their requests are streamed when they are cut
        )
        self.listens = False  # it may be subscribed, and few commands allowed

    def tagged(self, *words: bytes | str, blocks: bool = False) -> Op:
        self.number += 1
        tag = b"@%d.%d" % (self.client, self.number)
        raw = tuple(word if isinstance(word, bytes) else word.encode() for word in words)
        if (
            not blocks
            and self.rng.random() < 0.05
            and not any(b" " in word or len(word) > 200 for word in raw)
        ):
            return Op("answer", raw, b" ".join([*raw, tag]) + b"\r\n", tag)  # inline
        return Op("answer", raw, request(*raw, tag), tag, blocks)

    def plain(self, kind: str, *words: bytes | str) -> Op:
        raw = tuple(word if isinstance(word, bytes) else word.encode() for word in words)
        return Op(kind, raw, request(*raw))

    def key(self, kind: str = "k") -> str:
        owner = "all" if self.rng.random() < 0.3 else str(self.client)
        return f"{kind}:{owner}:{self.rng.randrange(KEYS)}"

    def value(self) -> bytes:
        size = self.rng.choice([1, 8, 30, 64])
        if self.large and self.rng.random() < 0.08:
            size = self.rng.choice([size, 16384, 20000, self.large])
        if self.bulky and self.rng.random() < self.bulky:
            size = self.rng.choice(BULKY)
        text = b"%d.%d|" % (self.client, self.number + 1)
        return (text * (size // len(text) + 1))[: max(size, len(text))]

    def big(self) -> list[Op]:
        """One that the proxy may begin to pass on before it is whole."""
        values = [self.value(), self.value()]
        values[self.rng.randrange(2)] += b"x" * self.rng.choice(BULKY)
        if self.rng.random() < 0.3:
            return [self.tagged("MSET", self.key(), values[0], self.key(), values[1])]
        name = self.rng.choice(["SET", "SET", "APPEND"])
        return [self.tagged(name, self.key(), max(values, key=len))]

    def data(self) -> list[Op]:
        if self.bulky and self.rng.random() < self.bulky:
            return self.big()
        draw = self.rng.randrange(14)
        if draw < 3:
            return [self.tagged("SET", self.key(), self.value())]
        if draw < 7:
            return [self.tagged("GET", self.key())]
        if draw < 9:
            return [self.tagged("INCR", self.key("n"))]
        if draw == 9:
            return [self.tagged("APPEND", self.key(), self.value())]
        if draw == 10:
            return [self.tagged("MGET", self.key(), self.key(), self.key("n"))]
        if draw == 11:
            return [self.tagged("DEL", self.key())]
        if draw == 12:
            return [self.tagged("PING")]
        return [self.tagged("ECHO", self.value())]

    def transaction(self) -> list[Op]:
        rng = self.rng
        ops = []
        if rng.random() < 0.4:
            ops.append(self.tagged("WATCH", self.key()))
            if rng.random() < 0.5:
                ops += self.data()
        if rng.random() < 0.1:
            return [*ops, self.tagged("UNWATCH")]
        ops.append(self.tagged("MULTI"))
        for _ in range(rng.randrange(4)):
            ops += self.data()
        if rng.random() < 0.1:
            ops.append(self.tagged("MULTI"))
        if rng.random() < 0.1:
            ops.append(self.plain("state", "SELECT", str(rng.randrange(3))))
        return [*ops, self.tagged(rng.choice(["EXEC", "EXEC", "EXEC", "DISCARD"]))]

    def open_transaction(self) -> list[Op]:
        """One that its client will not end."""
        return [self.tagged("MULTI"), *self.data()]

    def stray_end(self) -> list[Op]:
        return [self.tagged(self.rng.choice(["EXEC", "DISCARD", "UNWATCH"]))]

    def blocking(self, fed: bool = True) -> list[Op]:
        """BLPOP: somebody pushes (fed), or a time-out ends it. Its list's name stands for a tag."""
        self.number += 1
        kind = "fed" if fed else "dry"
        timeout = (
            self.rng.choice(["0", "0.001", "0.01"]) if fed else self.rng.choice(["0.002", "0.02"])
        )
        return [self.tagged_before("BLPOP", f"l:{kind}:{self.client}.{self.number}", timeout)]

    def endless(self) -> Op:
        """BLPOP on a list that nobody pushes to."""
        self.number += 1
        return self.tagged_before("BLPOP", f"l:dry:{self.client}.{self.number}", "0")

    def tagged_before(self, *words: str) -> Op:
        # the time-out must stay the last word, which the proxy looks at: the server finds this tag by the list's name
        raw = tuple(word.encode() for word in words)
        tag = b"@" + raw[1].rpartition(b":")[2]
        return Op("answer", raw, request(*raw), tag, blocks=True)

    def state(self) -> list[Op]:
        draw = self.rng.randrange(8)
        if draw < 3:
            return [self.plain("state", "SELECT", str(self.rng.randrange(3)))]
        if draw == 3:
            return [self.plain("state", "AUTH", self.rng.choice(["alice", "bob"]), PASSWORD)]
        if draw == 4:
            return [self.plain("state", "HELLO", self.rng.choice(["2", "3"]))]
        if draw == 5:
            return [
                self.plain(
                    "state", "HELLO", "3", "AUTH", "alice", PASSWORD, "SETNAME", "n%d" % self.client
                )
            ]
        if draw == 6:
            return [self.plain("state", "CLIENT", "SETNAME", self.rng.choice(["one", "two"]))]
        return [self.plain("state", "SELECT", "99")]  # refused

    def reset(self) -> list[Op]:
        return [self.plain("state", "RESET")]

    def subscription(self) -> list[Op]:
        channels = [f"c:{self.rng.randrange(KEYS)}" for _ in range(self.rng.randrange(1, 3))]
        channels = list(dict.fromkeys(channels))
        self.listens = True
        ops = [self.plain("channels", "SUBSCRIBE", *channels)]
        if self.rng.random() < 0.3:
            ops.append(self.plain("ping", "PING"))
        if self.rng.random() < 0.8:
            ops.append(self.plain("channels", "UNSUBSCRIBE", *channels))
        return ops

    def identity(self) -> list[Op]:
        return [self.plain("id", "CLIENT", "ID")]

    def skipped(self) -> list[Op]:
        if self.listens:
            return self.data()
        unanswered = self.tagged("SET", self.key(), self.value())._replace(kind="mute")
        return [self.plain("mute", "CLIENT", "REPLY", "SKIP"), unanswered]

    def unknown(self) -> list[Op]:
        return [self.tagged("SIM.GET", self.key())]

    def waits(self) -> list[Op]:
        return [self.plain("wait", "WAIT", "0", "0")._replace(blocks=True)]

    def quit(self) -> Op:
        return self.plain("local", "QUIT")

    def garbage(self) -> Op:
        return Op(
            "local",
            (b"GARBAGE",),
            self.rng.choice([b"*1\r\n$x\r\n", b"*2\r\n$3\r\nGET\r\n:1\r\n", b"*-5x\r\n"]),
        )
