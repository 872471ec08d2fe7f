"""The `proxy_protocol` block of sources: proxies in front that say who their clients are."""

from __future__ import annotations

from shotover.config.conditions import Network, Networks
from shotover.config.fields import boolean, number
from shotover.config.models import Model
from shotover.config.tls import Block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ProxyProtocolConfig(Model):
    """Connections begin with a header of the PROXY protocol, version 1 or 2."""

    trusted: tuple[Network, ...] | None = Networks(  # type: ignore[assignment]
        default=None,
        doc="the proxies that are believed, by address; must be said but for a UNIX socket, whose "
        "permissions decide",
    )
    required: bool = boolean(
        default=True,
        doc="true lets in only those, and only with a header; false takes a header from those "
        "alone, and lets in anybody without one",
    )
    timeout: float = number(
        minimum=0.01, maximum=300, default=10, doc="seconds in which the header must have come"
    )

    def options(self) -> dict[str, Any]:
        """What ProxiedSide is made with."""
        networks = [(network.packed, network.bits) for network in self.trusted or ()]
        return {"networks": networks, "required": self.required, "timeout": self.timeout}


def proxy_protocol() -> Any:
    return Block(
        model=ProxyProtocolConfig,
        default=None,
        doc="headers by which proxies in front name their clients; see ProxyProtocol",
    )
