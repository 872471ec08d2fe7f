"""What is wrong is said word for word: file, line, YAML path, expected, found; all in one run."""

from __future__ import annotations

from typing import ClassVar

import pytest

from shotover.config.steps import SinkConfig, SourceConfig, chain
from shotover.runtime import catalogue

AT = "topology.yaml:5: sources[0].chain"


def test_all_problems_of_both_files_are_reported_in_one_run(config):
    assert config.errors(
        """\
        sources:
          - Redis:
              name: cache
              listen_adr: 127.0.0.1:6379
              connection_limit: 0
              chain:
                - QueryCounte
                - Coalesce: {}
                - RedisSinkSingle: {remote_address: localhost}
          - Valkey:
              listen_addr: 127.0.0.1:6380
              chain: []
        """,
        """\
        main_log_level: loud
        observability_interface: 9001
        colour: red
        """,
    ) == [
        "config.yaml:1: main_log_level: bad log directive 'loud': expected a level (off, error, "
        "warn, info, debug, trace) or target=level",
        "config.yaml:2: observability_interface: expected ip:port or [IPv6]:port, got 9001: the "
        "port is missing",
        "config.yaml:3: colour: unknown field, expected one of main_log_level, "
        "observability_interface, admin_token, admin_token_for, "
        "drain_timeout_seconds, memory_limit, old_metric_names, core_dumps, user, group, umask",
        "topology.yaml:4: sources[0].listen_adr: unknown field, did you mean listen_addr?",
        "topology.yaml:5: sources[0].connection_limit: expected an integer from 1 to 10000000, "
        "got 0",
        "topology.yaml:7: sources[0].chain[0]: unknown transform QueryCounte, did you mean "
        "QueryCounter?",
        "topology.yaml:8: sources[0].chain[1].Coalesce: expected "
        "flush_when_buffered_message_count, flush_when_millis_since_last_flush or both, got "
        "neither",
        "topology.yaml:9: sources[0].chain[2].RedisSinkSingle.remote_address: expected host:port, "
        "[IPv6]:port or unix:/path, got localhost: the port is missing",
        "topology.yaml:12: sources[1].chain: expected at least one transform, got an empty list",
    ]


