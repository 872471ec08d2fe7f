"""Transform `AdaptiveConcurrency`: as many requests at once as the server takes."""

from __future__ import annotations

from shotover.config.conditions import Conditions, rules_of
from shotover.config.fields import boolean, choice, integer, number
from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from shotover._proxy.step import Step
    from shotover.config.errors import Place
    from shotover.runtime.assemble import BuildContext

PRIORITIES = ("critical", "normal", "background")


class Priority(Conditions):
    """How urgent some requests are; the first entry that a request falls under counts."""

    priority: str = choice(*PRIORITIES, doc="who waits for whom, and who is refused first")


class AdaptiveConcurrencyConfig(TransformConfig, tag="AdaptiveConcurrency"):
    """Lets as many requests be under way at once as the servers below take without becoming slow.

    The limit shrinks while replies take more than `tolerance` times as long as they do when all is
    well, or do not come; it grows while it is reached and they do not. What is beyond it waits,
    each client in its turn, and is refused with `BUSY` when it has waited for too long.
    """

    protocols = frozenset({"redis"})

    min_concurrency: int = integer(
        minimum=1,
        maximum=1_000_000,
        default=8,
        doc="requests that may be under way at once however slow the servers are, a worker",
    )
    max_concurrency: int = integer(
        minimum=1,
        maximum=1_000_000,
        default=1000,
        doc="... and however fast",
    )
    tolerance: float = number(
        minimum=1.1,
        maximum=100,
        default=2,
        doc="how many times as long as usual replies may take before the limit shrinks",
    )
    queue_target_ms: float = number(
        minimum=1,
        maximum=60_000,
        default=20,
        doc="milliseconds that a request may wait whose client always has some waiting; others: 100",
    )
    queue_max: int = integer(
        minimum=1, maximum=10_000_000, default=10_000, doc="most requests that wait, a worker"
    )
    priorities: tuple[Priority, ...] = rules_of(
        Priority,
        "a list of priorities",
        "a priority: a map of conditions, and `priority`",
        default=(),
        doc="which requests are critical, which are background work; others are normal",
    )
    shadow: bool = boolean(default=False, doc="only measures: nothing waits and nothing is refused")

    def validate(self) -> Iterator[tuple[str, str | None]]:
        if self.max_concurrency < self.min_concurrency:
            yield (
                f"expected at least min_concurrency ({self.min_concurrency})",
                "max_concurrency",
            )

    def unfit(self, protocol: str) -> Iterator[tuple[Place, str]]:
        for priority in self.priorities or ():
            for message, name in priority.unfit(protocol):
                yield priority.place_of(name), message

    def build(self, context: BuildContext) -> Step:
        from ._adaptive_concurrency import AdaptiveConcurrency

        return AdaptiveConcurrency(
            context,
            name=self.name,
            min_concurrency=self.min_concurrency,
            max_concurrency=self.max_concurrency,
            tolerance=self.tolerance,
            queue_target_ms=self.queue_target_ms,
            queue_max=self.queue_max,
            shadow=self.shadow,
            priorities=[PRIORITIES.index(entry.priority) for entry in self.priorities],
            rows=[entry.row() for entry in self.priorities],
        )
