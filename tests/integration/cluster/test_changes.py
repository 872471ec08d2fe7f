"""A cluster that changes under load: clients see no error that the cluster could avoid, and never a wrong answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from integration.cluster.conftest import Front, cluster_sink
from integration.cluster.load import Load
from support.proxy import Proxy
from support.wait import wait_until

SLOTS = 16384
EDIT = """
from shotover import Transform


class Edit(Transform):
    def on_request(self, request):
        request.args = [*request.args]
"""

pytestmark = pytest.mark.timeout(120)  # a failover takes its time


def slots_of(load: Load) -> list[int]:
    from shotover._codec.slots import slot_of

    return sorted({slot_of(key.encode()) for client in load.clients for key in client.keys})


def test_slots_move_under_load(make_front: Callable[..., Front]) -> None:
    front = make_front((3, 0))
    with Load(front.proxy.port) as load:
        wait_until(lambda: load.answered > 1000, "the load runs")
        for _ in range(2):
            for slot in slots_of(load):
                front.cluster.move_slot(slot, (front.cluster.owner(slot) + 1) % 3)
    assert load.wrong == []
    assert load.errors == []
    assert front.proxy.metric("shotover_cluster_moved_count") > 0


def test_a_master_dies_under_load(make_front: Callable[..., Front]) -> None:
    """Its replica takes over: what was under way is lost or not, all else waits for that."""
    front = make_front((6, 1), retry_timeout=15.0)
    front.proxy.allow_log("cannot connect", "lost", "cannot be used")
    with Load(front.proxy.port) as load:
        wait_until(lambda: load.answered > 1000, "the load runs")
        front.cluster.kill(0)
        wait_until(
            lambda: front.cluster.role(3) == "master", "the replica takes over", deadline_s=20
        )
        before = load.answered
        wait_until(lambda: load.answered > before + 1000, "the load goes on", deadline_s=20)
    lost = [error for error in load.errors if "upstream connection lost" not in error]
    assert lost == []
    assert len(load.errors) <= 4 * 16, "more than one pipeline of each client"
    # replication is not synchronous: the new master may lack the last writes, never have more
    assert [wrong for wrong in load.wrong if wrong.startswith("GET")] == []


def test_a_failover_by_hand_costs_nothing(make_front: Callable[..., Front]) -> None:
    front = make_front((6, 1), retry_timeout=15.0)
    with Load(front.proxy.port) as load:
        wait_until(lambda: load.answered > 1000, "the load runs")
        for replica in (3, 4, 5):
            with front.cluster.raw(replica) as raw:
                assert raw.ask("CLUSTER", "FAILOVER") == b"OK"
            wait_until(
                lambda replica=replica: front.cluster.role(replica) == "master",
                "it has taken over",
                deadline_s=20,
            )
        before = load.answered
        wait_until(lambda: load.answered > before + 1000, "the load goes on", deadline_s=20)
    assert load.wrong == []
    assert load.errors == []


def test_a_stopped_shard_fails_its_own_keys(make_front: Callable[..., Front]) -> None:
    front = make_front((3, 0), read_timeout=0.5, retry_timeout=0.5)
    front.proxy.allow_log("cannot connect")
    client = front.client()
    keys = {front.cluster.owner(redis.cluster.key_slot(b"k%d" % n)): f"k{n}" for n in range(50)}
    assert set(keys) == {0, 1, 2}
    for key in keys.values():
        client.set(key, "v")
    front.cluster.pause(0)
    try:
        pipe = client.pipeline(transaction=False)
        for index in (1, 0, 2):
            pipe.get(keys[index])
        first, stopped, third = pipe.execute(raise_on_error=False)
        assert (first, third) == (b"v", b"v")
        assert isinstance(stopped, redis.ResponseError)
        assert client.get(keys[1]) == b"v"
    finally:
        front.cluster.resume(0)

    def back() -> bool:
        try:
            return client.get(keys[0]) == b"v"
        except redis.ResponseError:
            return False

    wait_until(back, "the shard is served again")
    client.close()


def test_slots_that_nobody_serves(make_front: Callable[..., Front]) -> None:
    front = make_front((3, 0), retry_timeout=0.2)
    with front.cluster.raw(0) as raw:
        raw.command("CLUSTER", "DELSLOTS", 0)
    with front.proxy.raw() as raw:
        reply = raw.command("GET", "{06S}")  # slot 0
        assert reply.startswith((b"-CLUSTERDOWN", b"-ERR shotover")), reply
        with front.cluster.raw(0) as node:
            node.command("CLUSTER", "ADDSLOTS", 0)
        wait_until(lambda: raw.command("GET", "{06S}") == b"$-1\r\n", "it is served again")


def test_redirects_by_name_are_to_nodes_that_are_known(make_front: Callable[..., Front]) -> None:
    """A cluster that prefers host names: MOVED names one, the map has its address, and it is one node."""
    front = make_front(
        (3, 0),
        *("--cluster-announce-hostname", "localhost"),
        *("--cluster-preferred-endpoint-type", "hostname"),
    )
    with Load(front.proxy.port, 2) as load:
        wait_until(lambda: load.answered > 500, "the load runs")
        for slot in slots_of(load):
            front.cluster.move_slot(slot, (front.cluster.owner(slot) + 1) % 3)
    assert load.wrong == []
    assert load.errors == []
    assert front.proxy.metric("shotover_cluster_moved_count") > 0
    nodes = {
        dict(labels).get("node")
        for name, labels in front.proxy.metrics()
        if name == "shotover_upstream_connections"
    }
    assert len(nodes) == 3, nodes


def test_a_redirect_too_many_does_not_show_where_nodes_are(
    make_front: Callable[..., Front],
) -> None:
    front = make_front((3, 0), max_redirects=0)
    slot = redis.cluster.key_slot(b"k")
    with front.proxy.raw() as raw:
        assert raw.command("SET", "k", "v") == b"+OK\r\n"
        front.cluster.move_slot(slot, (front.cluster.owner(slot) + 1) % 3)
        reply = raw.command("GET", "k")
        assert reply.startswith((b"-ERR shotover: the nodes have sent", b"$1\r\nv")), reply


def test_what_a_transform_has_edited(make_front: Callable[..., Front], tmp_path: Path) -> None:
    """Requests that were edited before are sent on, and their replies left, like others; so are scans."""
    (tmp_path / "edit.py").write_text(EDIT)
    front = make_front((3, 0))
    front.proxy.kill()
    front.proxy = Proxy(
        0,
        end=cluster_sink(front.cluster),
        chain=[{"Python": {"path": str(tmp_path / "edit.py"), "class": "Edit"}}],
    )
    client = front.client()
    for index in range(60):
        client.rpush(f"l{index}", "a", "b")
    assert set(client.scan_iter(count=7)) == {b"l%d" % index for index in range(60)}
    for index in range(0, 60, 6):
        slot = redis.cluster.key_slot(b"l%d" % index)
        front.cluster.move_slot(slot, (front.cluster.owner(slot) + 1) % 3)
        assert client.lrange(f"l{index}", 0, 5) == [b"a", b"b"]
    client.close()