CHAINS = {
    "[DebugPrinter]": [
        "[0].DebugPrinter: expected a chain to end with a sink or another terminating transform, "
        "got DebugPrinter"
    ],
    "[NullSink, DebugPrinter, NullSink]": [
        "[0].NullSink: NullSink ends a chain, so it must be last; 2 more follow"
    ],
    "[NullSink, NullSink, DebugPrinter]": [
        "[0].NullSink: NullSink ends a chain, so it must be last; 2 more follow",
        "[1].NullSink: NullSink ends a chain, so it must be last; 1 more follows",
        "[2].DebugPrinter: expected a chain to end with a sink or another terminating transform, "
        "got DebugPrinter",
    ],
    "[]": [": expected at least one transform, got an empty list"],
    "": [": expected a list of transforms, got nothing"],
    "NullSink": [": expected a list of transforms, got NullSink"],
    "{NullSink: {}}": [": expected a list of transforms, got a map"],
    "[[NullSink]]": [
        "[0]: expected a transform: its type, or a map of its type to its fields, got a list"
    ],
    "[{}]": [
        "[0]: expected a transform: its type, or a map of its type to its fields, got an empty map"
    ],
    "[{Coalesce: , flush_when_buffered_message_count: 5}, NullSink]": [
        "[0]: expected a transform: its type, or a map of its type to its fields, got 2 keys side "
        "by side (Coalesce, flush_when_buffered_message_count); are the fields of Coalesce "
        "indented deeper than its name?"
    ],
    "[NullSink: 5]": ["[0].NullSink: expected a map of fields, got 5"],
    "[NullSink: {nam: x}]": ["[0].NullSink.nam: unknown field, did you mean name?"],
    "[NullSink: {name: a, name: b}]": ["[0].NullSink: duplicate key name, first given on line 5"],
    "[nullsink]": ["[0]: unknown transform nullsink, did you mean NullSink?"],
    "[query_counter, NullSink]": [
        "[0]: unknown transform query_counter, did you mean QueryCounter?"
    ],
    "[Redis: {}]": ["[0]: Redis is a source, expected a transform"],
    "[KafkaSinkSingle: {}]": ["[0]: KafkaSinkSingle is not supported yet by this version"],
    "[ParallelMap: {chain: [NullSink]}]": [
        "[0].ParallelMap: required field parallelism is missing"
    ],
    "[ParallelMap: {paralelism: 2, chain: [NullSink]}]": [
        "[0].ParallelMap.paralelism: unknown field, did you mean parallelism?"
    ],
    "[ParallelMap: {parallelism: 2, chain: [NullSink, DebugPrinter]}]": [
        "[0].ParallelMap.chain[0].NullSink: NullSink ends a chain, so it must be last; 1 more "
        "follows",
        "[0].ParallelMap.chain[1].DebugPrinter: expected a chain to end with a sink or another "
        "terminating transform, got DebugPrinter",
    ],
    "[ConnectionBalanceAndPool: {max_connections: 2, chain: [DebugPrinter]}]": [
        "[0].ConnectionBalanceAndPool.chain[0].DebugPrinter: expected a chain to end with a sink "
        "or another terminating transform, got DebugPrinter"
    ],
    "[Tee: {chain: [], behavior: {SubchainOnMismatch: [DebugPrinter]}}, NullSink]": [
        "[0].Tee.chain: expected at least one transform, got an empty list",
        "[0].Tee.behavior.SubchainOnMismatch[0].DebugPrinter: expected a chain to end with a sink "
        "or another terminating transform, got DebugPrinter",
    ],
    "[Tee: {chain: [NullSink], behavior: Ignor}, NullSink]": [
        "[0].Tee.behavior: expected one of Ignore, FailOnMismatch, LogWarningOnMismatch, or a map "
        "from SubchainOnMismatch to a list of transforms, got Ignor"
    ],
    "[Tee: {chain: [NullSink], behavior: {Ignore: }}, NullSink]": [
        "[0].Tee.behavior: expected one of Ignore, FailOnMismatch, LogWarningOnMismatch, or a map "
        "from SubchainOnMismatch to a list of transforms, got a map with keys Ignore"
    ],
    "[Tee: {chain: [NullSink], switch_port: 1, http_api_port: 2}, NullSink]": [
        "[0].Tee.http_api_port: the same field was given on line 5 (switch_port); keep one"
    ],
    "[RequestThrottling: {max_requests_per_second: 49}, NullSink]": [
        "[0].RequestThrottling.max_requests_per_second: expected an integer from 50 to "
        "4294967295, got 49"
    ],
    "[Coalesce: {flush_when_millis_since_last_flush: 0}, NullSink]": [
        "[0].Coalesce.flush_when_millis_since_last_flush: expected an integer from 1 to "
        "1000000000000, got 0"
    ],
    "[QueryTypeFilter: {filter: Read, DenyList: [Write]}, NullSink]": [
        "[0].QueryTypeFilter: expected exactly one of AllowList, DenyList, filter, got filter and "
        "DenyList"
    ],
    "[QueryTypeFilter, NullSink]": [
        "[0].QueryTypeFilter: expected exactly one of AllowList, DenyList, filter, got none of them"
    ],
    "[QueryTypeFilter: {AllowList: []}, NullSink]": [
        "[0].QueryTypeFilter.AllowList: expected a list, each one of Read, Write, ReadWrite, "
        "SchemaChange, PubSubMessage, got an empty list"
    ],
    "[QueryTypeFilter: {AllowList: [reed]}, NullSink]": [
        "[0].QueryTypeFilter.AllowList[0]: expected one of Read, Write, ReadWrite, SchemaChange, "
        "PubSubMessage, got reed, did you mean Read?"
    ],
    "[DebugReturner]": [
        "[0].DebugReturner: expected exactly one of Redis (or Valkey) and Fail, got neither"
    ],
    "[DebugReturner: {Redis: x, Fail: }]": [
        "[0].DebugReturner: expected exactly one of Redis (or Valkey) and Fail, got both"
    ],
    "[DebugReturner: {Redis: [x]}]": ["[0].DebugReturner.Redis: expected text, got a list"],
    "[ParallelMap: {parallelism: '2', ordered_results: yes, chain: [NullSink]}]": [
        '[0].ParallelMap.parallelism: expected an integer from 1 to 1024, got "2"',
        "[0].ParallelMap.ordered_results: expected true or false, got yes",
    ],
    "[RedisSinkSingle: {}]": ["[0].RedisSinkSingle: required field remote_address is missing"],
    "[RedisSinkSingle: {remote_address: 'a:1', tls: {certificate_path: a.crt}}]": [
        "[0].RedisSinkSingle.tls: expected certificate_path and private_key_path together or "
        "neither, private_key_path is missing"
    ],
    "[RedisSinkSingle: {remote_address: 'a:1', tls: {min_version: 1.1, ciphers: x}}]": [
        "[0].RedisSinkSingle.tls.min_version: expected one of 1.2, 1.3, got 1.1, did you mean 1.3?"
    ],
    "[RedisSinkSingle: {remote_address: 'a:1', connection: share}]": [
        "[0].RedisSinkSingle.connection: expected one of shared, per_client, got share, did you "
        "mean shared?"
    ],
    "[RedisSinkSentinel: {sentinels: [], master_name: ''}]": [
        "[0].RedisSinkSentinel.sentinels: expected a list, each host:port, [IPv6]:port or "
        "unix:/path, got an empty list",
        '[0].RedisSinkSentinel.master_name: expected text, got ""',
    ],
    "[RedisSinkSentinel: {sentinels: ['a:1'], master_name: m, sentinel_username: x, username: y}]": [
        "[0].RedisSinkSentinel.sentinel_username: a user needs a password: sentinel_password is "
        "missing",
        "[0].RedisSinkSentinel.username: a user needs a password: password is missing",
    ],
    "[RedisSinkSingle: {remote_address: 'a:1', read_timeout: .inf}]": [
        "[0].RedisSinkSingle.read_timeout: expected a number from 0.001 to 86400, got .inf"
    ],
}


