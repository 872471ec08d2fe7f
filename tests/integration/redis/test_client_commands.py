"""CLIENT and its kin:

A client sees and steers itself, never by accident another that shares its upstream.
"""

from __future__ import annotations

import time

import pytest
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection
from support.endpoint import Endpoint
from support.resp import Push, RawClient, encode
from support.wait import wait_until, wait_until_equal

pytestmark = pytest.mark.variants


def facts_of(line: bytes) -> dict[str, str]:
    """A line of CLIENT LIST as a dict."""
    return dict(part.split("=", 1) for part in line.decode().split() if "=" in part)


def listed(raw: RawClient) -> dict[int, dict[str, str]]:
    """CLIENT LIST by id."""
    lines = raw.ask("CLIENT", "LIST").splitlines()
    return {int(facts["id"]): facts for facts in map(facts_of, lines) if "id" in facts}


def test_client_id_is_stable_and_ones_own(endpoint: Endpoint) -> None:
    raws = [endpoint.raw() for _ in range(10)]
    ids = [raw.ask("CLIENT", "ID") for raw in raws]
    assert len(set(ids)) == len(ids)
    for _ in range(5):
        for raw, number in zip(raws, ids, strict=True):
            raw.command("SET", "k", "v")
            assert raw.ask("CLIENT", "ID") == number
    assert all(number in listed(raws[0]) for number in ids)


def test_client_info_and_list_show_oneself(endpoint: Endpoint) -> None:
    raw = endpoint.raw()
    raw.command("CLIENT", "SETNAME", "shown")
    raw.command("SELECT", "3")
    number = raw.ask("CLIENT", "ID")
    info = facts_of(raw.ask("CLIENT", "INFO"))
    assert (int(info["id"]), info["name"], info["db"]) == (number, "shown", "3")
    assert listed(raw)[number]["name"] == "shown"
    with endpoint.server.raw() as server:
        assert listed(server)[number]["name"] == "shown"


def test_client_list_filters(endpoint: Endpoint) -> None:
    raw = endpoint.raw()
    number = raw.ask("CLIENT", "ID")
    assert facts_of(raw.ask("CLIENT", "LIST", "ID", number))["id"] == str(number)
    assert raw.ask("CLIENT", "LIST", "TYPE", "pubsub") == b""
    assert raw.ask("CLIENT", "LIST", "TYPE", "nosuch").startswith("ERR")


def test_killing_oneself(endpoint: Endpoint) -> None:
    raw, neighbour = endpoint.raw(), endpoint.raw()
    neighbour.command("SET", "a", "1")
    number = raw.ask("CLIENT", "ID")
    raw.send(encode("CLIENT", "KILL", "ID", number, "SKIPME", "no"))
    assert raw.rest() == b":1\r\n"
    assert neighbour.ask("GET", "a") == b"1"


def test_killing_another_hits_that_one_only(endpoint: Endpoint) -> None:
    victim, killer, neighbours = endpoint.raw(), endpoint.raw(), [endpoint.raw() for _ in range(5)]
    for raw in neighbours:
        raw.command("SET", "a", "1")
    number = victim.ask("CLIENT", "ID")
    assert killer.command("CLIENT", "KILL", "ID", number) == b":1\r\n"
    assert victim.rest() == b""
    assert killer.command("CLIENT", "KILL", "ID", number) == b":0\r\n"
    for raw in [*neighbours, killer]:
        assert raw.ask("GET", "a") == b"1"


def test_no_evict_is_ones_own(endpoint: Endpoint) -> None:
    raw, other = endpoint.raw(), endpoint.raw()
    assert raw.command("CLIENT", "NO-EVICT", "on") == b"+OK\r\n"
    mine, theirs = raw.ask("CLIENT", "ID"), other.ask("CLIENT", "ID")
    clients = listed(raw)
    assert "e" in clients[mine]["flags"]
    assert "e" not in clients[theirs]["flags"]


