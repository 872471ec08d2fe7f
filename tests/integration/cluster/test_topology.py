"""Topologies that have a cluster behind them: the one in configs/, and those of other versions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.servers import Cluster
from support.topologies import Running
from support.wait import free_port

from tests.config.test_topologies_run import CLUSTERS, TEXTS


def test_it_serves(shared_cluster: Cluster, tmp_path: Path) -> None:
    shared_cluster.clean()
    node = f"127.0.0.1:{shared_cluster.ports[0]}"
    with Running("redis_cluster", tmp_path, NODE=node) as running, running.raw() as client:
        for index in range(20):
            assert client.command("SET", f"key{index}", "value") == b"+OK\r\n"
        assert client.ask("DBSIZE") == 20


@pytest.mark.parametrize("name", sorted(CLUSTERS))
def test_those_of_other_versions_serve(name: str, shared_cluster: Cluster, tmp_path: Path) -> None:
    """Their contact points become the nodes of ours, and where they listen a free port."""
    shared_cluster.clean()
    port = free_port()
    text = re.sub(
        r"127\.0\.0\.1:222(\d)",
        lambda found: f"127.0.0.1:{shared_cluster.ports[int(found[1]) % 6]}",
        TEXTS[name],
    )
    text, count = re.subn(r"127\.0\.0\.1:6379", f"127.0.0.1:{port}", text)
    assert count == 1
    topology = tmp_path / "topology.yaml"
    topology.write_text(text)
    with Running(topology, tmp_path) as running:
        running.port = port
        with running.raw() as client:
            assert client.command("SET", "key", "value") == b"+OK\r\n"
            assert client.ask("GET", "key") == b"value"
            assert client.command("SET", "other", "value") == b"+OK\r\n"
