"""The master changes under load: what clients see of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from support.resp import encode
from support.sentinel import NAME, Sentinels
from support.wait import can_connect, wait_until

from tests.integration.sentinel.conftest import Load, Switches

pytestmark = pytest.mark.timeout(90)
FOLLOWED_S = 1.0  # from the sentinel's word to the first good reply
WRITES_LOST = "upstream connection lost"


def test_a_killed_master_is_followed_within_a_second_of_the_sentinels_word(
    make_front: Callable[..., Any],
) -> None:
    front = make_front(failover_timeout=20.0)
    switches = Switches(front.group)
    with Load(front) as load:
        wait_until(lambda: len(load.good) > 200, "there is load")
        old = front.group.primary()
        killed = time.monotonic()
        front.group.fail_over(gracefully=False)
        assert load.first_good_after(switches.first()) < FOLLOWED_S
    switches.close()
    # One request of each client was under way: what is no read is answered by an error, and nothing else is.
    assert len(load.errors) <= 8
    assert all(WRITES_LOST in text for _, _, text in load.errors), load.errors
    assert all(when - killed < 1.0 for when, _, _ in load.errors)
    assert front.proxy.metric("shotover_failovers_count") == 1
    assert front.group.primary() is not old


def test_clients_that_only_read_see_nothing_of_a_killed_master(
    make_front: Callable[..., Any],
) -> None:
    front = make_front(failover_timeout=20.0)
    client = front.client()
    client.mset({f"load:{number}": f"{number}:1" for number in range(8)})
    assert client.wait(1, 5000) == 1
    with Load(front, writes=False) as load:
        wait_until(lambda: len(load.good) > 200, "there is load")
        front.group.fail_over(gracefully=False)
        count = len(load.good)
        wait_until(lambda: len(load.good) > count + 200, "clients are served again")
    assert [error for error in load.errors if error[1] == "GET"] == []


@pytest.mark.parametrize("connection", ["shared", "per_client"])
def test_a_failover_by_order_of_a_sentinel(make_front: Callable[..., Any], connection: str) -> None:
    front = make_front(failover_timeout=20.0, connection=connection)
    with Load(front) as load:
        for _ in range(2):
            wait_until(lambda: len(load.good) > 200, "there is load")
            switches = Switches(front.group)
            front.group.fail_over()
            assert load.first_good_after(switches.first()) < FOLLOWED_S
            switches.close()
            front.group.wait_settled()
    assert len(load.errors) <= 16, load.errors
    if connection == "shared":
        assert all(WRITES_LOST in text for _, _, text in load.errors), load.errors


def test_writes_that_a_replica_had_are_not_lost(make_front: Callable[..., Any]) -> None:
    front = make_front(failover_timeout=20.0)
    client = front.client()
    kept = []
    failed = 0
    for number in range(2000):
        if number == 500:
            front.group.primary().kill()
        try:
            client.set(f"kept:{number}", number)
            if number > 500 or client.wait(1, 1000) >= 1:
                kept.append(number)
        except redis.RedisError:
            failed += 1
    assert failed <= 2
    assert len(kept) > 1900
    direct = front.group.client(front.group.primary())
    values = direct.mget([f"kept:{number}" for number in kept])
    assert values == [b"%d" % number for number in kept]


def test_a_master_that_stands_still_is_left(make_front: Callable[..., Any]) -> None:
    front = make_front(failover_timeout=20.0, read_timeout=0.5, connect_timeout_ms=300)
    front.proxy.allow_log("timed out")
    client = front.client()
    client.set("a", "1")
    assert client.wait(1, 5000) == 1
    old = front.group.primary()
    old.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(redis.RedisError, match="upstream connection lost"):
            client.set("a", "2")
        assert client.get("a") == b"1"  # held until there is another
        front.group.wait_primary(lambda port: port != old.port)
    finally:
        old.process.send_signal(signal.SIGCONT)
    front.group.wait_settled()
    client.set("a", "3")
    assert front.group.client(front.group.primary()).get("a") == b"3"
    direct = front.group.client(old)
    others = [each for each in direct.client_list() if not each["name"] and each["flags"] == "N"]
    assert len(others) == 1, "the proxy still has connections to it"  # that one is ours


def test_a_master_that_becomes_a_replica_by_hand(make_front: Callable[..., Any]) -> None:
    """No sentinel has said anything when a write is answered READONLY; the next one waits for their word."""
    front = make_front(failover_timeout=30.0)
    client = front.client()
    client.set("a", "1")
    old, other = front.group.primary(), front.group.replicas()[0]
    front.group.client(other).replicaof("NO", "ONE")
    front.group.client(old).replicaof("127.0.0.1", other.port)
    with pytest.raises(redis.exceptions.ReadOnlyError):
        client.set("a", "2")
    client.set("a", "3")
    assert front.group.client(other).get("a") == b"3" or front.group.client(old).get("a") == b"3"
    assert client.get("a") == b"3"


def test_what_a_client_sends_meanwhile_is_carried_out_in_its_order(
    make_front: Callable[..., Any],
) -> None:
    front = make_front(failover_timeout=20.0)
    front.wait_sure()
    with front.proxy.raw(deadline_s=30) as first, front.proxy.raw(deadline_s=30) as second:
        assert first.command("SELECT", "3") == b"+OK\r\n"
        assert second.command("PING") == b"+PONG\r\n"
        front.group.primary().kill()
        front.wait_unsure()
        first.send(
            encode("SET", "a", "1")
            + encode("GET", "a")
            + encode("MULTI")
            + encode("INCR", "a")
            + encode("EXEC")
            + encode("BLPOP", "none", "0.01")
            + encode("SELECT", "4")
            + encode("GET", "a")
            + encode("EVAL", "return 'lua'", "0")
            + encode("SUBSCRIBE", "news", "weather")
        )
        second.send(encode("SELECT", "3") + encode("WAIT", "0", "0") + encode("INCR", "b") * 3)
        assert first.frames(9) == [
            b"+OK\r\n",
            b"$1\r\n1\r\n",
            b"+OK\r\n",
            b"+QUEUED\r\n",
            b"*1\r\n:2\r\n",
            b"*-1\r\n",
            b"+OK\r\n",
            b"$-1\r\n",
            b"$3\r\nlua\r\n",
        ]
        assert [frame[:13] for frame in first.frames(2)] == [b"*3\r\n$9\r\nsubsc"] * 2
        assert second.frames(5) == [b"+OK\r\n", b":0\r\n", b":1\r\n", b":2\r\n", b":3\r\n"]
    assert front.proxy.metric("shotover_held_requests") == 0
    assert front.proxy.metric("shotover_held_requests_count") >= 1


def test_listeners_are_made_to_subscribe_again(make_front: Callable[..., Any]) -> None:
    front = make_front(failover_timeout=20.0)
    with front.proxy.raw() as listener:
        listener.command("SUBSCRIBE", "news")
        front.group.fail_over(gracefully=False)
        assert listener.rest() == b""  # its subscription is gone, and it is told so
    with front.proxy.raw() as listener:
        listener.command("SUBSCRIBE", "news")
        assert front.client().publish("news", "x") == 1
        assert listener.value() == [b"message", b"news", b"x"]


def test_a_sentinel_that_knows_less_is_not_believed(
    make_group: Callable[..., Sentinels], make_front: Callable[..., Any]
) -> None:
    """One that was away during a failover comes back, and so does the old master, which takes itself for one still."""
    group = make_group(down_ms=3000)  # a busy machine must not bring about a failover of its own
    front = make_front(group, failover_timeout=20.0)
    group.sentinels[0].kill()
    old = group.primary()
    group.fail_over(gracefully=False)
    front.wait_sure()
    front.client().set("a", "1")
    port = old.port
    old.start(port)
    group.sentinels[0].start()
    with Load(front) as load:
        wait_until(lambda: can_connect(group.sentinels[0].port), "it is back")
        group.wait_settled()
        count = len(load.good)
        wait_until(lambda: len(load.good) > count + 100, "clients are served")
    assert load.errors == []
    calls = group.client(old).info("commandstats")
    assert calls.get("cmdstat_echo", {"calls": 0})["calls"] == 0


@pytest.mark.long
def test_sentinels_that_were_set_up_anew(make_front: Callable[..., Any]) -> None:
    """They count epochs from the beginning: they are followed when most of them have said the same for a while."""
    front = make_front(failover_timeout=30.0)
    group: Sentinels = front.group
    group.fail_over()
    group.wait_settled()
    front.wait_sure()
    other = group.replicas()[0]
    group.client(group.primary()).replicaof("127.0.0.1", other.port)
    group.client(other).replicaof("NO", "ONE")
    for sentinel in group.sentinels:
        sentinel.kill()
        lines = [f"sentinel monitor {NAME} 127.0.0.1 {other.port} 2"]
        (sentinel.directory / "sentinel.conf").write_text("\n".join([*lines, ""]))
    for sentinel in group.sentinels:
        sentinel.start()
    wait_until(
        lambda: front.proxy.metric("shotover_failovers_count") == 2,
        "the proxy follows",
        deadline_s=30,
    )
    assert front.client().set("a", "1")
    assert group.client(other).get("a") == b"1"
