"""A master, replicas and sentinels, and the proxy before them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from support.proxy import Proxy
from support.sentinel import NAME, Sentinels
from support.wait import DEADLINE_S, wait_until

EXPECTED = (  # in the log of a proxy whose master goes away
    "cannot connect to the upstream",
    "the sentinel is lost",
)


def sentinel_sink(group: Sentinels, **fields: Any) -> dict[str, Any]:
    secret = {"sentinel_password": group.sentinel_password} if group.sentinel_password else {}
    return {
        "RedisSinkSentinel": {
            "name": "sink",
            "sentinels": group.addresses,
            "master_name": NAME,
            "connect_timeout_ms": 1000,
            **secret,
            **fields,
        }
    }


class Front:
    """The proxy before a group."""

    def __init__(self, group: Sentinels, **fields: Any) -> None:
        self.group = group
        options = {"arguments": fields.pop("arguments", ())}
        self.proxy = Proxy(0, end=sentinel_sink(group, **fields), **options)
        self.proxy.allow_log(*EXPECTED)

    @property
    def password(self) -> str | None:
        return self.group.password or None

    def client(self, **options: Any) -> redis.Redis:
        return self.proxy.client(**{"password": self.password, "socket_timeout": 30, **options})

    def sure(self) -> bool:
        """Whether its workers have a master."""
        return self.proxy.metric("shotover_upstream_up") > 0

    def wait_sure(self, deadline_s: float = DEADLINE_S) -> None:
        wait_until(self.sure, "the proxy has a master", deadline_s=deadline_s)

    def wait_unsure(self) -> None:
        wait_until(lambda: not self.sure(), "the proxy knows that its master is gone")


@pytest.fixture
def make_group() -> Iterator[Callable[..., Sentinels]]:
    made: list[Sentinels] = []

    def make(**options: Any) -> Sentinels:
        made.append(Sentinels(**options))
        return made[-1]

    yield make
    for group in made:
        group.stop()


@pytest.fixture
def make_front(make_group: Callable[..., Sentinels]) -> Iterator[Callable[..., Front]]:
    """make_front(failover_timeout=15.0): before a group of its own, or before `group`."""
    made: list[Front] = []

    def make(group: Sentinels | None = None, **fields: Any) -> Front:
        made.append(Front(group or make_group(), **fields))
        return made[-1]

    yield make
    for front in made:
        front.proxy.stop()


class Load:
    """Clients that each set and get keys of their own, and look at every reply."""

    def __init__(self, front: Front, clients: int = 8, *, writes: bool = True) -> None:
        self.front = front
        self.writes = writes
        self.errors: list[tuple[float, str, str]] = []  # when, what was asked, what was said
        self.wrong: list[str] = []  # replies to somebody else's request
        self.good: list[float] = []  # when a good reply came
        self.acknowledged: dict[str, int] = {}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        key = f"load:{number}"
        client = self.front.client()
        count = 0
        while not self._stop.is_set():
            count += 1
            if self.writes:
                self._ask(client, "SET", key, f"{number}:{count}", good=lambda reply: reply is True)
            self._ask(
                client,
                "GET",
                key,
                good=lambda reply: reply is None or reply.startswith(b"%d:" % number),
            )
            words = f"{number}:{count}"
            self._ask(
                client, "ECHO", words, good=lambda reply, words=words: reply == words.encode()
            )
        client.close()

    def _ask(self, client: redis.Redis, *words: str, good: Callable[[Any], bool]) -> None:
        try:
            reply = client.execute_command(*words)
        except redis.RedisError as error:
            self.errors.append((time.monotonic(), words[0], str(error)))
            return
        if not good(reply):
            self.wrong.append(f"{words}: {reply!r}")
        self.good.append(time.monotonic())

    def first_good_after(self, moment: float) -> float:
        """Seconds from `moment` to the next good reply."""
        wait_until(lambda: self.good[-1] > moment, "clients are served again")
        return next(when for when in self.good if when > moment) - moment

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(40)
            assert not thread.is_alive(), "a client waits without end"
        assert self.wrong == []

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class Switches:
    """When each sentinel said +switch-master."""

    def __init__(self, group: Sentinels) -> None:
        self.heard: list[float] = []
        self._pubsubs = []
        self._threads = []
        for index, sentinel in enumerate(group.sentinels):
            if sentinel.process is None:
                continue
            pubsub = group.sentinel(index).pubsub(ignore_subscribe_messages=True)
            pubsub.subscribe(**{"+switch-master": self._hear})
            pubsub.get_message(timeout=5)
            self._pubsubs.append(pubsub)
            self._threads.append(pubsub.run_in_thread(sleep_time=0.05, daemon=True))

    def _hear(self, message: object) -> None:
        self.heard.append(time.monotonic())

    def first(self) -> float:
        wait_until(lambda: self.heard, "a sentinel says +switch-master", deadline_s=20)
        return self.heard[0]

    def close(self) -> None:
        for thread in self._threads:
            thread.stop()
        for thread in self._threads:
            thread.join(5)
