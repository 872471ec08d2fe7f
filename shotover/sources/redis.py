"""Source `Redis`, also `Valkey`: clients that speak RESP2 or RESP3."""

from __future__ import annotations

from shotover.config.fields import integer, size
from shotover.config.inside import in_band
from shotover.config.steps import SourceConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover.config.inside import InBandConfig

MiB = 1 << 20
GiB = 1 << 30


class RedisSource(SourceConfig, tag="Redis", aliases=("Valkey",)):
    """Listens for clients of Redis or Valkey and sends their requests down a chain.

    RESP2, RESP3 and inline commands are understood. Requests of a client are answered in their
    order; several may be under way at once (pipelining).

    Limits are checked before memory is taken. A client that breaks a rule of the protocol gets
    the error a server would give, then its connection is closed; no other client is affected.
    A client with `max_pending_requests` unanswered is not read until some are answered. One that
    does not read its replies is disconnected once `client_output_buffer_bytes` wait for it.
    """

    protocol = "redis"
    worker_options = (
        "max_frame_bytes",
        "max_arguments",
        "max_inline_bytes",
        "max_pending_requests",
        "client_output_buffer_bytes",
    )

    max_frame_bytes: int = size(
        minimum=1024,
        maximum=1 * GiB,
        default=512 * MiB,
        doc="longest argument of a request, bytes; a whole request may have twice as many",
    )
    max_arguments: int = integer(
        minimum=1,
        maximum=2**31 - 1,
        default=1_048_576,
        doc="most arguments of a request, its command included",
    )
    max_inline_bytes: int = size(
        minimum=64, maximum=16 * MiB, default=65_536, doc="longest inline command, bytes"
    )
    max_pending_requests: int = integer(
        minimum=1,
        maximum=1_000_000,
        default=1024,
        doc="most requests of a client under way at once",
    )
    client_output_buffer_bytes: int = size(
        minimum=65_536,
        maximum=64 * GiB,
        default=256 * MiB,
        doc="replies that may wait for a client that does not read them, bytes",
    )
    in_band: InBandConfig | None = in_band()
