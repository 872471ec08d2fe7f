"""Sink `RedisSinkSentinel`, also `ValkeySinkSentinel`: the master that sentinels name."""

from __future__ import annotations

from shotover.config.address import Address
from shotover.config.fields import address, list_of, text
from shotover.config.steps import SinkConfig
from shotover.config.tls import tls_client
from shotover.sinks import redis_fields

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
    connect_timeout_ms: int = redis_fields.connect_timeout_ms()
    read_timeout: float | None = redis_fields.read_timeout()
    failover_timeout: float = redis_fields.hold_timeout(
        5.0, "seconds from the loss of the master for which requests are held; 0 holds none"
    )
    max_held_requests: int = redis_fields.max_held_requests()
    connection: str = redis_fields.connection("the master")
    connection_count: int = redis_fields.connection_count()
    max_pending_requests: int = redis_fields.max_pending_requests()
    max_leases: int = redis_fields.max_leases()
    retries: int = redis_fields.retries("the master is lost")
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
            connection=self.connection,
            sentinel_tls=None if self.sentinel_tls is None else self.sentinel_tls.context,
            **redis_fields.connecting(self),
        )


def login(username: str | None, password: str | None) -> list[bytes]:
    """The words of AUTH; none without a password."""
    if password is None:
        return []
    return [password.encode()] if username is None else [username.encode(), password.encode()]