@pytest.mark.parametrize(("text", "expected"), CHAINS.items(), ids=CHAINS.keys())
def test_chains(config, text, expected):
    assert config.chain_errors(text) == [AT + line for line in expected]


ADDRESSES = {
    "127.0.0.1": "the port is missing",
    "'::1:6379'": "an IPv6 address goes into brackets, [::1]:6379",
    "'[redis]:6379'": "brackets are for IPv6 addresses",
    "':6379'": "the host is missing, 0.0.0.0 means any",
    "'host:'": "the port is not a number",
    "'host:http'": "the port is not a number",
    "'host:65536'": "the port is not from 0 to 65535",
    "'redis://host:6379'": "the host is not a name or an IP address",
    "unix:a.sock": "the path does not start with /",
    "'unix:/a.sock?mode=9'": "after ? only mode=OCTAL is known, and only to listen",
    "'unix:/a.sock?mode=7777'": "the mode is not from 0000 to 0777",
    f"unix:/{'a' * 107}": "the path is longer than 107 bytes",
}


@pytest.mark.parametrize(("written", "why"), ADDRESSES.items(), ids=ADDRESSES.keys())
def test_listen_addresses(config, written, why):
    (line,) = config.errors(
        f"sources: [Redis: {{name: a, listen_addr: {written}, chain: [NullSink]}}]"
    )
    head = (
        "topology.yaml:1: sources[0].listen_addr: expected host:port, [IPv6]:port or "
        "unix:/path (unix:/path?mode=0660 sets its permissions), got "
    )
    assert line.startswith(head)
    assert line.endswith(": " + why)


def test_a_quoted_value_is_cut_and_printable(config):
    (line,) = config.chain_errors('["%s"]' % ("\\u001b[31m" + "x" * 100))
    assert "\x1b" not in line
    assert len(line) < 1000  # the names of all transforms are in it


@pytest.mark.parametrize("written", ["localhost:9001", "unix:/a.sock", "1.2.3:9001", "[::x]:1"])
def test_the_observability_interface_is_an_ip_address(config, written):
    assert config.errors(
        "sources: [Redis: {listen_addr: 'h:1', chain: [NullSink]}]",
        f"observability_interface: '{written}'",
    ) == [
        f"config.yaml:1: observability_interface: expected ip:port or [IPv6]:port, got {written}: "
        "the host is not an IP address"
    ]


