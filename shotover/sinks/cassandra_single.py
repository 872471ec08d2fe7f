"""Sink `CassandraSinkSingle`: one server that speaks the Cassandra native protocol."""

from __future__ import annotations

from shotover.config.address import Address
from shotover.config.breaker import breaker_faults, breaker_timeouts
from shotover.config.fields import address, integer, number
from shotover.config.steps import SinkConfig
from shotover.config.tls import tls_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from shotover._proxy.step import Step
    from shotover.config.tls import TlsClientConfig
    from shotover.runtime.assemble import BuildContext


class CassandraSinkSingleConfig(SinkConfig, tag="CassandraSinkSingle"):
    """Sends requests to one Cassandra server and returns its replies, in the order they come in.

    Clients in the same state (protocol version, options of STARTUP, credentials, keyspace) share
    `connection_count` connections a worker: requests go out under numbers of the proxy's own, and
    replies get the client's back. So a slow query holds back nobody else's.

    The server judges each client's credentials itself. Those of one AUTH_RESPONSE (PLAIN) are
    kept, in memory only, to open more connections in their name; clients that log in otherwise
    get a connection of their own.

    A client that has registered for events gets each once. When the connection they come on is
    lost, such clients are closed, as they would be by the server: what they missed is not known.

    When the server is away, requests are answered with an error at once, and it is tried again
    with growing pauses. A request that takes longer than `read_timeout` is answered with an error
    by itself; the others on its connection go on. A server that is there but silent costs each
    request that time, unless `breaker_timeouts` says after how many of them it is given up: then
    requests are answered with an error at once, and only the sink itself tries it.
    """

    protocols = frozenset({"cassandra"})

    remote_address: Address = address(doc="the server: host:port, [IPv6]:port or unix:/path")
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
    connection_count: int = integer(
        minimum=1,
        maximum=64,
        default=2,
        doc="shared connections a worker keeps for each client state",
    )
    max_pending_requests: int = integer(
        minimum=1,
        maximum=32_768,
        default=32_768,
        doc="most requests awaiting a reply on one connection",
    )
    breaker_timeouts: int | None = breaker_timeouts()
    tls: TlsClientConfig | None = tls_client()

    def validate(self) -> Iterator[tuple[str, str | None]]:
        yield from breaker_faults(self)

    def build(self, context: BuildContext) -> Step:
        from ._cassandra_single import CassandraSinkSingle

        return CassandraSinkSingle(
            context,
            name=self.name,
            remote_address=self.remote_address,
            connect_timeout_ms=self.connect_timeout_ms,
            read_timeout=self.read_timeout,
            connection_count=self.connection_count,
            max_pending_requests=self.max_pending_requests,
            breaker_timeouts=self.breaker_timeouts,
            tls=None if self.tls is None else self.tls.context,
        )
