"""Topologies of other versions load: both layouts, both spellings, every alias of a field."""

from __future__ import annotations

import pytest

CT = "connect_timeout_ms: 3000"


def old(chain: str, source: str = "Redis", fields: str = "listen_addr: 127.0.0.1:6379") -> str:
    """A topology of the older layout with one source and one chain, given in flow style."""
    return (
        f"sources: {{redis_prod: {{{source}: {{{fields}}}}}}}\n"
        f"chain_config: {{redis_chain: {chain}}}\n"
        "source_to_chain_mapping: {redis_prod: redis_chain}\n"
    )


def new(
    chain: str, source: str = "Valkey", name: str = "valkey", port: int = 6379, fields: str = ""
) -> str:
    """A topology of the newer layout with one source."""
    return (
        f"sources:\n  - {source}: {{name: {name}, listen_addr: '127.0.0.1:{port}', "
        f"{fields}chain: {chain}}}\n"
    )


READ_FILTER = "QueryTypeFilter: {filter: Read}"
TEE = (
    "[Tee: {behavior: %s, buffer_size: 10000, chain: [%s, DebugReturner: {Redis: '%s'}]}, "
    "DebugReturner: {Redis: '42'}]"
)
MANY = "listen_addr: '127.0.0.1:6379', connection_limit: 3000000"
NEW_TEE = (
    "[Tee: {name: tee, behavior: %s, buffer_size: 10000, chain: [QueryTypeFilter: {name: "
    "query-type-filter, DenyList: [Read]}, DebugReturner: {name: debug-returner-1, Valkey: "
    "'%s'}]}, DebugReturner: {name: debug-returner-2, Valkey: '42'}]"
)

NODES = ", ".join(f"'127.0.0.1:{port}'" for port in range(2220, 2226))
CLUSTER = f"RedisSinkCluster: {{first_contact_points: [{NODES}], {CT}%s}}"
DIRECT = ", direct_destination: '127.0.0.1:2220'"
NEW_CLUSTER = "ValkeySinkCluster: {name: valkey-sink-cluster, first_contact_points: [%s], %s%s}"