class TestNames:
    def test_each_of_the_three_name_spaces_is_checked(self, config):
        assert config.errors("""\
            sources:
              - Redis:
                  name: one
                  listen_addr: 127.0.0.1:1
                  chain:
                    - QueryCounter: {name: count}
                    - Tee: {name: one, chain: [{NullSink: {name: count}}]}
                    - NullSink
              - Redis:
                  name: one
                  listen_addr: 127.0.0.1:2
                  chain: [NullSink]
            """) == [
            "topology.yaml:7: sources[0].chain[1].Tee.chain[0].NullSink.name: transform name count "
            "is already used at sources[0].chain[0].QueryCounter.name (topology.yaml:6)",
            "topology.yaml:7: sources[0].chain[1].Tee.chain: chain name one is already used at "
            "sources[0].chain (topology.yaml:5)",
            "topology.yaml:10: sources[1].name: source name one is already used at "
            "sources[0].name (topology.yaml:3)",
            "topology.yaml:12: sources[1].chain: chain name one is already used at "
            "sources[0].chain (topology.yaml:5)",
        ]

    def test_names_of_different_kinds_may_be_equal(self, config):
        loaded = config.load(
            "sources: [Redis: {name: a, listen_addr: 'h:1', chain: "
            "[{QueryCounter: {name: a}}, NullSink]}]"
        )
        assert loaded.topology.sources[0].chain.steps[0].name == "a"


class TestListeners:
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("127.0.0.1:6379", "127.0.0.1:6379"),
            ("0.0.0.0:6379", "127.0.0.1:6379"),
            ("localhost:6379", "127.0.0.1:6379"),
            ("unix:/a.sock", "'unix:/a.sock?mode=0600'"),
        ],
    )
    def test_an_address_is_listened_on_once(self, config, first, second):
        (line,) = config.errors(f"""\
            sources:
              - Redis: {{name: a, listen_addr: {first}, chain: [NullSink]}}
              - Redis: {{name: b, listen_addr: {second}, chain: [NullSink]}}
            """)
        shown = second.strip("'").partition("?")[0]
        assert line == (
            f"topology.yaml:3: sources[1].listen_addr: {shown} is already listened on "
            "by sources[0].listen_addr (topology.yaml:2)"
        )

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("127.0.0.1:6379", "127.0.0.2:6379"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("127.0.0.1:1", "127.0.0.1:2"),
            ("unix:/a", "unix:/b"),
        ],
    )
    def test_different_addresses_live_side_by_side(self, config, first, second):
        loaded = config.load(f"""\
            sources:
              - Redis: {{name: a, listen_addr: "{first}", chain: [NullSink]}}
              - Redis: {{name: b, listen_addr: "{second}", chain: [NullSink]}}
            """)
        assert len(loaded.topology.sources) == 2

    def test_switches_and_the_observability_interface_count(self, config):
        assert config.errors(
            """\
            sources:
              - Redis:
                  listen_addr: 0.0.0.0:9001
                  chain: [{Tee: {switch_port: 9001, chain: [NullSink]}}, NullSink]
            """,
            "observability_interface: 127.0.0.1:9001",
        ) == [
            "topology.yaml:3: sources[0].listen_addr: 0.0.0.0:9001 is already listened on by "
            "observability_interface (config.yaml:1)",
            "topology.yaml:4: sources[0].chain[0].Tee.switch_port: 127.0.0.1:9001 is already "
            "listened on by observability_interface (config.yaml:1)",
        ]


class TestLayouts:
    ROOTS: ClassVar[dict[str, list[str]]] = {
        "{}": ["1: required field sources is missing"],
        "[]": ["1: expected a map with the key sources, got an empty list"],
        "sources: []": ["1: sources: expected at least one source, got an empty list"],
        "sources: {}": [
            "1: required field chain_config is missing",
            "1: required field source_to_chain_mapping is missing",
        ],
        "source: []": [
            "1: source: unknown field, did you mean sources?",
            "1: required field sources is missing",
        ],
        "sources: [Redis: {listen_addr: 'h:1'}]": [
            "1: sources[0]: required field chain is missing"
        ],
        "sources: [Redis]": [
            "1: sources[0]: required field listen_addr is missing",
            "1: sources[0]: required field chain is missing",
        ],
        "sources: [Reddis: {}]": ["1: sources[0]: unknown source Reddis, did you mean Redis?"],
        "sources: [Kafka: {}]": ["1: sources[0]: Kafka is not supported yet by this version"],
        "sources: [NullSink]": ["1: sources[0]: NullSink is a transform, expected a source"],
        "sources: [5]": ["1: sources[0]: unknown source 5, known are Cassandra, Redis, Valkey"],
    }

    @pytest.mark.parametrize(("text", "expected"), ROOTS.items(), ids=ROOTS.keys())
    def test_roots(self, config, text, expected):
        assert config.errors(text) == [f"topology.yaml:{line}" for line in expected]

    def test_the_older_layout_names_what_is_bound_to_nothing(self, config):
        assert config.errors("""\
            sources:
              redis_prod:
                Redis: {listen_addr: "127.0.0.1:6379", name: other}
            chain_config:
              main_chain: [NullSink]
              b_second: [DebugPrinter]
            source_to_chain_mapping:
              redis_prod: main_chian
              redis_prd: main_chain
            """) == [
            "topology.yaml:3: sources.redis_prod.name: not given here in this layout: its key, "
            "redis_prod, is its name",
            "topology.yaml:6: chain_config.b_second[0].DebugPrinter: expected a chain to end with "
            "a sink or another terminating transform, got DebugPrinter",
            "topology.yaml:8: source_to_chain_mapping.redis_prod: no chain is named main_chian, "
            "did you mean main_chain?",
            "topology.yaml:9: source_to_chain_mapping.redis_prd: no source is named redis_prd, did "
            "you mean redis_prod?",
        ]

    def test_a_chain_of_two_sources_is_reported_once(self, config):
        lines = config.errors("""\
            sources:
              one: {Redis: {listen_addr: "h:1"}}
              two: {Redis: {listen_addr: "h:2"}}
            chain_config: {main: [DebugPrinter]}
            source_to_chain_mapping: {one: main, two: main}
            """)
        assert len(lines) == 1


