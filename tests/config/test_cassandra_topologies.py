"""Topologies of other versions for Cassandra load; and what is wrong with a cluster's is said where it stands."""

from __future__ import annotations

import pytest

from tests.config.test_topologies import CT, new, old

FIRST = "2dd022d6-2937-4754-89d6-02d2933a8f7a"
SECOND = "3c3c4e2d-ba74-4f76-b52e-fb5bcee6a9f4"
THIRD = "fa74d7ec-1223-472b-97de-04a32ccdb70b"
LISTEN = "listen_addr: '127.0.0.1:9042'"


def node(host_id: str, host: str = "127.0.0.1", rack: str = "rack1", center: str = "dc1") -> str:
    return f"{{address: '{host}:9042', data_center: {center}, rack: {rack}, host_id: {host_id}}}"


def sink(*nodes: str, own: str = FIRST, port: int = 9044, more: str = "") -> str:
    contacts = f"'172.16.1.2:{port}', '172.16.1.3:{port}'"
    return (
        f"CassandraSinkCluster: {{first_contact_points: [{contacts}], local_shotover_host_id: {own}, "
        f"shotover_nodes: [{', '.join(nodes)}], {CT}{more}}}"
    )


ONE = node(FIRST)
DUMMIES = (node(FIRST), node(SECOND), node(THIRD))
RACKS = (
    node(FIRST),
    node(SECOND, "127.0.0.2", "rack2"),
    node(THIRD, "127.0.0.3", "rack3"),
)
REWRITE = (
    "[CassandraPeersRewrite: {port: 9044}, "
    f"CassandraSinkSingle: {{remote_address: '172.16.1.2:9042', {CT}}}]"
)
PASS = f"CassandraSinkSingle: {{remote_address: '127.0.0.1:9043', {CT}}}"
LOADING = {
    "cluster v4": old(f"[{sink(ONE)}]", "Cassandra", LISTEN),
    "dummy peers": old(f"[{sink(*DUMMIES)}]", "Cassandra", LISTEN),
    "cluster v3": old(f"[{sink(ONE, port=9042)}]", "Cassandra", LISTEN),
    "multi rack 2": old(
        f"[{sink(*RACKS, own=SECOND, port=9042)}]", "Cassandra", "listen_addr: '127.0.0.2:9042'"
    ),
    "peers rewrite": old(REWRITE, "Cassandra", "listen_addr: '127.0.0.1:9044'"),
    "newer cluster": new(
        f"[{sink(node(FIRST, center='datacenter1'), more=', name: cassandra-sink-cluster')}]",
        "Cassandra",
        "cassandra",
        9042,
    ),
    "newer cluster with a filter": new(
        "[QueryTypeFilter: {name: query-type-filter, DenyList: [Write]}, "
        f"{sink(node(FIRST, center='datacenter1'), more=', name: cassandra-sink-cluster')}]",
        "Cassandra",
        "cassandra",
        9042,
    ),
    "passthrough, parsed": old(
        f"[DebugForceParse: {{parse_requests: true, parse_responses: false}}, {PASS}]",
        "Cassandra",
        LISTEN,
    ),
    "passthrough, encoded": old(
        f"[DebugForceEncode: {{encode_requests: true, encode_responses: true}}, {PASS}]",
        "Cassandra",
        LISTEN,
    ),
    "cluster, encoded": old(
        f"[DebugForceEncode: {{encode_requests: true, encode_responses: true}}, {sink(ONE)}]",
        "Cassandra",
        LISTEN,
    ),
    "newer cluster, encoded": new(
        "[DebugForceEncode: {name: debug-force-encode, encode_requests: true, encode_responses: true}, "
        f"{sink(node(FIRST, center='datacenter1'), more=', name: cassandra-sink-cluster')}]",
        "Cassandra",
        "cassandra",
        9042,
    ),
    "newer peers rewrite": new(
        "[CassandraPeersRewrite: {name: cassandra-peers-rewrite, port: 9044}, CassandraSinkSingle: "
        f"{{name: cassandra-sink-single, remote_address: '172.16.1.2:9042', {CT}}}]",
        "Cassandra",
        "cassandra",
        9044,
    ),
}


@pytest.mark.parametrize("text", LOADING.values(), ids=LOADING.keys())
def test_topologies_load(config, text):
    (source,) = config.load(text).topology.sources
    assert source.chain.steps


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        (sink(node(SECOND)), "is the host_id of none of shotover_nodes"),
        (sink(node(FIRST), node(FIRST, "127.0.0.2")), "two proxies have the same host_id"),
        (sink(node(FIRST, "proxy.example")), "expected an IP address and a port"),
        (sink(node("abc")), "expected a UUID, got 'abc'"),
        (sink(), "is the host_id of none"),
        (sink(ONE, own="12"), "expected a UUID, got '12'"),
        (sink(ONE, more=", username: a"), "has no effect without password"),
        (sink(ONE, more=", refresh_interval: 0"), "refresh_interval"),
        (f"CassandraSinkCluster: {{{CT}}}", "first_contact_points"),
        ("CassandraPeersRewrite: {port: 0}, NullSink", "port"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(config, chain, why):
    errors = config.errors(old(f"[{chain}]", "Cassandra", LISTEN))
    assert errors and any(why in error for error in errors), errors
