"""Sources, steps and chains as a topology names them: the bases of every such model.

A step is a transform or a sink: one entry of a chain, a map with one key (its type) or, when it
needs no fields, just that word. A step may own chains of its own (`chain(...)` fields).
"""

from __future__ import annotations

from shotover.config.address import Address
from shotover.config.errors import Place
from shotover.config.fields import REQUIRED, Field, address, boolean, integer, size, text
from shotover.config.inside import hot_keys, slow_requests
from shotover.config.inside import options as inside_options
from shotover.config.models import Model, read_map
from shotover.config.proxy_protocol import proxy_protocol
from shotover.config.reading import Invalid, Reader, describe
from shotover.config.source import Mapping, Node, Scalar
from shotover.config.tls import tls_server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, ClassVar

    from shotover.config.inside import HotKeysConfig, SlowRequestsConfig
    from shotover.config.proxy_protocol import ProxyProtocolConfig
    from shotover.config.tls import TlsServerConfig
    from shotover.runtime.assemble import BuildContext


class ChainConfig:
    """Steps in the order a request meets them; the name is derived once all names are known."""

    __slots__ = ("name", "place", "steps")

    def __init__(self, place: Place, steps: Iterable[StepConfig], name: str = "") -> None:
        self.place = place
        self.steps = tuple(steps)
        self.name = name

    def __iter__(self) -> Iterator[StepConfig]:
        return iter(self.steps)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ChainConfig):
            return NotImplemented
        return (self.name, self.steps) == (other.name, other.steps)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"ChainConfig({self.name!r}, {list(self.steps)!r})"


class Named(Model):
    """A model that YAML names by type; `type_name` is the spelling used, `tags` all of them."""

    tags: ClassVar[tuple[str, ...]] = ()
    type_name: str

    def __init_subclass__(
        cls, tag: str = "", aliases: tuple[str, ...] = (), **options: Any
    ) -> None:
        super().__init_subclass__(**options)
        if tag:
            cls.tags = (tag, *aliases)

    def __init__(self, place: Place | None = None, **values: Any) -> None:
        super().__init__(place, **values)
        self.__dict__["type_name"] = self.tags[0]

    @property
    def label(self) -> str:
        """`KeyLimit limit-1`: type and name, as a message names it."""
        name = self.__dict__.get("name")
        return f"{self.type_name} {name}" if name else self.type_name

    def rename(self, name: str | None) -> None:
        """Give the name derived for it; only before anything is built."""
        self.__dict__["name"] = name


class StepConfig(Named):
    """Base of transforms and sinks.

    `protocols` are those it works with (None: any), `terminating` says that it answers every
    request itself, so that it ends a chain.
    """

    protocols: ClassVar[frozenset[str] | None] = None
    terminating: ClassVar[bool] = False
    chain_protocol: ClassVar[str | None] = None
    """What its own chains speak; None: the same as it does."""
    one_worker: ClassVar[bool] = False
    """Whether what it knows cannot be shared: a source above it is served by one worker."""
    name_is_label: ClassVar[bool] = False
    """Whether older topologies used `name` for something that may repeat."""
    shorthands: ClassVar[tuple[str, ...]] = ()
    """Fields that `Type: Field` names as well as `Type: {Field: }`."""

    name: str = text(
        default=None, doc="name in metrics, logs and errors; derived from the type when absent"
    )

    def subchains(self) -> list[tuple[str, ChainConfig]]:
        """(name, chain) of each chain it owns; the name follows from its own."""
        return []

    def own_chains(self) -> list[ChainConfig]:
        """Its chains as they were written: each once, however many copies it runs."""
        unique = {id(chain): chain for _name, chain in self.subchains()}
        return list(unique.values())

    def settle(self) -> None:
        """Called once when every name is known: fill what follows from them."""

    def listens(self) -> list[tuple[Address, str]]:
        """(address, attribute) of each address it listens on itself."""
        return []

    def unfit(self, protocol: str) -> Iterator[tuple[Place, str]]:
        """(place, reason) of each thing that is asked of it and cannot be had for clients of one of its `protocols`."""
        return iter(())

    def unfit_above(self, below: Sequence[StepConfig]) -> Iterator[tuple[Place, str]]:
        """(place, reason) of each step that may not follow it in its chain. `below`: those that do."""
        return iter(())

    def watched_file(self) -> str | None:
        """A file of its own that is read again when it changes; see `reread`."""
        return None

    def reread(self, steps: Sequence[Any]) -> str:
        """The file has changed: gives `steps`, its compiled copies, what it says now, and says what that is.

        Raises ConfigError when it cannot be used; then nothing has changed.
        """
        raise NotImplementedError(f"{type(self).__name__}.reread")

    def build(self, context: BuildContext) -> Any:
        """The compiled step, for one worker."""
        raise NotImplementedError(f"{type(self).__name__}.build")


