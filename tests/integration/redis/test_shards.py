"""RedisSinkShards before real servers: the same data as through nutcracker, and what becomes of it when a server is away."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.nutcracker import Nutcracker
from support.proxy import Proxy
from support.resp import RawClient, encode
from support.servers import Server
from support.wait import wait_until

from shotover.sinks._redis_distribution import Distribution
from shotover.sinks.redis_shards import HASHES

SERVERS = 3
CASES = [(hash, kind) for hash in HASHES for kind in ("ketama", "modula")]
WEIGHTS = [1, 4, 2]
KEYS = [b"key:%d" % index for index in range(300)]
OK = b"+OK\r\n"
LOST = (r"server .* is (dead|back)", r"upstream", r"unavailable", r"timed out", r"refused")


class Shards(Proxy):
    """A proxy whose sink is a RedisSinkShards with these fields.

    More of them are `others`, each behind a source of its own at `path(name)`.
    """

    def __init__(
        self, fields: dict[str, Any], others: dict[str, dict[str, Any]] | None = None
    ) -> None:
        self.fields = fields
        self.others = others or {}
        super().__init__(0)

    def path(self, name: str) -> Path:
        return self.directory / name

    def _write(self, name: str, content: Any) -> None:
        if name == "topology.yaml":
            sources = {f"127.0.0.1:{self.port}": self.fields}
            sources |= {f"unix:{self.path(name)}": fields for name, fields in self.others.items()}
            content = {
                "sources": [
                    {"Redis": {"listen_addr": address, "chain": [{"RedisSinkShards": fields}]}}
                    for address, fields in sources.items()
                ]
            }
        super()._write(name, content)


class Ring:
    """Servers with fixed names, and what ours makes of keys."""

    def __init__(self, servers: list[Server], kind: str = "ketama") -> None:
        self.servers = servers
        self.names = [f"server{index}" for index in range(len(servers))]
        self.placing = Distribution(kind, [(name.encode(), 1) for name in self.names])

    def lines(self) -> list[str]:
        return [
            f"127.0.0.1:{server.port}:1 {name}"
            for server, name in zip(self.servers, self.names, strict=True)
        ]

    def key(self, server: int, number: int = 0) -> bytes:
        """The `number`th key that belongs to that server."""
        names = (b"k%d" % index for index in range(10_000))
        own = (name for name in names if self.placing.place_of(name) == server)
        return next(itertools.islice(own, number, None))


@pytest.fixture
def ring(start_server: Callable[..., Server]) -> Ring:
    return Ring([start_server() for _ in range(SERVERS)])


@pytest.fixture
def start(ring: Ring) -> Iterator[Callable[..., Shards]]:
    """start(field=value ...): the proxy before the ring."""
    with contextlib.ExitStack() as ending:

        def begin(**fields: Any) -> Shards:
            proxy = Shards({"name": "ring", "servers": ring.lines(), **fields})
            ending.callback(proxy.stop)
            return proxy

        yield begin


# ---- beside nutcracker ----------------------------------------------------------------------------------------------


def written(port: int | Path, database: int, prefix: bytes) -> None:
    with RawClient(port) as client:
        if database >= 0:
            assert client.command("SELECT", database) == OK
        client.send(b"".join(encode("SET", prefix + key, key) for key in KEYS))
        assert client.frames(len(KEYS)) == [OK] * len(KEYS)


def read(port: int | Path, database: int, prefix: bytes) -> list[Any]:
    with RawClient(port) as client:
        if database >= 0:
            assert client.command("SELECT", database) == OK
        client.send(b"".join(encode("GET", prefix + key) for key in KEYS))
        return [client.value() for _ in KEYS]


@pytest.mark.timeout(120)
def test_data_written_through_nutcracker_is_read_here_and_the_other_way_round(
    start_server: Callable[..., Server],
) -> None:
    servers = [start_server("--databases", str(len(CASES) + 1)) for _ in range(SERVERS)]
    lines = [
        f"127.0.0.1:{server.port}:{weight}" for server, weight in zip(servers, WEIGHTS, strict=True)
    ]
    pools = {
        f"{hash}-{kind}": {"hash": hash, "distribution": kind, "servers": lines, "hash_tag": "{}"}
        for hash, kind in CASES
    }
    nutcracker = Nutcracker(
        {
            name: {"redis_db": database, **pool}
            for database, (name, pool) in enumerate(pools.items())
        }
    )
    try:
        proxy = Shards({"servers": lines}, pools)
        try:
            for database, name in enumerate(pools):
                theirs, ours = nutcracker.path(name), proxy.path(name)
                written(theirs, -1, b"theirs:")
                written(ours, database, b"ours:")
                assert read(ours, database, b"theirs:") == KEYS, name
                assert read(theirs, -1, b"ours:") == KEYS, name
        finally:
            proxy.stop()
    finally:
        nutcracker.stop()


def test_servers_may_be_at_paths(start_server: Callable[..., Server], tmp_path: Path) -> None:
    paths = [tmp_path / f"socket{index}" for index in range(SERVERS)]
    for path in paths:
        start_server("--unixsocket", str(path))
    lines = [f"{path}:{weight}" for path, weight in zip(paths, WEIGHTS, strict=True)]
    nutcracker = Nutcracker({"paths": {"servers": lines}})
    try:
        proxy = Shards({"servers": lines})
        try:
            written(nutcracker.path("paths"), -1, b"")
            assert read(proxy.port, -1, b"") == KEYS
        finally:
            proxy.stop()
    finally:
        nutcracker.stop()


def test_rendezvous_spreads_keys_by_weight(start_server: Callable[..., Server]) -> None:
    servers = [start_server() for _ in range(SERVERS)]
    fields = [
        {"address": f"127.0.0.1:{server.port}", "weight": weight, "name": f"s{index}"}
        for index, (server, weight) in enumerate(zip(servers, WEIGHTS, strict=True))
    ]
    proxy = Shards({"servers": fields, "distribution": "rendezvous"})
    try:
        written(proxy.port, -1, b"")
        placing = Distribution(
            "rendezvous", [(b"s%d" % index, weight) for index, weight in enumerate(WEIGHTS)]
        )
        for index, server in enumerate(servers):
            with server.raw() as client:
                assert set(client.ask("KEYS", "*")) == {
                    key for key in KEYS if placing.place_of(key) == index
                }
    finally:
        proxy.stop()


# ---- keys of several servers ----------------------------------------------------------------------------------------


def test_keys_of_several_servers_in_one_command(ring: Ring, start: Callable[..., Shards]) -> None:
    proxy = start()
    keys = [ring.key(server, number) for number in range(3) for server in range(SERVERS)]
    with proxy.raw() as client:
        pairs = [word for key in keys for word in (key, b"v" + key)]
        assert client.ask("MSET", *pairs) == b"OK"
        for server in range(SERVERS):
            with ring.servers[server].raw() as direct:
                assert set(direct.ask("KEYS", "*")) == {
                    ring.key(server, number) for number in range(3)
                }
        mixed = [*reversed(keys), b"missing", keys[0], keys[0]]
        values = [None if key == b"missing" else b"v" + key for key in mixed]
        assert client.ask("MGET", *mixed) == values
        assert client.ask("EXISTS", *mixed) == len(mixed) - 1
        assert client.ask("TOUCH", *keys, "missing") == len(keys)
        # beside others in one pipeline, each reply in its place
        client.send(
            encode("GET", keys[1]) + encode("MGET", *keys) + encode("DEL", *keys[:4])
            + encode("MGET", *keys[3:5]) + encode("UNLINK", *keys)
        )  # fmt: skip
        assert client.value() == b"v" + keys[1]
        assert client.value() == [b"v" + key for key in keys]
        assert [client.value() for _ in range(3)] == [4, [None, b"v" + keys[4]], len(keys) - 4]


def test_what_cannot_be_split_is_refused(ring: Ring, start: Callable[..., Shards]) -> None:
    proxy = start(hash_tag="{}")
    one, another = ring.key(0), ring.key(1)
    with proxy.raw() as client:
        for words in (
            ("MSETNX", one, "1", another, "2"), ("RENAME", one, another), ("SUNION", one, another),
            ("EVAL", "return 1", "2", one, another), ("BLPOP", one, another, "0"), ("WATCH", one, another),
        ):  # fmt: skip
            assert client.command(*words).startswith(b"-CROSSSLOT "), words
        assert client.ask("MSETNX", "{tag}1", "1", "{tag}2", "2") == 1
        assert client.ask("RENAME", "{tag}1", "{tag}3") == b"OK"
        assert client.ask("EVAL", "return redis.call('get', KEYS[1])", "1", "{tag}3") == b"1"


def test_splitting_can_be_switched_off(ring: Ring, start: Callable[..., Shards]) -> None:
    proxy = start(multi_key="refuse")
    with proxy.raw() as client:
        assert client.command("MSET", ring.key(0), "1", ring.key(1), "1").startswith(b"-CROSSSLOT ")
        assert client.ask("MSET", ring.key(0), "1", ring.key(0, 1), "2") == b"OK"
        assert client.ask("MGET", ring.key(0), ring.key(0, 1)) == [b"1", b"2"]


def test_commands_that_concern_all_servers(ring: Ring, start: Callable[..., Shards]) -> None:
    proxy = start()
    with proxy.raw() as client:
        client.send(b"".join(encode("SET", key, "1") for key in KEYS))
        assert client.frames(len(KEYS)) == [OK] * len(KEYS)
        assert client.ask("DBSIZE") == len(KEYS)
        assert sorted(client.ask("KEYS", "*")) == sorted(KEYS)
        assert client.ask("RANDOMKEY") in KEYS
        cursor, scanned = b"0", set()
        while True:
            cursor, page = client.ask("SCAN", cursor, "COUNT", "50")
            scanned |= set(page)
            if cursor == b"0":
                break
        assert scanned == set(KEYS)
        digest = client.ask("SCRIPT", "LOAD", "return KEYS[1]")
        for server in range(SERVERS):
            assert client.ask("EVALSHA", digest, "1", ring.key(server)) == ring.key(server)
        assert client.ask("FLUSHALL") == b"OK"
        for server in ring.servers:
            with server.raw() as direct:
                assert direct.ask("DBSIZE") == 0


def test_a_client_is_the_same_to_all_servers(ring: Ring, start: Callable[..., Shards]) -> None:
    for server in ring.servers:
        with server.raw() as direct:
            direct.command("ACL", "SETUSER", "ann", "on", ">secret", "~*", "+@all")
    proxy = start()
    with proxy.raw() as client, proxy.raw() as other:
        assert client.ask("AUTH", "ann", "secret") == b"OK"
        assert client.ask("SELECT", "3") == b"OK"
        for server in range(SERVERS):
            assert client.command("SET", ring.key(server), "3") == OK
            assert other.ask("GET", ring.key(server)) is None
            with ring.servers[server].raw() as direct:
                assert direct.ask("SELECT", "3") == b"OK"
                assert direct.ask("GET", ring.key(server)) == b"3"
                assert b"user=ann" in direct.ask("CLIENT", "LIST")


# ---- one server's commands ------------------------------------------------------------------------------------------


def test_a_transaction_has_the_keys_of_one_server(ring: Ring, start: Callable[..., Shards]) -> None:
    proxy = start()
    one, another, elsewhere = ring.key(0), ring.key(0, 1), ring.key(1)
    with proxy.raw() as client:
        assert client.ask("WATCH", one) == b"OK"
        assert client.ask("MULTI") == b"OK"
        assert client.ask("SET", one, "1") == b"QUEUED"
        assert client.ask("SET", another, "2") == b"QUEUED"
        assert client.ask("EXEC") == [b"OK", b"OK"]
        client.command("MULTI")
        client.command("SET", one, "3")
        assert client.command("SET", elsewhere, "3").startswith(b"-CROSSSLOT ")
        assert client.command("EXEC").startswith(b"-EXECABORT ")
        assert client.ask("GET", one) == b"1"
        assert client.ask("GET", elsewhere) is None


def test_what_is_published_reaches_who_has_subscribed(start: Callable[..., Shards]) -> None:
    proxy = start()
    with proxy.raw() as listener, proxy.raw() as speaker:
        assert listener.ask("SUBSCRIBE", "one") == [b"subscribe", b"one", 1]
        assert listener.ask("PSUBSCRIBE", "t*") == [b"psubscribe", b"t*", 2]
        assert speaker.ask("PUBLISH", "one", "1") == 1
        assert listener.value() == [b"message", b"one", b"1"]
        assert speaker.ask("PUBLISH", "two", "2") == 1
        assert listener.value() == [b"pmessage", b"t*", b"two", b"2"]
        assert speaker.ask("PUBSUB", "CHANNELS") == [b"one"]


def test_a_blocking_command_waits_at_the_server_of_its_key(
    ring: Ring, start: Callable[..., Shards]
) -> None:
    proxy = start()
    key = ring.key(2)
    with proxy.raw() as waiting, proxy.raw() as other:
        waiting.send(encode("BLPOP", key, "0"))
        with ring.servers[2].raw() as server:
            wait_until(lambda: b"blocked_clients:1" in server.ask("INFO", "clients"), "it waits")
        assert other.ask("RPUSH", key, "v") == 1
        assert waiting.value() == [key, b"v"]


# ---- a server that is away ------------------------------------------------------------------------------------------


def test_a_stopped_server_delays_nobody_else(ring: Ring, start: Callable[..., Shards]) -> None:
    proxy = start(read_timeout=2.0, retry_timeout=0)
    proxy.allow_log(*LOST)
    stopped, live = ring.key(1), [ring.key(0), ring.key(2)]
    with proxy.raw() as client, proxy.raw() as other:
        for key in (stopped, *live):
            assert client.command("SET", key, key) == OK
            assert other.command("GET", key)
        os.kill(ring.servers[1].process.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            # in one pipeline: what comes first is answered first, what stands behind waits for its turn alone
            client.send(b"".join(encode("GET", key) for key in (*live, stopped, *live)))
            assert [client.value() for _ in live] == live
            for _ in range(200):
                for key in live:
                    assert other.ask("GET", key) == key
            assert time.monotonic() - began < 1.5, "others do not wait for the deadline of one"
            assert client.frame().startswith(b"-")
            assert [client.value() for _ in live] == live
            took = time.monotonic() - began
            assert 1.5 < took < 4, "its own keys fail within their deadline"
            began = time.monotonic()
            assert client.command("GET", stopped).startswith(b"-")
            assert time.monotonic() - began < 0.5, "and at once from then on"
        finally:
            os.kill(ring.servers[1].process.pid, signal.SIGCONT)
        wait_until(lambda: client.command("GET", stopped)[:1] == b"$", "it is back by itself")
        assert client.ask("GET", stopped) == stopped


def test_a_dead_server_fails_its_own_keys_until_it_is_back(
    ring: Ring, start: Callable[..., Shards]
) -> None:
    proxy = start(retry_timeout=0.3)
    proxy.allow_log(*LOST)
    dead, live = ring.key(1), ring.key(0)
    with proxy.raw() as client:
        assert client.command("SET", dead, "1") == OK
        ring.servers[1].kill()
        began = time.monotonic()
        assert client.command("SET", dead, "2").startswith(b"-ERR ")
        assert time.monotonic() - began < 2
        client.send(encode("SET", dead, "2") + encode("SET", live, "2"))
        assert client.frame().startswith(b"-ERR ")
        assert client.frame() == OK
        ring.servers[1].start(ring.servers[1].port)
        wait_until(lambda: client.command("SET", dead, "3") == OK, "it is back by itself")
        with ring.servers[1].raw() as server:
            assert server.ask("GET", dead) == b"3"


def test_requests_wait_for_a_server_that_restarts(ring: Ring, start: Callable[..., Shards]) -> None:
    proxy = start(retry_timeout=8)
    proxy.allow_log(*LOST)
    key = ring.key(1)
    with proxy.raw() as client:
        assert client.command("SET", key, "1") == OK
        ring.servers[1].kill()
        lost = "shotover_upstream_lost_count"
        wait_until(lambda: proxy.metric(lost) > 0, "the proxy has noticed")
        client.send(encode("SET", key, "2") + encode("GET", key))
        held = "shotover_held_requests"
        wait_until(lambda: proxy.metric(held) == 2, "both are held")
        ring.servers[1].start(ring.servers[1].port)
        assert client.frames(2) == [OK, b"$1\r\n2\r\n"]


def test_subscribers_hear_what_is_published_after_their_server_has_restarted(
    ring: Ring, start: Callable[..., Shards]
) -> None:
    """Each of them, whatever its number: there is one server at which all are."""
    proxy = start(retry_timeout=8)
    proxy.allow_log(*LOST)
    renewed = "shotover_subscriptions_renewed_count"
    with contextlib.ExitStack() as closing:
        listeners = [closing.enter_context(proxy.raw()) for _ in range(2 * SERVERS)]
        for listener in listeners:
            assert listener.ask("SUBSCRIBE", "one") == [b"subscribe", b"one", 1]
        ring.servers[0].restart()
        wait_until(lambda: proxy.metric(renewed) == len(listeners), "all have subscribed again")
        speaker = closing.enter_context(proxy.raw())
        wait_until(lambda: speaker.ask("PUBLISH", "one", "1") == len(listeners), "all are there")
        for listener in listeners:
            message = listener.value()
            while message == [b"message", b"one", b"1"] and not listener.silent():
                message = listener.value()
            assert message == [b"message", b"one", b"1"]


def test_what_a_subscriber_asks_while_its_server_is_away_comes_behind_its_subscriptions(
    ring: Ring, start: Callable[..., Shards]
) -> None:
    """In RESP2 the answer to a PING is another one for who has subscriptions."""
    proxy = start(retry_timeout=8)
    proxy.allow_log(*LOST)
    with proxy.raw() as listener:
        assert listener.ask("SUBSCRIBE", "one") == [b"subscribe", b"one", 1]
        assert listener.ask("PING", "a") == [b"pong", b"a"]
        ring.servers[0].kill()
        with proxy.raw() as other:  # by this the proxy has noticed
            wait_until(lambda: other.command("GET", ring.key(1)) == b"$-1\r\n", "others are served")
            wait_until(lambda: proxy.metric("shotover_leases") == 0, "its lease is lost")
        listener.send(encode("PING", "b"))
        wait_until(lambda: proxy.metric("shotover_held_requests") == 1, "it is held")
        ring.servers[0].start(ring.servers[0].port)
        assert listener.value() == [b"pong", b"b"]
        assert listener.ask("PING", "c") == [b"pong", b"c"]


def test_a_subscriber_whose_server_stays_away_is_disconnected(
    ring: Ring, start: Callable[..., Shards]
) -> None:
    """What it has asked meanwhile is answered by an error, never by the answer of who has no subscriptions."""
    proxy = start(retry_timeout=0.5)
    proxy.allow_log(*LOST)
    with proxy.raw() as listener:
        assert listener.ask("SUBSCRIBE", "one") == [b"subscribe", b"one", 1]
        ring.servers[0].kill()
        wait_until(lambda: proxy.metric("shotover_leases") == 0, "its lease is lost")
        told = listener.rest_or_frames(1, encode("PING", "b"))
        assert not told or told[0].startswith(b"-ERR shotover: "), told
        assert listener.rest() == b""


def test_requests_wait_for_a_server_that_loads_its_data(
    ring: Ring, start: Callable[..., Shards]
) -> None:
    patient, hasty = start(retry_timeout=15), start(retry_timeout=0)
    for proxy in (patient, hasty):
        proxy.allow_log(*LOST)
    server, key = ring.servers[1], ring.key(1)
    with server.raw() as direct:
        direct.send(
            b"".join(encode("SET", b"%b:%d" % (key, index), "1" * 200) for index in range(1000))
        )
        assert direct.frames(1000) == [OK] * 1000
        assert direct.command("SET", key, "saved") == OK
        assert direct.command("SAVE") == OK
    server.kill()
    # 3 ms a key, so that there are three seconds of loading
    server.options += (
        "--key-load-delay",
        "3000",
        "--loading-process-events-interval-bytes",
        "1024",
    )
    server.start(server.port)
    with patient.raw() as one, hasty.raw() as other:
        one.send(encode("GET", key) + encode("MGET", ring.key(0), key))
        assert other.command("GET", key).startswith(b"-LOADING ")
        assert one.value() == b"saved"
        assert one.value() == [None, b"saved"]


def test_with_remap_keys_of_a_dead_server_belong_to_others_until_it_is_back(
    ring: Ring, start: Callable[..., Shards]
) -> None:
    proxy = start(
        keys_of_dead_servers="remap", failure_limit=2, rejoin_timeout=0.5, retry_timeout=5
    )
    proxy.allow_log(*LOST)
    keys = [ring.key(1, number) for number in range(20)]
    with proxy.raw() as client:
        for key in keys:
            assert client.command("SET", key, "old") == OK
        ring.servers[1].kill()
        for key in keys:
            wait_until(
                lambda key=key: client.command("SET", key, "new") == OK, "another has the key"
            )
        ring.placing.set_live([True, False, True])
        for key in keys:
            with ring.servers[ring.placing.place_of(key)].raw() as server:
                assert server.ask("GET", key) == b"new"
        assert proxy.metric("shotover_shards_ejected") == 1
        ring.servers[1].start(ring.servers[1].port)
        wait_until(lambda: proxy.metric("shotover_shards_ejected") == 0, "it has its keys again")
        assert client.ask("GET", keys[0]) is None, "what others got stays with them"
        assert client.command("SET", keys[0], "newest") == OK
        with ring.servers[1].raw() as server:
            assert server.ask("GET", keys[0]) == b"newest"


def test_what_concerns_all_fails_with_one_dead_and_not_where_keys_are_remapped(
    ring: Ring, start: Callable[..., Shards]
) -> None:
    strict = start(retry_timeout=0.1)
    loose = start(keys_of_dead_servers="remap", failure_limit=1, rejoin_timeout=60, retry_timeout=5)
    for proxy in (strict, loose):
        proxy.allow_log(*LOST)
    keys = [ring.key(server) for server in range(SERVERS)]
    with strict.raw() as one, loose.raw() as other:
        assert one.ask("MSET", *[word for key in keys for word in (key, "1")]) == b"OK"
        ring.servers[1].kill()
        wait_until(lambda: other.ask("MGET", *keys) == [b"1", None, b"1"], "its keys have moved")
        assert other.ask("DBSIZE") == 2
        assert one.command("MGET", *keys).startswith(b"-ERR ")
        assert one.command("DBSIZE").startswith(b"-ERR ")
        assert one.ask("MGET", keys[0], keys[2]) == [b"1", b"1"]


def test_with_remap_and_nobody_left_requests_fail(ring: Ring, start: Callable[..., Shards]) -> None:
    proxy = start(
        keys_of_dead_servers="remap", failure_limit=1, rejoin_timeout=0, retry_timeout=0.2
    )
    proxy.allow_log(*LOST)
    with proxy.raw() as client:
        for server in ring.servers:
            server.kill()
        for number in range(SERVERS):
            assert client.command("SET", ring.key(number), "1").startswith(b"-ERR ")
        for server in ring.servers:
            server.start(server.port)
        for number in range(SERVERS):
            key = ring.key(number)
            wait_until(lambda key=key: client.command("SET", key, "2") == OK, "they are back")
        wait_until(
            lambda: proxy.metric("shotover_shards_ejected") == 0, "all have their keys again"
        )


def test_a_transaction_that_began_before_keys_moved_is_refused(
    ring: Ring, start: Callable[..., Shards]
) -> None:
    proxy = start(keys_of_dead_servers="remap", failure_limit=1, rejoin_timeout=60, retry_timeout=1)
    proxy.allow_log(*LOST)
    with proxy.raw() as client, proxy.raw() as other:
        client.command("MULTI")
        assert client.ask("SET", ring.key(0), "1") == b"QUEUED"
        ring.servers[1].kill()
        wait_until(lambda: other.command("SET", ring.key(1), "1") == OK, "its keys have moved")
        assert client.command("EXEC").startswith(b"-EXECABORT ")
        assert client.ask("GET", ring.key(0)) is None
