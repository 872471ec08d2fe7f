"""Transform `CassandraPeersRewrite`: the ports of a cluster's servers become the proxies'."""

from __future__ import annotations

from shotover.config.fields import integer
from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext


class CassandraPeersRewriteConfig(TransformConfig, tag="CassandraPeersRewrite"):
    """Replaces the ports of a cluster's servers by `port` in all that a server says of them.

    For a cluster of which each server has a Shotover beside it on `port`: drivers learn the
    proxies' addresses and go nowhere else. What it changes: the ports in `system.peers_v2`,
    `system.peers` and `system.local`, however they are asked for, and those in events.
    """

    protocols = frozenset({"cassandra"})

    port: int = integer(
        minimum=1, maximum=65_535, doc="the port that clients are told of, for every server"
    )

    def build(self, context: BuildContext) -> Step:
        from ._cassandra_peers_rewrite import CassandraPeersRewrite

        return CassandraPeersRewrite(context, name=self.name, port=self.port)
