"""Split, carried out by several real servers, and joined: what one server says that has all the keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.resp import RawClient, encode, parse
from support.servers import Server

from codec.fans import keys, probe, requests

TARGETS = 3


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Server]]:
    """The first has all keys; each of the others its own."""
    started: list[Server] = []
    try:
        for _ in range(TARGETS + 1):
            started.append(Server("redis"))
        yield started
    finally:
        for server in started:
            server.stop()


class Servers:
    """A connection to each, in one version of the protocol."""

    def __init__(self, servers: list[Server], resp: int) -> None:
        self.one, *self.several = [RawClient(server.port) for server in servers]
        for client in self.all:
            client.command("HELLO", resp)
            client.command("FLUSHALL")
            client.command("SCRIPT", "FLUSH")

    @property
    def all(self) -> list[RawClient]:
        return [self.one, *self.several]

    def close(self) -> None:
        for client in self.all:
            client.close()

    def split(self, *words: bytes | str | int, homes: int = 0) -> bytes:
        """By the several; with `homes` there are four times as many targets, some together at each."""
        wire = encode(*words)
        fan = probe.Fan(wire, targets=4 * TARGETS if homes else TARGETS, homes=homes)
        if fan.said == "ONE":
            client = self.several[fan.one % (homes or TARGETS)]
            client.send(wire)
            return client.frame()
        legs = fan.legs()
        for home, _, run, *_ in legs:
            self.several[home].send(run)
        for index, (home, count, *_) in enumerate(legs):
            fan.take(index, b"".join(self.several[home].frames(count)))
        return fan.join()[1]

    def everywhere(self, *words: bytes | str | int) -> bytes:
        fan = probe.Fan(encode(*words), everywhere=TARGETS)
        for index, client in enumerate(self.several):
            fan.reply(index, client.command(*words))
        return fan.join()[1]


@pytest.fixture(params=[2, 3])
def connected(request: pytest.FixtureRequest, servers: list[Server]) -> Iterator[Servers]:
    connected = Servers(servers, request.param)
    yield connected
    connected.close()


@pytest.mark.parametrize("resp", [2, 3])
@settings(max_examples=60, deadline=None)
@given(script=st.lists(requests(), max_size=10), homes=st.sampled_from((0, TARGETS)),
       lists=st.lists(keys, max_size=2))  # fmt: skip
def test_a_script_of_requests(servers, resp, script, homes, lists) -> None:
    connected = Servers(servers, resp)
    try:
        for key in lists:  # of another type: MGET has null for it
            assert connected.one.command("RPUSH", key, "x")[:1] == b":"
            assert connected.split("RPUSH", key, "x", homes=homes)[:1] == b":"
        for request in script:
            assert connected.split(*request, homes=homes) == connected.one.command(*request)
        everything = connected.one.ask("KEYS", "*")
        found = parse(connected.everywhere("KEYS", "*"))
        assert sorted(found) == sorted(everything)
        assert connected.everywhere("DBSIZE") == connected.one.command("DBSIZE")
    finally:
        connected.close()


def test_ten_thousand_keys(connected) -> None:
    found = [f"key:{index}" for index in range(10_000)]
    pairs = [word for key in found for word in (key, f"value of {key}")]
    assert connected.split("MSET", *pairs) == connected.one.command("MSET", *pairs)
    for words in (("MGET", *found, "nokey"), ("EXISTS", *found), ("UNLINK", *found)):
        assert connected.split(*words) == connected.one.command(*words)


def test_what_goes_to_all(connected) -> None:
    script = "return 1"
    digest = connected.one.ask("SCRIPT", "LOAD", script)
    asked = ("SCRIPT", "EXISTS", digest, "f" * 40)
    assert connected.everywhere("SCRIPT", "LOAD", script) == b"$40\r\n%b\r\n" % digest
    assert connected.everywhere(*asked) == connected.one.command(*asked) == b"*2\r\n:1\r\n:0\r\n"
    connected.several[1].command("SCRIPT", "FLUSH")
    assert connected.everywhere(*asked) == b"*2\r\n:0\r\n:0\r\n"
    assert connected.everywhere("SCRIPT", "KILL") == connected.one.command("SCRIPT", "KILL")
    assert connected.everywhere("FLUSHALL") == b"+OK\r\n"
    assert connected.everywhere("KEYS", "*") == b"*0\r\n"
    assert connected.everywhere("CONFIG", "SET", "nosuch", "x") == connected.one.command(
        "CONFIG", "SET", "nosuch", "x"
    )
    assert connected.everywhere("WAIT", 0, 0) == b":0\r\n"


def test_an_error_of_one_server_is_the_reply(connected) -> None:
    """A server out of memory refuses its part; the others' parts are done."""
    connected.several[ord("a") % TARGETS].command("CONFIG", "SET", "maxmemory", "1")
    try:
        said = connected.split("MSET", "a", 1, "b", 2, "c", 3)
    finally:
        connected.several[ord("a") % TARGETS].command("CONFIG", "SET", "maxmemory", "0")
    assert said.startswith(b"-OOM ")
    assert parse(connected.split("MGET", "a", "b", "c")) == [None, b"2", b"3"]
