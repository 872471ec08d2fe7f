"""The conversation with sentinels: passwords, names, absences."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from support.resp import encode
from support.sentinel import NAME, Sentinels
from support.topologies import Running
from support.wait import wait_until

pytestmark = pytest.mark.timeout(90)


def everyday(client: redis.Redis) -> list[Any]:
    """What people do, and what it comes to."""
    seen: list[Any] = [client.set("a", "1"), client.get("a"), client.incr("a"), client.get("none")]
    with client.pipeline(transaction=True) as pipe:
        seen.append(pipe.set("t", "1").incr("t").lrange("list", 0, -1).execute())
    seen += [client.rpush("list", "x", "y"), client.blpop("list", timeout=1)]
    seen.append(client.eval("return redis.call('INCR', KEYS[1])", 1, "a"))
    seen += [client.hset("h", mapping={"f": "v"}), client.hgetall("h"), client.role()[0]]
    try:
        client.lpush("a", "wrong")
    except redis.ResponseError as error:
        seen.append(str(error))
    seen.append(client.delete("a", "t", "list", "h"))
    return seen


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_the_same_as_through_the_drivers_own_client_of_sentinels(
    make_group: Callable[..., Sentinels], make_front: Callable[..., Any], kind: str
) -> None:
    group = make_group(kind=kind)
    own = group.driver(protocol=2).master_for(NAME)
    front = make_front(group)
    assert everyday(front.client()) == everyday(own)
    group.fail_over()
    front.wait_sure()
    assert everyday(front.client()) == everyday(own)


@pytest.mark.parametrize("known", [True, False])
def test_passwords_of_servers_and_sentinels(
    make_group: Callable[..., Sentinels], make_front: Callable[..., Any], known: bool
) -> None:
    """The role of a server can be asked for with a login of the sink's own; else the sentinels are believed."""
    group = make_group(password="server", sentinel_password="sentinel")
    front = make_front(group, failover_timeout=20.0, **({"password": "server"} if known else {}))
    client = front.client()
    client.set("a", "1")
    with pytest.raises(redis.AuthenticationError):
        front.proxy.client().get("a")
    assert client.wait(1, 5000) == 1
    group.fail_over(gracefully=False)
    assert client.get("a") == b"1"
    client.set("a", "2")
    assert group.client(group.primary()).get("a") == b"2"


def test_a_wrong_password_for_the_sentinels_is_said_once(
    make_group: Callable[..., Sentinels], make_front: Callable[..., Any]
) -> None:
    group = make_group(sentinels=1, sentinel_password="sentinel")
    front = make_front(group, sentinel_password="wrong", failover_timeout=0.3)
    front.proxy.allow_log("refuses the proxy's login")
    with pytest.raises(redis.ResponseError, match="no sentinel has named one"):
        front.client().get("a")
    said = [line for line in front.proxy.log_lines() if "refuses the proxy's login" in line.message]
    assert len(said) == 1


def test_a_master_that_they_do_not_know(
    make_group: Callable[..., Sentinels], make_front: Callable[..., Any]
) -> None:
    front = make_front(make_group(sentinels=1), master_name="other", failover_timeout=0.3)
    front.proxy.allow_log("does not know the master")
    with pytest.raises(redis.ResponseError, match="no sentinel has named one"):
        front.client().get("a")
    assert "does not know the master (master_name)" in front.proxy.log()


def test_names_are_looked_up_without_a_halt(
    make_group: Callable[..., Sentinels], make_front: Callable[..., Any]
) -> None:
    group = make_group(host="localhost")
    front = make_front(group, failover_timeout=20.0)
    client = front.client()
    client.set("a", "1")
    assert client.wait(1, 5000) == 1
    group.fail_over(gracefully=False)
    assert client.get("a") == b"1"
    assert "the master is localhost:" in front.proxy.log()


def test_it_starts_while_there_are_no_sentinels(
    make_group: Callable[..., Sentinels], make_front: Callable[..., Any]
) -> None:
    group = make_group()
    for sentinel in group.sentinels:
        sentinel.kill()
    front = make_front(group, failover_timeout=0.5)
    started = time.monotonic()
    with pytest.raises(redis.ResponseError, match="no sentinel has named one"):
        front.client().get("a")
    assert time.monotonic() - started < 5
    for sentinel in group.sentinels:
        sentinel.start()
    front.wait_sure()
    assert front.client().set("a", "1")


def test_it_starts_while_there_is_no_master(
    make_group: Callable[..., Sentinels], make_front: Callable[..., Any]
) -> None:
    group = make_group(replicas=0)
    master = group.primary()
    master.kill()
    front = make_front(group, failover_timeout=0.5)
    with pytest.raises(redis.ResponseError, match="the master cannot be reached"):
        front.client().get("a")
    with pytest.raises(redis.ResponseError, match="the master cannot be reached"):
        front.client().get("a")  # at once: it had its time
    master.start(master.port)
    front.wait_sure()
    assert front.client().set("a", "1")


