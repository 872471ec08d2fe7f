"""topology.yaml -> sources with their chains, from either of its layouts.

The newer one lists sources, each with its chain:

    sources:
      - Redis: {name: cache, listen_addr: "127.0.0.1:6379", chain: [NullSink]}

The older one names sources and chains apart and binds them; every chain is checked, only sources
that are bound are started:

    sources: {cache: {Redis: {listen_addr: "127.0.0.1:6379"}}}
    chain_config: {main: [NullSink]}
    source_to_chain_mapping: {cache: main}
"""

from __future__ import annotations

from shotover.config.errors import Place, suggestion
from shotover.config.reading import Invalid, Reader
from shotover.config.source import Mapping, Node
from shotover.config.steps import ChainConfig, SourceConfig, read_chain, read_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

OLD_KEYS = ("sources", "chain_config", "source_to_chain_mapping")


class Topology:
    """What was read: the sources to start, and chains nobody is bound to (checked, not built)."""

    __slots__ = ("file", "named_layout", "sources", "spare_chains", "unbound_sources")

    def __init__(self, file: str, named_layout: bool = False) -> None:
        self.file = file
        self.named_layout = named_layout
        self.sources: list[SourceConfig] = []
        self.spare_chains: list[ChainConfig] = []
        self.unbound_sources: list[SourceConfig] = []

    def chains(self) -> list[ChainConfig]:
        """Every chain at the top, once each, in the order written."""
        bound = [source.chain for source in self.sources if source.chain is not None]
        unique = {id(chain): chain for chain in bound + self.spare_chains}
        return sorted(unique.values(), key=lambda chain: chain.place.line)


def read_topology(root: Node, file: str, reader: Reader) -> Topology:
    """The topology a file describes, as far as it can be read; problems go to `reader`."""
    place = Place(file, root.line)
    mapping = reader.mapping(root, place, "a map with the key sources")
    if isinstance(mapping, Invalid):
        return Topology(file)
    sources = mapping.entries.get("sources")
    named = isinstance(sources, Mapping) or "source_to_chain_mapping" in mapping.entries
    known = OLD_KEYS if named or "chain_config" in mapping.entries else OLD_KEYS[:1]
    for key in mapping.entries:
        if key not in known:
            reader.add(
                Place(file, mapping.lines[key], key), f"unknown field, {suggestion(key, known)}"
            )
    topology = Topology(file, named_layout=len(known) > 1)
    if topology.named_layout:
        _NamedLayout(topology, mapping, reader).read()
    elif sources is None:
        reader.add(place, "required field sources is missing")
    else:
        _read_listed(topology, sources, Place(file, mapping.lines["sources"], "sources"), reader)
    return topology


def _read_listed(topology: Topology, node: Node, place: Place, reader: Reader) -> None:
    listed = reader.sequence(node, place, "a list of sources")
    if isinstance(listed, Invalid):
        return
    if not listed.items:
        reader.add(place, "expected at least one source, got an empty list")
    for index, child in enumerate(listed.items):
        at = place.item(index, child.line)
        source = _read_source(child, at, reader)
        if source is None:
            continue
        if source.chain is None and "chain" not in source.given:
            reader.add(source.place, "required field chain is missing")
        topology.sources.append(source)


def _read_source(node: Node, place: Place, reader: Reader) -> SourceConfig | None:
    """A source; its path leaves the type out (`sources[0].chain[2]`)."""
    entry = read_entry(node, place, reader, "source")
    if isinstance(entry, Invalid):
        return None
    model, type_name, fields, line = entry
    at = Place(place.file, line, place.path)
    found = model.read(fields, at, reader, type_name=type_name)
    assert isinstance(found, SourceConfig), "the catalogue gives sources for sources"
    return found


class _NamedLayout:
    """Reads the older layout: sources, chains and their binding, each a map of names."""

    def __init__(self, topology: Topology, root: Mapping, reader: Reader) -> None:
        self.topology = topology
        self.root = root
        self.reader = reader

    def section(self, key: str) -> Iterator[tuple[str, Node, Place]]:
        """(name, node, place) of each entry of one of the three maps."""
        node = self.root.entries.get(key)
        if node is None:
            place = Place(self.topology.file, self.root.line)
            self.reader.add(place, f"required field {key} is missing")
            return
        place = Place(self.topology.file, self.root.lines[key], key)
        mapping = self.reader.mapping(node, place, "a map of names")
        if isinstance(mapping, Invalid):
            return
        for name, child in mapping.entries.items():
            yield name, child, place.child(name, mapping.lines[name])

    def read(self) -> None:
        sources = self.read_sources()
        chains = self.read_chains()
        bound = self.bind(sources, chains)
        topology = self.topology
        topology.sources = [source for source in map(sources.get, bound) if source is not None]
        topology.unbound_sources = [
            source for name, source in sources.items() if source is not None and name not in bound
        ]
        used = {id(source.chain) for source in topology.sources}
        topology.spare_chains = [
            chain for chain in chains.values() if chain is not None and id(chain) not in used
        ]

    def read_sources(self) -> dict[str, SourceConfig | None]:
        found: dict[str, SourceConfig | None] = {}
        for name, child, at in self.section("sources"):
            source = _read_source(child, at, self.reader)
            found[name] = source
            if source is None:
                continue
            for field, hint in (
                ("name", f"its key, {name}, is its name"),
                ("chain", "chains stand in chain_config"),
            ):
                if field in source.given:
                    self.reader.add(
                        source.place.child(field), f"not given here in this layout: {hint}"
                    )
            source.rename(name)
        return found

    def read_chains(self) -> dict[str, ChainConfig | None]:
        found: dict[str, ChainConfig | None] = {}
        for name, child, at in self.section("chain_config"):
            chain = read_chain(child, at, self.reader)
            found[name] = None if isinstance(chain, Invalid) else chain
            if not isinstance(chain, Invalid):
                chain.name = name
        return found

    def bind(
        self, sources: dict[str, SourceConfig | None], chains: dict[str, ChainConfig | None]
    ) -> list[str]:
        """Give each source of the mapping its chain; the names of those bound, in order."""
        bound = []
        for name, child, at in self.section("source_to_chain_mapping"):
            wanted = self.reader.text(child, at, "the name of a chain")
            if name not in sources:
                self.reader.add(at, f"no source is named {name}, {suggestion(name, list(sources))}")
            if isinstance(wanted, str) and wanted not in chains:
                self.reader.add(
                    at, f"no chain is named {wanted}, {suggestion(wanted, list(chains))}"
                )
            elif isinstance(wanted, str) and name in sources:
                bound.append(name)
                source = sources[name]
                if source is not None:
                    source.__dict__["chain"] = chains[wanted]
        return bound
