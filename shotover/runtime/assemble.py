"""Files -> a checked topology -> the compiled chains of each worker.

`load` reads and checks, with every problem of both files in one ConfigError; nothing is opened,
bound or connected. `build_source` then makes the chain of a source for one worker: every worker
has steps of its own, so they share nothing.
"""

from __future__ import annotations

import os

from shotover.config.errors import ConfigError, Place, Problem, Problems
from shotover.config.process import ProcessConfig, read_process
from shotover.config.reading import Reader
from shotover.config.source import load as load_yaml
from shotover.config.topology import Topology, read_topology
from shotover.runtime import catalogue
from shotover.runtime.checks import check
from shotover.runtime.naming import Names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from shotover.config.models import Model
    from shotover.config.source import Node
    from shotover.config.steps import ChainConfig, SourceConfig, StepConfig


class Loaded:
    """What two files say, checked and named."""

    __slots__ = ("config_file", "document", "process", "topology")

    def __init__(
        self, topology: Topology, process: ProcessConfig, document: Node, config_file: str | None
    ) -> None:
        self.topology = topology
        self.process = process
        self.document = document  # the topology as it was written
        self.config_file = config_file


def load(
    topology_file: str,
    config_file: str | None,
    environ: Mapping[str, str] | None = None,
    find: Callable[[str, str], type[Model]] = catalogue.find,
    tree_of: Callable[[str], Node] = load_yaml,
) -> Loaded:
    """Read and check both files; without a config file its defaults hold.

    Raises ConfigError with every problem found in either.
    """
    problems = Problems()
    unreadable: list[Problem | str] = []
    reader = Reader(problems, os.environ if environ is None else environ, find)

    def tree(file: str) -> Node | None:
        try:
            return tree_of(file)
        except ConfigError as error:
            unreadable.extend(error.problems)
            return None

    process = ProcessConfig(Place("<defaults>", 0))
    if config_file is not None:
        root = tree(config_file)
        if root is not None:
            process = read_process(root, config_file, reader)
            check_log_level(process, problems)
    topology = Topology(topology_file)
    root = tree(topology_file)
    if root is not None:
        topology = read_topology(root, topology_file, reader)
        Names(topology, problems).assign()
        check(topology, process, problems)
    if unreadable or problems:
        raise ConfigError([*unreadable, *problems.sorted()])
    assert root is not None, "what could not be read is a problem"
    return Loaded(topology, process, root, config_file)


def check_log_level(process: ProcessConfig, problems: Problems) -> None:
    """Note the first log directive that cannot be understood."""
    from shotover.observability import log

    try:
        log.check_filter(process.main_log_level)
    except log.FilterError as error:
        problems.add(process.place_of("main_log_level"), str(error))


class BuildContext:
    """What a step may know while it is built: where it stands, and how to build its own chains.

    worker            the Worker it will run on
    source_name       the source whose requests it sees
    protocol          what that source's clients speak
    codec             of that protocol; one for a source's chain and all chains below it
    chain_name        the chain it is a step of
    transform_name    its own name
    transform_type    its type, as spelled in the topology
    built             every step built so far, by transform name
    made              the same, of this source and worker alone, in the order in which they were made
    """

    def __init__(
        self,
        worker: Any,
        source_name: str,
        protocol: str,
        chain_name: str,
        built: dict[str, list[Any]],
        transform_name: str = "",
        transform_type: str = "",
        codec: Any = None,
        made: list[Any] | None = None,
    ) -> None:
        self.worker = worker
        self.made = [] if made is None else made
        self.codec = worker.codec(protocol) if codec is None else codec
        self.source_name = source_name
        self.protocol = protocol
        self.chain_name = chain_name
        self.built = built
        self.transform_name = transform_name
        self.transform_type = transform_type

    def chain(
        self,
        name: str,
        models: Iterable[StepConfig],
        root: bool = False,
        protocol: str | None = None,
        before: Iterable[Any] = (),
    ) -> Any:
        """The compiled chain of `models` for this worker, named `name`.

        Not a root: it belongs to the step being built, which must adopt it. With a `protocol` it
        speaks that, with a codec of its own. `before`: steps that stand before those, made already.
        """
        if protocol is not None:
            other = BuildContext(
                self.worker, self.source_name, protocol, name, self.built, made=self.made
            )
            return other.chain(name, models, root)
        from shotover._proxy.session import SourceTop
        from shotover._proxy.step import Chain, SubTop

        steps = [*before, *(self.step(model, name) for model in models)]
        top = SourceTop(None) if root else SubTop(None)
        return Chain(name, self.worker.hub, self.codec, steps, top)

    def step(self, model: StepConfig, chain_name: str) -> Any:
        """The compiled step of one model; what the system refuses it names the place it was for."""
        context = BuildContext(
            self.worker,
            self.source_name,
            self.protocol,
            chain_name,
            self.built,
            model.name,
            model.type_name,
            self.codec,
            self.made,
        )
        try:
            step = model.build(context)
        except OSError as error:
            raise ConfigError([Problem(model.place, error.strerror or str(error))]) from error
        self.built.setdefault(model.name, []).append(step)
        self.made.append(step)
        return step


def build_source(
    worker: Any,
    source: SourceConfig,
    built: dict[str, list[Any]],
    made: list[Any] | None = None,
) -> Any:
    """The compiled chain of `source` for `worker`; its steps are also noted in `built`, and in `made`, in the order in which they
    were made. If it raises, those are the caller's to abandon."""
    chain: ChainConfig | None = source.chain
    assert chain is not None, "a checked source has a chain"
    context = BuildContext(worker, source.name, source.protocol, chain.name, built, made=made)
    return context.chain(chain.name, chain, root=True, before=first_steps(context, source))


def first_steps(context: BuildContext, source: SourceConfig) -> list[Any]:
    """Compiled steps before those of its chain, that the source itself asks for."""
    in_band = getattr(source, "in_band", None)
    if in_band is None:
        return []
    from shotover._proxy.in_band import InBand

    context.transform_name, context.transform_type = f"{source.name}-in-band", "in_band"
    context.made.append(InBand(context, row=in_band.row()))
    return context.made[-1:]
