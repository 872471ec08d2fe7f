"""What a key may hold, by what its only client sent and was told. Nothing else is right.

A request without a proper answer (an error, a connection that ended) may have been carried out, and later than it
seems: its bytes may lie in the socket of a server that is stopped. So it is *loose* until that server has settled.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from soak.journal import SETTLE_S, Journal

LAG_S = 1.0  # how far a replica may be behind its master
KEPT_S = 60.0  # how long past values are remembered

Clock = Callable[[], float]


class Kept:
    """What counters and registers have in common: losses of a failover, and what is loose."""

    def __init__(self, journal: Journal, target: str, clock: Clock = time.monotonic) -> None:
        self.journal, self.target, self.clock = journal, target, clock
        self.looked = clock()  # when its value was last found to be right
        self.loose_at = 0.0  # when something last became loose
        self.forgotten = 0  # acknowledged writes that a failover has lost

    def settled(self) -> bool:
        """Whether nothing loose can still be carried out."""
        now = self.clock()
        return self.loose_at + SETTLE_S < now and self.journal.quiet(self.target, now)

    def lossy_since(self) -> float | None:
        return self.journal.lossy_since(self.target, self.looked, self.clock())


class Counter(Kept):
    """A key that one client counts up by INCR."""

    def __init__(self, journal: Journal, target: str, clock: Clock = time.monotonic) -> None:
        super().__init__(journal, target, clock)
        self.low = 0
        self.loose = 0
        self.past = deque([(self.looked, 0)])  # when, and the value then

    def unsure(self) -> None:
        """An INCR was sent, and nobody knows what became of it."""
        self.loose += 1
        self.loose_at = self.clock()

    def counted(self, value: int) -> str:
        """An INCR was answered with `value`. Returns what is wrong, or nothing."""
        return self._take(value, self.low + 1)

    def seen(self, value: int) -> str:
        """A GET was answered with `value`."""
        return self._take(value, self.low)

    def _take(self, value: int, least: int) -> str:
        if value > least + self.loose:
            return f"counted twice: {value}, where {least} to {least + self.loose} is right"
        if value < least:
            floor = self._floor() + least - self.low
            if value < floor:
                return f"lost: {value}, where {floor} to {least + self.loose} is right"
            self.forgotten += least - value
        elif self.settled():
            self.loose = 0
        else:
            self.loose -= value - least
        self.low, self.looked = value, self.clock()
        self.past.append((self.looked, value))
        while len(self.past) > 1 and self.past[1][0] < self.looked - KEPT_S:
            self.past.popleft()
        return ""

    def _floor(self) -> int:
        """The least it may be: lower than `low` only by what a failover can have lost."""
        since = self.lossy_since()
        if since is None:
            return self.low
        before = [value for when, value in self.past if when < since - LAG_S]
        return before[-1] if before else self.past[0][1]


class Register(Kept):
    """A key that one client sets to values that are never the same; None: it is not there."""

    def __init__(self, journal: Journal, target: str, clock: Clock = time.monotonic) -> None:
        super().__init__(journal, target, clock)
        self.value: bytes | None = None
        self.loose: set[bytes | None] = set()
        self.past: deque[tuple[float, bytes | None]] = deque([(self.looked, None)])

    def unsure(self, value: bytes | None) -> None:
        self.loose.add(value)
        self.loose_at = self.clock()
        self.past.append((self.loose_at, value))

    def put(self, value: bytes | None) -> None:
        """A SET or DEL was acknowledged."""
        self._settle()
        self.value, self.looked = value, self.clock()
        self.past.append((self.looked, value))
        while len(self.past) > 1 and self.past[1][0] < self.looked - KEPT_S:
            self.past.popleft()

    def seen(self, value: bytes | None) -> str:
        if value != self.value:
            if value in self.loose:
                self.loose.discard(value)
            elif value in self._forgettable():
                self.forgotten += 1
            else:
                return f"{short(value)}, where {short(self.value)} is right or one of {len(self.loose)} more"
            self.value = value
        self._settle()
        self.looked = self.clock()
        return ""

    def _settle(self) -> None:
        if self.loose and self.settled():
            self.loose.clear()

    def _forgettable(self) -> set[bytes | None]:
        since = self.lossy_since()
        if since is None:
            return set()
        first = max(
            (index for index, (when, _) in enumerate(self.past) if when < since - LAG_S), default=0
        )
        return {value for _, value in list(self.past)[first:]}


def short(value: bytes | None) -> str:
    return repr(value) if value is None or len(value) < 60 else f"{value[:40]!r}... ({len(value)})"
