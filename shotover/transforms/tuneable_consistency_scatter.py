"""Transform `TuneableConsistencyScatter`: several servers that hold the same data, and how many of them must agree."""

from __future__ import annotations

from shotover.config.errors import Place
from shotover.config.fields import Field, integer, size
from shotover.config.reading import INVALID, Invalid, Reader
from shotover.config.source import Node
from shotover.config.steps import ChainConfig, TransformConfig, read_chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext

MiB = 1 << 20
ROUTES_MAX = 16  # as in _proxy/routes.pxd


class RoutesField(Field):
    """A map from names of routes to chains."""

    kind = f"a map from names of routes, {ROUTES_MAX} at most, to lists of transforms"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        mapping = reader.mapping(node, place, self.expected)
        if isinstance(mapping, Invalid):
            return mapping
        if not 1 <= len(mapping.entries) <= ROUTES_MAX:
            return reader.add(place, f"expected {self.expected}, got {len(mapping.entries)} routes")
        routes = {}
        for name, child in mapping.entries.items():
            routes[name] = read_chain(child, place.child(name, mapping.lines[name]), reader)
        return INVALID if INVALID in routes.values() else routes


class TuneableConsistencyScatterConfig(TransformConfig, tag="TuneableConsistencyScatter"):
    """Sends each request to several servers and answers when enough of them have.

    A write is acknowledged once `write_consistency` routes have carried it out, a read is answered
    with the newest of `read_consistency` replies (see `RedisTimestampTagger`). Error replies do not
    count. A request that has not enough good replies within `timeout_ms` gets an error.

    A route that fails, is late or misses a write is *away*: writes that it misses are kept, within
    `journal_requests` and `journal_bytes`, and sent to it in their order when it answers again;
    until it has them all it does not count for reads. If it misses more it is *stale*: it serves
    nobody until it has been mended.

    Routes are preferred in the order of their names. A source above such a scatter is served by one
    worker.
    """

    terminating = True
    one_worker = True
    protocols = frozenset({"redis"})

    route_map: dict[str, ChainConfig] = RoutesField(  # type: ignore[assignment]
        doc="the routes by name, each a chain that ends in a sink"
    )
    write_consistency: int = integer(
        minimum=1, maximum=ROUTES_MAX, doc="routes that must have carried out a write"
    )
    read_consistency: int = integer(
        minimum=1, maximum=ROUTES_MAX, doc="routes that must have answered a read"
    )
    timeout_ms: int = integer(
        minimum=1,
        maximum=3_600_000,
        default=2000,
        doc="milliseconds in which enough routes must answer; one that is later than that is away. "
        "Blocking commands are exempt",
    )
    probe_ms: int = integer(
        minimum=10,
        maximum=3_600_000,
        default=500,
        doc="milliseconds between two looks whether a route that is away is back",
    )
    journal_requests: int = integer(
        minimum=0,
        maximum=1_000_000_000,
        default=1_000_000,
        doc="most writes that are kept for one route that misses them",
    )
    journal_bytes: int = size(
        minimum=0,
        maximum=1 << 50,
        default=256 * MiB,
        doc="most bytes that they may take, for one route",
    )

    def validate(self) -> Iterator[tuple[str, str | None]]:
        """More answers than there are routes will never come."""
        count = len(self.route_map)
        for field in ("write_consistency", "read_consistency"):
            asked = getattr(self, field)
            if asked > count:
                yield f"expected at most {count}, the number of routes, got {asked}", field

    def routes(self) -> list[tuple[str, ChainConfig]]:
        return sorted((self.route_map or {}).items())

    def subchains(self) -> list[tuple[str, ChainConfig]]:
        return [(f"{self.name}.{route}", chain) for route, chain in self.routes()]

    def build(self, context: BuildContext) -> Step:
        from ._tuneable_consistency_scatter import TuneableConsistencyScatter

        routes = [
            (route, context.chain(f"{self.name}.{route}", chain)) for route, chain in self.routes()
        ]
        return TuneableConsistencyScatter(
            context,
            name=self.name,
            routes=routes,
            write_consistency=self.write_consistency,
            read_consistency=self.read_consistency,
            timeout_ms=self.timeout_ms,
            probe_ms=self.probe_ms,
            journal_requests=self.journal_requests,
            journal_bytes=self.journal_bytes,
        )
