"""Sink `RedisSinkSentinel`, also `ValkeySinkSentinel`: the master that sentinels name."""

from __future__ import annotations

from shotover.config.address import Address
from shotover.config.fields import address, choice, integer, list_of, number, text
from shotover.config.steps import SinkConfig
from shotover.config.tls import tls_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from shotover._proxy.step import Step
    from shotover.config.tls import TlsClientConfig
    from shotover.runtime.assemble import BuildContext


class RedisSinkSentinelConfig(SinkConfig, tag="RedisSinkSentinel", aliases=("ValkeySinkSentinel",)):
    """Sends requests to the Redis or Valkey master that sentinels name, and follows a failover.

    Sentinels are asked, and listened to. Requests go to a server only once it has said itself that
    it is the master. While there is none, requests are held, for `failover_timeout` at most; so a
    failover costs clients no error but for what was under way and may have been carried out.

    Connections are shared and leased as by RedisSinkSingle.
    """

    protocols = frozenset({"redis"})

    sentinels: tuple[Address, ...] = list_of(
        address(), doc="sentinels that watch the master, as many as there are"
    )
    master_name: str = text(doc="name under which the sentinels know the master")
    sentinel_username: str | None = text(
        default=None, doc="user for the sentinels; null with a password: default"
    )
    sentinel_password: str | None = text(
        default=None, secret=True, doc="password for the sentinels; null: they want none"
    )
    username: str | None = text(
        default=None,
        doc="user with which a server is asked for its role; null with a password: default",
    )
    password: str | None = text(
        default=None,
        secret=True,
        doc="password with which a server is asked for its role; null asks as nobody, and where that is "
        "refused the sentinels are believed; requests of clients always go with their own login",
    )
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
    failover_timeout: float = number(
        minimum=0,
        maximum=3600,
        default=5.0,
        doc="seconds from the loss of the master for which requests are held; 0 holds none",
    )
    max_held_requests: int = integer(
        minimum=0,
        maximum=10_000_000,
        default=65_536,
        doc="most requests held at once, a worker",
    )
    connection: str = choice(
        "shared",
        "per_client",
        default="shared",
        doc="whether clients share connections to the master",
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
        doc="reads sent a second time when the master is lost, at most, in percent of all requests; "
        "0 sends none",
    )
    tls: TlsClientConfig | None = tls_client()
    sentinel_tls: TlsClientConfig | None = tls_client(
        "TLS to the sentinels; null speaks plainly; see TLS"
    )

    def validate(self) -> Iterator[tuple[str, str | None]]:
        if not self.master_name:
            yield (
                "expected the name that stands in `sentinel monitor`, got an empty one",
                "master_name",
            )
        for user, password in (
            ("sentinel_username", "sentinel_password"),
            ("username", "password"),
        ):
            if getattr(self, user) is not None and getattr(self, password) is None:
                yield f"a user needs a password: {password} is missing", user

    def build(self, context: BuildContext) -> Step:
        from ._redis_sentinel import RedisSinkSentinel

        return RedisSinkSentinel(
            context,
            name=self.name,
            sentinels=list(self.sentinels),
            master_name=self.master_name,
            sentinel_login=login(self.sentinel_username, self.sentinel_password),
            login=login(self.username, self.password),
            failover_timeout=self.failover_timeout,
            max_held_requests=self.max_held_requests,
            connect_timeout_ms=self.connect_timeout_ms,
            read_timeout=self.read_timeout,
            connection=self.connection,
            connection_count=self.connection_count,
            max_pending_requests=self.max_pending_requests,
            max_leases=self.max_leases,
            retries=self.retries,
            sentinel_tls=None if self.sentinel_tls is None else self.sentinel_tls.context,
            tls=None if self.tls is None else self.tls.context,
        )


def login(username: str | None, password: str | None) -> list[bytes]:
    """The words of AUTH; none without a password."""
    if password is None:
        return []
    return [password.encode()] if username is None else [username.encode(), password.encode()]