class CassandraSource(SourceConfig, tag="Cassandra"):
    protocol = "cassandra"
    chain = chain(default=None)


class CassandraSink(SinkConfig, tag="CassandraSinkSingle"):
    protocols = frozenset({"cassandra"})


@pytest.mark.parametrize("name", sorted(catalogue.NOT_YET))
def test_what_other_versions_have_and_this_one_not_yet_is_told_so(config, name):
    at = "topology.yaml:1: sources[0]"
    problem = f"{name} is not supported yet by this version"
    if name in ("Cassandra", "Kafka", "OpenSearch"):
        text = f"sources: [{name}: {{name: a, listen_addr: 'h:1', chain: [NullSink]}}]"
        assert config.errors(text) == [f"{at}: {problem}"]
    else:
        text = f"sources: [Redis: {{listen_addr: 'h:1', chain: [{name}: {{port: 1}}, NullSink]}}]"
        assert config.errors(text) == [f"{at}.chain[0]: {problem}"]


def test_what_is_wrong_with_tls_is_told_of_both_sides(config):
    assert config.errors("""\
        sources:
          - Redis:
              listen_addr: "127.0.0.1:1"
              tls: {certificate_path: c.crt, private_key_path: c.key}
              chain:
                - RedisSinkSingle:
                    remote_address: "h:1"
                    tls:
                      verify_hostname: true
                      ciphers: none-such
        """) == [
        "topology.yaml:4: sources[0].tls.certificate_path: c.crt: cannot be read: no such file or "
        "directory",
        "topology.yaml:10: sources[0].chain[0].RedisSinkSingle.tls.ciphers: no cipher match",
    ]


class TestProtocols:
    @pytest.fixture(autouse=True)
    def a_second_protocol(self, config):
        more = {"Cassandra": CassandraSource, "CassandraSinkSingle": CassandraSink}
        config.find = lambda kind, name: more.get(name) or catalogue.find(kind, name)

    def test_a_sink_must_speak_what_the_source_speaks(self, config):
        assert config.errors(
            "sources: [Cassandra: {name: c, listen_addr: 'h:1', chain: [QueryCounter, "
            "ValkeySinkSingle: {remote_address: 'h:2'}]}]"
        ) == [
            "topology.yaml:1: sources[0].chain[1].ValkeySinkSingle: ValkeySinkSingle works with "
            "redis, but source c speaks cassandra"
        ]

    def test_chains_within_chains_are_checked(self, config):
        assert config.errors(
            "sources: [Redis: {name: r, listen_addr: 'h:1', chain: [{Tee: {chain: "
            "[CassandraSinkSingle]}}, NullSink]}]"
        ) == [
            "topology.yaml:1: sources[0].chain[0].Tee.chain[0].CassandraSinkSingle: "
            "CassandraSinkSingle works with cassandra, but source r speaks redis"
        ]

    def test_what_works_with_any_protocol_fits(self, config):
        loaded = config.load(
            "sources: [Cassandra: {listen_addr: 'h:1', chain: [QueryCounter, CassandraSinkSingle]}]"
        )
        assert loaded.topology.sources[0].protocol == "cassandra"
