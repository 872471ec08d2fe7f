"""Three real servers behind one TuneableConsistencyScatter, in this process."""

from __future__ import annotations

from typing import Any

import redis
from support.resp import RawClient
from support.servers import Server
from support.wait import wait_until, wait_until_equal

from chain.bench import Bench, sink

NAMES = ("one", "three", "two")  # as they are preferred
FAST = {"timeout_ms": 400, "probe_ms": 20}


class Multi:
    """`servers` by the name of their route; the bench is closed by the fixture that made it."""

    def __init__(
        self, servers: dict[str, Server], start: Any, *, sinks: dict[str, Any], **fields: Any
    ) -> None:
        self.servers = servers
        routes = {
            name: ["RedisTimestampTagger", sink(server.port, **sinks)]
            for name, server in servers.items()
        }
        scatter = {
            "name": "scatter",
            "route_map": routes,
            "write_consistency": 2,
            "read_consistency": 2,
            **FAST,
            **fields,
        }
        self.bench: Bench = start({"TuneableConsistencyScatter": scatter})

    def raw(self) -> RawClient:
        return self.bench.client()

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(port=self.bench.port, **{"protocol": 2, **options})

    def metric(self, name: str, route: str = "") -> float:
        labels = {"route": route} if route else {}
        return self.bench.sample(f"shotover_scatter_{name}", **labels)

    def up(self, *names: str) -> None:
        """Wait until these routes (all, if none is named) have every write."""
        for name in names or tuple(self.servers):
            wait_until_equal(lambda name=name: self.metric("route_up", name), 1, f"{name} is up")

    def away(self, name: str) -> None:
        wait_until_equal(lambda: self.metric("route_up", name), 0, f"{name} is away")

    def logged(self, text: str) -> None:
        wait_until(lambda: any(text in line for line in self.bench.log()), f"the log says {text}")

    def digests(self) -> set[bytes]:
        """Of all data of each server, every database; one value when they hold the same."""
        found = set()
        for server in self.servers.values():
            with server.raw() as raw:
                found.add(raw.command("DEBUG", "DIGEST"))
        return found

    def same(self) -> None:
        wait_until(lambda: len(self.digests()) == 1, "all servers hold the same data")
