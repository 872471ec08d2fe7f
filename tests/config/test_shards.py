"""The servers of a RedisSinkShards: as nutcracker.yml spells them, as maps, and what is said of a mistake."""

from __future__ import annotations

from typing import Any

import pytest

from shotover.sinks.redis_shards import HASHES, parse_shard

AT = "topology.yaml:5: sources[0].chain[0].RedisSinkShards"
EXPECTED = "expected host:port[:weight] [name], or a map of address, weight and name"


@pytest.mark.parametrize(
    ("text", "address", "weight", "name"),
    [
        ("h:1", "h:1", 1, "h:1"),
        ("h:1:20", "h:1", 20, "h:1"),
        ("h:1:20 node", "h:1", 20, "node"),
        ("h:1 node", "h:1", 1, "node"),
        ("h:11211:1", "h:11211", 1, "h"),  # memcached's port is left out of a name
        ("h:11211:1 node", "h:11211", 1, "node"),
        ("[::1]:5", "[::1]:5", 1, "::1:5"),
        ("[::1]:5:6", "[::1]:5", 6, "::1:5"),
        ("/run/a:3", "unix:/run/a", 3, "/run/a:"),
        ("/run/a:3 node", "unix:/run/a", 3, "node"),
        ("unix:/run/a", "unix:/run/a", 1, "/run/a:"),
    ],
)
def test_a_line_of_nutcracker_yml(text: str, address: str, weight: int, name: str) -> None:
    shard = parse_shard(text)
    assert (shard.address, shard.weight, shard.name) == (address, weight, name)
    assert parse_shard(str(shard)).name == name


def errors(config: Any, fields: str) -> list[str]:
    return config.errors(f"""\
        sources:
          - Redis:
              listen_addr: 127.0.0.1:6379
              chain:
                - RedisSinkShards: {fields}
        """)


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("h", "got h: the port is missing"),
        ("'h:1:0'", "got h:1:0: the weight is not from 1 to 1000000"),
        ("'h:1:x'", "got h:1:x: the weight is not from 1 to 1000000"),
        ("'h:1:1 a b'", "got h:1:1 a b: a name has at most 255 bytes, no blanks among them"),
        ("'::1:5:6'", "got ::1:5:6: an IPv6 address goes into brackets, [::1]:5"),
    ],
)
def test_a_server_that_cannot_be_read(config: Any, server: str, said: str) -> None:
    assert errors(config, f"{{servers: [{server}]}}") == [
        f"{AT}.servers[0]: {EXPECTED}, {said}",
    ]


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("{weight: 2}", "the address is missing"),
        ("{address: 'h:1', wait: 2}", "there is no wait"),
        ("{address: 'h:1', weight: heavy}", "the weight is not from 1 to 1000000"),
    ],
)
def test_a_map_that_cannot_be_read(config: Any, server: str, said: str) -> None:
    assert errors(config, f"{{servers: [{server}]}}") == [f"{AT}.servers[0]: {EXPECTED}: {said}"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            "{servers: ['h:1 a', 'h:2 a']}",
            ["servers: two servers have the name a; give one of them another"],
        ),
        (
            "{servers: ['h:1'], hash: fnv1a64}",
            [f"hash: expected one of {', '.join(HASHES)}, got fnv1a64, did you mean fnv1a_64?"],
        ),
        (
            "{servers: ['h:1'], hash_tag: '{'}",
            ['hash_tag: expected two ASCII characters, such as "{}", got "{"'],
        ),
        (
            "{servers: ['h:1'], distribution: rendezvous, hash: md5}",
            ["hash: has no effect with distribution: rendezvous; leave it out"],
        ),
        (
            "{servers: ['h:1'], distribution: random, hash_tag: '{}'}",
            ["hash_tag: has no effect with distribution: random; leave it out"],
        ),
        (
            "{servers: ['h:1'], failure_limit: 3}",
            ["failure_limit: has no effect without keys_of_dead_servers: remap; leave it out"],
        ),
        (
            "{servers: ['h:1'], keys_of_dead_servers: remap, read_timeout: null}",
            [
                "read_timeout: is needed with keys_of_dead_servers: remap, or a server that says nothing "
                "is never noticed"
            ],
        ),
        ("{servers: []}", [f"servers: expected a list, each {EXPECTED[9:]}, got an empty list"]),
        ("{}", [": required field servers is missing"]),
    ],
)
def test_fields_that_do_not_fit(config: Any, fields: str, said: list[str]) -> None:
    assert errors(config, fields) == [f"{AT}.{each}".replace(".: ", ": ") for each in said]


def test_maps_and_lines_are_alike(config: Any) -> None:
    step = config.step(
        "RedisSinkShards: {servers: ['h:1:2 a', {address: 'h:2', weight: 3, name: b}, {address: 'unix:/s'}], "
        "distribution: rendezvous, hash_tag: '{}', keys_of_dead_servers: remap, failure_limit: 3}",
        then="",
    )
    assert list(step.servers) == ["h:1:2 a", "h:2:3 b", "unix:/s:1"]
    assert [(shard.weight, shard.name) for shard in step.servers] == [
        (2, "a"),
        (3, "b"),
        (1, "/s:"),
    ]
