"""Open-loop load: requests are sent when their time has come, whether or not earlier ones have been answered."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

REQUEST = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"


@dataclass
class Sent:
    """What became of one request: `took_s` from the moment it was due to its reply."""

    at_s: float
    took_s: float = -1.0
    good: bool = False


@dataclass
class Client:
    """`rate` requests a second, or (rate 0) always `depth` of them under way."""

    rate: float
    depth: int = 0
    sent: list[Sent] = field(default_factory=list)
    odd: list[bytes] = field(default_factory=list)
    pending: deque[Sent] = field(default_factory=deque)

    async def run(self, port: int, seconds: float, offset_s: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        start = time.monotonic()
        reading = asyncio.create_task(self.read(reader, start))
        due = offset_s
        while due < seconds:
            if self.rate:
                await asyncio.sleep(max(0.0, start + due - time.monotonic()))
                self.send(writer, due)
                due += 1 / self.rate
            else:
                for _ in range(self.depth - len(self.pending)):
                    self.send(writer, time.monotonic() - start)
                await asyncio.sleep(0.005)
                due = time.monotonic() - start
        writer.write_eof()  # replies that are owed still come
        await reading
        writer.close()

    def send(self, writer: asyncio.StreamWriter, at_s: float) -> None:
        self.sent.append(Sent(at_s))
        self.pending.append(self.sent[-1])
        writer.write(REQUEST)

    async def read(self, reader: asyncio.StreamReader, start: float) -> None:
        while line := await reader.readline():
            sent = self.pending.popleft()
            sent.took_s = time.monotonic() - start - sent.at_s
            sent.good = line == b"+OK\r\n"
            if not sent.good and not line.startswith(b"-BUSY shotover: overloaded"):
                self.odd.append(line)


def play(port: int, clients: list[Client], seconds: float, *events: tuple[float, object]) -> None:
    """All clients for so long; each event, (when, callable), at its time. Returns when every reply is in."""

    async def at(when_s: float, what: object) -> None:
        await asyncio.sleep(when_s)
        assert callable(what)
        what()

    async def all_of_it() -> None:
        spread = [
            client.run(port, seconds, (index / len(clients)) / client.rate if client.rate else 0)
            for index, client in enumerate(clients)
        ]
        await asyncio.gather(*spread, *(at(*event) for event in events))

    asyncio.run(all_of_it())


def goodput(clients: list[Client], first_s: float, last_s: float, deadline_s: float) -> float:
    """Good replies a second, within their deadline, to what was due in [first, last)."""
    good = [
        sent
        for client in clients
        for sent in client.sent
        if first_s <= sent.at_s < last_s and sent.good and sent.took_s <= deadline_s
    ]
    return len(good) / (last_s - first_s)
