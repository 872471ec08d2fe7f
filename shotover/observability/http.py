"""A small HTTP/1.1 server for the control plane: metrics, health, switches.

It has no thread: it is stepped by whoever waits anyway (the supervisor's main thread, through
`turn`), so it needs no lock and costs a few kilobytes. It is written on `_socket` and poll(),
because importing socket costs 12 ms, selectors and http.server far more, and select() fails on
descriptors above 1023, which a proxy has.

Everything a peer can grow is bounded: connections, header, body, requests a turn and the time for
each state below. A full house shows out whoever has made no progress for longest, so that slow
peers can not keep the scraper away.

    READING  awaits or reads a request; IDLE_SECONDS, then REQUEST_SECONDS from its first byte
    WRITING  sends a response; WRITE_SECONDS for all of it; nothing is read meanwhile
    LEAVING  has said all; what still comes is thrown away, lest a reset destroy the response
"""

from __future__ import annotations

import os
import select
import time
from _socket import (
    AF_INET,
    AF_INET6,
    SHUT_WR,
    SO_REUSEADDR,
    SOCK_STREAM,
    SOL_SOCKET,
    inet_pton,
)
from _socket import socket as Socket

from . import log
from .httpwire import Bad, Request, Response, parse_request, response_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Handler = Callable[[Request], Response]

CONNECTIONS_MAX = 16
BACKLOG = 128  # a short one makes the kernel drop connects, which peers repeat after a second
READ_BYTES = 16 * 1024  # from one connection in one turn
IDLE_SECONDS = 90.0  # between requests; longer than the usual scrape interval
REQUEST_SECONDS = 5.0  # from a request's first byte to its last
WRITE_SECONDS = 10.0
LEAVE_SECONDS = 1.0
ACCEPT_PAUSE_SECONDS = 1.0  # after running out of descriptors

READING, WRITING, LEAVING = range(3)

_logger = log.get("shotover::observability")


class AddressError(ValueError):
    """An address that is not `ip:port` or `[ipv6]:port`."""


class BindError(OSError):
    """An address that can not be listened on; the text says which and why."""


def parse_address(text: str) -> tuple[int, str, int]:
    """`ip:port` or `[ipv6]:port` as (family, host, port). Names are not looked up."""
    host, colon, port = text.rpartition(":")
    family = AF_INET
    if host.startswith("[") and host.endswith("]"):
        family, host = AF_INET6, host[1:-1]
    try:
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError
        inet_pton(family, host)
    except (OSError, ValueError):
        raise AddressError(
            f"{text!r} is not an address: expected ip:port or [ipv6]:port, such as 127.0.0.1:9001"
        ) from None
    return family, host, int(port)


def is_loopback(host: str) -> bool:
    """Whether an IP address is this machine's own."""
    return host == "::1" or host.removeprefix("::ffff:").startswith("127.")


class _Connection:
    """One peer. `inbox` never holds more than one request's bounds and one read."""

    __slots__ = (
        "continued",
        "deadline",
        "inbox",
        "keep_alive",
        "outbox",
        "peer",
        "sent",
        "since",
        "sock",
        "state",
    )

    def __init__(self, sock: Socket, peer: str, now: float) -> None:
        self.sock = sock
        self.peer = peer
        self.state = READING
        self.since = now  # of the last progress, by which a full house chooses
        self.deadline = now + REQUEST_SECONDS  # a new peer has come to say something
        self.inbox = bytearray()
        self.outbox = b""
        self.sent = 0  # bytes of outbox
        self.keep_alive = True
        self.continued = False  # leave to send the body was given


