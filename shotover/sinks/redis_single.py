"""Sink `RedisSinkSingle`, also `ValkeySinkSingle`: one server that speaks RESP."""

from __future__ import annotations

from shotover.config.address import Address
from shotover.config.fields import address
from shotover.config.steps import SinkConfig
from shotover.config.tls import tls_client
from shotover.sinks import redis_fields

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
    connect_timeout_ms: int = redis_fields.connect_timeout_ms()
    read_timeout: float | None = redis_fields.read_timeout()
    connection: str = redis_fields.connection("the server")
    connection_count: int = redis_fields.connection_count()
    max_pending_requests: int = redis_fields.max_pending_requests()
    max_leases: int = redis_fields.max_leases()
    retries: int = redis_fields.retries("the server hangs up on a shared connection")
    tls: TlsClientConfig | None = tls_client()

    def build(self, context: BuildContext) -> Step:
        from ._redis_single import RedisSinkSingle

        return RedisSinkSingle(
            context,
            name=self.name,
            remote_address=self.remote_address,
            connection=self.connection,
            **redis_fields.connecting(self),
        )