class TransformConfig(StepConfig):
    """Base of transforms: what a request passes through."""


class SinkConfig(StepConfig):
    """Base of sinks: what ends a chain at a server."""

    terminating = True


class UnknownStep(StepConfig, tag="?"):
    """Stands where an entry could not be read, so that the rest of its chain is still checked."""


class ChainField(Field):
    """A list of steps."""

    kind = "a list of transforms"

    def read_or_default(self, node: Node, place: Place, reader: Reader) -> Any:
        """Like any field, but `chain:` with nothing behind it is never meant."""
        return self.read(node, place, reader)

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        return read_chain(node, place, reader)


def chain(default: Any = REQUIRED, doc: str = "the steps of the chain, in order") -> Any:
    return ChainField(default=default, doc=doc)


class SourceConfig(Named):
    """Base of sources: what every listener has. `protocol` is what its clients speak."""

    protocol: ClassVar[str] = ""
    worker_options: ClassVar[tuple[str, ...]] = ()
    """Attributes handed to the worker's listener beside those every source has."""

    name: str = text(
        default=None,
        doc="name in metrics and logs, and of its chain; derived from the type when absent",
    )
    listen_addr: Address = address(
        port_min=0,
        listening=True,
        doc="where to listen: host:port, [IPv6]:port or "
        "unix:/path?mode=0660; port 0 lets the system choose",
    )
    connection_limit: int = integer(
        minimum=1, maximum=10_000_000, default=512, doc="most client connections at once"
    )
    hard_connection_limit: bool = boolean(
        default=False,
        doc="at the limit: true refuses new connections, false lets them wait in "
        "the kernel's queue until another closes",
    )
    connection_limit_per_ip: int | None = integer(
        minimum=1,
        maximum=10_000_000,
        default=None,
        doc="most connections of one client address at once, over all workers; more are answered "
        "with an error and closed; null is no limit",
    )
    connection_limit_ipv6_prefix: int = integer(
        minimum=1,
        maximum=128,
        default=64,
        doc="bits of an IPv6 address that count as one address for connection_limit_per_ip",
    )
    timeout: int | None = integer(
        minimum=1,
        maximum=31_536_000,
        default=None,
        doc="seconds without a request after which a client is disconnected; null is never",
    )
    memory_limit: int | None = size(
        minimum=1 << 20,
        maximum=1 << 50,
        default=None,
        doc="bytes that the requests and replies of all its clients may take; null is no limit",
    )
    client_memory_limit: int | None = size(
        minimum=1 << 20,
        maximum=1 << 50,
        default=None,
        doc="bytes that the requests and replies of one client may take; null is no limit",
    )
    proxy_protocol: ProxyProtocolConfig | None = proxy_protocol()
    tls: TlsServerConfig | None = tls_server()
    hot_keys: HotKeysConfig | None = hot_keys()
    slow_requests: SlowRequestsConfig | None = slow_requests()

    chain: ChainConfig | None = chain(default=None, doc="what a request passes through, in order")

    def validate(self) -> Iterator[tuple[str, str | None]]:
        said = self.proxy_protocol
        if said is not None and said.trusted is None and not self.listen_addr.path:
            yield (
                "expected `trusted`, the addresses of the proxies in front: anybody else could "
                "claim any address",
                "proxy_protocol",
            )

    def steps(self) -> tuple[StepConfig, ...]:
        """Those of its chain."""
        return () if self.chain is None else self.chain.steps

    def options(self) -> dict[str, Any]:
        """Keyword options of Worker.listen for this source."""
        common = (
            "connection_limit",
            "hard_connection_limit",
            "connection_limit_per_ip",
            "connection_limit_ipv6_prefix",
            "timeout",
            "memory_limit",
            "client_memory_limit",
        )
        found = {name: getattr(self, name) for name in (*common, *self.worker_options)}
        if self.proxy_protocol is not None:
            found["proxy_protocol"] = self.proxy_protocol.options()
        if self.tls is not None:
            found.update(
                tls=self.tls.context,
                handshake_timeout=self.tls.handshake_timeout,
                max_handshakes=self.tls.max_handshakes,
            )
        inside = inside_options(self.hot_keys, self.slow_requests)
        if inside is not None:
            found["inside"] = inside
        return found


