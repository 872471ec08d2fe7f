"""A primary with replicas, and the sentinels that watch them: real servers on free loopback ports."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import redis
from redis.sentinel import Sentinel

from support.certificates import usual
from support.resp import RawClient
from support.servers import PATHS, Server
from support.wait import DEADLINE_S, answers, free_port, wait_until

NAME = "primary"  # what the sentinels call the primary
DOWN_MS = 1000  # without an answer for so long, a server counts as down
PERIOD_MS = (
    200  # between a sentinel's questions to servers (10 s by default) and its words to others (2 s)
)
FAILOVER_S = 45.0  # some three votes, each with a delay by chance, on a machine with other work


class SentinelServer:
    """One sentinel; what it watches is given by `start`, so that it can be started again."""

    def __init__(self, kind: str, lines: list[str], options: list[str], tls: bool = False) -> None:
        self.path = PATHS[kind]()
        self.kind = kind
        self.directory = Path(tempfile.mkdtemp(prefix="sentinel-"))
        self.options = options
        self.port = free_port()
        self.tls_port = free_port() if tls else 0
        (self.directory / "sentinel.conf").write_text("\n".join([*lines, ""]))
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Returns when it accepts. It goes on where it was: its file tells what it knew."""
        command = [
            self.path,
            "sentinel.conf",
            "--sentinel",
            "--port",
            str(self.port),
            *(("--tls-port", str(self.tls_port)) if self.tls_port else ()),
            *self.options,
        ]
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.directory, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        process = self.process
        wait_until(
            lambda: process.poll() is not None or answers(self.port),
            f"a sentinel accepts on {self.port}",
        )
        assert process.poll() is None, f"the sentinel ended:\n{self.log()[-2000:]}"

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Kill it and forget its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def raw(self) -> RawClient:
        return RawClient(self.port)


