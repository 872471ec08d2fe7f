"""Rules over a whole topology: what ends a chain, which protocols fit, names and addresses.

Everything here is found without a network. Problems are noted and the check goes on; entries
that could not be read (UnknownStep) break no rule.
"""

from __future__ import annotations

from shotover.config.steps import ChainConfig, SourceConfig, StepConfig, UnknownStep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shotover.config.address import Address
    from shotover.config.errors import Place, Problems
    from shotover.config.process import ProcessConfig
    from shotover.config.topology import Topology


def check(topology: Topology, process: ProcessConfig, problems: Problems) -> None:
    """Note everything wrong with a topology as a whole."""
    for chain in topology.chains():
        check_chain(chain, problems)
    for source in topology.sources:
        if source.chain is not None:
            check_protocol(source.chain, source, problems)
    check_listeners(topology, process, problems)


def check_chain(chain: ChainConfig, problems: Problems) -> None:
    """Note what is wrong with the shape of a chain and of the chains its steps own."""
    if not chain.steps:
        problems.add(chain.place, "expected at least one transform, got an empty list")
    for index, step in enumerate(chain.steps):
        following = len(chain.steps) - index - 1
        if isinstance(step, UnknownStep):
            continue
        if step.terminating and following:
            count = "1 more follows" if following == 1 else f"{following} more follow"
            problems.add(step.place, f"{step.type_name} ends a chain, so it must be last; {count}")
        if not step.terminating and not following:
            problems.add(
                step.place,
                f"expected a chain to end with a sink or another terminating "
                f"transform, got {step.type_name}",
            )
        for place, reason in step.unfit_above(chain.steps[index + 1 :]):
            problems.add(place, reason)
        for subchain in step.own_chains():
            check_chain(subchain, problems)


def check_protocol(chain: ChainConfig, source: SourceConfig, problems: Problems) -> None:
    """Note each step that does not work with the protocol of the source its chain is bound to."""
    _check_protocol(chain, source.protocol, f"source {source.name}", problems)


def _check_protocol(chain: ChainConfig, protocol: str, speaker: str, problems: Problems) -> None:
    for step in chain:
        if step.protocols is not None and protocol not in step.protocols:
            wanted = " or ".join(sorted(step.protocols))
            problems.add(
                step.place,
                f"{step.type_name} works with {wanted}, but {speaker} speaks {protocol}",
            )
        else:
            for place, reason in step.unfit(protocol):
                problems.add(place, reason)
        for subchain in step.own_chains():
            if step.chain_protocol is None:
                _check_protocol(subchain, protocol, speaker, problems)
            else:
                speaks = f"the chain of {step.label}"
                _check_protocol(subchain, step.chain_protocol, speaks, problems)


def walk(chain: Iterable[StepConfig]) -> Iterator[StepConfig]:
    """The steps of a chain and, after each, those of the chains it owns."""
    for step in chain:
        yield step
        for subchain in step.own_chains():
            yield from walk(subchain)


def check_listeners(topology: Topology, process: ProcessConfig, problems: Problems) -> None:
    """Note addresses that two parts of this process would listen on."""
    taken: list[tuple[Address, Place]] = []
    for address, place in _listeners(topology, process):
        for other, where in taken:
            if address.clashes(other):
                problems.add(
                    place,
                    f"{address} is already listened on by {where.path} ({where.file}:{where.line})",
                )
                break
        taken.append((address, place))


def _listeners(topology: Topology, process: ProcessConfig) -> Iterator[tuple[Address, Place]]:
    if process.observability_interface is not None:
        yield process.observability_interface, process.place_of("observability_interface")
    for source in topology.sources:
        if source.listen_addr is not None:
            yield source.listen_addr, source.place_of("listen_addr")
    for chain in topology.chains():
        for step in walk(chain):
            for address, attribute in step.listens():
                yield address, step.place_of(attribute)