def read_chain(node: Node, place: Place, reader: Reader) -> ChainConfig | Invalid:
    """The chain a list describes; entries that cannot be read become UnknownStep."""
    listed = reader.sequence(node, place, ChainField.kind)
    if isinstance(listed, Invalid):
        return listed
    steps = (
        read_step(child, place.item(index, child.line), reader)
        for index, child in enumerate(listed.items)
    )
    return ChainConfig(place, steps)


def read_step(node: Node, place: Place, reader: Reader) -> StepConfig:
    entry = read_entry(node, place, reader, "transform")
    if isinstance(entry, Invalid):
        return UnknownStep(place)
    model, type_name, fields, line = entry
    at = place.child(type_name, line)
    step = model.read(fields, at, reader, type_name=type_name)
    assert isinstance(step, StepConfig), "the catalogue gives steps for transforms"
    return step


def read_entry(
    node: Node, place: Place, reader: Reader, kind: str
) -> tuple[type[Model], str, Mapping, int] | Invalid:
    """Model, type as spelled, its fields and its line; INVALID after saying what is wrong."""
    what = f"a {kind}: its type, or a map of its type to its fields"
    if isinstance(node, Scalar):
        word = reader.text(node, place, what)
        if isinstance(word, Invalid):
            return word
        type_name, line = word, node.line
        child: Node = Scalar(node.line, "", plain=True)
    else:
        mapping = reader.mapping(node, place, what)
        if isinstance(mapping, Invalid):
            return mapping
        if len(mapping.entries) != 1:
            return reader.add(place, _not_one(what, mapping))
        ((type_name, entry),) = mapping.entries.items()
        child, line = entry, mapping.lines[type_name]
    try:
        model = reader.find(kind, type_name)
    except LookupError as error:
        return reader.add(Place(place.file, line, place.path), str(error.args[0]))
    at = place.child(type_name, line)
    if kind == "source":  # the path of a source leaves its type out
        at = Place(place.file, line, place.path)
    fields = _fields_of(model, child, at, reader)
    return fields if isinstance(fields, Invalid) else (model, type_name, fields, line)


def _fields_of(model: type[Model], node: Node, place: Place, reader: Reader) -> Mapping | Invalid:
    """The map of a type's fields; one of its shorthands stands for a map with just that key."""
    words = getattr(model, "shorthands", ())
    if isinstance(node, Scalar) and node.text in words:
        mapping = Mapping(node.line)
        mapping.entries[node.text] = Scalar(node.line, "", plain=True)
        mapping.lines[node.text] = node.line
        return mapping
    return read_map(node, place, reader, "a map of fields")


def _not_one(what: str, mapping: Mapping) -> str:
    names = list(mapping.entries)
    if not names:
        return f"expected {what}, got {describe(mapping)}"
    keys = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return (
        f"expected {what}, got {len(names)} keys side by side ({keys}); "
        f"are the fields of {names[0]} indented deeper than its name?"
    )
