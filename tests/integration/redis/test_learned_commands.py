"""Commands that no table has: a module's, and known ones under names of the server's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.endpoint import Endpoint
from support.proxy import Proxy
from support.resp import RawClient
from support.servers import Server
from support.toy_module import build
from support.wait import wait_until, wait_until_equal

RENAMED = [
    word
    for old, new in (("GET", "FETCH"), ("MULTI", "BEGIN"), ("SELECT", "USE"), ("BLPOP", "AWAIT"))
    for word in ("--rename-command", old, new)
]


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("module"))


def leases(proxy: Proxy, reason: str = "alone") -> float:
    return proxy.metric("shotover_leases_count", reason=reason)


def learned(proxy: Proxy) -> float:
    return proxy.metric("shotover_learned_commands_count")


def test_a_module_s_commands_are_answered_as_by_the_server(
    make_endpoint: Callable[..., Endpoint], module: Path
) -> None:
    endpoint = make_endpoint("--loadmodule", str(module))
    for raw in (endpoint.raw(), endpoint.raw()):
        for _ in range(2):
            assert raw.command("toy.read", "a") == b":2\r\n"
            assert raw.command("TOY.WRITE", "a", "1", "b", "2") == b":5\r\n"
            assert raw.command("toy.odd") == b":1\r\n"
            assert raw.command("toy.nosuch", "x").startswith(b"-ERR unknown command 'toy.nosuch'")
            assert raw.command("PING") == b"+PONG\r\n"


def test_what_reads_or_writes_is_shared_once_learned(
    start_server: Callable[..., Server], start_proxy: Callable[..., Proxy], module: Path
) -> None:
    server = start_server("--loadmodule", str(module))
    proxy = start_proxy(server.port)
    with proxy.raw() as raw:
        for number, name in enumerate(("toy.read", "toy.write", "toy.odd", "toy.order"), 1):
            raw.command(name, "a", "1")
            wait_until_equal(lambda: learned(proxy), float(number), "the command is learned")
        given_back = "the lease of the first use has ended"
        wait_until_equal(lambda: proxy.metric("shotover_leases"), 0.0, given_back)
        before = leases(proxy)
        for _ in range(20):
            raw.command("toy.read", "a")
            raw.command("Toy.Write", "a", "1")
        assert leases(proxy) == before
        raw.command("toy.odd")  # neither a read nor a write: it goes on having a lease
        raw.command("toy.order")
        assert leases(proxy) == before + 2
        assert learned(proxy) == 4


def test_words_that_the_server_does_not_know_are_not_asked_for(
    start_server: Callable[..., Server], start_proxy: Callable[..., Proxy]
) -> None:
    server = start_server()
    proxy = start_proxy(server.port)
    with proxy.raw() as raw, server.client() as control:
        for number in range(20):
            assert raw.command(f"NOSUCH{number}").startswith(b"-ERR unknown command")
        assert "cmdstat_command|info" not in control.info("commandstats")
        assert learned(proxy) == 0
        assert proxy.metric("shotover_pinned_sessions_count") == 0


def test_what_was_learned_is_forgotten_with_the_connection_and_learned_again(
    start_server: Callable[..., Server], start_proxy: Callable[..., Proxy], module: Path
) -> None:
    server = start_server("--loadmodule", str(module))
    proxy = start_proxy(server.port)
    proxy.allow_log("upstream|connect")
    with proxy.raw() as raw:
        raw.command("toy.read", "a")
        wait_until_equal(lambda: learned(proxy), 1.0, "the command is learned")
    server.restart()
    lost = "the loss of its connections is noticed"
    wait_until(lambda: proxy.metric("shotover_upstream_lost_count") > 0, lost)

    def answered() -> bool:
        with proxy.raw() as raw:
            return raw.command("toy.read", "a") == b":2\r\n"

    wait_until(answered, "the server is found again")
    wait_until_equal(lambda: learned(proxy), 2.0, "the command is learned again")


def test_a_known_command_under_another_name_is_what_it_was(
    make_endpoint: Callable[..., Endpoint],
) -> None:
    """Each twice on fresh connections: before it is learned, and after."""
    endpoint = make_endpoint(*RENAMED)
    for _ in range(3):
        raw, other = endpoint.raw(), endpoint.raw()
        raw.command("SET", "a", "1")
        assert raw.command("FETCH", "a") == b"$1\r\n1\r\n"
        assert raw.command("GET", "a").startswith(b"-ERR unknown command")
        assert raw.command("BEGIN") == b"+OK\r\n"
        assert raw.command("SET", "a", "2") == b"+QUEUED\r\n"
        assert other.command("FETCH", "a") == b"$1\r\n1\r\n"
        assert raw.command("FETCH", "a") == b"+QUEUED\r\n"
        assert raw.command("EXEC") == b"*2\r\n+OK\r\n$1\r\n2\r\n"
        assert raw.command("USE", "3") == b"+OK\r\n"
        assert raw.command("DBSIZE") == b":0\r\n"
        assert other.command("DBSIZE") == b":1\r\n"
        assert raw.command("AWAIT", "list", "0.01") == b"*-1\r\n"


def test_a_blocking_command_under_another_name_holds_up_nobody(
    make_endpoint: Callable[..., Endpoint],
) -> None:
    endpoint = make_endpoint(*RENAMED)
    for _ in range(2):
        waiting, other = endpoint.raw(), endpoint.raw()
        waiting.command("AWAIT", "list", "0.01")
        with endpoint.server.raw() as control:
            waiting.socket.sendall(b"*3\r\n$5\r\nAWAIT\r\n$4\r\nlist\r\n$1\r\n0\r\n")
            blocked = "the server has the waiting client"
            wait_until(lambda: b"blocked_clients:1" in control.ask("INFO", "clients"), blocked)
            assert other.command("SET", "a", "1") == b"+OK\r\n"
            other.command("RPUSH", "list", "x")
            assert waiting.frame() == b"*2\r\n$4\r\nlist\r\n$1\r\nx\r\n"


def test_a_user_who_may_not_ask_is_served_all_the_same(
    start_server: Callable[..., Server], start_proxy: Callable[..., Proxy], module: Path
) -> None:
    server = start_server("--loadmodule", str(module))
    with server.raw() as control:
        control.command("ACL", "SETUSER", "u", "on", ">pw", "~*", "+@all", "-command")
    proxy = start_proxy(server.port)
    with RawClient(proxy.port) as raw:
        assert raw.command("AUTH", "u", "pw") == b"+OK\r\n"
        for _ in range(3):
            assert raw.command("toy.read", "a") == b":2\r\n"
            assert raw.command("SET", "a", "1") == b"+OK\r\n"
    assert learned(proxy) == 0
