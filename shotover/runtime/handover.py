"""From one process to the next without a gap: the newer asks the older for its listeners, and takes its place when it is up.

Both are started with the same --hotreload-socket: a UNIX socket (SEQPACKET) on which whoever serves listens.

    newer                                                 older
    "SendListeningSockets"                          ->
                                                    <-    "SendListeningSockets", with the listeners (SCM_RIGHTS)
    builds everything, begins to accept                   goes on accepting
    {"GradualShutdown": {"duration": {"secs": 60, "nanos": 0}}} ->
                                                    <-    "GradualShutdown"; accepts no more, disconnects its clients
    listens on the path from now on                       little by little, ends with the last

The messages are those of Shotover in Rust, whose older process stops at the first of them. Here a newer one that fails,
wherever that is, leaves the older one as it was. What is not understood is answered {"Error": "why"}.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time

from shotover.config.errors import ConfigError
from shotover.observability import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PACKET_BYTES = 65_536
FDS_MAX = 250
ANSWER_SECONDS = 30.0
SEND, SHUTDOWN = "SendListeningSockets", "GradualShutdown"
PEERS_MAX = 4

_log = log.get("shotover::hotreload")


class Predecessor:
    """The process that serves now, as the one that takes its place sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def listeners(self) -> list[int]:
        """Copies of its listeners. Raises ConfigError."""
        _answer, fds = self._ask(SEND)
        return fds

    def retire(self, seconds: float) -> None:
        """It is to accept no more, and to be rid of its clients within that time."""
        whole = int(seconds)
        duration = {"secs": whole, "nanos": int((seconds - whole) * 1e9)}
        self._ask({SHUTDOWN: {"duration": duration}})

    def close(self) -> None:
        self._connection.close()

    def _ask(self, message: object) -> tuple[object, list[int]]:
        try:
            self._connection.sendall(json.dumps(message).encode())
            data, fds, _flags, _address = socket.recv_fds(self._connection, PACKET_BYTES, FDS_MAX)
        except OSError as error:
            raise ConfigError(
                [f"--hotreload-socket: the process there does not answer: {error}"]
            ) from None
        for fd in fds:
            os.set_inheritable(fd, False)
        try:
            answer = json.loads(data) if data else {"Error": "it has hung up"}
        except ValueError:
            answer = {"Error": "its answer cannot be understood"}
        if isinstance(answer, dict) and "Error" in answer:
            for fd in fds:
                os.close(fd)
            raise ConfigError([f"--hotreload-socket: the process there says: {answer['Error']}"])
        return answer, fds


def find(path: str) -> Predecessor | None:
    """Who serves on `path` now; None: nobody. Raises ConfigError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(ANSWER_SECONDS)
    try:
        connection.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        raise ConfigError([f"--hotreload-socket {path}: {error.strerror or error}"]) from None
    return Predecessor(connection)


class Heir:
    """Listens for whoever is to take this process's place; stepped by the main thread, like an HttpServer.

    `listeners` gives the descriptors to hand out, `retire` is called with the seconds that a newer process leaves to this one,
    `lost` when one that has our listeners has gone.
    """

    purpose = "hotreload"

    def __init__(
        self,
        path: str,
        listeners: Callable[[], list[int]],
        retire: Callable[[float], None],
        lost: Callable[[], None],
    ) -> None:
        """Takes the path over from whoever had it. Raises ConfigError."""
        self._path = path
        self._listeners = listeners
        self._retire = retire
        self._lost = lost
        self._peers: dict[int, socket.socket] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.setblocking(False)
        fresh = f"{path}.{os.getpid()}"
        before = os.umask(0o177)
        try:
            self._listener.bind(fresh)
            self._listener.listen(PEERS_MAX)
            os.rename(fresh, path)  # whoever asks finds one of the two, at any time
        except OSError as error:
            self._listener.close()
            raise ConfigError([f"--hotreload-socket {path}: {error.strerror or error}"]) from None
        finally:
            os.umask(before)
        self._inode = os.stat(path).st_ino

    def wanted(self) -> dict[int, int]:
        return {fd: select.POLLIN for fd in (self._listener.fileno(), *self._peers)}

    def deadline(self) -> float | None:
        return None

    def step(self, events: Iterable[tuple[int, int]]) -> None:
        for fd, _event in events:
            peer = self._peers.get(fd)
            if peer is None:
                self._accept()
                continue
            try:
                data = peer.recv(PACKET_BYTES)
                if not data:
                    raise ConnectionResetError
                self._answer(peer, data)
            except BlockingIOError:
                continue
            except OSError:
                self._peers.pop(fd).close()
                self._lost()

    def _accept(self) -> None:
        try:
            peer, _address = self._listener.accept()
        except OSError:
            return
        if len(self._peers) >= PEERS_MAX:  # a newer one may have died without a word
            self._peers.pop(next(iter(self._peers))).close()
        peer.setblocking(False)
        self._peers[peer.fileno()] = peer

    def _answer(self, peer: socket.socket, data: bytes) -> None:
        try:
            message = json.loads(data)
        except ValueError:
            message = None
        if message == SEND:
            fds = self._listeners()[:FDS_MAX]
            socket.send_fds(peer, [json.dumps(SEND).encode()], fds)
            _log.info("listeners were handed to another process", count=len(fds))
            return
        seconds = _seconds(message)
        if seconds is None:
            peer.send(json.dumps({"Error": f"expected {SEND} or {SHUTDOWN}"}).encode())
            return
        peer.send(json.dumps(SHUTDOWN).encode())
        self._retire(seconds)

    def close(self) -> None:
        """The path goes, too, unless it is another's by now."""
        for peer in self._peers.values():
            peer.close()
        self._peers.clear()
        self._listener.close()
        try:
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)
        except OSError:
            return


def _seconds(message: object) -> float | None:
    """Of GradualShutdown; None: it is something else."""
    try:
        duration = message[SHUTDOWN]["duration"]  # type: ignore[index]
        seconds = float(duration["secs"]) + float(duration.get("nanos", 0)) * 1e-9
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
    return seconds if 0 <= seconds <= 86_400 else None


class Retirement:
    """How a process ends for which there is an heir: little by little, so that its clients do not all come back at once."""

    CHUNK_SECONDS = 0.2

    def __init__(self, seconds: float) -> None:
        now = time.monotonic()
        self._until = now + seconds
        self._next = (
            now + self.CHUNK_SECONDS
        )  # who came at the last moment is about to ask something

    def due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self.CHUNK_SECONDS
        return True

    def chunk(self, left: int) -> int:
        """How many of so many clients go now."""
        turns = max(1.0, (self._until - time.monotonic()) / self.CHUNK_SECONDS)
        return max(1, -int(-left // turns))

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._until
