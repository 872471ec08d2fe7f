"""The breaker of sinks with one server: `breaker_timeouts`, and what it needs."""

from __future__ import annotations

from shotover.config.fields import integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def breaker_timeouts() -> Any:
    return integer(
        minimum=1,
        maximum=1_000_000,
        default=None,
        doc="time-outs in a row, with not a byte from the server between them, after which requests are answered with "
        "an error at once until it is heard again; null: never; needs read_timeout",
    )


def breaker_faults(config: Any) -> Iterator[tuple[str, str | None]]:
    """What is wrong with it in the model of a sink."""
    if config.breaker_timeouts is not None and config.read_timeout is None:
        yield "needs read_timeout, for without one nothing times out", "breaker_timeouts"
