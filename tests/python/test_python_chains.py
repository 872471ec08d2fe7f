"""Requests that a transform sends into a chain of its own."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from support.inprocess import Served, inline, sink
from support.resp import encode
from support.servers import Server
from support.wait import wait_until

from shotover import Transform


class Route(Transform):
    """Keys that begin with `b` live on the other server."""

    def on_request(self, request: Any) -> None:
        if (request.key or b"").startswith(b"b"):
            request.send("b")


class RouteAll(Transform):
    def on_request(self, request: Any) -> None:
        request.send("b")


@pytest.fixture
def routed(server: Server, second: Server, direct: redis.Redis) -> Any:
    """routed(Transform): a proxy with a chain `b` that ends at the second server."""
    direct.flushall()
    started: list[Served] = []

    def start(transform: type, *below: Any) -> Served:
        steps = [inline(each, f"below{index}") for index, each in enumerate(below)]
        chains = {"b": [*steps, sink(second.port, "sink-b")]}
        started.append(Served([inline(transform, chains=chains), sink(server.port)]))
        return started[-1]

    yield start
    for served in started:
        served.end()


def test_requests_go_where_the_transform_sends_them(
    routed: Any, direct: redis.Redis, second: Server
) -> None:
    client = routed(Route).raw()
    client.send(
        b"".join(
            encode("SET", key, f"v-{key}") + encode("GET", key) for key in ("a1", "b1", "a2", "b2")
        )
    )
    assert [client.frame() for _ in range(8)] == [
        each
        for key in ("a1", "b1", "a2", "b2")
        for each in (b"+OK\r\n", b"$4\r\nv-%b\r\n" % key.encode())
    ]
    assert sorted(direct.keys()) == [b"a1", b"a2"]
    with redis.Redis(port=second.port) as other:
        assert sorted(other.keys()) == [b"b1", b"b2"]


def test_a_sent_request_goes_as_edited_and_its_reply_passes_the_reply_hook(
    routed: Any, second: Server
) -> None:
    class Both(Transform):
        def on_request(self, request: Any) -> None:
            request.args[1] += b"!"
            request.note = "noted"
            request.send("b")

        def on_reply(self, request: Any, reply: Any) -> None:
            reply.value = [reply.value, request.note, request.key]

    client = routed(Both).raw()
    assert client.command("SET", "k", "v") == b"*3\r\n+OK\r\n+noted\r\n$2\r\nk!\r\n"
    with redis.Redis(port=second.port) as other:
        assert other.get("k!") == b"v"


def test_session_state_works_in_a_chain(routed: Any) -> None:
    served = routed(RouteAll)
    client, other = served.raw(), served.raw()
    client.send(
        encode("SELECT", 3)
        + encode("SET", "k", "three")
        + encode("MULTI")
        + encode("GET", "k")
        + encode("EXEC")
    )
    assert [client.frame() for _ in range(5)] == [
        b"+OK\r\n",
        b"+OK\r\n",
        b"+OK\r\n",
        b"+QUEUED\r\n",
        b"*1\r\n$5\r\nthree\r\n",
    ]
    assert other.command("GET", "k") == b"$-1\r\n"


def test_python_steps_in_a_chain_see_what_is_sent_there(routed: Any) -> None:
    class Below(Transform):
        def on_request(self, request: Any) -> None:
            request.state["n"] = request.state.get("n", 0) + 1
            request.note = request.state["n"]

        def on_reply(self, request: Any, reply: Any) -> None:
            reply.value = [reply.value, request.note, request.client_address]

    client = routed(Route, Below).raw()
    address = f"127.0.0.1:{client.port}".encode()
    for count in (1, 2):
        assert client.command("GET", "b") == b"*3\r\n$-1\r\n:%d\r\n+%b\r\n" % (count, address)
    assert client.command("GET", "a") == b"$-1\r\n"


def test_an_unknown_chain_is_an_error_that_names_the_known(routed: Any) -> None:
    class Wrong(Transform):
        def on_request(self, request: Any) -> None:
            with pytest.raises(ValueError, match=r"no chain 'c' \(b\)"):
                request.send("c")
            request.answer(1)

    assert routed(Wrong).raw().command("GET", "k") == b":1\r\n"


def test_a_client_that_leaves_while_its_request_is_away_harms_nothing(
    routed: Any, second: Server
) -> None:
    served = routed(RouteAll)
    with redis.Redis(port=second.port) as other:
        other.execute_command("CLIENT", "PAUSE", "200", "ALL")
    for words in (("GET", "k"), ("BLPOP", "k", "0"), ("SELECT", "2")):
        client = served.raw()
        client.send(encode("GET", "x") + encode(*words) + encode("GET", "y"))
        wait_until(lambda: served.worker.census()["requests"] >= 2, "requests are under way")
        client.reset()
    wait_until(lambda: served.worker.census()["requests"] == 0, "they have come to nothing")
    assert served.raw().command("GET", "x") == b"$-1\r\n"


def test_a_held_request_may_be_sent_from_a_coroutine(routed: Any, second: Server) -> None:
    import asyncio

    class Later(Transform):
        async def on_request(self, request: Any) -> None:
            await asyncio.sleep(0)
            request.send("b")

    client = routed(Later).raw()
    client.send(encode("SET", "k", "1") + encode("INCR", "k"))
    assert [client.frame(), client.frame()] == [b"+OK\r\n", b":2\r\n"]
    with redis.Redis(port=second.port) as other:
        assert other.get("k") == b"2"
