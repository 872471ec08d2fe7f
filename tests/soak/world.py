"""What is tried: one proxy with four sources, and real servers behind each of them."""

from __future__ import annotations

import os
import ssl
import threading
from pathlib import Path
from typing import Any

from support.certificates import Authority, Issued, usual
from support.proxy import Proxy
from support.resp import RawClient
from support.servers import Cluster, Server
from support.wait import free_port

from soak.journal import Journal

SOURCES = ("plain", "tls", "shards", "cluster")
SHARDS = 3
READ_TIMEOUT_S = (
    3.0  # a server that is only slow, on a busy machine, is not to be taken for one that is away
)
NODE_TIMEOUT_MS = 6000
ANSWER_S = 30.0  # within which every request must have its reply: all time-outs of the topology together, and more
# What was acknowledged has been written to a file, so a killed server has it again when it is restarted.
KEEPING = ("--appendonly", "yes", "--appendfsync", "no")


class SoakProxy(Proxy):
    def __init__(self, sources: list[dict[str, Any]], **more: Any) -> None:
        self.sources = sources
        super().__init__(0, **more)

    def _write(self, name: str, content: Any) -> None:
        super()._write(name, {"sources": self.sources} if name == "topology.yaml" else content)


class World:
    """Starts all of it; `stop` ends it. Clients find in it whom to talk to and what has been done."""

    def __init__(self, folder: Path, seed: int, *, workers: int = 2) -> None:
        self.seed = seed
        self.journal = Journal()
        self.ending = threading.Event()
        self.authority = Authority(folder, "soak authority")
        self.context = self.authority.client_context()
        self.serial = 0  # how many certificates the source has had
        self.shown = self.issue()
        self.servers: dict[str, list[Server]] = {}
        self.cluster: Cluster | None = None
        self.ports = {name: free_port() for name in SOURCES}
        try:
            self.servers["plain"] = [Server("redis", *KEEPING)]
            self.servers["tls"] = [Server("redis", *KEEPING, tls=True)]
            self.servers["shards"] = [Server("redis", *KEEPING) for _ in range(SHARDS)]
            self.cluster = Cluster(6, 1, *KEEPING, node_timeout_ms=NODE_TIMEOUT_MS)
            self.servers["cluster"] = self.cluster.servers
            self.proxy = SoakProxy(
                [self._source(name) for name in SOURCES],
                arguments=("--core-threads", str(workers)),
            )
        except BaseException:
            self._stop_servers()
            raise

    def _source(self, name: str) -> dict[str, Any]:
        source = {
            "name": name,
            "listen_addr": f"127.0.0.1:{self.ports[name]}",
            "connection_limit": 2000,
            **({"tls": {**self.shown.fields(), "handshake_timeout": 2}} if name == "tls" else {}),
            "chain": [{"QueryCounter": {"name": name}}, self._sink(name)],
        }
        return {"Redis": source}

    def _sink(self, name: str) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "name": f"{name}-sink",
            "connect_timeout_ms": 1000,
            "read_timeout": READ_TIMEOUT_S,
        }
        servers = self.servers[name]
        if name == "shards":
            lines = [f"127.0.0.1:{server.port}:1 s{index}" for index, server in enumerate(servers)]
            return {"RedisSinkShards": {**fields, "servers": lines}}
        if name == "cluster":
            points = [f"127.0.0.1:{server.port}" for server in servers[:2]]
            return {"RedisSinkCluster": {**fields, "first_contact_points": points}}
        if name == "tls":
            address = f"127.0.0.1:{servers[0].tls_port}"
            return {"RedisSinkSingle": {**fields, "remote_address": address, "tls": usual().sink()}}
        return {"RedisSinkSingle": {**fields, "remote_address": f"127.0.0.1:{servers[0].port}"}}

    def issue(self) -> Issued:
        """A new certificate of the source in place of the old one, each file replaced as a whole."""
        self.serial += 1
        names = {"dns": ["localhost"], "addresses": ["127.0.0.1"]}
        fresh = self.authority.issue(f"soak {self.serial}", file="fresh", **names)
        final = Issued(fresh.certificate.with_name("soak.crt"), fresh.key.with_name("soak.key"))
        os.replace(fresh.key, final.key)
        os.replace(fresh.certificate, final.certificate)
        return final

    def connect(
        self, source: str, *, session: ssl.SSLSession | None = None, plainly: bool = False
    ) -> RawClient:
        """`plainly`: without TLS even where the source speaks it."""
        tls = self.context if source == "tls" and not plainly else None
        return self.client(source, tls=tls, session=session)

    def client(self, source: str, **more: Any) -> RawClient:
        return RawClient(self.ports[source], deadline_s=ANSWER_S, **more)

    def _stop_servers(self) -> None:
        for name, servers in self.servers.items():
            if name != "cluster":
                for server in servers:
                    server.stop()
        if self.cluster is not None:
            self.cluster.stop()

    def stop(self) -> None:
        self.proxy.kill()
        self._stop_servers()
