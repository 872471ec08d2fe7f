"""Transform `LoadBalance`, also `ConnectionBalanceAndPool`: bounds connections to servers."""

from __future__ import annotations

from shotover.config.fields import integer
from shotover.config.steps import ChainConfig, TransformConfig, chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext


class LoadBalanceConfig(TransformConfig, tag="LoadBalance", aliases=("ConnectionBalanceAndPool",)):
    """Lets all clients share at most `max_connections` connections to a server.

    Sharing connections is what every sink does here, so the chain exists once a worker and each
    of its sinks may open `max_connections` connections, and no more. Where a client needs one of
    its own (a transaction, a blocking command) and there is none left, it gets an error.
    """

    terminating = True

    max_connections: int = integer(
        minimum=1, maximum=65_536, doc="most connections of each sink of the chain, a worker"
    )
    chain: ChainConfig = chain(doc="the steps all clients share")

    def subchains(self) -> list[tuple[str, ChainConfig]]:
        return [(self.name, self.chain)] if self.chain else []

    def build(self, context: BuildContext) -> Step:
        from ._load_balance import LoadBalance

        return LoadBalance(
            context,
            name=self.name,
            max_connections=self.max_connections,
            chains=[context.chain(self.name, self.chain)],
        )
