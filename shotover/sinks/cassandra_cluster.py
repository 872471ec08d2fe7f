"""Sink `CassandraSinkCluster`: a Cassandra cluster, before which several proxies are a ring of their own."""

from __future__ import annotations

from shotover.config.address import Address
from shotover.config.fields import Field, address, boolean, integer, list_of, number, text
from shotover.config.lists import Entries
from shotover.config.models import Model
from shotover.config.reading import INVALID
from shotover.config.steps import SinkConfig
from shotover.config.tls import tls_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from shotover._proxy.step import Step
    from shotover.config.errors import Place
    from shotover.config.reading import Reader
    from shotover.config.source import Node
    from shotover.config.tls import TlsClientConfig
    from shotover.runtime.assemble import BuildContext

UUID_DIGITS = 32


class HostId(Field):
    """A UUID, kept as its 16 bytes."""

    kind = "a UUID"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        written = reader.text(node, place, self.kind)
        if not isinstance(written, str):
            return INVALID
        digits = written.replace("-", "")
        try:
            if len(digits) != UUID_DIGITS:
                raise ValueError
            return bytes.fromhex(digits)
        except ValueError:
            return reader.add(place, f"expected a UUID, got {written!r}")

    def plain(self, value: Any) -> Any:
        digits = value.hex()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def host_id(**common: Any) -> Any:
    return HostId(**common)


class ShotoverNode(Model):
    """One proxy of the ring that drivers see."""

    address: Address = address(doc="where drivers reach it: IP:port")
    data_center: str = text(doc="data center of the servers that it stands for")
    rack: str = text(doc="their rack")
    host_id: bytes = host_id(doc="its UUID, unlike those of all servers and proxies")


class ShotoverNodes(Entries):
    """A list of ShotoverNode."""

    kind = "a list of proxies"
    what = "address, data_center, rack and host_id of a proxy"
    model = ShotoverNode


class CassandraSinkClusterConfig(SinkConfig, tag="CassandraSinkCluster"):
    """Sends each request to a server of a Cassandra cluster that has its rows.

    Drivers see a ring of proxies, `shotover_nodes`, in place of the servers: system.local,
    system.peers and system.peers_v2 are answered by the proxy, and events name proxies. Each
    proxy has the tokens of the servers in its data center and rack, so drivers that know where
    a row is ask the proxy that is next to it.

    Prepared statements go to a server that has the row, and so do queries and batches whose
    partition key can be read. A server that does not know a prepared statement has it prepared;
    the client does not notice. Requests that were not sent go to another server; one that was
    is sent again only if it may be carried out twice, and within a budget.
    """

    protocols = frozenset({"cassandra"})

    first_contact_points: tuple[Address, ...] = list_of(
        address(), doc="servers to ask first who is in the cluster: host:port or [IPv6]:port"
    )
    local_shotover_host_id: bytes = host_id(doc="host_id of this proxy among shotover_nodes")
    shotover_nodes: tuple[ShotoverNode, ...] = ShotoverNodes(  # type: ignore[assignment]
        doc="all proxies of the ring that drivers see, this one included"
    )
    connect_timeout_ms: int = integer(
        minimum=1, maximum=3_600_000, default=3000, doc="milliseconds a connect may take"
    )
    read_timeout: float | None = number(
        minimum=0.001,
        maximum=86_400,
        default=None,
        nullable=True,
        doc="seconds a reply may take; null waits without end",
    )
    username: str | None = text(
        default=None, doc="user with which the sink asks who is in the cluster"
    )
    password: str | None = text(
        default=None,
        secret=True,
        doc="its password; null asks as nobody, and where that is refused as the first client that logs in; "
        "requests of clients always go with their own login",
    )
    connection_count: int = integer(
        minimum=1,
        maximum=64,
        default=1,
        doc="shared connections a worker keeps to each server for each client state",
    )
    max_pending_requests: int = integer(
        minimum=1,
        maximum=32_768,
        default=32_768,
        doc="most requests awaiting a reply on one connection",
    )
    max_prepared_statements: int | None = integer(
        minimum=1,
        maximum=1_000_000,
        default=None,
        nullable=True,
        doc="most prepared statements that a worker remembers; null, or more than the source's own "
        "max_prepared_statements: as many as that says",
    )
    retry_percent: int = integer(
        minimum=0,
        maximum=100,
        default=10,
        doc="how many of all requests may be sent again after a server was lost, in percent; only such as "
        "may be carried out twice; 0: none",
    )
    speculative_delay_ms: int | None = integer(
        minimum=1,
        maximum=3_600_000,
        default=None,
        nullable=True,
        doc="milliseconds after which a request that has no reply is sent to another server, too, if it may be carried "
        "out twice, and gets the first good reply; null: never",
    )
    speculative_percent: int = integer(
        minimum=1,
        maximum=100,
        default=10,
        doc="how many of all requests may be sent to two servers so, in percent",
    )
    refresh_interval: float = number(
        minimum=0.1,
        maximum=86_400,
        default=60.0,
        doc="seconds after which the cluster is asked though nothing seems to have changed",
    )
    heartbeat_interval: float = number(
        minimum=0.1,
        maximum=3600,
        default=5.0,
        doc="seconds of silence after which a server is asked whether it is there; after as many more it is lost",
    )
    check_shotover_peers_delay_ms: int = integer(
        minimum=10,
        maximum=3_600_000,
        default=3000,
        doc="milliseconds between looks whether the other proxies are there; drivers are told of those that are not",
    )
    use_other_data_centers: bool = boolean(
        default=False,
        doc="whether servers of other data centers serve while none of this proxy's can be reached",
    )
    tls: TlsClientConfig | None = tls_client()

    def validate(self) -> Iterator[tuple[str, str | None]]:
        ids = [node.host_id for node in self.shotover_nodes]
        if self.local_shotover_host_id not in ids:
            yield "is the host_id of none of shotover_nodes", "local_shotover_host_id"
        if len(set(ids)) != len(ids):
            yield "two proxies have the same host_id; give one of them another", "shotover_nodes"
        for node in self.shotover_nodes:
            if not node.address.is_literal:
                yield (
                    f"expected an IP address and a port, got {node.address}: drivers are shown it as it is",
                    "shotover_nodes",
                )
        if self.username is not None and self.password is None:
            yield "has no effect without password; leave it out", "username"

    def build(self, context: BuildContext) -> Step:
        from shotover.sinks.cassandra_view import Endpoint, Proxy

        from ._cassandra_cluster import CassandraSinkCluster

        ids = [node.host_id for node in self.shotover_nodes]
        return CassandraSinkCluster(
            context,
            name=self.name,
            contact_points=list(self.first_contact_points),
            proxies=[
                Proxy(
                    Endpoint(node.address.host, node.address.port),
                    node.data_center,
                    node.rack,
                    node.host_id,
                )
                for node in self.shotover_nodes
            ],
            own=ids.index(self.local_shotover_host_id),
            username=self.username,
            password=self.password,
            retry_percent=self.retry_percent,
            max_prepared_statements=self.max_prepared_statements,
            speculative_delay_ms=self.speculative_delay_ms,
            speculative_percent=self.speculative_percent,
            refresh_interval=self.refresh_interval,
            heartbeat_interval=self.heartbeat_interval,
            peers_interval=self.check_shotover_peers_delay_ms / 1000,
            remote=self.use_other_data_centers,
            options={
                "connect_timeout_ms": self.connect_timeout_ms,
                "read_timeout": self.read_timeout,
                "connection_count": self.connection_count,
                "max_pending_requests": self.max_pending_requests,
                "tls": None if self.tls is None else self.tls.context,
            },
        )