def test_reply_off_on_and_skip(endpoint: Endpoint) -> None:
    raw, other = endpoint.raw(), endpoint.raw()
    raw.send(encode("CLIENT", "REPLY", "OFF") + encode("SET", "a", "1") + encode("GET", "a"))
    wait_until_equal(lambda: other.ask("GET", "a"), b"1", "the silent SET has happened")
    assert raw.silent()
    assert raw.command("CLIENT", "REPLY", "ON") == b"+OK\r\n"
    assert raw.command("GET", "a") == b"$1\r\n1\r\n"
    raw.send(encode("CLIENT", "REPLY", "SKIP") + encode("SET", "a", "2") + encode("GET", "a"))
    assert raw.frame() == b"$1\r\n2\r\n"
    assert raw.silent()
    assert other.command("PING") == b"+PONG\r\n"


def test_reply_off_with_many_requests_and_a_neighbour(endpoint: Endpoint) -> None:
    raw, other = endpoint.raw(), endpoint.raw()
    raw.send(encode("CLIENT", "REPLY", "OFF"))
    for _ in range(1000):
        raw.send(encode("INCR", "n"))
    assert other.command("ECHO", "x") == b"$1\r\nx\r\n"
    assert raw.command("CLIENT", "REPLY", "ON") == b"+OK\r\n"
    assert raw.ask("GET", "n") == b"1000"


def test_pause_holds_writes_and_unpause_lets_them_go(endpoint: Endpoint) -> None:
    raw, other = endpoint.raw(), endpoint.raw()
    other.command("PING")
    assert raw.command("CLIENT", "PAUSE", "20000", "WRITE") == b"+OK\r\n"
    other.send(encode("SET", "a", "1"))
    assert other.silent()
    with endpoint.server.raw() as server:
        assert server.command("CLIENT", "UNPAUSE") == b"+OK\r\n"
    assert other.frame() == b"+OK\r\n"


def test_tracking_pushes_invalidations_in_resp3(endpoint: Endpoint) -> None:
    raw, other = endpoint.raw(), endpoint.raw()
    raw.ask("HELLO", "3")
    assert raw.command("CLIENT", "TRACKING", "ON") == b"+OK\r\n"
    raw.command("GET", "a")
    other.command("GET", "b")
    other.command("SET", "b", "1")
    assert raw.silent()
    other.command("SET", "a", "1")
    assert raw.value() == Push([b"invalidate", [b"a"]])
    other.command("SET", "a", "2")
    assert raw.silent()
    assert raw.ask("GET", "a") == b"2"
    other.command("FLUSHALL")
    assert raw.value() == Push([b"invalidate", None])
    assert raw.command("CLIENT", "TRACKING", "OFF") == b"+OK\r\n"
    raw.command("GET", "a")
    other.command("SET", "a", "3")
    assert raw.silent()


def test_tracking_by_prefix_opt_in_and_noloop(endpoint: Endpoint) -> None:
    broadcast, opted, other = endpoint.raw(), endpoint.raw(), endpoint.raw()
    broadcast.ask("HELLO", "3")
    broadcast.command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "user:", "NOLOOP")
    broadcast.command("SET", "user:own", "1")
    other.command("SET", "elsewhere", "1")
    other.command("SET", "user:1", "1")
    assert broadcast.value() == Push([b"invalidate", [b"user:1"]])
    opted.ask("HELLO", "3")
    opted.command("CLIENT", "TRACKING", "ON", "OPTIN")
    opted.command("GET", "a")
    opted.send(encode("CLIENT", "CACHING", "YES") + encode("GET", "b"))
    assert opted.frames(2) == [b"+OK\r\n", b"_\r\n"]
    other.command("SET", "a", "1")
    other.command("SET", "b", "1")
    assert opted.value() == Push([b"invalidate", [b"b"]])
    assert b"optin" in opted.ask("CLIENT", "TRACKINGINFO")[b"flags"]


def test_tracking_redirected_to_a_resp2_subscriber(endpoint: Endpoint) -> None:
    listener, reader, other = endpoint.raw(), endpoint.raw(), endpoint.raw()
    number = listener.ask("CLIENT", "ID")
    listener.ask("SUBSCRIBE", "__redis__:invalidate")
    assert reader.command("CLIENT", "TRACKING", "ON", "REDIRECT", number) == b"+OK\r\n"
    assert reader.ask("CLIENT", "GETREDIR") == number
    reader.command("GET", "a")
    other.command("SET", "a", "1")
    assert listener.value() == [b"message", b"__redis__:invalidate", [b"a"]]
    assert reader.silent()


