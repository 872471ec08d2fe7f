"""Three real Cassandra nodes in two data centers, shared by all processes of a test run.

Node 0 is in dc1, rack r1, node 1 in dc1, rack r2, node 2 in dc2, rack r1; each has four tokens, dealt in turn. Tests that harm
nodes have the ring to themselves: see `harm`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from shotover._codec.cql.selecting import read_rows
from support.cassandra import QUERY, SCRIPT, START_S, CqlClient, Reply, locked, query
from support.wait import free_port, wait_until

PLACES = (("dc1", "r1"), ("dc1", "r2"), ("dc2", "r1"))
TOKENS_EACH = 4
UP_S = 120.0


def rows_of(reply: Reply) -> list[dict[str, bytes | None]]:
    """Of a RESULT, which may have warnings before it."""
    body = reply.body
    if reply.flags & 8:
        count, at = struct.unpack_from(">H", body)[0], 2
        for _ in range(count):
            at += 2 + struct.unpack_from(">H", body, at)[0]
        body = body[at:]
    return read_rows(body, 4)[1]


class RingNode:
    """One of them. `stop` is SIGSTOP: it is there and says nothing."""

    def __init__(self, ring: Ring, index: int) -> None:
        self.ring, self.index = ring, index
        self.host = f"{ring.prefix}{index + 1}"
        self.port = ring.port
        self.center, self.rack = PLACES[index]
        self.directory = ring.directory / f"node{index}"

    def launch(self) -> subprocess.Popen[bytes]:
        """Begins to start it; `wait` waits until it answers."""
        step = (1 << 64) // (TOKENS_EACH * len(PLACES))
        tokens = [
            -(1 << 63) + 1000 + step * (self.index + len(PLACES) * turn)
            for turn in range(TOKENS_EACH)
        ]
        return subprocess.Popen(
            [
                sys.executable, str(SCRIPT), "start", "--dir", str(self.directory), "--host", self.host,
                "--port", str(self.port), "--storage-port", str(self.ring.storage_port),
                "--seed", f"{self.ring.prefix}1", f"--token={','.join(map(str, tokens))}",
                "--center", self.center, "--rack", self.rack,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )  # fmt: skip

    def start(self) -> None:
        wait(self.launch())

    def signal(self, number: int) -> None:
        os.kill(int((self.directory / "pid").read_text()), number)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        wait_until(lambda: not self.listens(), f"node {self.index} is gone")

    def stop(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def listens(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=5).close()
        except OSError:
            return False
        return True

    def ask(self, text: str) -> list[dict[str, bytes | None]]:
        """The rows of a query, asked of it alone."""
        with CqlClient(self.port, host=self.host) as client:
            return rows_of(client.open().ask(QUERY, query(text)))

    def sees(self) -> set[bytes | None]:
        """Versions of the schema, as it knows those of all; empty: it does not know all."""
        try:
            peers = self.ask("SELECT schema_version FROM system.peers")
            rows = peers + self.ask("SELECT schema_version FROM system.local")
        except (OSError, ValueError, AssertionError):
            return set()
        return {row["schema_version"] for row in rows} if len(rows) == len(PLACES) else set()


class Ring:
    """`directory`: of all nodes, and of what other processes need to know."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        told = json.loads((directory / "ring.json").read_text())
        self.prefix: str = told["prefix"]
        self.port: int = told["port"]
        self.storage_port: int = told["storage_port"]
        self.nodes = [RingNode(self, index) for index in range(len(PLACES))]

    @classmethod
    def start(cls, directory: Path) -> Ring:
        directory.mkdir(parents=True, exist_ok=True)
        told = {
            "prefix": f"127.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250}.",
            "port": free_port(),
            "storage_port": free_port(),
        }
        (directory / "ring.json").write_text(json.dumps(told))
        ring = cls(directory)
        ring.nodes[0].start()  # the others read the ring from it
        for started in [node.launch() for node in ring.nodes[1:]]:
            wait(started)
        ring.agree()
        return ring

    def agree(self) -> None:
        def all_see_one() -> bool:
            found = [node.sees() for node in self.nodes]
            return all(len(versions) == 1 for versions in found) and len(set.union(*found)) == 1

        wait_until(all_see_one, "the nodes know each other and agree", deadline_s=UP_S)

    def end(self) -> None:
        for node in self.nodes:
            with contextlib.suppress(OSError):
                node.signal(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextlib.contextmanager
    def using(self, alone: bool = False) -> Iterator[Ring]:
        """While this holds, nobody harms a node; with `alone`, nobody else uses the ring."""
        with open(self.directory / "use", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield self

    @contextlib.contextmanager
    def harm(self) -> Iterator[Ring]:
        """The ring alone; what was harmed is made whole in the end."""
        with self.using(alone=True):
            try:
                yield self
            finally:
                for node in self.nodes:
                    with contextlib.suppress(ProcessLookupError):
                        node.resume()
                    if not node.listens():
                        node.start()
                self.agree()


def wait(started: subprocess.Popen[bytes]) -> None:
    _, errors = started.communicate(timeout=START_S)
    assert started.returncode == 0, errors.decode()[-2000:]


@contextlib.contextmanager
def shared_ring(place: Path) -> Iterator[Ring]:
    """One for all users of this run, in whatever process; the last of them ends it."""
    directory, users = place / "cassandra-ring", place / "cassandra-ring-users"
    users.mkdir(parents=True, exist_ok=True)
    mine = users / uuid.uuid4().hex
    with locked(place):
        ring = Ring(directory) if (directory / "ready").exists() else Ring.start(directory)
        (directory / "ready").touch()
        mine.touch()
    try:
        yield ring
    finally:
        with locked(place):
            mine.unlink()
            if not any(users.iterdir()):
                ring.end()


# ---- proxies before it -----------------------------------------------------------------------------


def host_id(index: int) -> str:
    return f"2dd022d6-2937-4754-89d6-02d2933a8f{index:02x}"


class Member:
    """One proxy of a ring of proxies: where it listens, and for which servers it stands."""

    def __init__(self, host: str, port: int, center: str = "dc1", rack: str = "r1") -> None:
        self.host, self.port, self.center, self.rack = host, port, center, rack


class Cluster(Protocol):
    """Real, or played."""

    @property
    def port(self) -> int: ...
    @property
    def nodes(self) -> Sequence[Any]: ...


def cluster_sink(ring: Cluster, members: list[Member], own: int, **fields: Any) -> dict[str, Any]:
    return {
        "CassandraSinkCluster": {
            "name": "sink",
            "first_contact_points": [f"{node.host}:{ring.port}" for node in ring.nodes[:2]],
            "local_shotover_host_id": host_id(own),
            "shotover_nodes": [
                {
                    "address": f"{member.host}:{member.port}",
                    "data_center": member.center,
                    "rack": member.rack,
                    "host_id": host_id(index),
                }
                for index, member in enumerate(members)
            ],
            "connect_timeout_ms": 3000,
            "check_shotover_peers_delay_ms": 200,
            **fields,
        }
    }