def test_without_sentinels_the_last_master_stays(make_front: Callable[..., Any]) -> None:
    front = make_front(failover_timeout=5.0)
    client = front.client()
    client.set("a", "1")
    for sentinel in front.group.sentinels:
        sentinel.kill()
    wait_until(
        lambda: front.proxy.metric("shotover_sentinel_up") == 0, "the proxy hears no sentinel"
    )
    assert client.get("a") == b"1"
    master = front.group.servers[0]
    with master.raw() as control:
        control.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert client.get("a") == b"1"
    master.restart()
    front.wait_sure()
    assert client.set("a", "2")


def test_a_failover_is_seen_by_the_clock_alone(make_front: Callable[..., Any]) -> None:
    """Messages of sentinels may be lost; the questions on a timer find out by themselves."""
    front = make_front(failover_timeout=20.0)
    front.wait_sure()
    for index in range(3):
        front.group.sentinel(index).client_kill_filter(_type="pubsub")
    front.group.fail_over()
    wait_until(
        lambda: front.proxy.metric("shotover_failovers_count") == 1, "the proxy has followed"
    )
    assert front.client().set("a", "1")


def test_no_more_are_held_than_may_be(
    make_group: Callable[..., Sentinels], make_front: Callable[..., Any]
) -> None:
    front = make_front(make_group(replicas=0), failover_timeout=2.0, max_held_requests=3)
    front.wait_sure()
    with front.proxy.raw() as raw:
        assert raw.command("PING") == b"+PONG\r\n"
        front.group.primary().kill()
        front.wait_unsure()
        raw.send(encode("SET", "a", "1") * 2 + encode("MULTI") + encode("SET", "a", "2"))
        replies = raw.frames(4)
    assert all(b"the master cannot be reached" in reply for reply in replies[:3])
    assert b"max_held_requests" in replies[3]
    assert front.proxy.metric("shotover_limits_hit_count", limit="max_held_requests") == 1
    assert front.proxy.metric("shotover_held_requests_given_up_count") == 3


def test_with_no_time_to_hold_requests_fail_at_once(
    make_group: Callable[..., Sentinels], make_front: Callable[..., Any]
) -> None:
    front = make_front(make_group(replicas=0), failover_timeout=0)
    front.wait_sure()
    client = front.client()
    client.set("a", "1")
    front.group.primary().kill()
    front.wait_unsure()
    with pytest.raises(redis.ResponseError, match="the master cannot be reached"):
        client.get("a")
    assert front.proxy.metric("shotover_held_requests_count") == 0


def test_it_ends_while_requests_are_held(
    make_group: Callable[..., Sentinels], make_front: Callable[..., Any]
) -> None:
    front = make_front(make_group(replicas=0), failover_timeout=60.0)
    front.wait_sure()
    with front.proxy.raw() as raw:
        assert raw.command("PING") == b"+PONG\r\n"
        front.group.primary().kill()
        front.wait_unsure()
        raw.send(encode("SET", "a", "1"))
        wait_until(lambda: front.proxy.metric("shotover_held_requests") == 1, "it is held")
        front.proxy.signal()
        assert b"the proxy is being stopped" in raw.frame()
    assert front.proxy.wait_exit() == 0


def test_a_client_that_leaves_while_its_requests_are_held(make_front: Callable[..., Any]) -> None:
    front = make_front(failover_timeout=20.0)
    front.wait_sure()
    with front.proxy.raw() as raw:
        assert raw.command("SELECT", "7") == b"+OK\r\n"
        front.group.primary().kill()
        front.wait_unsure()
        raw.send(encode("SET", "a", "1") + encode("BLPOP", "never", "0"))
        wait_until(lambda: front.proxy.metric("shotover_held_requests") == 2, "both are held")
    with front.client() as other:
        assert other.set("b", "1")
    front.proxy.check_idle()
    direct = front.group.client(front.group.primary())
    assert direct.exists("a") == 0  # least of all in a database that it did not mean


def test_two_workers_follow(make_front: Callable[..., Any]) -> None:
    front = make_front(failover_timeout=20.0, arguments=("--core-threads", "2"))
    clients = [front.client() for _ in range(8)]
    assert all(client.set("a", "1") for client in clients)
    front.group.fail_over(gracefully=False)
    assert all(client.set("a", "1") for client in clients)
    assert front.proxy.metric("shotover_failovers_count") == 2


def test_the_topology_that_is_shipped(make_group: Callable[..., Sentinels], tmp_path: Path) -> None:
    group = make_group(sentinels=1)
    with (
        Running("redis_sentinel", tmp_path, SENTINEL=group.addresses[0], MASTER=NAME) as running,
        running.raw() as client,
    ):
        assert client.command("SET", "key", "value") == b"+OK\r\n"
        assert group.client(group.primary()).get("key") == b"value"
