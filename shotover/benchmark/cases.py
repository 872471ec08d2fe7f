"""What is asked of each target: the cases. Their names are what --cases takes; sessions saved earlier hold them too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from shotover.benchmark.cql import (
    CommandMaker,
    batch_command,
    query_command,
    read_command,
    write_command,
)
from shotover.benchmark.generator import (
    Command,
    get_command,
    mget_command,
    mset_command,
    set_command,
)


@dataclass(frozen=True)
class Case:
    """One row of the table. `run` names the function of this kind in runner.py or special.py."""

    name: str
    title: str
    kind: str = "load"  # a key of kinds.KINDS
    commands: Callable[[], list[Command]] = lambda: [get_command(64)]
    clients: int = 50
    pipeline: int = 1
    rate: float = 0.0  # open loop: requests/s
    value_bytes: int = 64
    key_count: int = 100_000
    beside_driver: bool = False  # cluster: redis-py does the same, too
    makers: tuple[CommandMaker, ...] = ()  # cql: in place of `commands`
    version: int = 0  # cql: of the protocol
    beside_redis: bool = False  # cql: Shotover before Redis under the like load, too
    redis_benchmark: tuple[str, ...] = ()  # the same load in that tool's words; empty: it cannot


def pair(prefix: str, title: str, value_bytes: int = 64, **more: Any) -> list[Case]:
    """The SET and the GET of one row."""
    size = ("-d", str(value_bytes))
    return [
        Case(
            f"{prefix}-set",
            f"{title}, SET",
            commands=lambda: [set_command(value_bytes)],
            value_bytes=value_bytes,
            redis_benchmark=("-t", "set", *size),
            **more,
        ),
        Case(
            f"{prefix}-get",
            f"{title}, GET",
            commands=lambda: [get_command(value_bytes)],
            value_bytes=value_bytes,
            redis_benchmark=("-t", "get", *size),
            **more,
        ),
    ]


KIB, MIB = 1024, 1024 * 1024

CASES: tuple[Case, ...] = (
    *pair("c50", "50 clients"),
    *pair("c500", "500 clients", clients=500),
    *pair("p16", "50 clients, pipeline 16", pipeline=16),
    *pair("c1", "1 client", clients=1),
    Case(
        "open",
        "open loop, 50 connections, 10,000/s, 80 % GET",
        rate=10_000.0,
        commands=lambda: [get_command(64, 4), set_command(64, 1)],
    ),
    *pair("16k", "16 KiB values, 50 clients", value_bytes=16 * KIB, key_count=2_000),
    *pair("1m", "1 MiB values, 8 clients", value_bytes=MIB, key_count=16, clients=8),
    Case(
        "mget",
        "MGET of 100 keys, pipeline 10",
        commands=lambda: [mget_command(64, 100)],
        pipeline=10,
    ),
    Case(
        "mset",
        "MSET of 100 keys, pipeline 10",
        commands=lambda: [mset_command(64, 100)],
        pipeline=10,
    ),
    Case("hops", "what a transform adds; 50 clients, pipeline 16, GET", kind="hops", pipeline=16),
    Case(
        "disturbed",
        "1 client, GET; a scrape each second and a busy Python thread",
        kind="disturbed",
        clients=1,
    ),
    *pair("shards", "3 servers, 50 clients", kind="shards"),
    *pair("shards-p16", "3 servers, 50 clients, pipeline 16", kind="shards", pipeline=16),
    Case(
        "shards-mget",
        "3 servers, MGET of 100 keys, pipeline 10",
        kind="shards",
        commands=lambda: [mget_command(64, 100)],
        pipeline=10,
    ),
    Case(
        "shards-stopped",
        "3 servers, one of them stopped; open loop, 20 connections, 5,000/s, GET of others' keys",
        kind="stopped",
        clients=20,
        rate=5_000.0,
        key_count=10_000,
    ),
    *pair("cluster", "cluster of 3 masters, 50 clients", kind="cluster"),
    *pair(
        "cluster-p16", "cluster of 3 masters, 50 clients, pipeline 16", kind="cluster", pipeline=16
    ),
    Case(
        "cluster-mget",
        "cluster of 3 masters, MGET of 100 keys, pipeline 10",
        kind="cluster",
        commands=lambda: [mget_command(64, 100)],
        pipeline=10,
        beside_driver=True,
    ),
    *pair("tls", "TLS, 50 clients", kind="tls"),
    *pair(
        "tls-16k",
        "TLS, 16 KiB values, 50 clients",
        value_bytes=16 * KIB,
        key_count=2_000,
        kind="tls",
    ),
    Case("tls-idle", "2,000 TLS connections", kind="tls-idle", clients=2_000),
    Case("startup", "exec to accepting; resident memory then", kind="startup"),
    Case("idle", "10,000 idle connections", kind="idle", clients=10_000),
    Case(
        "idle-beside",
        "10,000 idle connections beside; open loop, 500 connections, 5,000/s, 80 % GET",
        kind="idle-beside",
        clients=500,
        rate=5_000.0,
        commands=lambda: [get_command(64, 4), set_command(64, 1)],
    ),
)


def cql(name: str, title: str, maker: CommandMaker = read_command, **more: Any) -> Case:
    fields: dict[str, Any] = {"kind": "cql", "makers": (maker,), "version": 4}
    return Case(name, title, **(fields | more))


X32: dict[str, Any] = {"clients": 32, "pipeline": 32}

CASSANDRA_CASES: tuple[Case, ...] = (
    cql("x32-execute", "32 clients, 32 in flight, EXECUTE of one row", beside_redis=True, **X32),
    cql("x32-execute-v5", "the same in version 5", version=5, **X32),
    cql("x32-query", "32 clients, 32 in flight, QUERY of one row", query_command, **X32),
    cql("x32-insert", "32 clients, 32 in flight, EXECUTE of an INSERT", write_command, **X32),
    cql("x32-batch", "32 clients, 32 in flight, batches of 10 INSERTs", batch_command, **X32),
    cql("c50-execute", "50 clients, EXECUTE of one row"),
    cql("ring-execute", "ring of 3 servers, EXECUTE of one row", kind="cql-ring", **X32),
    cql("ring-query", "ring of 3 servers, QUERY of one row", query_command, kind="cql-ring", **X32),
    cql("ring-batch", "ring of 3, batches of 10 INSERTs", batch_command, kind="cql-ring", **X32),
    cql(
        "node-x32",
        "Cassandra: 32 clients, 32 in flight, EXECUTE of one row",
        kind="cql-node",
        key_count=10_000,
        **X32,
    ),
    cql(
        "node-c1",
        "Cassandra: 1 client, EXECUTE of one row",
        kind="cql-node",
        key_count=10_000,
        clients=1,
    ),
    cql(
        "node-open",
        "Cassandra: open loop, 4 connections, 2,000/s, EXECUTE of one row",
        kind="cql-node",
        key_count=10_000,
        clients=4,
        rate=2_000.0,
    ),
)
SUITES = {"redis": CASES, "cassandra": CASSANDRA_CASES}


def choose_cases(patterns: str, suite: str = "redis") -> list[Case]:
    """By comma-separated names or patterns ("c50*,open"); in the order of CASES. Raises ValueError for one that fits none."""
    cases = SUITES[suite]
    wanted = [pattern.strip() for pattern in patterns.split(",") if pattern.strip()]
    for pattern in wanted:
        if not any(fnmatchcase(case.name, pattern) for case in cases):
            names = ", ".join(case.name for case in cases)
            raise ValueError(f"no case is called {pattern!r}; there are {names}")
    return [case for case in cases if any(fnmatchcase(case.name, pattern) for pattern in wanted)]