OLDER = {
    "passthrough": old(f"[RedisSinkSingle: {{remote_address: '127.0.0.1:1111', {CT}}}]"),
    "filter": old("[QueryTypeFilter: {filter: Write}, DebugReturner: {Redis: '42'}]", fields=MANY),
    "tee ignore": old(TEE % ("Ignore", READ_FILTER, "42"), fields=MANY),
    "tee ignore with mismatch": old(TEE % ("Ignore", READ_FILTER, "41"), fields=MANY),
    "tee fail": old(TEE % ("FailOnMismatch", READ_FILTER, "42"), fields=MANY),
    "tee subchain": old(
        "[Tee: {behavior: {SubchainOnMismatch: [QueryTypeFilter: {filter: Read}, RedisSinkSingle: "
        f"{{remote_address: '127.0.0.1:1111', {CT}}}]}}, buffer_size: 10000, "
        "chain: [DebugReturner: {Redis: '42'}]}, DebugReturner: {Redis: '42'}]",
        fields=MANY,
    ),
    "null": old("[QueryCounter: {name: redis-chain}, NullSink]"),
    "null as a map": old("[QueryCounter: {name: redis-chain}, NullSink: {}]"),
    "disaster recovery": old(
        "[Tee: {behavior: Ignore, buffer_size: 10000, chain: [QueryTypeFilter: {filter: Read}, "
        "Coalesce: {flush_when_buffered_message_count: 2000, "
        "flush_when_millis_since_last_flush: 1000000000}, QueryCounter: {name: DR chain}, "
        f"RedisSinkSingle: {{remote_address: '127.0.0.1:2120', {CT}}}]}}, "
        f"QueryCounter: {{name: Main chain}}, RedisSinkSingle: {{remote_address: "
        f"'127.0.0.1:2220', {CT}}}]",
        fields=MANY,
    ),
    "multi": old(
        "[TuneableConsistencyScatter: {write_consistency: 2, read_consistency: 2, route_map: {"
        + ", ".join(
            f"{name}: [RedisTimestampTagger, RedisSinkSingle: "
            f"{{remote_address: '127.0.0.1:{port}', {CT}}}]"
            for name, port in (("one", 3331), ("two", 3332), ("three", 3333))
        )
        + "}}]"
    ),
    "cluster ports": old(
        "[RedisClusterPortsRewrite: {new_port: 6380}, "
        f"RedisSinkSingle: {{remote_address: '127.0.0.1:2220', {CT}}}]",
        fields="listen_addr: 127.0.0.1:6380",
    ),
    "cluster hiding": old(f"[{CLUSTER % ''}]"),
    "cluster handling": old(f"[{CLUSTER % DIRECT}]"),
    "cluster auth": old(f"[RedisClusterPortsRewrite: {{new_port: 6379}}, {CLUSTER % ''}]"),
    "cluster disaster recovery": old(
        "[Tee: {behavior: Ignore, buffer_size: 10000, chain: [QueryTypeFilter: {filter: Read}, "
        "Coalesce: {flush_when_buffered_message_count: 2000, "
        "flush_when_millis_since_last_flush: 1000000000}, QueryCounter: {name: DR chain}, "
        f"{CLUSTER % ''}]}}, QueryCounter: {{name: Main chain}}, {CLUSTER % ''}]",
        fields=MANY,
    ),
    "shipped": old("[DebugPrinter, NullSink]"),
}
NEWER = {
    "passthrough": new(
        f"[ValkeySinkSingle: {{name: valkey-sink-single, remote_address: '127.0.0.1:1111', {CT}}}]"
    ),
    "passthrough, encoded": new(
        "[DebugForceEncode: {name: debug-force-encode, encode_requests: true, encode_responses: true}, "
        f"ValkeySinkSingle: {{name: valkey-sink-single, remote_address: '127.0.0.1:1111', {CT}}}]"
    ),
    "cluster, encoded": new(
        "[DebugForceEncode: {name: debug-force-encode, encode_requests: true, encode_responses: true}, "
        f"ValkeySinkCluster: {{name: valkey-sink-cluster, first_contact_points: [{NODES}], {CT}}}]"
    ),
    "filters": new(
        "[QueryTypeFilter: {name: query-type-filter, DenyList: [Write]}, "
        "DebugReturner: {name: debug-returner, Valkey: '42'}]",
        name="valkey1",
    )
    + new(
        "[QueryTypeFilter: {name: query-type-filter-2, AllowList: [Read]}, DebugReturner: "
        "{name: debug-returner-2, Valkey: '42'}]",
        name="valkey2",
        port=6380,
    ).removeprefix("sources:\n"),
    "tee log": new(NEW_TEE % ("LogWarningOnMismatch", "42")),
    "tee log with mismatch": new(NEW_TEE % ("LogWarningOnMismatch", "41")),
    "tee fail with mismatch": new(NEW_TEE % ("FailOnMismatch", "41")),
    "tee subchain": new(NEW_TEE % ("{SubchainOnMismatch: {chain: [NullSink: {name: null}]}}", "1")),
    "tee switch": new(
        "[Tee: {name: tee, switch_port: 1231, chain: [DebugReturner: {name: b, "
        "Valkey: b}]}, DebugReturner: {name: a, Valkey: a}]",
        port=6371,
    ),
    "null": new(
        "[QueryCounter: {name: query-counter, counter_name: valkey-chain}, "
        "NullSink: {name: null-sink}]"
    ),
    "hard limit": new(
        "[NullSink: {name: null-sink}]", fields="connection_limit: 1, hard_connection_limit: true, "
    ),
    "hot reload": new(
        "[QueryCounter: {name: counter, counter_name: count}, ValkeySinkSingle: "
        "{name: sink, remote_address: '127.0.0.1:6379', connect_timeout_ms: 5000}]",
        port=6380,
    ),
    "pool": new(
        "[ConnectionBalanceAndPool: {name: pool, max_connections: 10, chain: [NullSink: "
        "{name: null-sink}]}]"
    ),
    "parallel": new(
        "[ParallelMap: {name: map, parallelism: 3, ordered_results: true, chain: "
        "[DebugReturner: {name: r, Valkey: '1'}]}]"
    ),
    "cluster ports": new(
        "[ValkeyClusterPortsRewrite: {name: ports, new_port: 6380}, ValkeySinkSingle: "
        f"{{name: sink, remote_address: '127.0.0.1:2220', {CT}}}]",
        port=6380,
    ),
    "cluster hiding": new(f"[{NEW_CLUSTER % (NODES, CT, '')}]"),
    "cluster handling": new(f"[{NEW_CLUSTER % (NODES, CT, DIRECT)}]"),
    "throttled": new("[RequestThrottling: {name: t, max_requests_per_second: 50}, NullSink]"),
}


