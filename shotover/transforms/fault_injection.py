"""Transform `FaultInjection`: makes things go wrong on purpose."""

from __future__ import annotations

from shotover.config.conditions import Conditions, rules_of
from shotover.config.fields import Field, choice, integer, number, text
from shotover.config.reading import INVALID, Invalid, Reader, parse_number
from shotover.config.source import Scalar, Sequence
from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from shotover._proxy.step import Step
    from shotover.config.errors import Place
    from shotover.config.source import Node
    from shotover.runtime.assemble import BuildContext

DELAY_MS_MAX = 3_600_000
ACTIONS = ("delay_ms", "error", "close", "corrupt")


class Milliseconds(Field):
    """A number, or a least and a most: (least, most)."""

    kind = f"milliseconds from 0 to {DELAY_MS_MAX}, or a list of the least and the most"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        items = node.items if isinstance(node, Sequence) and node.tag is None else [node, node]
        numbers = []
        for item in items:
            scalar = reader.scalar(item, place, self.expected)
            if isinstance(scalar, Invalid):
                return scalar
            numbers.append(parse_number(scalar.text) if scalar.plain else None)
        found = [value for value in numbers if value is not None and 0 <= value <= DELAY_MS_MAX]
        if len(numbers) != 2 or len(found) != 2 or found[0] > found[1]:
            return (
                self.refuse(node, place, reader)
                if isinstance(node, (Scalar, Sequence))
                else INVALID
            )
        return (found[0], found[1])

    def plain(self, value: Any) -> Any:
        if value is None:
            return None
        return value[0] if value[0] == value[1] else list(value)


class Fault(Conditions):
    """One thing that goes wrong, how often, and for whom."""

    delay_ms: tuple[float, float] | None = Milliseconds(default=None, doc="it waits for so long")  # type: ignore[assignment]
    error: str | None = text(default=None, doc="it is answered with this error")
    close: str | None = choice(
        "before",
        "after",
        default=None,
        doc="its client is disconnected, before the request is sent or after it has been answered",
    )
    corrupt: str | None = choice(
        "value", "frame", default=None, doc="a byte of its reply is changed"
    )
    percent: float = number(minimum=0, maximum=100, default=100, doc="of the requests it is for")
    count: int | None = integer(minimum=1, maximum=2**63 - 1, default=None, doc="at most so often")

    def validate(self) -> Iterator[tuple[str, str | None]]:
        given = [name for name in ACTIONS if getattr(self, name) is not None]
        if len(given) != 1:
            yield f"expected one of {', '.join(ACTIONS)}, got {' and '.join(given) or 'none'}", None
        if self.error is not None and not (self.error.isprintable() and len(self.error) <= 256):
            yield "expected one line of at most 256 characters", "error"

    def action(self) -> tuple[str, float, int, int, bytes, bool]:
        """As the compiled step takes it."""
        least, most = self.delay_ms or (0, 0)
        name = "delay"
        if self.error is not None:
            name = "error"
        elif self.close is not None:
            name = "close" if self.close == "before" else "close_after"
        elif self.corrupt is not None:
            name = self.corrupt
        delay_ns = int(least * 1e6)
        error = (self.error or "").encode()
        return (
            name,
            self.percent,
            delay_ns,
            int(most * 1e6) - delay_ns,
            error,
            self.count is not None,
        )


class FaultInjectionConfig(TransformConfig, tag="FaultInjection"):
    """Delays requests, answers them with errors, disconnects clients and spoils replies, on purpose.

    Each entry of `faults` has one of `delay_ms`, `error`, `close` and `corrupt`, and says by
    `percent`, `count`, `commands`, `query_types`, `clients` and `users` for which requests. The
    delays of all entries that strike add up; of the others the first that strikes is the one.

    Before Cassandra `statements`, `keyspaces`, `tables` and `consistency` stand in the place of
    `commands`.
    """

    protocols = frozenset({"redis", "cassandra"})

    faults: tuple[Fault, ...] = rules_of(
        Fault, "a list of faults", "a fault: a map", doc="what goes wrong"
    )
    seed: int | None = integer(
        minimum=0,
        maximum=2**63 - 1,
        default=None,
        doc="what chance is drawn from, so that a run can be had again; null is another one each time",
    )

    def unfit(self, protocol: str) -> Iterator[tuple[Place, str]]:
        for fault in self.faults or ():
            for message, name in fault.unfit(protocol):
                yield fault.place_of(name), message

    def build(self, context: BuildContext) -> Step:
        from ._fault_injection import FaultCounts, FaultInjection

        counts = self.__dict__.get("counts")
        if counts is None:
            counts = self.__dict__["counts"] = FaultCounts([fault.count for fault in self.faults])
        return FaultInjection(
            context,
            name=self.name,
            faults=[fault.action() for fault in self.faults],
            rows=[fault.row() for fault in self.faults],
            counts=counts,
            seed=self.seed,
        )
