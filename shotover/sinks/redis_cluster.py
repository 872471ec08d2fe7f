"""Sink `RedisSinkCluster`, also `ValkeySinkCluster`: a Redis Cluster behind one address."""

from __future__ import annotations

from shotover.config.address import Address, parse_address
from shotover.config.fields import (
    address,
    choice,
    integer,
    list_of,
    number,
    settings,
    text,
)
from shotover.config.steps import SinkConfig
from shotover.config.tls import tls_client
from shotover.sinks import redis_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from shotover._proxy.step import Step
    from shotover.config.tls import TlsClientConfig
    from shotover.runtime.assemble import BuildContext


class RedisSinkClusterConfig(SinkConfig, tag="RedisSinkCluster", aliases=("ValkeySinkCluster",)):
    """Sends each request to the node of a Redis or Valkey cluster that has its keys.

    Clients that know nothing of clusters see one server. With `present_as: cluster`, clients that
    know of clusters are served too: they see a cluster of one node, the proxy, which has all slots.

    The map of the cluster is asked of its nodes at the start, at intervals, and whenever a node
    sends a request on (MOVED) or is lost. A request whose node cannot be reached, or that is
    refused for now (LOADING, TRYAGAIN, CLUSTERDOWN), is held and sent again, for `retry_timeout`
    at most; one that may have been carried out is not sent again unless it only reads.

    Connections to each node are shared and leased as by RedisSinkSingle.
    """

    protocols = frozenset({"redis"})

    first_contact_points: tuple[Address, ...] = list_of(
        address(), doc="nodes to ask first for the map of the cluster: host:port or [IPv6]:port"
    )
    direct_destination: Address | None = address(
        default=None,
        doc="node that gets whatever has no keys, as it is; null: such commands go by the servers' own tips",
    )
    present_as: str | None = choice(
        "standalone",
        "cluster",
        "nodes",
        default=None,
        doc="what clients see: one server without clusters, a cluster whose only node is the proxy, or the "
        "nodes themselves; null is nodes behind RedisClusterPortsRewrite, else standalone",
    )
    connect_timeout_ms: int = redis_fields.connect_timeout_ms()
    read_timeout: float | None = redis_fields.read_timeout(10.0)
    retry_timeout: float = redis_fields.hold_timeout(
        5.0,
        "seconds for which a request is held whose node is away or refuses it for now; 0 holds none",
    )
    max_held_requests: int = redis_fields.max_held_requests()
    read_from: str = choice(
        "master",
        "prefer_replica",
        "replica",
        "nearest",
        default="master",
        doc="where reads go. Replicas are behind their master: a client may not see what it has just written",
    )
    multi_key: str = choice(
        "split",
        "refuse",
        default="split",
        doc="what becomes of MGET, MSET, DEL and their like when their keys have several slots: a request "
        "to each node, which is not atomic, or CROSSSLOT as from a node",
    )
    max_redirects: int = integer(
        minimum=0, maximum=100, default=8, doc="times a request is sent on (MOVED, ASK) at most"
    )
    refresh_interval: float = number(
        minimum=0.1,
        maximum=86_400,
        default=10.0,
        doc="seconds after which the map is asked for though nothing seems to have changed",
    )
    username: str | None = text(
        default=None, doc="user with which the map is asked for; null with a password: default"
    )
    password: str | None = text(
        default=None,
        secret=True,
        doc="password with which the map is asked for; null asks as nobody, and where that is refused "
        "as one of the clients; requests of clients always go with their own login",
    )
    address_map: dict[str, Any] = settings(
        default={},
        doc="addresses as nodes announce them, and where to reach them instead: "
        "{'10.0.0.1:6379': '192.0.2.7:7001'}",
    )
    connection_count: int = redis_fields.connection_count(" to each node")
    max_pending_requests: int = redis_fields.max_pending_requests()
    max_leases: int = redis_fields.max_leases(" to one node")
    retries: int = redis_fields.retries(
        "a node hangs up on a shared connection", "all its requests"
    )
    tls: TlsClientConfig | None = tls_client()

    def validate(self) -> Iterator[tuple[str, str | None]]:
        for announced, reached in self.address_map.items():
            for written in (announced, reached):
                try:
                    if parse_address(str(written)).path:
                        raise ValueError("a path is no address of a node")
                except ValueError as error:
                    yield (
                        f"expected addresses as host:port, got {written!r}: {error}",
                        "address_map",
                    )

    def build(self, context: BuildContext) -> Step:
        from ._redis_cluster import RedisSinkCluster

        return RedisSinkCluster(
            context,
            name=self.name,
            first_contact_points=list(self.first_contact_points),
            present_as=self.present_as,
            direct_destination=self.direct_destination,
            retry_timeout=self.retry_timeout,
            max_held_requests=self.max_held_requests,
            read_from=self.read_from,
            multi_key=self.multi_key,
            max_redirects=self.max_redirects,
            refresh_interval=self.refresh_interval,
            username=self.username,
            password=self.password,
            address_map={
                parse_address(str(announced)): parse_address(str(reached))
                for announced, reached in self.address_map.items()
            },
            **redis_fields.connecting(self),
        )