@pytest.mark.parametrize("text", OLDER.values(), ids=OLDER.keys())
def test_older_topologies_load(config, text):
    (source,) = config.load(text).topology.sources
    assert source.name == "redis_prod"
    assert source.chain.name == "redis_chain"
    assert source.chain.steps


@pytest.mark.parametrize("text", NEWER.values(), ids=NEWER.keys())
def test_newer_topologies_load(config, text):
    topology = config.load(text).topology
    assert topology.sources
    for source in topology.sources:
        assert source.chain.name == source.name


@pytest.mark.parametrize("text", OLDER.values(), ids=OLDER.keys())
def test_the_newer_spelling_is_read_alike(config, text):
    other = text.replace("Redis: ", "Valkey: ").replace("RedisSink", "ValkeySink")
    (newer,) = config.load(other).topology.sources
    assert newer.type_name == "Valkey"
    (older,) = config.load(text).topology.sources
    assert repr(newer).replace("valkey-sink", "redis-sink") == repr(older)


def test_the_spelling_used_is_kept_for_labels(config):
    (source,) = config.load(NEWER["passthrough"]).topology.sources
    assert source.type_name == "Valkey"
    assert source.chain.steps[0].type_name == "ValkeySinkSingle"


def test_filter_is_the_older_spelling_of_a_deny_list(config):
    older = config.step("QueryTypeFilter: {filter: Write}")
    newer = config.step("QueryTypeFilter: {DenyList: [Write]}")
    allowed = config.step("QueryTypeFilter: {AllowList: [Read]}")
    assert older.refused == newer.refused == {"Write"}
    assert allowed.refused == {"Write", "ReadWrite", "SchemaChange", "PubSubMessage"}


def test_a_counter_uses_its_name_for_what_is_not_given(config):
    assert config.step("QueryCounter: {name: main}").counter_name == "main"
    assert config.step("QueryCounter: {name: a, counter_name: b}").counter_name == "b"
    assert config.step("QueryCounter").counter_name == "query-counter"


def test_the_older_layout_lets_a_counter_label_repeat(config):
    chain = "[QueryCounter: {name: x}, QueryCounter: {name: x}, NullSink]"
    (source,) = config.load(old(chain)).topology.sources
    first, second, _sink = source.chain.steps
    assert (first.name, second.name) == ("x", "query-counter")
    assert (first.counter_name, second.counter_name) == ("x", "x")


def test_both_forms_of_a_mismatch_chain_are_the_same(config):
    tee = "Tee: {behavior: {SubchainOnMismatch: %s}, chain: [NullSink]}"
    older = config.step(tee % "[NullSink]")
    newer = config.step(tee % "{chain: [NullSink]}")
    assert older == newer
    assert [name for name, _chain in newer.subchains()] == ["tee", "tee.mismatch"]


def test_both_names_of_the_switch_are_the_same(config):
    tee = "Tee: {%s: 1231, chain: [NullSink]}"
    assert config.step(tee % "switch_port").switch_port == 1231
    assert config.step(tee % "http_api_port").switch_port == 1231


@pytest.mark.parametrize(
    "form", ["DebugReturner: Fail", "DebugReturner: {Fail: }", "DebugReturner: {Fail: true}"]
)
def test_forms_of_a_failing_returner(config, form):
    step = config.step(form, then="")
    assert (step.fail, step.reply) == (True, None)


def test_only_bound_sources_are_started_and_every_chain_is_read(config):
    topology = config.load("""\
        sources:
          one: {Redis: {listen_addr: "127.0.0.1:1"}}
          two: {Redis: {listen_addr: "127.0.0.1:2"}}
          three: {Redis: {listen_addr: "127.0.0.1:3"}}
        chain_config:
          main: [QueryCounter, NullSink]
          spare: [NullSink]
        source_to_chain_mapping: {two: main, one: main}
        """).topology
    assert [source.name for source in topology.sources] == ["two", "one"]
    assert [source.name for source in topology.unbound_sources] == ["three"]
    assert [chain.name for chain in topology.spare_chains] == ["spare"]
    assert topology.sources[0].chain is topology.sources[1].chain