class HttpServer:
    """Listens on `address` at once; raises AddressError or BindError.

    `handler` makes a Response of a Request; it must not block. `purpose` names the server in
    errors.
    """

    def __init__(
        self,
        address: str,
        handler: Handler,
        purpose: str = "observability",
        fd: int | None = None,
    ) -> None:
        """`fd`: a socket that listens there already."""
        family, host, port = parse_address(address)
        self._handler = handler
        self.purpose: object = purpose
        self._connections: dict[int, _Connection] = {}
        self._buffered: set[int] = (
            set()
        )  # connections whose next request may be in the inbox already
        self._accept_after = 0.0
        self._listener = Socket(family, SOCK_STREAM) if fd is None else Socket(fileno=fd)
        try:
            self._listener.setblocking(False)
            if fd is None:
                self._listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
                self._listener.bind((host, port))
                self._listener.listen(BACKLOG)
        except OSError as error:
            self._listener.close()
            reason = os.strerror(error.errno) if error.errno else str(error)
            text = f"cannot listen on {address} for {purpose}: {reason}"
            raise BindError(error.errno, text) from None
        port = self._listener.getsockname()[1]
        self.address = f"[{host}]:{port}" if family == AF_INET6 else f"{host}:{port}"

    def listener(self) -> int:
        """Its descriptor."""
        return self._listener.fileno()

    def wanted(self) -> dict[int, int]:
        """The poll() events to wait for, by descriptor."""
        events = {
            fd: select.POLLOUT if connection.state == WRITING else select.POLLIN
            for fd, connection in self._connections.items()
            if fd not in self._buffered  # what has come is answered before more is read
        }
        if time.monotonic() >= self._accept_after:
            events[self._listener.fileno()] = select.POLLIN
        return events

    def deadline(self) -> float | None:
        """When `step` is due without events, in time.monotonic(); None: not before an event."""
        if self._buffered:
            return 0.0
        times = [connection.deadline for connection in self._connections.values()]
        if self._accept_after > time.monotonic():
            times.append(self._accept_after)
        return min(times) if times else None

    def step(self, events: Iterable[tuple[int, int]]) -> None:
        """Handles what poll() found, and what time brought. Does not block."""
        now = time.monotonic()
        ready = {fd for fd, _ in events}
        for fd in sorted(ready | self._buffered):  # sorted: no peer is served by the luck of a hash
            connection = self._connections.get(fd)
            if connection is not None:
                self._advance(fd, connection, fd in ready, now)
        for fd, connection in list(self._connections.items()):
            if connection.deadline <= now:
                self._close(fd)
        if self._listener.fileno() in ready:
            self._accept(now)

    def close(self) -> None:
        """Closes the listener and every connection, whatever they are doing."""
        for fd in list(self._connections):
            self._close(fd)
        self._listener.close()

    def _accept(self, now: float) -> None:
        for _ in range(CONNECTIONS_MAX):
            try:
                fd, address = self._listener._accept()  # type: ignore[attr-defined]
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # out of descriptors, mostly: the peer stays in the queue and the listener readable,
                # so going on would spin
                self._accept_after = now + ACCEPT_PAUSE_SECONDS
                _logger.limited("accept", 0.1).error("cannot accept", error=error.strerror)
                return
            sock = Socket(fileno=fd)
            sock.setblocking(False)
            if len(self._connections) >= CONNECTIONS_MAX:
                self._close(min(self._connections, key=self._worth))
            self._connections[fd] = _Connection(sock, str(address[0]), now)

    def _worth(self, fd: int) -> tuple[bool, bool, float]:
        """Least for whom a newcomer replaces: who waits, then who asks, then who is served."""
        connection = self._connections[fd]
        return connection.state == WRITING, bool(connection.inbox), connection.since

    def _advance(self, fd: int, connection: _Connection, ready: bool, now: float) -> None:
        try:
            if connection.state == WRITING:
                self._write(fd, connection, now)
            elif connection.state == LEAVING:
                if ready and not connection.sock.recv(READ_BYTES):
                    self._close(fd)
            elif fd in self._buffered or self._read(connection, now):
                self._answer(fd, connection, now)
            else:
                self._close(fd)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:  # reset, broken pipe: the peer is gone
            self._close(fd)

    def _read(self, connection: _Connection, now: float) -> bool:
        """Reads once; False at the end, where nobody waits for an answer any more."""
        data = connection.sock.recv(READ_BYTES)
        if data and not connection.inbox:
            connection.deadline = now + REQUEST_SECONDS
            connection.since = now
        connection.inbox += data
        return bool(data)

    def _answer(self, fd: int, connection: _Connection, now: float) -> None:
        """Answers one request, if a whole one has come; the next waits for the next turn."""
        self._buffered.discard(fd)
        try:
            request = parse_request(connection.inbox, connection.continued)
            if request is None:
                return
            connection.continued = request.continue_expected
            if connection.continued:
                connection.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            request.peer = connection.peer
            response = self._handle(request)
            connection.keep_alive = request.keep_alive
            head_only = request.method == "HEAD"
        except Bad as bad:
            response = Response(bad.status, f"{bad}\n")
            connection.keep_alive = head_only = False
        connection.outbox = response_bytes(response, connection.keep_alive, head_only)
        connection.sent = 0
        connection.state = WRITING
        connection.deadline = now + WRITE_SECONDS
        self._write(fd, connection, now)

    def _handle(self, request: Request) -> Response:
        try:
            response = self._handler(request)
            response.gather()
            return response
        except Exception as error:
            log.crash(error, method=request.method, path=request.path)
            return Response(500, "internal error; the log says more\n")

    def _write(self, fd: int, connection: _Connection, now: float) -> None:
        connection.since = now
        rest = memoryview(connection.outbox)[connection.sent :]
        connection.sent += connection.sock.send(rest)
        if connection.sent < len(connection.outbox):
            return
        connection.outbox = b""
        if not connection.keep_alive:
            connection.state = LEAVING
            connection.deadline = now + LEAVE_SECONDS
            connection.inbox.clear()
            connection.sock.shutdown(SHUT_WR)
            return
        connection.state = READING
        connection.deadline = now + (REQUEST_SECONDS if connection.inbox else IDLE_SECONDS)
        if connection.inbox:
            self._buffered.add(fd)

    def _close(self, fd: int) -> None:
        self._buffered.discard(fd)
        connection = self._connections.pop(fd, None)
        if connection is not None:
            connection.sock.close()


def turn(servers: Iterable[HttpServer], timeout: float, fds: Iterable[int] = ()) -> list[int]:
    """Waits up to `timeout` seconds for any server or for one of `fds` to be readable.

    Steps the servers; returns which of `fds` are ready. The supervisor's whole waiting is this.
    """
    poll = select.poll()
    owners: dict[int, HttpServer] = {}
    servers = list(servers)
    due = time.monotonic() + timeout
    for server in servers:
        deadline = server.deadline()
        due = due if deadline is None else min(due, deadline)
        for fd, events in server.wanted().items():
            owners[fd] = server
            poll.register(fd, events)
    for fd in fds:
        poll.register(fd, select.POLLIN)
    wait_ms = max(0.0, due - time.monotonic()) * 1000
    found = poll.poll(wait_ms + 1 if wait_ms else 0)  # + 1: poll() cuts to whole milliseconds
    for server in servers:
        server.step([event for event in found if owners.get(event[0]) is server])
    return [fd for fd, _ in found if fd not in owners]
