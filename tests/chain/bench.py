"""A chain under test: read from a topology, built and served by one Worker in a thread of this process.

What a worker counts can be looked at from inside: `census` (what is alive), `samples`, `log`, the compiled steps.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from support.resp import RawClient, encode
from support.wait import wait_until, wait_until_equal

from shotover._core.ledger import Share
from shotover._proxy.worker import Worker
from shotover.runtime.assemble import build_source, load

DRAIN_MS = 5000


def sink(port: int, **fields: Any) -> dict[str, Any]:
    """A RedisSinkSingle for a server on loopback."""
    return {
        "RedisSinkSingle": {
            "remote_address": f"127.0.0.1:{port}",
            "connect_timeout_ms": 3000,
            **fields,
        }
    }


class Bench:
    """Serves `chain` on `port` until `close`, which drains it and checks that nothing is left."""

    def __init__(
        self,
        chain: list[Any],
        *,
        poller: str = "epoll",
        source: dict[str, Any] | None = None,
        memory_limit: int = 0,
    ) -> None:
        fields = {"name": "s", "listen_addr": "127.0.0.1:0", **(source or {}), "chain": chain}
        with TemporaryDirectory() as directory:
            path = Path(directory, "topology.yaml")
            path.write_text(yaml.safe_dump({"sources": [{"Redis": fields}]}))
            [self.source] = load(str(path), None, {}).topology.sources
        self.memory = Share(memory_limit)
        self.worker = Worker(0, poller=poller, memory=self.memory)
        self.chain = build_source(self.worker, self.source, {})
        address = self.worker.listen(
            "s", "redis", "127.0.0.1:0", self.chain, **self.source.options()
        )
        self.port = int(address.rpartition(":")[2])
        self.lines: list[str] = []
        self.thread = threading.Thread(target=self.worker.run)
        self.thread.start()
        self.clients: list[RawClient] = []
        self.polls_late = poller != "epoll"  # a closed connection ends some turns later

    def client(self) -> RawClient:
        self.clients.append(RawClient(self.port))
        return self.clients[-1]

    def play(self, *requests: tuple[Any, ...] | str) -> list[bytes]:
        """One client sends all requests (`"GET a"`, or words) in one write; the replies as they come."""
        client = self.client()
        client.send(b"".join(encode(*(r.split() if isinstance(r, str) else r)) for r in requests))
        replies = client.frames(len(requests))
        client.close()
        return replies

    def steps(self) -> Iterator[Any]:
        """Every compiled step, those of sub-chains too."""
        chains = [self.chain]
        for chain in chains:
            for step in chain.steps:
                yield step
                chains.extend(step.chains)

    def step(self, type_name: str) -> Any:
        return next(step for step in self.steps() if step.type_name == type_name)

    def sample(self, name: str, /, **labels: str) -> float:
        """The sum of a metric over all series that carry `labels`."""
        return sum(
            value
            for sample, carried, _kind, value in self.worker.samples()
            if sample == name and labels.items() <= carried.items()
        )

    def memory_taken(self) -> int:
        """Bytes of chunks that the worker has in use."""
        return int(self.sample("shotover_memory_bytes"))

    def log(self) -> list[str]:
        """Everything logged so far."""
        self.lines += [text for _level, text, _fields in self.worker.log_take()]
        return self.lines

    def settle(self) -> None:
        """Waits until every request has been answered everywhere."""
        wait_until_equal(lambda: self.worker.census()["requests"], 0, "requests alive")

    def gone(self) -> None:
        """Waits until all clients, each of which has closed its side, have been read to the end and forgotten."""
        opened = len(self.clients)
        wait_until(lambda: self.sample("connections_opened") == opened, "all have been accepted")
        wait_until_equal(lambda: self.worker.census()["sessions"], 0, "sessions alive")

    def _let_go(self) -> bool:
        return self.worker.census()["streams"] <= int(self.sample("shotover_upstream_connections"))

    def close(self) -> None:
        """Drains; afterwards no request, session, stream or chunk may be left."""
        for client in self.clients:
            client.close()
        if self.polls_late and self.thread.is_alive():
            wait_until(self._let_go, "the kernel has let go of what was closed")
        self.worker.drain(DRAIN_MS)
        self.thread.join(2 * DRAIN_MS / 1000)
        assert not self.thread.is_alive(), "the worker did not stop"
        census = self.worker.census()
        upstreams = int(self.sample("shotover_upstream_connections"))
        left = {
            name: count
            for name, count in census.items()
            if count and name not in ("streams", "chunks", "segments")
        }
        assert not left, f"left alive: {census}"
        if self.polls_late:
            return  # what the last turn closed goes with the poller
        assert census["streams"] <= upstreams, f"streams beyond {upstreams} upstreams: {census}"
        if upstreams == 0:
            assert not any(census.values()), f"left alive: {census}"


class Silent:
    """A server that takes connections and reads, but never answers; `received` is what it got."""

    def __init__(self, *, reads: bool = True) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.reads = reads
        self.received = b""
        self.connections: list[socket.socket] = []
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            if self.reads:
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(65536):
                self.received += data
        except OSError:
            return

    def close(self) -> None:
        for waited in (self.listener, *self.connections):
            with contextlib.suppress(OSError):
                waited.shutdown(socket.SHUT_RDWR)  # a thread may still wait in it
            waited.close()


class Scripted:
    """A server that answers each connection's first bytes with `answer` and hangs up."""

    def __init__(self, answer: bytes) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.recv(65536)
            connection.sendall(self.answer)
            connection.close()

    def close(self) -> None:
        self.listener.close()
