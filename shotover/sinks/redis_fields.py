"""Fields that the Redis sinks have in common, each defined once; what differs between sinks is an argument."""

from __future__ import annotations

from shotover.config.fields import choice, integer, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def connect_timeout_ms() -> Any:
    return integer(
        minimum=1, maximum=3_600_000, default=3000, doc="milliseconds a connect may take"
    )


def read_timeout(default: float | None = None) -> Any:
    return number(
        minimum=0.001,
        maximum=86_400,
        default=default,
        nullable=True,
        doc="seconds a reply may take; blocking commands and subscriptions are exempt; null "
        "waits without end",
    )


def connection(server: str) -> Any:
    return choice(
        "shared",
        "per_client",
        default="shared",
        doc=f"whether clients share connections to {server}",
    )


def connection_count(to: str = "") -> Any:
    """`to`: with a blank before it, where there are several servers."""
    return integer(
        minimum=1,
        maximum=64,
        default=1,
        doc=f"shared connections a worker keeps{to} for each client state",
    )


def max_pending_requests() -> Any:
    return integer(
        minimum=1,
        maximum=10_000_000,
        default=65_536,
        doc="most requests awaiting a reply on one connection",
    )


def max_leases(to: str = "") -> Any:
    """`to`: with a blank before it, where there are several servers."""
    return integer(
        minimum=0,
        maximum=1_000_000,
        default=10_000,
        doc=f"most connections{to} leased at once, a worker",
    )


def retries(when: str, whole: str = "all requests") -> Any:
    return integer(
        minimum=0,
        maximum=100,
        default=10,
        doc=f"reads sent a second time when {when}, at most, in percent of {whole}; 0 sends none",
    )


def max_held_requests() -> Any:
    return integer(
        minimum=0,
        maximum=10_000_000,
        default=65_536,
        doc="most requests held at once, a worker",
    )


def hold_timeout(default: float, doc: str) -> Any:
    """Seconds for which requests are held."""
    return number(minimum=0, maximum=3600, default=default, doc=doc)


def connecting(config: Any) -> dict[str, Any]:
    """Of the model of a sink, what all of them give to their compiled part."""
    names = (
        "connect_timeout_ms",
        "read_timeout",
        "connection_count",
        "max_pending_requests",
        "max_leases",
        "retries",
    )
    tls = config.tls
    return {
        **{name: getattr(config, name) for name in names},
        "tls": None if tls is None else tls.context,
    }
