"""Wait for a condition, never for a time: the only place of the tests that lets time pass."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 10.0  # generous: a busy two-core machine, not a measure of speed
POLL_S = 0.005  # between two looks at a condition that has no file descriptor to wait on

PORT_FIRST, PORT_LAST = (
    20_000,
    32_000,
)  # below the kernel's ephemeral range, so no client socket takes one


def wait_until(
    condition: Callable[[], T], what: str, *, deadline_s: float = DEADLINE_S, poll_s: float = POLL_S
) -> T:
    """Return the first truthy value of `condition`;

    AssertionError naming `what` after `deadline_s`.
    """
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"not within {deadline_s} s: {what} (last seen: {value!r})")
        time.sleep(poll_s)


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, *, deadline_s: float = DEADLINE_S
) -> None:
    """wait_until for asyncio."""
    end = time.monotonic() + deadline_s
    while not await condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        await asyncio.sleep(POLL_S)


def wait_until_equal(
    look: Callable[[], T], expected: T, what: str, *, deadline_s: float = DEADLINE_S
) -> None:
    """Wait until `look()` returns `expected`; the AssertionError shows what it returned last."""
    seen: list[T] = []

    def equal() -> bool:
        seen[:] = [look()]
        return seen[0] == expected

    try:
        wait_until(equal, what, deadline_s=deadline_s)
    except AssertionError:
        raise AssertionError(
            f"not within {deadline_s} s: {what}: expected {expected!r}, last saw {seen[0]!r}"
        ) from None


def stays_true(condition: Callable[[], object], what: str, *, period_s: float) -> None:
    """Fail as soon as `condition` is false during `period_s`; for what must *not* happen."""
    end = time.monotonic() + period_s
    while time.monotonic() < end:
        value = condition()
        assert value, f"no longer true: {what} (saw {value!r})"
        time.sleep(POLL_S)


_given: deque[int] = deque(maxlen=1000)


def free_port() -> int:
    """A loopback TCP port nobody listens on now, and none that this process was given lately."""
    while True:
        port = random.randint(PORT_FIRST, PORT_LAST)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.append(port)
        return port


def can_connect(port: int) -> bool:
    """Whether something accepts on 127.0.0.1:`port`."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def answers(port: int) -> bool:
    """Whether a Redis or Valkey server on 127.0.0.1:`port` says something: one that has only begun to listen may still end."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(b"PING\r\n")
            return client.recv(1) != b""
    except OSError:
        return False


def wait_until_still(look: Callable[[], T], what: str, *, still_s: float = 0.3) -> T:
    """Wait until `look()` has returned the same for `still_s`, and return that."""
    seen: tuple[T, float] = (look(), time.monotonic())

    def still() -> bool:
        nonlocal seen
        now = look()
        if now != seen[0]:
            seen = (now, time.monotonic())
        return time.monotonic() - seen[1] >= still_s

    wait_until(still, what)
    return seen[0]
