"""What a source notes of its traffic for those who operate it: the blocks `hot_keys`, `slow_requests` and `in_band`."""

from __future__ import annotations

from shotover.config.conditions import Network, Networks
from shotover.config.fields import integer, list_of, number, text
from shotover.config.models import Model
from shotover.config.tls import Block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class HotKeysConfig(Model):
    """A share of requests, drawn by chance, is looked at: which keys, prefixes and clients are hot, which values big."""

    sample_percent: float = number(
        minimum=0.001, maximum=100, default=1, doc="of requests that are looked at"
    )
    half_life: float = number(
        minimum=1, maximum=86_400, default=60, doc="seconds after which what was seen counts half"
    )


class SlowRequestsConfig(Model):
    """Requests that took long are kept, the latest of them."""

    over_ms: float = number(
        minimum=1,
        maximum=3_600_000,
        default=100,
        doc="milliseconds from its arrival to its reply from which on a request is slow",
    )
    keep: int = integer(
        minimum=1, maximum=10_000, default=128, doc="how many are kept, a worker; 500 bytes each"
    )


class InBandConfig(Model):
    """Clients that may ask the proxy by the command SHOTOVER: who fits all that is given."""

    users: tuple[str, ...] | None = list_of(
        text(), default=None, doc="clients logged in as one of these users"
    )
    clients: tuple[Network, ...] | None = Networks(default=None, doc="clients with these addresses")  # type: ignore[assignment]

    certificates: tuple[str, ...] | None = list_of(
        text(), default=None, doc="clients whose certificate names one of these; see TLS"
    )

    def validate(self) -> Iterator[tuple[str, str | None]]:
        if self.users is None and self.clients is None and self.certificates is None:
            yield "expected users, clients or certificates: who may ask must be said", None

    def row(self) -> tuple[Any, ...]:
        """The rule that those fit who may; see _proxy/selecting.pyx."""
        networks = None
        if self.clients is not None:
            networks = [(network.packed, network.bits) for network in self.clients]
        users = None if self.users is None else [user.encode() for user in self.users]
        names = None if self.certificates is None else [name.encode() for name in self.certificates]
        return None, None, networks, users, names, None


def hot_keys() -> Any:
    return Block(model=HotKeysConfig, default=None, doc="finds hot keys and big values; see inside")


def slow_requests() -> Any:
    return Block(model=SlowRequestsConfig, default=None, doc="keeps slow requests; see inside")


def in_band() -> Any:
    return Block(
        model=InBandConfig,
        default=None,
        doc="who may ask the proxy by the command SHOTOVER; nobody unless said; see inside",
    )


def options(hot: HotKeysConfig | None, slow: SlowRequestsConfig | None) -> dict[str, Any] | None:
    """What Inside is made with; None: nothing is noted."""
    found: dict[str, Any] = {}
    if hot is not None:
        found.update(chance=hot.sample_percent / 100, half_life=hot.half_life)
    if slow is not None:
        found.update(slow_ns=int(slow.over_ms * 1e6), slow_keep=slow.keep)
    return found or None
