"""Names of sources, transforms and chains: derived where absent, unique in each of the three.

A source's chain has the source's name; chains a transform owns are named after it (`tee`,
`tee.mismatch`, `map[0]`). A transform without a name gets its type in kebab-case, and a number
when that is taken.
"""

from __future__ import annotations

from shotover.config.steps import UnknownStep
from shotover.runtime.checks import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover.config.errors import Place, Problems
    from shotover.config.steps import ChainConfig, Named, StepConfig
    from shotover.config.topology import Topology


def kebab(type_name: str) -> str:
    """`RedisSinkSingle` -> `redis-sink-single`."""
    words = "".join(f"-{c.lower()}" if c.isupper() else c for c in type_name)
    return words.strip("-").replace("--", "-")


class _Space:
    """One name space: who took which name; says so when one is taken twice."""

    def __init__(self, kind: str, problems: Problems) -> None:
        self.kind = kind
        self.problems = problems
        self.taken: dict[str, Place] = {}

    def take(self, name: str, place: Place) -> None:
        first = self.taken.setdefault(name, place)
        if first is not place:
            self.problems.add(
                place,
                f"{self.kind} name {name} is already used at {first.path} "
                f"({first.file}:{first.line})",
            )


class Names:
    """Gives every part of a topology its name and notes those given twice."""

    def __init__(self, topology: Topology, problems: Problems) -> None:
        self.topology = topology
        self.sources = _Space("source", problems)
        self.transforms = _Space("transform", problems)
        self.chains = _Space("chain", problems)

    def assign(self) -> None:
        chains = self.topology.chains()
        steps = [
            step for chain in chains for step in walk(chain) if not isinstance(step, UnknownStep)
        ]
        sources = [*self.topology.sources, *self.topology.unbound_sources]
        for source in sources:
            if source.name is not None:
                self.sources.take(source.name, source.place_of("name"))
        for step in steps:
            if step.name is not None:
                self.take_given(step)
        taken = {*self.sources.taken, *self.transforms.taken, *self.chain_names(chains)}
        for source in sources:
            if source.name is None:
                self.derive(source, taken, self.sources)
        for step in steps:
            if step.name is None:
                self.derive(step, taken, self.transforms)
        for step in steps:
            step.settle()
        self.name_chains(chains)

    def chain_names(self, chains: list[ChainConfig]) -> set[str]:
        return {chain.name for chain in chains if chain.name}

    def take_given(self, step: StepConfig) -> None:
        """Note a name that was written; where the older layout let a label repeat, derive one."""
        if self.topology.named_layout and step.name_is_label and step.name in self.transforms.taken:
            step.rename(None)
            return
        self.transforms.take(step.name, step.place_of("name"))

    def derive(self, named: Named, taken: set[str], space: _Space) -> None:
        base = kebab(named.type_name)
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        named.rename(name)
        space.take(name, named.place)

    def name_chains(self, chains: list[ChainConfig]) -> None:
        """Name the chains: those of sources after them, those of steps as each step says."""
        if not self.topology.named_layout:
            for source in self.topology.sources:
                if source.chain is not None:
                    source.chain.name = source.name
        for chain in chains:
            if chain.name:
                self.chains.take(chain.name, chain.place)
        for chain in chains:
            for step in walk(chain):
                for name, subchain in step.subchains():
                    subchain.name = subchain.name or name
                    self.chains.take(name, subchain.place)
