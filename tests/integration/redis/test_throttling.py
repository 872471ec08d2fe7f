"""RequestThrottling as a user runs it: redis-py, ACL users, several workers that share each bucket."""

from __future__ import annotations

import threading

import pytest
import redis
from support.proxy import Proxy

SLOW = 0.001
LIMITS = [
    {"name": "users", "rate": SLOW, "burst": 100, "per": "user", "class": ["read", "write"]},
    {"name": "tenants", "rate": SLOW, "burst": 30, "prefix": "tenant:", "per": "prefix"},
    {"name": "orders", "rate": SLOW, "burst": 2, "class": ["admin", "dangerous"]},
]
WEIGHTS = [{"command": ["MGET", "MSET"], "each_key": True}, {"command": "SORT", "weight": 10}]


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def throttled(request, start_server, tmp_path):
    server = start_server()
    for user in ("alice", "bob"):
        server.client().acl_setuser(user, enabled=True, passwords=f"+{user}", commands=["+@all"], keys=["*"])  # fmt: skip
    proxy = Proxy(
        server.port,
        chain=[{"RequestThrottling": {"limits": LIMITS, "weights": WEIGHTS}}],
        arguments=("--core-threads", str(request.param)),
    )
    yield proxy
    proxy.stop()


def test_users_have_what_is_theirs_over_all_connections(throttled) -> None:
    """Many connections at once, on all workers: exactly the burst passes, of each user."""
    passed: dict[str, int] = {"alice": 0, "bob": 0}
    refused: set[str] = set()
    lock = threading.Lock()

    def work(user: str) -> None:
        client = throttled.client(username=user, password=user)
        for number in range(20):
            try:
                client.set(f"{user}:{number}", "x")
            except redis.ResponseError as error:
                with lock:
                    refused.add(str(error).partition(", try again in ")[0])
            else:
                with lock:
                    passed[user] += 1
        client.close()

    threads = [threading.Thread(target=work, args=(user,)) for user in passed for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed == {"alice": 100, "bob": 100}
    assert refused == {"THROTTLED over the limit users"}
    assert throttled.metric("shotover_limit_refusals_count", limit="users") == 200


def test_a_tenant_that_is_loud_leaves_the_others_alone(throttled) -> None:
    client = throttled.client()
    with client.pipeline(transaction=False) as pipeline:
        for number in range(40):
            pipeline.set(f"tenant:1:{number}", "x")
        replies = pipeline.execute(raise_on_error=False)
    assert replies[:30] == [True] * 30
    assert all("over the limit tenants" in str(error) for error in replies[30:])
    assert client.mset({f"tenant:2:{number}": "x" for number in range(30)})
    with pytest.raises(redis.ResponseError, match="over the limit tenants, try again in"):
        client.get("tenant:2:0")
    assert client.get("other") is None


def test_a_transaction_is_done_whole_or_not(throttled) -> None:
    client = throttled.client()
    with client.pipeline() as pipeline:
        for _ in range(31):
            pipeline.incr("tenant:1:counter")
        with pytest.raises(redis.ResponseError, match="over the limit tenants"):
            pipeline.execute()
    assert client.exists("tenant:other") == 0
    with client.pipeline() as pipeline:
        pipeline.incr("tenant:2:counter").incr("tenant:2:counter")
        assert pipeline.execute() == [1, 2]


def test_orders_are_few_and_connections_are_kept(throttled) -> None:
    client = throttled.client(health_check_interval=1)
    client.config_get("port")
    client.info()
    with pytest.raises(redis.ResponseError, match="over the limit orders"):
        client.keys("*")
    for _ in range(50):
        assert client.ping()
    fresh = throttled.client(username="bob", password="bob", db=3, client_name="x", protocol=3)
    assert fresh.set("a", "x")
    fresh.close()
