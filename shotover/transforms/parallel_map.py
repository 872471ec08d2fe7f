"""Transform `ParallelMap`: spreads the requests of a batch over copies of a chain."""

from __future__ import annotations

from shotover.config.fields import boolean, integer
from shotover.config.steps import ChainConfig, TransformConfig, chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext


class ParallelMapConfig(TransformConfig, tag="ParallelMap"):
    """Sends the requests of a batch, one by one in turn, to `parallelism` copies of a chain.

    Copy i is named `NAME[i]`. With `ordered_results: true` replies keep the order of the
    requests; protocols whose clients rely on that order (Redis) always get it.

    Before Cassandra each client has one of the copies for all that it sends: a conversation is
    begun with a handshake, and replies come in any order anyway.
    """

    protocols = frozenset({"redis", "cassandra"})

    terminating = True

    parallelism: int = integer(
        minimum=1,
        maximum=1024,
        doc="copies of the chain, each with steps and connections of its own; copy i is NAME[i]",
    )
    ordered_results: bool = boolean(
        default=True,
        doc="whether replies keep the order of their requests; those of Redis clients always do",
    )
    chain: ChainConfig = chain(doc="the steps each copy is made of")

    def subchains(self) -> list[tuple[str, ChainConfig]]:
        return (
            [(f"{self.name}[{index}]", self.chain) for index in range(self.parallelism or 0)]
            if self.chain
            else []
        )

    def build(self, context: BuildContext) -> Step:
        from ._parallel_map import ParallelMap

        chains = [context.chain(name, chain) for name, chain in self.subchains()]
        return ParallelMap(
            context,
            name=self.name,
            parallelism=self.parallelism,
            ordered_results=self.ordered_results,
            chains=chains,
        )
