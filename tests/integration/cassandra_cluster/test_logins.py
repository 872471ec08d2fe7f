"""A cluster that asks for passwords; of one server, for that is quick to start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cassandra import Unauthorized
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import NoHostAvailable
from integration.cassandra_cluster.conftest import Start, connected, run_place
from support.cassandra import (
    AUTH_RESPONSE,
    AUTHENTICATE,
    ERROR,
    OPTIONS,
    QUERY,
    RESULT,
    STARTUP,
    SUPPORTED,
    CqlClient,
    query,
    shared_node,
    string_map,
)

pytestmark = pytest.mark.timeout(300)

AUTH_SUCCESS = 16
TOKEN = b"\0cassandra\0cassandra"
PLACE = ("datacenter1", "rack1")


class One:
    """As a cluster."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.host = "127.0.0.1"
        self.nodes = [self]


@pytest.fixture(scope="session")
def login_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[One]:
    with shared_node(Path(run_place(tmp_path_factory)), login=True) as port:
        yield One(port)


def log_in(client: CqlClient, token: bytes = TOKEN) -> int:
    """The opcode of the answer."""
    assert client.ask(STARTUP, string_map(CQL_VERSION="3.0.0")).opcode == AUTHENTICATE
    return client.ask(AUTH_RESPONSE, len(token).to_bytes(4, "big") + token).opcode


@pytest.mark.parametrize("fields", [{}, {"username": "cassandra", "password": "cassandra"}])
def test_the_ring_is_known(
    login_cluster: One, start_proxies: Start, fields: dict[str, Any]
) -> None:
    """By a login of the sink's own, or by that of the first client that has one."""
    (proxy,) = start_proxies(login_cluster, PLACE, **fields)
    login = PlainTextAuthProvider("cassandra", "cassandra")
    with connected("127.0.0.1", proxy.port, center=PLACE[0], auth_provider=login) as session:
        hosts = {host.address for host in session.cluster.metadata.all_hosts()}
        assert hosts == {"127.0.0.1"}
        local = session.execute("SELECT rpc_port, data_center FROM system.local").one()
        assert (local.rpc_port, local.data_center) == (proxy.port, "datacenter1")
        session.execute("CREATE ROLE IF NOT EXISTS reader WITH PASSWORD = 'r' AND LOGIN = true")
    assert proxy.metric("shotover_cluster_nodes", name="sink") == 1
    wrong = PlainTextAuthProvider("cassandra", "guess")
    with pytest.raises(NoHostAvailable), connected("127.0.0.1", proxy.port, auth_provider=wrong):
        pass
    reader = PlainTextAuthProvider("reader", "r")  # everybody asks as who they are
    with (
        connected("127.0.0.1", proxy.port, center=PLACE[0], auth_provider=reader) as session,
        pytest.raises(Unauthorized),
    ):
        session.execute("CREATE ROLE other")


def test_before_anybody_has_logged_in(login_cluster: One, start_proxies: Start) -> None:
    (proxy,) = start_proxies(login_cluster, PLACE)
    with CqlClient(proxy.port) as client:
        assert client.ask(OPTIONS).opcode == SUPPORTED
        assert client.ask(QUERY, query("SELECT key FROM system.local")).opcode == ERROR
        assert log_in(client, b"\0cassandra\0guess") == ERROR
    with CqlClient(proxy.port) as client:
        assert log_in(client) == AUTH_SUCCESS
        assert client.ask(QUERY, query("SELECT key FROM system.local")).opcode == RESULT


def test_a_wrong_login_of_its_own(login_cluster: One, start_proxies: Start) -> None:
    """The log says so; rows are served by the server that is known, but who is in the ring nobody can tell."""
    (proxy,) = start_proxies(login_cluster, PLACE, username="nobody", password="knows")
    proxy.allow_log("the cluster cannot be asked who is in it")
    with CqlClient(proxy.port, timeout=30) as client:
        assert log_in(client) == AUTH_SUCCESS
        text = "SELECT keyspace_name FROM system_schema.keyspaces"
        assert client.ask(QUERY, query(text)).opcode == RESULT
        reply = client.ask(QUERY, query("SELECT * FROM system.local"))
        assert reply.opcode == ERROR and "username and password" in reply.message
    assert "cannot be asked who is in it" in proxy.log()
