"""What a proxy has noted of its traffic: hot keys, big values, slow requests."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import redis
from support.resp import RawClient, encode
from support.servers import Server
from support.wait import wait_until

from live.conftest import Running, source_of

Start = Callable[..., Running]
SEEN = {"hot_keys": {"sample_percent": 20}, "slow_requests": {"over_ms": 50, "keep": 4}}


def names(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["key"] for entry in entries]


def proxy_hot(proxy: Running) -> dict[str, Any]:
    found: dict[str, Any] = proxy.ask("GET", "/hotkeys").tree["redis"]
    return found


def gets(client: RawClient, keys: list[str]) -> None:
    """A pipeline of reads of keys that are not there."""
    wire = b"".join(encode("GET", key) for key in keys)
    client.exchange(wire, len(b"$-1\r\n") * len(keys))


def test_a_sample_of_one_in_a_hundred_finds_hot_keys_on_all_workers(proxy_with: Start) -> None:
    proxy = proxy_with(source={"hot_keys": {}}, arguments=("--core-threads", "2"))
    chooser = random.Random(5)
    hot = [f"hot:{number}" for number in range(10)]
    clients = [RawClient(proxy.port) for _ in range(8)]
    for _ in range(1600):
        for client in clients:
            keys = [
                chooser.choice(hot) if chooser.random() < 0.5 else f"cold:{chooser.random()}"
                for _ in range(5)
            ]
            gets(client, keys)
    found = proxy.ask("GET", "/hotkeys").tree["redis"]
    assert set(names(found["count"][:10])) == set(hot)
    assert 400 < found["samples"] < 900, "of 64,000 about 640"
    assert names(found["prefixes"]) == ["hot:", "cold:"] or names(found["prefixes"]) == [
        "cold:",
        "hot:",
    ]
    assert names(found["clients"]) == ["127.0.0.1"]
    assert found["clients"][0]["share"] == 1
    assert proxy.metric("shotover_hot_key_samples_count", source="redis") == found["samples"]
    for client in clients:
        client.close()


def test_big_values_are_found_as_they_are_read_and_written(proxy_with: Start) -> None:
    proxy = proxy_with(source=SEEN)
    with redis.Redis(port=proxy.port) as client:
        client.set("big", b"x" * 300_000)
        for number in range(600):
            client.set(f"small:{number % 7}", b"x")
            if number % 6 == 0:
                client.get("big")
        for number in range(100):
            client.set(f"upload:{number % 2}", b"y" * 100_000)
    found = proxy.ask("GET", "/hotkeys?count=3").tree["redis"]
    assert names(found["bytes"])[0] == "big"
    assert {*names(found["bytes"])[1:]} == {"upload:0", "upload:1"}
    looks = {entry["key"]: entry["weight"] for entry in proxy_hot(proxy)["count"]}
    assert 300_000 <= found["bytes"][0]["weight"] / looks["big"] < 300_100, (
        "whole replies, and no more"
    )
    assert names(found["prefixes"])[0] == "small:"


def test_who_leaves_in_the_middle_is_not_waited_for(proxy_with: Start) -> None:
    proxy = proxy_with(source={"hot_keys": {"sample_percent": 100}})
    for _ in range(300):  # more than may be looked at at once
        client = RawClient(proxy.port)
        client.send(encode("GET", "left"))
        client.close()
    with redis.Redis(port=proxy.port) as client:
        client.get("stayed")
    assert "stayed" in names(proxy.ask("GET", "/hotkeys").tree["redis"]["count"])


def test_a_slow_request_is_kept_with_the_times_of_its_stages(
    start_server: Callable[..., Server],
) -> None:
    behind = start_server()
    proxy = Running(behind.port, source=SEEN)
    with redis.Redis(port=behind.port) as server, redis.Redis(port=proxy.port) as client:
        client.set("quick", "secret-value")
        server.client_pause(200)
        client.set("paused", "secret-value")
        client.blpop(["nothing"], 0.2)
    text = proxy.ask("GET", "/slowlog").text
    (entry,) = proxy.ask("GET", "/slowlog").tree
    assert "secret" not in text
    assert (entry["command"], entry["key"], entry["key_bytes"]) == ("SET", "paused", 6)
    assert entry["source"] == "redis" and entry["requests"] == 1 and not entry["failed"]
    assert entry["address"].startswith("127.0.0.1:")
    assert 50 <= entry["upstream_ms"] <= entry["ms"] <= 5_000
    stages = entry["waited_ms"] + entry["upstream_ms"] + entry["kept_ms"]
    assert abs(stages - entry["ms"]) < 0.001
    assert proxy.metric("shotover_slow_requests_count", source="redis") == 1
    proxy.stop()


def test_waiting_in_the_proxy_is_told_from_waiting_for_the_server(proxy_with: Start) -> None:
    delay = {"FaultInjection": {"faults": [{"delay_ms": 80}]}}
    proxy = proxy_with(source=SEEN, chain=[delay])
    with redis.Redis(port=proxy.port) as client:
        for number in range(6):
            client.get(f"late:{number}")
    found = proxy.ask("GET", "/slowlog").tree
    assert [entry["key"] for entry in found] == ["late:5", "late:4", "late:3", "late:2"], (
        "the latest four"
    )
    assert all(entry["waited_ms"] >= 60 for entry in found)
    assert len(proxy.ask("GET", "/slowlog?count=1").tree) == 1


def test_it_is_switched_on_while_the_proxy_serves(proxy_with: Start) -> None:
    proxy = proxy_with()
    assert proxy.ask("GET", "/hotkeys").tree == {}
    assert proxy.ask("GET", "/slowlog").tree == []
    topology = proxy.topology
    source_of(topology)["hot_keys"] = {"sample_percent": 100}
    assert proxy.apply(topology).status == 200
    with redis.Redis(port=proxy.port) as client:
        client.get("now")

    def hot() -> list[str]:
        return names(proxy.ask("GET", "/hotkeys?source=redis").tree["redis"]["count"])

    assert wait_until(hot, "a hot key") == ["now"]
    assert proxy.ask("GET", "/hotkeys?source=other").tree == {}
    assert proxy.ask("GET", "/hotkeys?count=x").status == 400
