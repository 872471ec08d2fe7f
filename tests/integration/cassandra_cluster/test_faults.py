"""Servers that are killed, fall silent and come back; and what clients notice of it."""

from __future__ import annotations

import contextlib
import struct
import threading
import uuid
from collections.abc import Iterator

import pytest
from cassandra import ConsistencyLevel
from cassandra.cluster import Session
from integration.cassandra_cluster.conftest import Start, connected
from support.cassandra import QUERY, READY, REGISTER, RESULT, CqlClient, query, string
from support.cassandra_ring import Ring
from support.wait import wait_until

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def harmed(whole_ring: Ring) -> Iterator[Ring]:
    with whole_ring.harm():
        yield whole_ring


class Reader:
    """Reads rows all the time; whatever fails is kept."""

    def __init__(self, session: Session, keyspace: str) -> None:
        self.session = session
        self.select = session.prepare(f"SELECT v FROM {keyspace}.t WHERE k = ?")
        self.select.consistency_level = ConsistencyLevel.ONE
        self.count = 0
        self.errors: list[Exception] = []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._read)

    def __enter__(self) -> Reader:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.thread.join(60)

    def _read(self) -> None:
        while not self.ending.is_set():
            try:
                self.session.execute(self.select, (self.count % 20,))
            except Exception as error:
                self.errors.append(error)
            self.count += 1

    def more(self, count: int) -> None:
        """Waits until so many more have been answered, well or not."""
        least = self.count + count
        wait_until(lambda: self.count >= least, f"{count} more reads", deadline_s=60)


@contextlib.contextmanager
def rows(session: Session) -> Iterator[str]:
    """A keyspace of which each server of dc1 has all."""
    name = f"ks_{uuid.uuid4().hex[:12]}"
    copies = "{'class': 'NetworkTopologyStrategy', 'dc1': 2}"
    session.execute(f"CREATE KEYSPACE {name} WITH replication = {copies}")
    session.execute(f"CREATE TABLE {name}.t (k int PRIMARY KEY, v text)")
    insert = session.prepare(f"INSERT INTO {name}.t (k, v) VALUES (?, 'x')")
    for key in range(20):
        session.execute(insert, (key,))
    yield name


def test_servers_that_go_and_come(harmed: Ring, start_proxies: Start) -> None:
    """Reads go on without an error: they are sent to the other server, and those under way once more."""
    (proxy,) = start_proxies(harmed, heartbeat_interval=1)
    proxy.allow_log("cannot connect to the node")
    near, far = harmed.nodes[0], harmed.nodes[1]
    with (
        connected("127.0.0.1", proxy.port) as session,
        rows(session) as keyspace,
        Reader(session, keyspace) as reader,
    ):
        reader.more(100)
        near.kill()  # of this proxy's rack, and where the control connection is
        reader.more(300)
        assert not reader.errors
        assert proxy.metric("shotover_cluster_nodes_down", name="sink") == 1
        near.start()
        harmed.agree()  # till then it does not know the keyspace: these nodes save little
        wait_until(
            lambda: proxy.metric("shotover_cluster_nodes_down", name="sink") == 0,
            "it is back",
            deadline_s=30,
        )
        reader.more(100)
        reader.errors.clear()
        far.kill()
        reader.more(300)
        assert not reader.errors


def test_a_silent_server(harmed: Ring, start_proxies: Start) -> None:
    """It is found out by the heartbeat; requests that it had and that may be sent again are answered by the other."""
    (proxy,) = start_proxies(harmed, heartbeat_interval=1)
    proxy.allow_log("cannot connect to the node")
    with connected("127.0.0.1", proxy.port) as session, rows(session) as keyspace:
        with Reader(session, keyspace) as reader:
            reader.more(50)
            harmed.nodes[0].stop()
            reader.more(100)
            wait_until(
                lambda: proxy.metric("shotover_cluster_nodes_down", name="sink") == 1,
                "it is known to be down",
            )
            with CqlClient(proxy.port) as client:  # home is another server now
                client.open()
                text = f"SELECT * FROM {keyspace}.t"
                assert client.ask(QUERY, query(text)).opcode == RESULT
                assert (
                    client.ask(REGISTER, struct.pack(">H", 1) + string("STATUS_CHANGE")).opcode
                    == READY
                )
            harmed.nodes[0].resume()
            wait_until(
                lambda: proxy.metric("shotover_cluster_nodes_down", name="sink") == 0, "it is back"
            )
            reader.more(100)
        assert all("Coordinator node timed out" in str(error) for error in reader.errors), (
            reader.errors
        )


@pytest.mark.long
def test_no_server_is_left(harmed: Ring, start_proxies: Start) -> None:
    """An error that says so; and when the servers are back the same clients go on."""
    (proxy,) = start_proxies(harmed, heartbeat_interval=1)
    proxy.allow_log("cannot connect to the node")
    with CqlClient(proxy.port, timeout=30) as client:
        client.open()
        ask = query("SELECT keyspace_name FROM system_schema.keyspaces")
        assert client.ask(QUERY, ask).opcode == RESULT
        for node in harmed.nodes:
            node.kill()
        reply = client.ask(QUERY, ask)
        assert "no server of the cluster can be reached" in reply.message, reply.message
        started = [node.launch() for node in harmed.nodes]
        for each in started:
            each.communicate()
        wait_until(
            lambda: client.ask(QUERY, ask).opcode == RESULT, "a server is back", deadline_s=60
        )
