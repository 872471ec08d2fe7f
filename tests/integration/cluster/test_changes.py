"""A cluster that changes under load: clients see no error that the cluster could avoid, and never a wrong answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from integration.cluster.conftest import Front
from integration.cluster.load import Load
from support.wait import wait_until

SLOTS = 16384

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
