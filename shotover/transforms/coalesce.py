"""Transform `Coalesce`: gathers requests into larger batches."""

from __future__ import annotations

from shotover.config.fields import integer
from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext


class CoalesceConfig(TransformConfig, tag="Coalesce"):
    """Holds requests back and sends them on together, by number or by time.

    At least one of its two triggers must be given; the first to fire sends all that is held.
    What is held when a client leaves or the process drains is sent as well. A client waits for
    its replies meanwhile, so this belongs where nobody waits (under `Tee`) or where clients send
    many requests at once. With only a count, the last few requests wait until more arrive.
    """

    flush_when_buffered_message_count: int | None = integer(
        minimum=1, maximum=1_000_000, default=None, doc="requests held that trigger sending"
    )
    flush_when_millis_since_last_flush: int | None = integer(
        minimum=1,
        maximum=10**12,
        default=None,
        doc="milliseconds since the last sending that trigger the next",
    )

    def validate(self) -> Iterator[tuple[str, str | None]]:
        if (
            self.flush_when_buffered_message_count is None
            and self.flush_when_millis_since_last_flush is None
        ):
            yield (
                (
                    "expected flush_when_buffered_message_count, "
                    "flush_when_millis_since_last_flush or both, got neither"
                ),
                None,
            )

    def build(self, context: BuildContext) -> Step:
        from ._coalesce import Coalesce

        return Coalesce(
            context,
            name=self.name,
            flush_when_buffered_message_count=self.flush_when_buffered_message_count,
            flush_when_millis_since_last_flush=self.flush_when_millis_since_last_flush,
        )
