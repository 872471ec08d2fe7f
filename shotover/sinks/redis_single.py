"""Sink `RedisSinkSingle`, also `ValkeySinkSingle`: one server that speaks RESP."""

from __future__ import annotations

from shotover.config.address import Address
from shotover.config.breaker import breaker_faults, breaker_timeouts
from shotover.config.fields import address, choice
from shotover.config.steps import SinkConfig
from shotover.config.tls import tls_client
from shotover.sinks import redis_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

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
    A server that is there but silent costs each request its `read_timeout`, unless
    `breaker_timeouts` says after how many of them it is given up: then requests are answered with
    an error at once, and only the sink itself tries it, until a byte of it is heard.
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
    breaker_timeouts: int | None = breaker_timeouts()
    proxy_protocol: str | None = choice(
        "v1",
        "v2",
        "v2-crc32c",
        default=None,
        doc="the server is told each client's address by a header of this version; needs connection: per_client; see "
        "ProxyProtocol",
    )
    tls: TlsClientConfig | None = tls_client()

    def validate(self) -> Iterator[tuple[str, str | None]]:
        if self.proxy_protocol is not None and self.connection != "per_client":
            yield (
                "needs connection: per_client, for a shared connection has many clients",
                "proxy_protocol",
            )
        yield from breaker_faults(self)

    def build(self, context: BuildContext) -> Step:
        from ._redis_single import RedisSinkSingle

        return RedisSinkSingle(
            context,
            name=self.name,
            remote_address=self.remote_address,
            connection=self.connection,
            proxy_protocol=self.proxy_protocol,
            breaker_timeouts=self.breaker_timeouts,
            **redis_fields.connecting(self),
        )
