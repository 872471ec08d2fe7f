"""What was done to servers, when, and so which errors of clients it explains."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

GRACE_S = 12.0
"""After the end of a fault an error may still be its doing: requests are held for up to 5 s, replies may take 3."""
SETTLE_S = 4.0
"""After which a server that runs again has carried out all that lay in its sockets."""


@dataclass
class Fault:
    """`lossy`: a server may have forgotten what it had acknowledged, since a replica took over."""

    target: str
    name: str
    begin: float  # monotonic seconds
    end: float = math.inf  # of the deed itself, without its aftermath
    lossy: bool = False


class Journal:
    """Written by one thread, read by all."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.lock = threading.Lock()

    @contextmanager
    def fault(self, target: str, name: str, *, lossy: bool = False) -> Iterator[Fault]:
        made = Fault(target, name, time.monotonic(), lossy=lossy)
        with self.lock:
            self.faults.append(made)
        try:
            yield made
        finally:
            made.end = time.monotonic()

    def of(self, target: str) -> list[Fault]:
        with self.lock:
            return [fault for fault in self.faults if fault.target == target]

    def explains(self, target: str, since: float, until: float) -> bool:
        """Whether an error between these two moments may come from a fault."""
        return any(
            fault.begin <= until and since <= fault.end + GRACE_S for fault in self.of(target)
        )

    def quiet(self, target: str, now: float) -> bool:
        """Whether servers have by now carried out all that was sent to them during faults."""
        return all(fault.end + SETTLE_S < now for fault in self.of(target))

    def lossy_since(self, target: str, looked: float, now: float) -> float | None:
        """When the first lossy fault began whose losses a look at `looked` cannot have shown; None without one."""
        begins = [
            fault.begin
            for fault in self.of(target)
            if fault.lossy and fault.begin <= now and looked <= fault.end + GRACE_S
        ]
        return min(begins, default=None)
