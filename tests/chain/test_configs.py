"""The topologies in configs/: each starts as a process, serves, and ends cleanly."""

from __future__ import annotations

import urllib.request

import pytest
from support.certificates import usual
from support.proxy import ROOT
from support.topologies import Running
from support.wait import free_port, wait_until_equal

NULL = b"-ERR Handled by shotover null transform\r\n"
FILTERED = b"-ERR Message was filtered out by shotover\r\n"
OK = b"+OK\r\n"
CONFIGS = {  # what `SET key value` is answered with
    "redis": OK,
    "redis_multi": OK,
    "redis_shards": OK,
    "null_sink": NULL,
    "debug_returner": b"$2\r\n42\r\n",
    "debug_printer": OK,
    "debug_force": OK,
    "query_counter": OK,
    "query_type_filter": FILTERED,
    "request_throttling": OK,
    "cluster_ports_rewrite": OK,
    "audit": OK,
    "coalesce": OK,
    "adaptive_concurrency": OK,
    "fault_injection": OK,
    "key_router": OK,
    "parallel_map": OK,
    "redis_protocol_converter": OK,
    "load_balance": OK,
    "tee": OK,
    "tee_compare": OK,
    "tls": OK,
    "proxy_protocol": OK,
    "proxy_protocol_onwards": OK,
    "inside": OK,
}
ELSEWHERE = {  # they need more than a server or two
    "cassandra",  # tests/integration/cassandra
    "cassandra_audit",
    "cassandra_cached_audited",
    "cassandra_protect",
    "cassandra_key_router",
    "cassandra_key_router_tenants",
    "cassandra_redis_cache",
    "cassandra_statements",
    "cassandra_cluster",  # tests/integration/cassandra_cluster
    "cassandra_cluster_racks",  # the same
    "cassandra_peers_rewrite",  # the same
    "redis_cluster",  # tests/integration/cluster
    "redis_sentinel",  # tests/integration/sentinel
}
TOGETHER = {  # transforms that make sense in one topology
    "protect": "cassandra_protect",
    "redis_cache": "cassandra_redis_cache",
    "redis_timestamp_tagger": "redis_multi",
    "tuneable_consistency_scatter": "redis_multi",
}


def test_every_topology_is_tried_and_every_transform_has_one() -> None:
    transforms = {path.stem.lstrip("_") for path in (ROOT / "shotover/transforms").glob("_*.pyx")}
    parts = {
        name
        for name in transforms
        if name.startswith(
            ("audit_", "key_router_", "protect_", "redis_cache_", "request_throttling_")
        )
    }
    assert transforms - parts - set(TOGETHER) <= {*CONFIGS, *ELSEWHERE}
    assert set(TOGETHER.values()) <= {*CONFIGS, *ELSEWHERE}
    assert {path.stem for path in (ROOT / "configs").glob("*.yaml")} == {
        *CONFIGS,
        *ELSEWHERE,
        "config",
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_it_serves(name, tmp_path, start_server) -> None:
    first, second, third = start_server(), start_server(), start_server()
    with (
        Running(
            name,
            tmp_path,
            REDIS=first.port,
            REDIS_SECOND=second.port,
            REDIS_THIRD=third.port,
            SWITCH=free_port(),
            INNER=f"127.0.0.1:{free_port()}",
            AUDIT=str(tmp_path / "audit.jsonl"),
            CERTIFICATE=usual().server.certificate,
            PRIVATE_KEY=usual().server.key,
        ) as running,
        running.raw(tls=usual().authority.client_context() if name == "tls" else None) as client,
    ):
        if name == "proxy_protocol":
            client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 6379\r\n")
        assert client.command("SET", "key", "value") == CONFIGS[name]
        if CONFIGS[name] == OK:
            assert client.ask("GET", "key") == b"value"
        if name.startswith("tee") or name == "redis_multi":
            wait_until_equal(
                lambda: second.client().get("key"), b"value", "key in the second server"
            )


def test_the_settings_of_the_process_are_served_with_it(tmp_path, start_server) -> None:
    metrics = f"127.0.0.1:{free_port()}"
    with (
        Running(
            "redis",
            tmp_path,
            "-c",
            ROOT / "configs/config.yaml",
            REDIS=start_server().port,
            METRICS=metrics,
        ),
        urllib.request.urlopen(f"http://{metrics}/metrics", timeout=5) as answer,
    ):
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert b"shotover_connections{" in answer.read()


def test_the_switch_of_a_tee(tmp_path, start_server) -> None:
    first, second, switch = start_server(), start_server(), free_port()
    first.client().set("who", "first")
    second.client().set("who", "second")
    with (
        Running(
            "tee_compare", tmp_path, REDIS=first.port, REDIS_SECOND=second.port, SWITCH=switch
        ) as running,
        running.raw() as client,
    ):
        url = f"http://127.0.0.1:{switch}/transform/tee/result-source"
        for source, answer in (
            ("regular-chain", b"first"),
            ("tee-chain", b"second"),
            ("regular-chain", b"first"),
        ):
            request = urllib.request.Request(url, source.encode(), method="PUT")
            assert urllib.request.urlopen(request, timeout=5).read() == b""
            assert urllib.request.urlopen(url, timeout=5).read() == source.encode()
            assert client.ask("GET", "who") == answer
