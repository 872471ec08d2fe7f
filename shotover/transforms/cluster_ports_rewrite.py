"""Transform `RedisClusterPortsRewrite`, also `ValkeyClusterPortsRewrite`: a cluster's ports become the proxy's."""

from __future__ import annotations

from shotover.config.fields import integer
from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext


class ClusterPortsRewriteConfig(
    TransformConfig, tag="RedisClusterPortsRewrite", aliases=("ValkeyClusterPortsRewrite",)
):
    """Replaces the ports of a cluster's nodes by `new_port` in all that the cluster says of them.

    For clients that know of clusters, before a cluster of which each node has a Shotover beside it
    on `new_port`: they learn the proxies' addresses and go nowhere else. What it changes: `CLUSTER
    SLOTS`, `NODES`, `REPLICAS`, `SLAVES` and `SHARDS`, and the addresses in `MOVED` and `ASK`.
    """

    protocols = frozenset({"redis"})

    new_port: int = integer(
        minimum=1, maximum=65_535, doc="the port that clients are told of, for every node"
    )

    def build(self, context: BuildContext) -> Step:
        from ._cluster_ports_rewrite import ClusterPortsRewrite

        return ClusterPortsRewrite(context, name=self.name, new_port=self.new_port)
