"""The topology of configs/ that has a cluster behind it."""

from __future__ import annotations

from pathlib import Path

from support.servers import Cluster
from support.topologies import Running


def test_it_serves(shared_cluster: Cluster, tmp_path: Path) -> None:
    shared_cluster.clean()
    node = f"127.0.0.1:{shared_cluster.ports[0]}"
    with Running("redis_cluster", tmp_path, NODE=node) as running, running.raw() as client:
        for index in range(20):
            assert client.command("SET", f"key{index}", "value") == b"+OK\r\n"
        assert client.ask("DBSIZE") == 20
