"""KeyRouter as a user runs it: redis-py through it, and a file of rules that changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from support.topologies import Running
from support.wait import wait_until

TOPOLOGY = """
sources:
  - Redis:
      name: redis
      listen_addr: "${LISTEN}"
      chain:
        - KeyRouter:
            rules_file: rules.yaml
            chains:
              big:
                - RedisSinkSingle: {remote_address: "${REDIS_SECOND}", connect_timeout_ms: 3000}
            default:
              - RedisSinkSingle: {remote_address: "${REDIS}", connect_timeout_ms: 3000}
"""


class Routed:
    """The process, its two servers, and the file of its rules."""

    def __init__(
        self, folder: Path, first: object, second: object, rules: str, *arguments: object
    ) -> None:
        self.first, self.second = first.client(), second.client()
        self.rules = folder / "rules.yaml"
        self.rules.write_text(rules)
        (folder / "t.yaml").write_text(TOPOLOGY)
        self.running = Running(
            folder / "t.yaml", folder, *arguments, REDIS=first.port, REDIS_SECOND=second.port
        )

    def replace(self, rules: str) -> None:
        """As one should: written apart, and renamed."""
        other = self.rules.with_suffix(".new")
        other.write_text(rules)
        other.rename(self.rules)

    def lines(self, text: str) -> int:
        return self.running.log().count(text)


@pytest.fixture
def routed(tmp_path, start_server):
    started = []

    def start(rules: str, *arguments: object) -> Routed:
        started.append(Routed(tmp_path, start_server(), start_server(), rules, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.running.__exit__(None)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_tenant_moves_to_another_server(routed, workers) -> None:
    it = routed("[]", "--core-threads", workers)
    clients = [it.running.client() for _ in range(8)]
    for number, client in enumerate(clients):
        client.set(f"tenant:42:{number}", "x")
    assert (it.first.dbsize(), it.second.dbsize()) == (8, 0)
    it.replace('- {prefix: "tenant:42:", to: big}\n')
    wait_until(
        lambda: it.lines("the file has changed and is in force") == 1, "the rules are read again"
    )
    for number, client in enumerate(clients):
        client.set(f"tenant:42:new:{number}", "x")
    assert (it.first.dbsize(), it.second.dbsize()) == (8, 8)
    assert clients[0].mget("tenant:42:1", "tenant:42:new:1") == [None, b"x"]
    assert clients[0].dbsize() == 16


def test_a_file_with_mistakes_changes_nothing(routed) -> None:
    it = routed('- {prefix: "b:", to: big}\n')
    client = it.running.client()
    it.replace('- {prefix: "c:", to: big}\n- {prefix: "d:", to: nowhere}\n')
    wait_until(lambda: it.lines("cannot be used") == 1, "the mistake is told")
    assert "rules.yaml:2: [1].to: no chain is named nowhere" in it.running.log()
    client.mset({"b:1": "x", "c:1": "x"})
    assert (it.first.keys(), it.second.keys()) == ([b"c:1"], [b"b:1"])
    it.rules.unlink()
    wait_until(lambda: it.lines("cannot be used") == 2, "that there is no file is told")
    assert client.get("b:1") == b"x"
    it.replace('- {prefix: "c:", to: big}\n')
    wait_until(lambda: it.lines("is in force") == 1, "the rules are read again")
    client.set("c:2", "x")
    assert it.second.get("c:2") == b"x"


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(routed, protocol) -> None:
    """What applications do with it: pipelines, transactions, locks, subscriptions, scripts, iteration."""
    it = routed('- {prefix: "b:", to: big}\n')
    client = it.running.client(protocol=protocol, decode_responses=True, client_name="app", db=2)
    assert client.client_getname() == "app"
    keys = [f"{start}:{number}" for number in range(20) for start in "ab"]
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.set(key, key)
            pipeline.get(key)
        assert pipeline.execute() == [said for key in keys for said in (True, key)]
    assert client.mget(keys) == keys
    with client.pipeline() as pipeline:
        pipeline.watch("b:1")
        value = pipeline.get("b:1")
        pipeline.multi()
        pipeline.set("b:1", f"{value}!")
        pipeline.incr("b:count")
        assert pipeline.execute() == [True, 1]
    with (
        client.pipeline() as pipeline,
        pytest.raises(redis.ResponseError, match="must belong to one chain"),
    ):
        pipeline.set("a:1", 1).set("b:1", 1).execute()
    assert client.register_script("return redis.call('GET', KEYS[1])")(keys=["b:1"]) == "b:1!"
    with client.lock("b:lock", timeout=5):
        assert client.exists("b:lock") == 1
    assert sorted(client.scan_iter(count=5)) == sorted([*keys, "b:count"])
    assert sorted(client.scan_iter(match="b:*")) == sorted(
        [*(key for key in keys if key[0] == "b"), "b:count"]
    )
    with client.pubsub() as subscription:
        subscription.subscribe("news")
        assert subscription.get_message(timeout=5)["type"] == "subscribe"
        assert client.publish("news", "x") == 1
        assert subscription.get_message(timeout=5)["data"] == "x"
    assert (it.first.dbsize(), it.second.dbsize()) == (0, 0)
    assert client.flushdb() is True
    assert client.dbsize() == 0
