"""RedisCache in a topology: its chain speaks another protocol than its source."""

from __future__ import annotations

import textwrap

import pytest

SINK = "- RedisSinkSingle: {remote_address: '127.0.0.1:6379'}"
AT = "sources[0].chain[0].RedisCache"


def topology(schema: str, chain: str = SINK, more: str = "") -> str:
    return textwrap.dedent(
        f"""\
        sources:
          - Cassandra:
              name: cassandra
              listen_addr: 127.0.0.1:9042
              chain:
                - RedisCache:
                    name: cache
                    caching_schema: {schema}
                    {more or "ttl: 1"}
                    chain:
                      {chain}
                - CassandraSinkSingle: {{remote_address: '127.0.0.1:9043'}}
        """
    )


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (
            "{}",
            "topology.yaml:8: {at}.caching_schema: expected at least one table, got an empty map",
        ),
        (
            "{t: {partition_key: [k]}}",
            "topology.yaml:8: {at}.caching_schema.t: expected keyspace.table, got 't'",
        ),
        (
            "{k.t: {range_key: []}}",
            "topology.yaml:8: {at}.caching_schema.k.t: required field partition_key is missing",
        ),
        (
            "{k.t: {partition_key: []}}",
            "topology.yaml:8: {at}.caching_schema.k.t.partition_key: expected a list, each text, got an empty list",
        ),
    ],
)
def test_a_schema_that_cannot_be(config, schema, problem):
    assert config.errors(topology(schema)) == [problem.replace("{at}", AT)]


def test_the_chain_is_one_for_redis(config):
    sink = "- CassandraSinkSingle: {remote_address: '127.0.0.1:9043'}"
    assert config.errors(topology("{k.t: {partition_key: [k]}}", sink)) == [
        f"topology.yaml:11: {AT}.chain[0].CassandraSinkSingle: CassandraSinkSingle works with "
        "cassandra, but the chain of RedisCache cache speaks redis"
    ]


def test_a_prefix_is_short(config):
    more = "key_prefix: " + "x" * 33
    assert config.errors(topology("{k.t: {partition_key: [k]}}", more=more)) == [
        f"topology.yaml:9: {AT}.key_prefix: expected at most 32 bytes"
    ]


def test_a_sound_one(config):
    loaded = config.load(topology("{k.t: {partition_key: [a, b], range_key: []}}"))
    (cache, _sink) = loaded.topology.sources[0].chain.steps
    assert cache.caching_schema["k.t"].partition_key == ("a", "b")
    assert [name for name, _chain in cache.subchains()] == ["cache.cache"]


def test_a_login_that_cannot_be(config):
    schema = "{k.t: {partition_key: [k]}}"
    at = "topology.yaml:9: sources[0].chain[0].RedisCache"
    assert config.errors(topology(schema, more="username: me")) == [
        f"{at}.username: has no effect without password; leave it out"
    ]
    shards = "- RedisSinkCluster: {first_contact_points: ['127.0.0.1:6379'], connect_timeout_ms: 1}"
    assert config.errors(topology(schema, shards, "password: secret")) == [
        f"{at}.password: works with a chain of one RedisSinkSingle"
    ]
    assert config.errors(topology(schema, more=f"password: {'x' * 1001}")) == [
        f"{at}.password: expected at most 1000 bytes"
    ]
