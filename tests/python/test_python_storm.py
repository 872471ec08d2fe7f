"""Everything at once: many clients, every way to decide, threads, coroutines, clients that vanish.

Each client sends numbered requests whose fate its first letter names, and must get their replies, in order.
"""

from __future__ import annotations

import asyncio
import queue
import random
import threading
from typing import Any

import pytest
from support.resp import RawClient, encode
from support.wait import wait_until

from shotover import Transform

CLIENTS = 8
ROUNDS = 12
FATES = "pahnrexsw"


class Storm(Transform):
    """p pass, a answer, h hold and release by a thread, n hold and answer by one, r refuse, e edit, x raise."""

    def __init__(self, config: Any) -> None:
        self.held: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self.decide, daemon=True).start()

    def decide(self) -> None:
        while (entry := self.held.get()) is not None:
            fate, held, number = entry
            held.release() if fate == "h" else held.answer(number)

    def on_request(self, request: Any) -> Any:
        if request.command != b"ECHO":
            return None
        fate, number = chr(request.args[1][0]), request.args[1][1:]
        if fate in "hn":
            self.held.put((fate, request.hold(), number))
        elif fate == "a":
            request.answer(number)
        elif fate == "r":
            request.refuse(number.decode())
        elif fate == "e":
            request.args[1] = b"p" + number
        elif fate == "x":
            raise ValueError
        elif fate in "sw":
            return self.later(request, fate, number)
        return None

    async def later(self, request: Any, fate: str, number: bytes) -> None:
        await asyncio.sleep(random.random() / 500)
        if fate == "s":
            request.answer(number)

    def on_reply(self, request: Any, reply: Any) -> Any:
        if request.command == b"ECHO" and random.random() < 0.2:
            return self.look(reply)
        return None

    async def look(self, reply: Any) -> None:
        await asyncio.sleep(0)
        assert reply.value is not None

    def close(self) -> None:
        self.held.put(None)


def expected(fate: str, number: bytes) -> bytes:
    if fate in "ans":
        return b"$%d\r\n%b\r\n" % (len(number), number)
    if fate == "r":
        return b"-ERR %b\r\n" % number
    if fate == "x":
        return b"-ERR shotover: transform py failed: ValueError\r\n"
    sent = (b"p" if fate == "e" else fate.encode()) + number
    return b"$%d\r\n%b\r\n" % (len(sent), sent)


def transaction(chance: random.Random, number: int) -> tuple[bytes, list[bytes]]:
    """Carried out whole or, where one of its commands was refused, not at all."""
    fates = chance.choices("pahnesw", k=chance.randrange(1, 6)) + chance.choices(
        "rx", k=chance.random() < 0.5
    )
    chance.shuffle(fates)
    text = b"%d" % number
    replies = [b"+QUEUED\r\n" if fate in "phew" else expected(fate, text) for fate in fates]
    results = [expected(fate, text) for fate in fates if fate in "phew"]
    ending, end = "EXEC", b"*%d\r\n" % len(results) + b"".join(results)
    if chance.random() < 0.2:
        ending, end = "DISCARD", b"+OK\r\n"
    elif {"r", "x"} & set(fates):
        end = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
    raw = (
        encode("MULTI")
        + b"".join(encode("ECHO", fate.encode() + text) for fate in fates)
        + encode(ending)
    )
    return raw, [b"+OK\r\n", *replies, end]


def converse(port: int, seed: int, problems: list[str]) -> None:
    chance = random.Random(seed)
    client = RawClient(port)
    number = 0
    try:
        for _ in range(ROUNDS):
            wanted, raw = [], b""
            for _ in range(chance.randrange(1, 40)):
                number += 1
                fate = chance.choice(FATES)
                text = b"%d" % number + b"." * chance.choice(
                    (0, 0, 9, 9 if fate == "r" else 20_000)
                )
                raw += encode("ECHO", fate.encode() + text)
                wanted.append(expected(fate, text))
                if chance.random() < 0.1:
                    raw += encode("SELECT", chance.randrange(4))
                    wanted.append(b"+OK\r\n")
                if chance.random() < 0.1:
                    more, replies = transaction(chance, number)
                    raw += more
                    wanted += replies
            client.send(raw)
            if chance.random() < 0.15:
                client.reset()
                client = RawClient(port)
                continue
            for each in wanted:
                got = client.frame()
                if got != each:
                    problems.append(f"seed {seed}: {got[:60]!r} for {each[:60]!r}")
                    return
    except AssertionError as error:
        problems.append(f"seed {seed}: {error}")
    finally:
        client.close()


@pytest.mark.parametrize("seed", range(3))
def test_every_request_gets_its_one_reply_in_order(serve: Any, seed: int) -> None:
    served = serve(Storm, max_held=100_000)
    served.allow_log("Python transform py failed: ValueError")
    problems: list[str] = []
    threads = [
        threading.Thread(target=converse, args=(served.port, seed * 1000 + index, problems))
        for index in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, "\n".join(problems)
    wait_until(lambda: served.sample("shotover_python_held") == 0, "nothing is held any more")