def test_a_tracking_client_that_leaves_leaves_no_trace(endpoint: Endpoint) -> None:
    def tracking() -> int:
        with endpoint.server.client() as server:
            return int(server.info("clients")["tracking_clients"])

    raw = endpoint.raw()
    raw.ask("HELLO", "3")
    raw.command("CLIENT", "TRACKING", "ON")
    assert tracking() == 1
    raw.close()
    wait_until_equal(tracking, 0, "no client tracks")
    fresh = endpoint.raw()
    fresh.ask("HELLO", "3")
    fresh.command("GET", "a")
    endpoint.raw().command("SET", "a", "1")
    assert fresh.silent()


def test_the_driver_s_cache_is_told_of_changes(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    # redis-py insists on Redis 7.4; what it uses of the protocol is there since 6.0 and in Valkey
    monkeypatch.setattr(CacheProxyConnection, "MIN_ALLOWED_VERSION", "6.0.0")
    monkeypatch.setattr(CacheProxyConnection, "DEFAULT_SERVER_NAME", endpoint.server.kind)
    cached = endpoint.cached_client(cache_config=CacheConfig())
    other = endpoint.client()
    other.set("a", "1")
    assert cached.get("a") == b"1"
    cache = cached.get_cache()
    assert cache.size == 1
    calls = endpoint_calls(endpoint, "get")
    assert [cached.get("a") for _ in range(50)] == [b"1"] * 50
    assert endpoint_calls(endpoint, "get") == calls  # all fifty came from the cache
    other.set("a", "2")
    wait_until(lambda: cached.get("a") == b"2", "the cache has seen the invalidation")
    other.flushall()
    wait_until(lambda: cached.get("a") is None, "the cache has seen FLUSHALL")


def endpoint_calls(endpoint: Endpoint, command: str) -> int:
    with endpoint.server.client() as server:
        return int(server.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


def test_a_slow_script_mixes_nobody_s_answers(endpoint: Endpoint) -> None:
    """It holds up everyone, as with the server alone; then each gets their own."""
    slow, others = endpoint.raw(), [endpoint.raw() for _ in range(10)]
    script = "local n = 0 for i = 1, 3000000 do n = n + i end return 'slow'"
    begin = time.monotonic()
    slow.send(encode("EVAL", script, "0"))
    for index, raw in enumerate(others):
        raw.send(encode("ECHO", index))
    assert [raw.value() for raw in others] == [b"%d" % index for index in range(10)]
    assert slow.value() == b"slow"
    assert time.monotonic() - begin < 10


REFUSED_PINS = [
    ("CLIENT", "MAINT_NOTIFICATIONS", "ON"),  # redis-py's greeting; older servers do not know it
    ("CLIENT", "NOSUCH"),
    ("CLIENT", "NO-EVICT", "maybe"),
    ("CLIENT", "TRACKING", "ON", "REDIRECT", "99999999"),
    ("CLIENT", "ID", "x"),
    ("READONLY",),
]


@pytest.mark.parametrize("words", REFUSED_PINS, ids=" ".join)
def test_what_the_server_refuses_costs_no_connection(
    endpoint: Endpoint, words: tuple[str, ...]
) -> None:
    raw = endpoint.raw()
    assert raw.command(*words).startswith(b"-")
    assert raw.command("PING") == b"+PONG\r\n"
    if endpoint.proxy is not None and "per-client" not in endpoint.kind:
        proxy = endpoint.proxy
        wait_until_equal(lambda: proxy.metric("shotover_leases"), 0.0, "no lease is left")
    raw.send(encode(*words) + encode("CLIENT", "ID") + encode(*words) + encode("CLIENT", "ID"))
    _, first, _, second = raw.frames(4)
    raw.command("PING")
    assert first == second == raw.command("CLIENT", "ID")


def test_the_driver_s_greeting_leaves_it_among_those_who_share(
    endpoint: Endpoint, driver: str
) -> None:
    clients = [endpoint.client(driver=driver) for _ in range(3)]
    for client in clients:
        client.set("a", "1")
    if endpoint.proxy is not None and "per-client" not in endpoint.kind:
        proxy = endpoint.proxy
        wait_until_equal(lambda: proxy.metric("shotover_leases"), 0.0, "no lease is left")
