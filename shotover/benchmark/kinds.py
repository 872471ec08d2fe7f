"""What runs each kind of case."""

from __future__ import annotations

from shotover.benchmark.cases import Case
from shotover.benchmark.cluster import run_cluster
from shotover.benchmark.cql_runs import begin_scripted, run_cql, run_cql_node, run_cql_ring
from shotover.benchmark.runner import Plan, Session, begin_redis, run_load
from shotover.benchmark.shards import run_shards, run_stopped
from shotover.benchmark.special import (
    run_disturbed,
    run_hops,
    run_idle,
    run_idle_beside,
    run_startup,
)
from shotover.benchmark.tls import run_tls, run_tls_idle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shotover.benchmark.processes import Running

KINDS: dict[str, Callable[[Session, Case], None]] = {
    "load": run_load,
    "hops": run_hops,
    "disturbed": run_disturbed,
    "startup": run_startup,
    "idle": run_idle,
    "idle-beside": run_idle_beside,
    "shards": run_shards,
    "stopped": run_stopped,
    "cluster": run_cluster,
    "tls": run_tls,
    "tls-idle": run_tls_idle,
    "cql": run_cql,
    "cql-node": run_cql_node,
    "cql-ring": run_cql_ring,
}
BEGINNINGS: dict[str, Callable[[Plan, Path, int], tuple[Running, str]]] = {
    "redis": begin_redis,
    "cassandra": begin_scripted,
}
