"""Our placing of keys beside twemproxy's own: every key on the server where nutcracker itself puts it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.nutcracker import Nutcracker
from support.resp import RawClient, encode
from support.servers import Server
from support.wait import wait_until

from shotover.sinks._redis_distribution import Distribution
from shotover.sinks.redis_shards import HASHES, parse_shard

DISTRIBUTIONS = ("ketama", "modula")
SERVERS = 5
KEYS = 3000
EVEN = [1] * SERVERS
UNEVEN = [1, 7, 3, 1, 20]
NAMES = ["", "a", "the:second", "0", "last-one"]
"""Some with a name of their own, some known by their address."""
MANY = 60
"""Servers of a large pool: most of them are names of the same few."""

CASES = {
    f"{hash}-{distribution}-{weights}": (hash, distribution, weights)
    for hash, distribution, weights in itertools.product(
        HASHES, DISTRIBUTIONS, ("even", "uneven", "named")
    )
}


def keys(seed: int, count: int = KEYS) -> list[bytes]:
    """Every length from 1 to 67, every byte, words and numbers as people have them, tags of many shapes."""
    source = random.Random(seed)
    made: set[bytes] = set()
    while len(made) < count:
        kind = source.randrange(6)
        if kind == 0:
            made.add(source.randbytes(source.randint(1, 67)))
        elif kind == 1:
            made.add(b"user:%d" % source.randrange(10**9))
        elif kind == 2:
            made.add("schlüssel:é:%d".encode() % source.randrange(1000))
        elif kind == 3:
            made.add(bytes(source.choices(b"{}$ab", k=source.randint(1, 12))))
        elif kind == 4:
            made.add(bytes(source.choices(b"\x00\x7f\x80\xff\r\n ", k=source.randint(1, 20))))
        else:
            made.add(source.randbytes(source.randint(68, 600)))
    return sorted(made)


def server_lines(servers: list[Server], weights: list[int], names: list[str]) -> list[str]:
    """As nutcracker.yml has them."""
    return [
        f"127.0.0.1:{server.port}:{weight}{' ' if name else ''}{name}"
        for server, weight, name in zip(servers, weights, names, strict=True)
    ]


def members(servers: list[Server], weights: list[int], names: list[str]) -> list[tuple[bytes, int]]:
    """As Distribution wants them."""
    return [
        ((name or f"127.0.0.1:{server.port}").encode(), weight)
        for server, weight, name in zip(servers, weights, names, strict=True)
    ]


def shape(weights: str) -> tuple[list[int], list[str]]:
    return {
        "even": (EVEN, [""] * SERVERS),
        "uneven": (UNEVEN, [""] * SERVERS),
        "named": (UNEVEN, NAMES),
    }[weights]


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Server]]:
    started = [Server("redis", "--databases", str(len(CASES) + 8)) for _ in range(SERVERS)]
    yield started
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def nutcracker(servers: list[Server]) -> Iterator[Nutcracker]:
    """A pool for each case, each with a database of its own."""
    pools = {}
    for index, (name, (hash, distribution, weights)) in enumerate(CASES.items()):
        pools[name] = {
            "hash": hash,
            "distribution": distribution,
            "redis_db": index,
            "servers": server_lines(servers, *shape(weights)),
        }
    started = Nutcracker(pools)
    yield started
    started.stop()


def write(path: Path, written: list[bytes]) -> None:
    """SET each key through a pool of nutcracker; none may fail."""
    with RawClient(path) as client:
        for at in range(0, len(written), 500):
            part = written[at : at + 500]
            client.send(b"".join(encode("SET", key, "1") for key in part))
            assert client.frames(len(part)) == [b"+OK\r\n"] * len(part)


def found(servers: list[Server], database: int) -> dict[bytes, int]:
    """Each key's server, as the servers themselves say."""
    where: dict[bytes, int] = {}
    for index, server in enumerate(servers):
        with server.raw() as client:
            client.command("SELECT", database)
            for key in client.ask("KEYS", "*"):
                assert key not in where
                where[key] = index
    return where


def misplaced(where: dict[bytes, int], distribution: Distribution) -> dict[bytes, tuple[int, int]]:
    """Keys that ours puts elsewhere: (theirs, ours)."""
    return {
        key: (server, place)
        for key, server in where.items()
        if (place := distribution.place_of(key)) != server
    }


