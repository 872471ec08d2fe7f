"""A worker in this process, so that a test and its transform share objects and the census can be asked for."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import redis

from shotover._proxy.worker import Worker
from shotover.config.address import parse_address
from shotover.config.errors import Place
from shotover.config.steps import ChainConfig
from shotover.runtime.assemble import BuildContext
from shotover.sinks.redis_single import RedisSinkSingleConfig
from shotover.sources.redis import RedisSource
from shotover.transforms.python import PythonConfig, _build
from support.resp import RawClient
from support.wait import wait_until_equal

JOIN_S = 10


class Inline(PythonConfig, tag="Inline"):
    """As `Python`, with a class instead of the file that holds it."""

    def build(self, context: BuildContext) -> Any:
        chains = {
            name: context.chain(f"{self.name}.{name}", steps) for name, steps in self.chains.items()
        }
        return _build(context, self, self.__dict__["transform"], chains)


def sink(port: int, name: str = "sink", **fields: Any) -> RedisSinkSingleConfig:
    return RedisSinkSingleConfig(
        name=name, remote_address=parse_address(f"127.0.0.1:{port}"), **fields
    )


def inline(transform: type, name: str = "py", config: Any = None, **fields: Any) -> Inline:
    chains = {
        key: ChainConfig(Place("<test>", 0), steps)
        for key, steps in fields.pop("chains", {}).items()
    }
    model = Inline(
        name=name,
        path="-",
        class_="T",
        config={} if config is None else config,
        chains=chains,
        **fields,
    )
    model.__dict__["transform"] = transform
    return model


class Served:
    """A worker thread with one source; `end` proves that nothing of the traffic is left."""

    def __init__(self, models: list[Any]) -> None:
        self.worker = Worker(0, poller="auto")
        source = RedisSource(name="redis", listen_addr=parse_address("127.0.0.1:0", port_min=0))
        context = BuildContext(self.worker, "redis", "redis", "redis", {})
        self.chain = context.chain("redis", models, root=True)
        address = self.worker.listen(
            "redis", "redis", "127.0.0.1:0", self.chain, **source.options()
        )
        self.port = int(address.rpartition(":")[2])
        self.logged: list[tuple[int, str, dict[str, Any]]] = []
        self.allowed: list[str] = []
        self._closing = contextlib.ExitStack()
        self.thread = threading.Thread(target=self.worker.run, daemon=True)
        self.thread.start()

    @property
    def transform(self) -> Any:
        """The instance of the first step."""
        return self.chain.steps[0].transform

    def client(self, **options: Any) -> redis.Redis:
        pool = redis.ConnectionPool(
            host="127.0.0.1", port=self.port, **{"protocol": 2, "socket_timeout": 10, **options}
        )
        self._closing.callback(pool.disconnect)
        return redis.Redis(connection_pool=pool)

    def raw(self) -> RawClient:
        return self._closing.enter_context(RawClient(self.port))

    def sample(self, metric: str, /, **labels: str) -> float:
        return sum(
            value
            for each, carried, _kind, value in self.worker.samples()
            if each == metric and labels.items() <= carried.items()
        )

    def log(self) -> list[tuple[int, str, dict[str, Any]]]:
        """All entries so far, as (level, text, fields)."""
        self.logged += self.worker.log_take()
        return self.logged

    def allow_log(self, *texts: str) -> None:
        """Warnings and errors that begin with one of `texts` are expected."""
        self.allowed += texts

    def left(self) -> dict[str, int]:
        census = self.worker.census()
        return {key: census[key] for key in ("requests", "chunks", "segments", "sessions")}

    def end(self) -> None:
        self._closing.close()
        nothing = dict.fromkeys(("requests", "chunks", "segments", "sessions"), 0)
        try:
            wait_until_equal(self.left, nothing, "what is left of the traffic")
            assert self.sample("shotover_python_held") == 0
        finally:
            self.worker.drain(1000)
            self.thread.join(JOIN_S)
        assert not self.thread.is_alive(), "the worker does not stop"
        bad = [
            entry
            for entry in self.log()
            if entry[0] >= 30 and not entry[1].startswith(tuple(self.allowed))
        ]
        assert not bad, f"unexpected in the log: {bad}"