class Sentinels:
    """`servers[0]` is the primary at first; `password` is that of the servers, `sentinel_password` the sentinels'."""

    def __init__(
        self,
        *,
        replicas: int = 1,
        sentinels: int = 3,
        kind: str = "redis",
        password: str = "",
        sentinel_password: str = "",
        down_ms: int = DOWN_MS,
        host: str = "127.0.0.1",
        options: tuple[str, ...] = (),
        tls: bool = False,
    ) -> None:
        self.kind = kind
        self.tls = tls  # all speak it among themselves; each listens for it beside its plain port
        self.password = password
        self.sentinel_password = sentinel_password
        self.host = host  # by which servers call each other; a name makes sentinels announce names
        self.servers: list[Server] = []
        self.sentinels: list[SentinelServer] = []
        self._closing = contextlib.ExitStack()
        try:
            self._start_servers(replicas, options)
            self._start_sentinels(sentinels, down_ms)
            self.wait_settled()
        except BaseException:
            self.stop()
            raise

    def _start_servers(self, replicas: int, options: tuple[str, ...]) -> None:
        secret = ["--requirepass", self.password, "--masterauth", self.password]
        options = (*(secret if self.password else ()), "--repl-diskless-sync-delay", "0", *options)
        if not self.host[0].isdigit():
            options = (*options, "--replica-announce-ip", self.host)
        if self.tls:
            options = (*options, "--tls-replication", "yes")
        self.servers.append(Server(self.kind, *options, tls=self.tls))
        of = f"{self.host} {self.servers[0].tls_port or self.servers[0].port}"
        for _ in range(replicas):
            self.servers.append(Server(self.kind, "--replicaof", of, *options, tls=self.tls))

    def _start_sentinels(self, count: int, down_ms: int) -> None:
        names = ["sentinel resolve-hostnames yes", "sentinel announce-hostnames yes"]
        lines = [
            *([] if self.host[0].isdigit() else names),
            f"sentinel monitor {NAME} {self.host} {self.servers[0].tls_port or self.servers[0].port} {count // 2 + 1}",
            f"sentinel down-after-milliseconds {NAME} {down_ms}",
            f"sentinel failover-timeout {NAME} 3000",
            f"sentinel parallel-syncs {NAME} 5",
        ]
        if self.password:
            lines.append(f"sentinel auth-pass {NAME} {self.password}")
        options = ["--bind", "127.0.0.1"]
        if self.tls:
            options += [*usual().server_options(), "--tls-replication", "yes"]
            options += ["--tls-auth-clients", "no"]
        if self.sentinel_password:
            options += ["--requirepass", self.sentinel_password]
            lines.append(f"sentinel sentinel-pass {self.sentinel_password}")
        for index in range(count):
            self.sentinels.append(SentinelServer(self.kind, lines, options, self.tls))
            client = self.sentinel(index)
            client.execute_command(
                "SENTINEL", "DEBUG", "INFO-PERIOD", PERIOD_MS, "PUBLISH-PERIOD", PERIOD_MS
            )

    # --- what they say

    def sentinel(self, index: int = 0) -> redis.Redis:
        """A driver to one of the sentinels."""
        password = self.sentinel_password or None
        client = redis.Redis(
            port=self.sentinels[index].port, password=password, socket_timeout=5, protocol=2
        )
        self._closing.callback(client.close)
        return client

    def primary_port(self, index: int = 0) -> int:
        """The primary's port, as a sentinel has it."""
        with contextlib.closing(self.sentinel(index)) as client:
            address = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        return int(address[1])

    def server(self, port: int) -> Server:
        return next(each for each in self.servers if port in (each.port, each.tls_port))

    def primary(self) -> Server:
        """The one that all living sentinels agree on; they do so within moments of a failover."""
        self.wait_primary(lambda port: True)
        return self.server(self.primary_port(self._alive()))

    def replicas(self) -> list[Server]:
        primary = self.primary()
        return [server for server in self.servers if server is not primary and server.process]

    def client(self, server: Server, **options: Any) -> redis.Redis:
        """A driver straight to one of the servers."""
        return server.client(**{"password": self.password or None, "socket_timeout": 5, **options})

    def role(self, server: Server) -> str:
        with contextlib.closing(self.client(server)) as client:
            return str(client.role()[0].decode())

    def driver(self, **options: Any) -> Sentinel:
        """redis-py's own client of sentinels."""
        secret = {"password": self.sentinel_password} if self.sentinel_password else {}
        return Sentinel(
            [("127.0.0.1", each.port) for each in self.sentinels],
            sentinel_kwargs=secret,
            socket_timeout=5,
            password=self.password or None,
            **options,
        )

    @property
    def addresses(self) -> list[str]:
        """The sentinels, as a topology names them."""
        return [f"127.0.0.1:{each.tls_port or each.port}" for each in self.sentinels]

    # --- what befalls them

    def fail_over(self, *, gracefully: bool = True) -> Server:
        """Makes a replica the primary and returns it: by order of a sentinel, or by killing the old one."""
        old = self.primary()
        if gracefully:
            self.sentinel(self._alive()).execute_command("SENTINEL", "FAILOVER", NAME)
        else:
            old.kill()
        self.wait_primary(lambda port: port not in (old.port, old.tls_port))
        return self.primary()

    def wait_primary(self, wanted: Any, *, deadline_s: float = FAILOVER_S) -> None:
        """Until all living sentinels name a primary whose port `wanted` holds true of, and it says so itself."""

        def agreed() -> bool:
            ports = {self.primary_port(i) for i, each in enumerate(self.sentinels) if each.process}
            if len(ports) != 1 or not wanted(*ports):
                return False
            with contextlib.suppress(redis.ConnectionError):
                return self.role(self.server(*ports)) == "master"
            return False

        wait_until(agreed, "the sentinels agree on a primary", deadline_s=deadline_s, poll_s=0.02)

    def wait_settled(self, *, deadline_s: float = FAILOVER_S) -> None:
        """Until every sentinel knows the others and the replicas that live, and these follow the primary."""
        others = sum(1 for each in self.sentinels if each.process) - 1
        replicas = sum(1 for each in self.servers if each.process) - 1

        def known(index: int) -> bool:
            client = self.sentinel(index)
            master = client.sentinel_master(NAME)
            following = [
                each
                for each in client.sentinel_slaves(NAME)
                if not each["is_disconnected"]
                and each["master-link-status"] == "ok"
                and not each["is_sdown"]
            ]
            client.close()
            return master["num-other-sentinels"] >= others and len(following) == replicas

        def settled() -> bool:
            return all(known(i) for i, each in enumerate(self.sentinels) if each.process)

        wait_until(
            settled,
            "the sentinels know each other",
            deadline_s=deadline_s + DEADLINE_S,
            poll_s=0.05,
        )

    def _alive(self) -> int:
        return next(i for i, each in enumerate(self.sentinels) if each.process)

    def stop(self) -> None:
        self._closing.close()
        for sentinel in self.sentinels:
            sentinel.stop()
        for server in self.servers:
            server.stop()

    def __enter__(self) -> Sentinels:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
