"""Transform `Tee`: sends requests down a second chain as well."""

from __future__ import annotations

from shotover.config.address import Address, parse_address
from shotover.config.fields import Field, integer
from shotover.config.reading import INVALID, Invalid
from shotover.config.source import Mapping, Scalar
from shotover.config.steps import ChainConfig, TransformConfig, chain, read_chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from shotover._proxy.step import Step
    from shotover.config.errors import Place
    from shotover.config.reading import Reader
    from shotover.config.source import Node
    from shotover.runtime.assemble import BuildContext

SUBCHAIN = "SubchainOnMismatch"
WORDS = ("Ignore", "FailOnMismatch", "LogWarningOnMismatch")
SWITCH_HOST = "127.0.0.1"


class Behavior:
    """What happens with the second reply; `chain` is set for SubchainOnMismatch alone."""

    __slots__ = ("chain", "word")

    def __init__(self, word: str, chain: ChainConfig | None = None) -> None:
        self.word = word
        self.chain = chain

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Behavior):
            return NotImplemented
        return (self.word, self.chain) == (other.word, other.chain)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"Behavior({self.word!r}, {self.chain!r})"


class BehaviorField(Field):
    """A word, or a map from SubchainOnMismatch to a chain (or to a map with the key `chain`)."""

    kind = f"one of {', '.join(WORDS)}, or a map from {SUBCHAIN} to a list of transforms"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        if isinstance(node, Scalar):
            scalar = reader.scalar(node, place, self.expected)
            if isinstance(scalar, Invalid):
                return scalar
            return (
                Behavior(scalar.text)
                if scalar.text in WORDS
                else self.refuse(scalar, place, reader)
            )
        mapping = reader.mapping(node, place, self.expected)
        if isinstance(mapping, Invalid):
            return mapping
        if list(mapping.entries) != [SUBCHAIN]:
            keys = ", ".join(mapping.entries) or "none"
            return reader.add(place, f"expected {self.expected}, got a map with keys {keys}")
        found = self.read_subchain(mapping, place, reader)
        return INVALID if isinstance(found, Invalid) else Behavior(SUBCHAIN, found)

    def read_subchain(self, mapping: Mapping, place: Place, reader: Reader) -> Any:
        node = mapping.entries[SUBCHAIN]
        at = place.child(SUBCHAIN, mapping.lines[SUBCHAIN])
        if isinstance(node, Mapping) and list(node.entries) == ["chain"]:
            at = at.child("chain", node.lines["chain"])
            node = node.entries["chain"]
        return read_chain(node, at, reader)

    def plain(self, value: Behavior) -> Any:
        return value.word if value.chain is None else {value.word: {"chain": value.chain}}


class TeeConfig(TransformConfig, tag="Tee"):
    """Sends each request down a second chain besides the one it is in.

    `behavior` says what becomes of the second chain's reply:

    - `Ignore`: nothing; the client gets the reply of the main chain and waits for no other;
    - `FailOnMismatch`: where the two replies differ, the client gets an error;
    - `LogWarningOnMismatch`: where they differ, a warning is logged, the client gets the main one;
    - `SubchainOnMismatch: {chain: [...]}`: where they differ, the request also goes down a third
      chain; the client gets the main reply. The list may stand there without `chain`.

    Under `Ignore` a second chain that is slow or dead holds up no client: at most `buffer_size`
    batches wait for it, what is beyond is dropped and counted. `timeout_micros` bounds how long a
    batch may wait for a place in that queue.

    With `switch_port`, `GET` and `PUT http://127.0.0.1:PORT/transform/tee/result-source` show and
    set whose replies clients get: `regular-chain` or `tee-chain`.

    Before Cassandra a client's handshake and `USE` go to both chains, and it waits for both, for the
    second one no longer than `handshake_timeout_ms`.
    """

    protocols = frozenset({"redis", "cassandra"})

    behavior: Behavior = BehaviorField(  # type: ignore[assignment]
        default=Behavior("Ignore"), doc="what becomes of the second chain's reply"
    )
    timeout_micros: int | None = integer(
        minimum=0,
        maximum=3_600_000_000,
        default=None,
        doc="microseconds a batch may wait for a place in the second chain's queue; null does "
        "not wait under Ignore, and waits without end otherwise",
    )
    buffer_size: int = integer(
        minimum=1,
        maximum=1_000_000,
        default=5,
        doc="batches of one client that may wait while one is under way; a batch is what one read "
        "of the client brought",
    )
    switch_port: int | None = integer(
        minimum=1,
        maximum=65_535,
        default=None,
        aliases=("http_api_port",),
        doc="port on 127.0.0.1 of the switch between the two chains' replies; null is none",
    )
    handshake_timeout_ms: int = integer(
        minimum=1,
        maximum=3_600_000,
        default=2000,
        doc="before Cassandra: milliseconds a client that the main chain has let in waits for the other one; "
        "then it goes on without",
    )
    chain: ChainConfig = chain(doc="the second chain")

    def subchains(self) -> list[tuple[str, ChainConfig]]:
        found = [(self.name, self.chain)] if self.chain else []
        if self.behavior.chain is not None:
            found.append((f"{self.name}.mismatch", self.behavior.chain))
        return found

    def listens(self) -> list[tuple[Address, str]]:
        if self.switch_port is None:
            return []
        return [(parse_address(f"{SWITCH_HOST}:{self.switch_port}"), "switch_port")]

    def build(self, context: BuildContext) -> Step:
        from ._tee import Tee

        mismatch = self.behavior.chain
        return Tee(
            context,
            name=self.name,
            behavior=self.behavior.word,
            chain=context.chain(self.name, self.chain),
            mismatch_chain=None
            if mismatch is None
            else context.chain(f"{self.name}.mismatch", mismatch),
            timeout_micros=self.timeout_micros,
            buffer_size=self.buffer_size,
            switch_port=self.switch_port,
            handshake_timeout_ms=self.handshake_timeout_ms,
        )
