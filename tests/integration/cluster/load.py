"""Clients that never stop asking, and notice each answer that is not the right one."""

from __future__ import annotations

import threading
from typing import Any

import redis


class Counters(threading.Thread):
    """One client with keys of its own: pipelines of INCR and GET, whose answers it knows.

    An INCR that was answered with an error may have been carried out: its key may be one further.
    """

    def __init__(self, port: int, name: str, keys: int = 16, depth: int = 8) -> None:
        super().__init__(daemon=True)
        self.client = redis.Redis(port=port, protocol=2, socket_timeout=30, retry=None)
        self.keys = [f"{name}:{index}" for index in range(keys)]
        self.depth = depth
        self.low = dict.fromkeys(self.keys, 0)
        self.high = dict.fromkeys(self.keys, 0)
        self.errors: list[str] = []
        self.wrong: list[str] = []
        self.answered = 0
        self.ended = threading.Event()

    def run(self) -> None:
        turn = 0
        while not self.ended.is_set():
            turn += 1
            asked = []
            pipe = self.client.pipeline(transaction=False)
            for index in range(self.depth):
                key = self.keys[(turn * self.depth + index) % len(self.keys)]
                asked += [("INCR", key), ("GET", key)]
                pipe.incr(key)
                pipe.get(key)
            try:
                answers = pipe.execute(raise_on_error=False)
            except redis.RedisError as error:
                self.errors.append(f"connection: {error}")
                for verb, key in asked:
                    self.high[key] += verb == "INCR"
                continue
            for (verb, key), answer in zip(asked, answers, strict=True):
                self.look(verb, key, answer)

    def look(self, verb: str, key: str, answer: Any) -> None:
        self.answered += 1
        if isinstance(answer, Exception):
            self.errors.append(f"{verb} {key}: {answer}")
            self.high[key] += verb == "INCR"
            return
        self.low[key] += verb == "INCR"
        self.high[key] += verb == "INCR"
        value = int(answer or 0)
        if not self.low[key] <= value <= self.high[key]:
            self.wrong.append(
                f"{verb} {key}: {answer}, not from {self.low[key]} to {self.high[key]}"
            )
        if verb == "INCR":
            self.low[key] = self.high[key] = value

    def end(self) -> None:
        self.ended.set()
        self.join(60)
        assert not self.is_alive(), "a client still waits for an answer"
        self.client.close()


class Load:
    """Some of them at once; `check` after the end."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.clients = [Counters(port, f"c{index}") for index in range(clients)]

    def __enter__(self) -> Load:
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *error: object) -> None:
        for client in self.clients:
            client.end()

    @property
    def answered(self) -> int:
        return sum(client.answered for client in self.clients)

    @property
    def errors(self) -> list[str]:
        return [error for client in self.clients for error in client.errors]

    @property
    def wrong(self) -> list[str]:
        return [wrong for client in self.clients for wrong in client.wrong]
