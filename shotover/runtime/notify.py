"""What the service manager that started this process is told, as sd_notify(3) has it: datagrams to the socket NOTIFY_SOCKET.

    READY=1       all listeners are open (Type=notify), or SIGHUP has been dealt with (Type=notify-reload)
    RELOADING=1   SIGHUP came; with the time, so that the manager knows which of its reloads this is
    STOPPING=1    it drains, and how long that may take
    WATCHDOG=1    the main thread and every worker still take their turns; for as long as one does not, it is not sent

Without that variable nothing is sent and nothing is asked of workers.
"""

from __future__ import annotations

import os
from time import monotonic, monotonic_ns

from shotover.observability import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence
    from typing import Any

SEND_SECONDS = 1.0
"""How long a manager whose queue is full may hold us up."""
SHARE = 3
"""Signs of life that fit into the time after which the manager takes the process for hung."""

_log = log.get("shotover")


class ServiceManager:
    """See above. `environment` is left without the variables, so that programs started by transforms do not speak for us."""

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._address = _address(environment.pop("NOTIFY_SOCKET", ""))
        self._told_failure = False
        self.seconds = _watchdog_seconds(
            environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        )
        self._due = 0.0
        self._asked: set[int] = set()  # numbers of workers that have not answered yet
        self._since = 0.0  # when they were asked
        self._told_silence = False

    def ready(self, status: str) -> None:
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")

    def stopping(self, status: str, seconds: float) -> None:
        """It will be gone within `seconds`."""
        extend = f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}"
        self._send("STOPPING=1", f"STATUS={status}", extend)

    def look(self, workers: Sequence[Any]) -> None:
        """Called a few times a second: the sign of life, if one is due and all `workers` (WorkerThread) have answered.

        A worker that has ended is asked nothing: the supervisor deals with that.
        """
        now = monotonic()
        if self._address is None or self.seconds is None or now < self._due:
            return
        silent = [each for each in workers if each.index in self._asked and each.alive]
        if silent:
            if now - self._since > self.seconds / 2 and not self._told_silence:
                self._told_silence = True
                numbers = " ".join(str(each.index) for each in silent)
                _log.error(
                    "a worker takes no turns: the service manager is told nothing until it does, and may end this process",
                    worker=numbers,
                )
            return
        self._send("WATCHDOG=1")
        self._due, self._since, self._told_silence = now + self.seconds / SHARE, now, False
        self._asked = {each.index for each in workers if each.alive}
        for each in workers:
            if each.alive:
                each.worker.call(_answer(self._asked, each.index))

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        import _socket  # socket itself would cost 12 ms

        kind = _socket.SOCK_DGRAM | getattr(_socket, "SOCK_CLOEXEC", 0)
        try:
            sender = _socket.socket(_socket.AF_UNIX, kind)
            try:
                sender.settimeout(SEND_SECONDS)
                sender.sendto("\n".join(lines).encode(), self._address)
            finally:
                sender.close()
        except OSError as error:
            if not self._told_failure:
                self._told_failure = True
                _log.warning(
                    "the service manager cannot be told how this process is doing",
                    error=(error.strerror or str(error)).lower(),
                )


def _answer(asked: set[int], number: int) -> Callable[[], None]:
    """What a worker does to answer; a set of its own, so that an answer that is late counts for no other question."""

    def answer() -> None:
        asked.discard(number)

    return answer


def _address(text: str) -> str | bytes | None:
    """Where to send to: a path, or on Linux a name that begins with @; anything else (vsock) is of no use here."""
    if text.startswith("/"):
        return text
    return b"\0" + os.fsencode(text[1:]) if text.startswith("@") and len(text) > 1 else None


def _watchdog_seconds(microseconds: str, process: str) -> float | None:
    """After how long the manager takes this process for hung; None: it does not look, or not at this one."""
    if not (microseconds.isascii() and microseconds.isdecimal()) or int(microseconds[:18]) == 0:
        return None
    if process and process != str(os.getpid()):
        return None
    return int(microseconds[:18]) / 1_000_000
