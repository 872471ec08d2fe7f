"""Sink `RedisSinkSingle`, also `ValkeySinkSingle`: one server that speaks RESP."""

from __future__ import annotations

from shotover.config.address import Address
from shotover.config.fields import address, choice, integer, number
from shotover.config.steps import SinkConfig
from shotover.config.tls import tls_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover._proxy.step import Step
    from shotover.config.tls import TlsClientConfig
    from shotover.runtime.assemble import BuildContext


class RedisSinkSingleConfig(SinkConfig, tag="RedisSinkSingle", aliases=("ValkeySinkSingle",)):
    """Sends requests to one Redis or Valkey server and returns its replies.

    With `connection: shared`, clients in the same state (user, database, protocol version) share
    `connection_count` connections a worker; requests of many clients leave in one write. What
    cannot be shared (transactions, blocking commands, subscriptions, MONITOR) takes a connection
    of its own for as long as it lasts: a lease. At most `max_leases` exist a worker at once;
    a client that would need one more is answered with an error.

    With `connection: per_client`, each client has a connection of its own from its first request
    to its end.

    When the server is away, requests are answered with an error at once, and it is tried again
    with growing pauses. Requests beyond `max_pending_requests` on one connection are refused.
    When it hangs up, small reads that it left unanswered are sent once more; all else is answered
    with an error, for it may have been carried out.
    """

    protocols = frozenset({"redis"})

    remote_address: Address = address(doc="the server: host:port, [IPv6]:port or unix:/path")
    connect_timeout_ms: int = integer(
        minimum=1, maximum=3_600_000, default=3000, doc="milliseconds a connect may take"
    )
    read_timeout: float | None = number(
        minimum=0.001,
        maximum=86_400,
        default=None,
        doc="seconds a reply may take; blocking commands and subscriptions are exempt; null "
        "waits without end",
    )
    connection: str = choice(
        "shared",
        "per_client",
        default="shared",
        doc="whether clients share connections to the server",
    )
    connection_count: int = integer(
        minimum=1,
        maximum=64,
        default=1,
        doc="shared connections a worker keeps for each client state",
    )
    max_pending_requests: int = integer(
        minimum=1,
        maximum=10_000_000,
        default=65_536,
        doc="most requests awaiting a reply on one connection",
    )
    max_leases: int = integer(
        minimum=0,
        maximum=1_000_000,
        default=10_000,
        doc="most connections leased at once, a worker",
    )
    retries: int = integer(
        minimum=0,
        maximum=100,
        default=10,
        doc="reads sent a second time when the server hangs up on a shared connection, at most, in "
        "percent of all requests; 0 sends none",
    )
    tls: TlsClientConfig | None = tls_client()

    def build(self, context: BuildContext) -> Step:
        from ._redis_single import RedisSinkSingle

        return RedisSinkSingle(
            context,
            name=self.name,
            remote_address=self.remote_address,
            connect_timeout_ms=self.connect_timeout_ms,
            read_timeout=self.read_timeout,
            connection=self.connection,
            connection_count=self.connection_count,
            max_pending_requests=self.max_pending_requests,
            max_leases=self.max_leases,
            retries=self.retries,
            tls=None if self.tls is None else self.tls.context,
        )