@pytest.mark.parametrize("case", CASES)
def test_each_key_is_where_nutcracker_puts_it(
    servers: list[Server], nutcracker: Nutcracker, case: str
) -> None:
    hash, distribution, weights = CASES[case]
    database = list(CASES).index(case)
    written = keys(database)
    write(nutcracker.path(case), written)
    where = found(servers, database)
    assert sorted(where) == written
    # 15 bits of hash on a circle of 32 reach the first 2**-17 of it: all keys are the same server's
    assert len(set(where.values())) > 1 or (hash, distribution) == ("crc32", "ketama")
    ours = Distribution(distribution, members(servers, *shape(weights)), hash=hash)
    assert not misplaced(where, ours)


@pytest.mark.parametrize("pair", ["{}", "$$", "ab"])
def test_a_tag_decides_as_nutcracker_has_it(servers: list[Server], pair: str) -> None:
    database = len(CASES) + ["{}", "$$", "ab"].index(pair)
    lines = server_lines(servers, EVEN, [""] * SERVERS)
    pool = {"hash": "fnv1a_64", "hash_tag": pair, "redis_db": database, "servers": lines}
    proxy = Nutcracker({"tagged": pool})
    try:
        written = keys(77)
        write(proxy.path("tagged"), written)
    finally:
        proxy.stop()
    where = found(servers, database)
    ours = Distribution("ketama", members(servers, EVEN, [""] * SERVERS), pair=pair)
    untagged = Distribution("ketama", members(servers, EVEN, [""] * SERVERS))
    assert not misplaced(where, ours)
    assert misplaced(where, untagged), "the keys have tags that decide"


def test_shares_of_many_servers_are_rounded_as_nutcracker_rounds_them(
    servers: list[Server],
) -> None:
    """A float's last bit decides whether a server has 156 or 160 points."""
    database = len(CASES) + 3
    source = random.Random(5)
    chosen = [servers[index % SERVERS] for index in range(MANY)]
    weights = [source.randint(1, 40) for _ in chosen]
    names = [f"node{index}" for index in range(MANY)]
    pool = {"hash": "murmur", "redis_db": database, "servers": server_lines(chosen, weights, names)}
    proxy = Nutcracker({"many": pool})
    try:
        written = keys(78)
        write(proxy.path("many"), written)
    finally:
        proxy.stop()
    where = found(servers, database)
    ours = Distribution("ketama", members(chosen, weights, names), hash="murmur")
    assert [key for key in written if ours.place_of(key) % SERVERS != where[key]] == []


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("weights", ["even", "uneven"])
def test_without_an_ejected_server_keys_go_where_nutcracker_sends_them(
    distribution: str, weights: str
) -> None:
    servers = [Server("redis") for _ in range(SERVERS)]
    lines = server_lines(servers, *shape(weights))
    pool = {
        "hash": "fnv1a_64", "distribution": distribution, "auto_eject_hosts": True, "server_failure_limit": 1,
        "server_retry_timeout": 600_000, "servers": lines,
    }  # fmt: skip
    proxy = Nutcracker({"ejecting": pool})
    ours = Distribution(distribution, members(servers, *shape(weights)))
    lost = 1
    try:
        victim = next(key for key in keys(80) if ours.place_of(key) == lost)
        servers[lost].kill()
        with RawClient(proxy.path("ejecting")) as client:
            wait_until(
                lambda: client.command("SET", victim, "1") == b"+OK\r\n",
                "nutcracker ejects the server",
            )
        written = keys(81)
        write(proxy.path("ejecting"), written)
        live = [index != lost for index in range(SERVERS)]
        where = found([each for each in servers if each.process], 0)
        ours.set_live(live)
        left = [index for index in range(SERVERS) if live[index]]
        assert not misplaced({key: left[index] for key, index in where.items()}, ours)
        ours.set_live([True] * SERVERS)
        assert ours.place_of(victim) == lost
    finally:
        proxy.stop()
        for server in servers:
            server.stop()


def test_servers_without_names_are_called_as_nutcracker_calls_them(tmp_path: Path) -> None:
    """A path, and the port of memcached, where nobody listens: an error tells whose a key is as well as a value does."""
    socket = tmp_path / "socket"
    servers = [Server("redis", "--unixsocket", str(socket)), Server("redis")]
    lines = [f"{socket}:1", f"127.0.0.1:{servers[1].port}:1", "127.0.0.99:11211:1"]
    proxy = Nutcracker({"unnamed": {"servers": lines}})
    ours = Distribution("ketama", [(parse_shard(line).name.encode(), 1) for line in lines])
    written = keys(90, 600)
    try:
        with RawClient(proxy.path("unnamed")) as client:
            refused = [key for key in written if client.command("SET", key, "1") != b"+OK\r\n"]
        where = found(servers, 0) | dict.fromkeys(refused, 2)
        assert sorted(where) == written
        assert set(where.values()) == {0, 1, 2}
        assert not misplaced(where, ours)
    finally:
        proxy.stop()
        for server in servers:
            server.stop()
