"""The command SHOTOVER, by clients that may ask and by others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError
from support.resp import RawClient, encode

from live.conftest import Running, source_of

Start = Callable[..., Running]
ANYBODY = {"in_band": {"clients": ["127.0.0.0/8"]}}
ALL = {
    **ANYBODY,
    "hot_keys": {"sample_percent": 100},
    "slow_requests": {"over_ms": 15, "keep": 8},
}


def as_map(flat: list[Any]) -> dict[str, Any]:
    """Names and values in turns."""
    found = dict(zip(flat[::2], flat[1::2], strict=True))
    return {name.decode(): value for name, value in found.items()}


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_client_with_the_right_is_told(proxy_with: Start, protocol: int) -> None:
    delay = {"FaultInjection": {"faults": [{"delay_ms": 20, "commands": ["STRLEN"]}]}}
    proxy = proxy_with(source=ALL, chain=[delay])
    with redis.Redis(port=proxy.port, protocol=protocol) as client:
        client.set("key", "value")
        client.strlen("key")
        told = client.execute_command("SHOTOVER", "INFO").decode()
        assert "# Source redis\r\n" in told and "\r\nclients:1\r\n" in told
        topology = json.loads(client.execute_command("shotover", "topology"))
        assert topology["sources"][0]["Redis"]["name"] == "redis"
        (slow,) = client.execute_command("SHOTOVER", "SLOWLOG")
        slow = as_map(slow)
        assert (slow["command"], slow["key"]) == (b"STRLEN", b"key")
        assert float(slow["ms"]) >= 15
        hot = [as_map(entry) for entry in client.execute_command("SHOTOVER", "HOTKEYS", "1")]
        assert [(entry["key"], entry["source"]) for entry in hot] == [(b"key", b"redis")]
        (big,) = client.execute_command("SHOTOVER", "HOTKEYS", "bytes", 5)
        assert as_map(big)["key"] == b"key"
        lines = client.execute_command("SHOTOVER", "HELP")
        assert any(line.startswith(b"HOTKEYS") for line in lines)


def test_a_mistake_is_answered_with_what_there_is(proxy_with: Start) -> None:
    proxy = proxy_with(source=ANYBODY)
    with redis.Redis(port=proxy.port) as client:
        for words, text in (
            (("NOTHING",), "unknown subcommand 'NOTHING'; there are INFO, TOPOLOGY, SLOWLOG, HOT"),
            ((), "a subcommand is missing; there are INFO"),
            (("a\r\nb",), r"unknown subcommand 'A\?\?B'"),
            (("SLOWLOG", "many"), "'many' is no number"),
            (("INFO", "x"), "'x' is one word too many"),
            (("INFO", *"abcdefghi"), "too many words"),
        ):
            with pytest.raises(ResponseError, match=text):
                client.execute_command("SHOTOVER", *words)
        assert client.execute_command("SHOTOVER", "HOTKEYS") == []


def test_others_are_refused_and_the_server_hears_nothing(proxy_with: Start) -> None:
    proxy = proxy_with(source={"in_band": {"clients": ["127.0.0.2"]}})
    with redis.Redis(port=proxy.port) as client:
        with pytest.raises(NoPermissionError, match="may not use SHOTOVER"):
            client.execute_command("SHOTOVER", "INFO")
        assert "cmdstat_shotover" not in client.info("commandstats")
    other = proxy_with()  # nobody is asked there: the command is the server's to judge
    with redis.Redis(port=other.port) as client, pytest.raises(ResponseError, match="unknown comm"):
        client.execute_command("SHOTOVER", "INFO")


def test_users_are_known_by_their_login(proxy_with: Start) -> None:
    proxy = proxy_with(source={"in_band": {"users": ["operator"]}})
    with redis.Redis(port=proxy.port) as client:
        client.acl_setuser("operator", enabled=True, passwords=["+right"], categories=["+@all"])
        with pytest.raises(NoPermissionError):
            client.execute_command("SHOTOVER", "INFO")
    with redis.Redis(port=proxy.port, username="operator", password="right") as client:
        assert b"workers:" in client.execute_command("SHOTOVER", "INFO")
        with pytest.raises(AuthenticationError):
            client.execute_command("AUTH", "operator", "wrong")
        assert b"workers:" in client.execute_command("SHOTOVER", "INFO")
        client.execute_command("RESET")
        with pytest.raises(NoPermissionError):
            client.execute_command("SHOTOVER", "INFO")


def test_replies_come_in_the_order_of_their_requests(proxy_with: Start) -> None:
    proxy = proxy_with(source=ANYBODY)
    with RawClient(proxy.port) as client:
        client.send(encode("PING", "a") + encode("SHOTOVER", "HELP") * 3 + encode("PING", "b"))
        assert client.frame() == b"$1\r\na\r\n"
        told = [client.frame() for _ in range(3)]
        assert told[0].startswith(b"*6\r\n") and told == [told[0]] * 3
        assert client.frame() == b"$1\r\nb\r\n"


def test_it_breaks_a_transaction(proxy_with: Start) -> None:
    proxy = proxy_with(source=ANYBODY)
    with RawClient(proxy.port) as client:
        assert client.command("MULTI") == b"+OK\r\n"
        assert client.command("SET", "a", "1") == b"+QUEUED\r\n"
        assert client.command("SHOTOVER", "INFO").startswith(b"-ERR SHOTOVER cannot be part of")
        assert client.command("EXEC").startswith(b"-EXECABORT")
        assert client.ask("EXISTS", "a") == 0


def test_clients_of_a_source_that_was_replaced_are_answered_too(proxy_with: Start) -> None:
    proxy = proxy_with(source=ANYBODY)
    with redis.Redis(port=proxy.port, single_connection_client=True) as client:
        assert b"generation:1" in client.execute_command("SHOTOVER", "INFO")
        topology = proxy.topology
        del source_of(topology)["in_band"]
        source_of(topology)["hot_keys"] = {}
        assert proxy.apply(topology).status == 200
        assert b"generation:2" in client.execute_command("SHOTOVER", "INFO")


def test_who_leaves_before_the_answer_is_forgotten(proxy_with: Start) -> None:
    proxy = proxy_with(source=ANYBODY)
    for _ in range(40):
        with RawClient(proxy.port) as client:
            client.send(encode("SHOTOVER", "INFO"))
    with redis.Redis(port=proxy.port) as client:
        assert b"workers:" in client.execute_command("SHOTOVER", "INFO")


def test_who_wants_no_replies_gets_none(proxy_with: Start) -> None:
    proxy = proxy_with(source=ANYBODY)
    with RawClient(proxy.port) as client:
        client.send(
            encode("CLIENT", "REPLY", "OFF")
            + encode("SHOTOVER", "HELP")
            + encode("CLIENT", "REPLY", "ON")
            + encode("PING", "b")
        )
        assert client.frame() == b"+OK\r\n"
        assert client.frame() == b"$1\r\nb\r\n"
