"""Source `Cassandra`: clients that speak the Cassandra native protocol (CQL)."""

from __future__ import annotations

from shotover.config.fields import choice, integer, size
from shotover.config.steps import SourceConfig

MiB = 1 << 20
GiB = 1 << 30


class CassandraSource(SourceConfig, tag="Cassandra"):
    """Listens for clients of Cassandra and sends their requests down a chain.

    Versions 3, 4 and 5 of the native protocol are understood; a client that asks for another one is
    told so in the way that drivers step down for. Replies leave as they come, in any order.

    Limits are checked before memory is taken. A client that breaks a rule of the protocol gets
    the error a server would give, then its connection is closed; no other client is affected.
    A client with `max_pending_requests` unanswered is not read until some are answered. One that
    does not read its replies is disconnected once `client_output_buffer_bytes` wait for it.
    """

    protocol = "cassandra"
    worker_options = (
        "max_frame_bytes",
        "max_pending_requests",
        "client_output_buffer_bytes",
        "max_prepared_statements",
    )

    transport: str = choice("Tcp", default="Tcp", doc="accepted, since other versions have it")
    max_frame_bytes: int = size(
        minimum=1024,
        maximum=GiB // 4,
        default=16 * MiB,
        doc="longest request, bytes",
    )
    max_pending_requests: int = integer(
        minimum=1,
        maximum=1_000_000,
        default=32_768,
        doc="most requests of a client under way at once",
    )
    client_output_buffer_bytes: int = size(
        minimum=65_536,
        maximum=64 * GiB,
        default=256 * MiB,
        doc="replies that may wait for a client that does not read them, bytes",
    )
    max_prepared_statements: int = integer(
        minimum=1,
        maximum=1_000_000,
        default=10_000,
        doc="prepared statements that a worker remembers, where a transform looks at statements; "
        "clients prepare forgotten ones anew",
    )