def test_names_are_derived_and_avoid_those_given(config):
    topology = config.load("""\
        sources:
          - Redis: {listen_addr: "127.0.0.1:1", chain: [QueryCounter, QueryCounter, NullSink]}
          - Valkey: {listen_addr: "127.0.0.1:2", chain: [{NullSink: {name: query-counter-2}}]}
          - Redis: {listen_addr: "127.0.0.1:3", chain: [{Tee: {chain: [NullSink]}}, NullSink]}
        """).topology
    assert [source.name for source in topology.sources] == ["redis", "valkey", "redis-2"]
    assert [step.name for step in topology.sources[0].chain] == [
        "query-counter",
        "query-counter-3",
        "null-sink",
    ]
    tee = topology.sources[2].chain.steps[0]
    assert (tee.name, tee.chain.name) == ("tee", "tee")


def test_anchors_share_a_chain(config):
    topology = config.load("""\
        sources:
          - Redis: {listen_addr: "127.0.0.1:1", chain: &chain [QueryCounter, NullSink]}
          - Redis: {listen_addr: "127.0.0.1:2", chain: *chain}
        """).topology
    first, second = (source.chain for source in topology.sources)
    assert [step.name for step in first] == ["query-counter", "null-sink"]
    assert [step.name for step in second] == ["query-counter-2", "null-sink-2"]


@pytest.mark.parametrize(
    ("written", "host", "port", "path", "mode"),
    [
        ("127.0.0.1:6379", "127.0.0.1", 6379, "", None),
        ("'[::1]:6379'", "::1", 6379, "", None),
        ("localhost:0", "localhost", 0, "", None),
        ("unix:/run/a.sock", "", 0, "/run/a.sock", None),
        ("'unix:/run/a.sock?mode=0660'", "", 0, "/run/a.sock", 0o660),
    ],
)
def test_forms_of_listen_address(config, written, host, port, path, mode):
    text = f"sources: [Redis: {{listen_addr: {written}, chain: [NullSink]}}]"
    address = config.load(text).topology.sources[0].listen_addr
    assert (address.host, address.port, address.path, address.mode) == (host, port, path, mode)
    assert str(address) == written.strip("'").partition("?")[0]


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("4096", 4096),
        ("64KiB", 65_536),
        ("512 MiB", 512 << 20),
        ("1GiB", 1 << 30),
        ("2048B", 2048),
    ],
)
def test_sizes_take_units(config, written, size):
    text = (
        "sources: [Redis: {listen_addr: '127.0.0.1:1', "
        f"max_frame_bytes: {written}, chain: [NullSink]}}]"
    )
    assert config.load(text).topology.sources[0].max_frame_bytes == size


def test_every_default_of_a_source(config):
    (source,) = config.load(
        "sources: [Redis: {listen_addr: '127.0.0.1:1', chain: [NullSink]}]"
    ).topology.sources
    assert source.options() == {
        "connection_limit": 512,
        "hard_connection_limit": False,
        "connection_limit_per_ip": None,
        "connection_limit_ipv6_prefix": 64,
        "timeout": None,
        "memory_limit": None,
        "client_memory_limit": None,
        "max_frame_bytes": 512 << 20,
        "max_arguments": 1 << 20,
        "max_inline_bytes": 65_536,
        "max_pending_requests": 1024,
        "client_output_buffer_bytes": 256 << 20,
    }


def test_the_process_configuration(config):
    process = config.load(
        NEWER["null"],
        """\
        main_log_level: "info, shotover::sinks=debug"
        observability_interface: "127.0.0.1:9001"
        drain_timeout_seconds: 2.5
        """,
    ).process
    assert process.main_log_level == "info, shotover::sinks=debug"
    assert process.observability_interface.port == 9001
    assert process.drain_timeout_seconds == 2.5
    assert process.old_metric_names is False


def test_metrics_may_be_left_out(config):
    process = config.load(NEWER["null"], "main_log_level: info").process
    assert process.observability_interface is None
