"""A TCP link that misbehaves on command: stalls, cuts, resets, splits, delays, injects.

It stands between client and proxy or between proxy and server. One thread runs all of its
connections; the commands may be called from any thread and have taken effect when they return.
DOWN is the direction toward the target (requests), UP the one toward the client (replies).
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from support.wait import free_port

T = TypeVar("T")

DOWN, UP = "down", "up"
READ_SIZE = 1 << 16
HELD_SIZE_MAX = (
    1 << 20
)  # bytes a stalled direction takes in before it stops reading, as a full network would
LINGER_RESET = struct.pack("ii", 1, 0)


class Pipe:
    """One direction of one connection."""

    def __init__(self, name: str, source: socket.socket, target: socket.socket) -> None:
        self.name = name
        self.source = source
        self.target = target
        self.held = bytearray()  # taken in, not yet sent
        self.ready_at = 0.0  # monotonic: nothing is sent before
        self.ended = False  # the source has said FIN
        self.shut = False  # and it was passed on
        self.passed = 0  # bytes sent to the target


class Pair:
    """One connection through the link."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.pipes = {DOWN: Pipe(DOWN, client, server), UP: Pipe(UP, server, client)}
        self.open = True


class Link:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target_port`, and worse."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self.target_port = target_port
        self.pairs: list[Pair] = []
        self.accepted_total = 0
        self.passed = {DOWN: 0, UP: 0}  # bytes, over all connections
        self.stalled = {DOWN: False, UP: False}
        self.split_size = {DOWN: 0, UP: 0}  # bytes a send at most; 0 = as they come
        self.delay_s = {DOWN: 0.0, UP: 0.0}
        self.reset_after = {DOWN: -1, UP: -1}  # bytes still to pass before a reset; -1 = never
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._calls: list[Callable[[], None]] = []
        self._timers: list[tuple[float, int, Pair]] = []
        self._serial = itertools.count()  # keeps the heap from comparing pairs
        self._running = True
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)
        self._listener: socket.socket | None = None
        self._listen()
        self._thread = threading.Thread(target=self._run, name="chaos link", daemon=True)
        self._thread.start()

    # --- commands

    def stall(self, *directions: str) -> None:
        """Pass nothing on in `directions` (both if none is named) until `resume`."""
        self._do(lambda: self.stalled.update(dict.fromkeys(directions or (DOWN, UP), True)))

    def resume(self) -> None:
        self._do(lambda: self.stalled.update({DOWN: False, UP: False}))

    def split(self, size: int, *directions: str) -> None:
        """Send at most `size` bytes a segment in `directions` (both if none is named)."""
        self._do(lambda: self.split_size.update(dict.fromkeys(directions or (DOWN, UP), size)))

    def delay(self, seconds: float, *directions: str) -> None:
        self._do(lambda: self.delay_s.update(dict.fromkeys(directions or (DOWN, UP), seconds)))

    def reset_after_bytes(self, count: int, direction: str = UP) -> None:
        """Reset the connection that passes the next byte after `count` more in `direction`."""
        self._do(lambda: self.reset_after.update({direction: count}))

    def cut(self) -> None:
        """Close every connection on both sides with FIN."""
        self._do(lambda: [self._close(pair) for pair in list(self.pairs)])

    def reset(self) -> None:
        """Close every connection on both sides with RST."""
        self._do(lambda: [self._close(pair, reset=True) for pair in list(self.pairs)])

    def refuse(self) -> None:
        """Stop listening: a connect is refused. What is open stays."""
        self._do(self._unlisten)

    def accept(self) -> None:
        """Listen again, on the same port."""
        self._do(self._listen)

    def inject(self, raw: bytes, direction: str = UP) -> None:
        """Put `raw` into every open connection as if its peer had sent it."""

        def put() -> None:
            for pair in list(self.pairs):
                pair.pipes[direction].held += raw
                self._flush(pair, pair.pipes[direction])

        self._do(put)

    @property
    def live_count(self) -> int:
        """Connections open through the link."""
        return self._do(lambda: len(self.pairs))

    def held_size(self, direction: str) -> int:
        """Bytes taken in and not passed on, over all connections."""
        return self._do(lambda: sum(len(pair.pipes[direction].held) for pair in self.pairs))

    def close(self) -> None:
        def end() -> None:
            self._running = False

        self._do(end)
        self._thread.join(5)
        assert not self._thread.is_alive(), "the chaos link's thread does not end"

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- the thread

    def _do(self, call: Callable[[], T]) -> T:
        """Run `call` on the link's thread and return its result."""
        done = threading.Event()
        results: list[T] = []

        def run() -> None:
            results.append(call())
            done.set()

        with self._lock:
            self._calls.append(run)
        self._wake_write.send(b"!")
        assert done.wait(5), "the chaos link's thread is gone"
        return results[0]

    def _run(self) -> None:
        while self._running:
            timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            for key, _ in self._selector.select(timeout):
                if key.fileobj.fileno() >= 0:  # type: ignore[union-attr]  # closed by an earlier one of this turn
                    key.data()
            while self._timers and self._timers[0][0] <= time.monotonic():
                self._touch(heapq.heappop(self._timers)[2])
        for pair in list(self.pairs):
            self._close(pair)
        self._unlisten()
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    def _woken(self) -> None:
        self._wake_read.recv(READ_SIZE)
        with self._lock:
            calls, self._calls = self._calls, []
        for call in calls:
            call()
        for pair in list(self.pairs):
            self._touch(pair)

    def _listen(self) -> None:
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(1024)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._accepted)
        self._listener = listener

    def _unlisten(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _accepted(self) -> None:
        assert self._listener is not None
        client, _ = self._listener.accept()
        self.accepted_total += 1
        try:
            server = socket.create_connection(("127.0.0.1", self.target_port), timeout=2)
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
            client.close()
            return
        for side in (client, server):
            side.setblocking(False)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = Pair(client, server)
        self.pairs.append(pair)
        self._touch(pair)

    def _touch(self, pair: Pair) -> None:
        """Send what may be sent, then wait for exactly what can happen next."""
        for pipe in pair.pipes.values():
            if pair.open:
                self._flush(pair, pipe)
        if not pair.open:
            return
        down, up = pair.pipes[DOWN], pair.pipes[UP]
        for side, incoming, outgoing in ((pair.client, down, up), (pair.server, up, down)):
            events = 0
            if not incoming.ended and len(incoming.held) < HELD_SIZE_MAX:
                events |= selectors.EVENT_READ
            if outgoing.held and self._may_send(outgoing):
                events |= selectors.EVENT_WRITE
            self._watch(side, events, lambda pair=pair, pipe=incoming: self._moved(pair, pipe))

    def _watch(self, side: socket.socket, events: int, call: Callable[[], None]) -> None:
        known = self._selector.get_map().get(side)
        if known is None and events:
            self._selector.register(side, events, call)
        elif known is not None and not events:
            self._selector.unregister(side)
        elif known is not None and known.events != events:
            self._selector.modify(side, events, call)

    def _moved(self, pair: Pair, pipe: Pipe) -> None:
        """`pipe.source` is readable, or writable for the other pipe: both are cheap to try."""
        if not pair.open:
            return
        try:
            raw = pipe.source.recv(READ_SIZE) if len(pipe.held) < HELD_SIZE_MAX else None
        except BlockingIOError:
            raw = None
        except OSError:
            self._close(pair, reset=True)  # a reset is passed on as a reset
            return
        if raw == b"":
            pipe.ended = True
        elif raw:
            if self.delay_s[pipe.name]:
                pipe.ready_at = time.monotonic() + self.delay_s[pipe.name]
                heapq.heappush(self._timers, (pipe.ready_at, next(self._serial), pair))
            pipe.held += raw
        self._touch(pair)

    def _may_send(self, pipe: Pipe) -> bool:
        return not self.stalled[pipe.name] and time.monotonic() >= pipe.ready_at

    def _flush(self, pair: Pair, pipe: Pipe) -> None:
        if not self._may_send(pipe):
            return
        try:
            while pipe.held:
                size = self._send_size(pipe)
                if size == 0:
                    self.reset_after[pipe.name] = -1
                    self._close(pair, reset=True)
                    return
                sent = pipe.target.send(memoryview(pipe.held)[:size])
                self._account(pipe, sent)
            if pipe.ended and not pipe.shut:
                pipe.shut = True
                pipe.target.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:
            self._close(pair, reset=True)
            return
        if all(each.shut for each in pair.pipes.values()):
            self._close(pair)

    def _send_size(self, pipe: Pipe) -> int:
        size = min(len(pipe.held), self.split_size[pipe.name] or len(pipe.held))
        left = self.reset_after[pipe.name]
        return size if left < 0 else min(size, left)

    def _account(self, pipe: Pipe, sent: int) -> None:
        del pipe.held[:sent]
        pipe.passed += sent
        self.passed[pipe.name] += sent
        if self.reset_after[pipe.name] >= 0:
            self.reset_after[pipe.name] -= sent

    def _close(self, pair: Pair, *, reset: bool = False) -> None:
        if not pair.open:
            return
        pair.open = False
        self.pairs.remove(pair)
        for side in (pair.client, pair.server):
            with contextlib.suppress(KeyError):
                self._selector.unregister(side)
            if reset:
                with contextlib.suppress(OSError):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
            side.close()
