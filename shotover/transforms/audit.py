"""Transform `Audit`: a record of each request: who, when, what, and what came of it."""

from __future__ import annotations

from shotover.config.conditions import Conditions, rules_of
from shotover.config.fields import boolean, choice, integer, list_of, size, text
from shotover.config.steps import ChainConfig, TransformConfig, chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from shotover._proxy.step import Step
    from shotover.config.errors import Place
    from shotover.runtime.assemble import BuildContext

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30


class Recorded(Conditions):
    """Which requests are recorded: those that meet all of one entry's conditions."""

    def validate(self) -> Iterator[tuple[str, str | None]]:
        if not self.given:
            yield "expected a condition; without `only` everything is recorded", None


class AuditConfig(TransformConfig, tag="Audit"):
    """Writes a record of each request, as a line of JSON, to a file or down a chain of its own, or both.

    A record says when the request came, from whom (user, address, certificate), what it was (a
    statement without its constants, keyspace and table; a command and its first key), whether it
    succeeded and how long it took. Values are never recorded.

    Workers hand records to a thread that writes them. Where there is no room for more, requests
    are refused or their records counted as lost, as `when_full` says; the count is written down
    as soon as there is room again.
    """

    protocols = frozenset({"redis", "cassandra"})
    chain_protocol = "redis"

    file: str | None = text(default=None, doc="where records are appended, for its owner alone")
    rotate_bytes: int = size(
        minimum=64 * KiB,
        maximum=1 << 50,
        default=100 * MiB,
        doc="size beyond which the file becomes FILE.1, that FILE.2 and so on, bytes",
    )
    keep: int = integer(minimum=1, maximum=10_000, default=10, doc="how many such are kept")
    sync: bool = boolean(default=False, doc="whether the disk is waited for after each writing")
    chain: ChainConfig | None = chain(
        default=None, doc="steps that end in a Redis server, which each record is sent to"
    )
    command: tuple[str, ...] = list_of(
        text(),
        default=("XADD", "audit", "*", "record"),
        doc="with `chain`: the words that a record is put behind",
    )
    max_chain_pending: int = integer(
        minimum=1,
        maximum=1_000_000,
        default=10_000,
        doc="with `chain`: records under way at once, a worker",
    )
    only: tuple[Recorded, ...] = rules_of(
        Recorded,
        "a list of conditions",
        "a map of conditions",
        default=(),
        doc="requests that meet one of these are recorded; all, if none is given",
    )
    when_full: str = choice(
        "drop_and_count",
        "refuse",
        default="drop_and_count",
        doc="what happens where there is no room for a record: its request passes without one, or is refused",
    )
    queue_bytes: int = size(
        minimum=64 * KiB,
        maximum=GiB,
        default=8 * MiB,
        doc="records that may wait to be written, a worker, bytes; rounded up to a power of two",
    )
    statement_bytes: int = integer(
        minimum=64, maximum=4000, default=1024, doc="of a statement, bytes that are recorded"
    )

    def validate(self) -> Iterator[tuple[str, str | None]]:
        if self.file is None and self.chain is None:
            yield "expected file, chain or both, got neither", None
        if self.chain is None:
            for name in ("command", "max_chain_pending"):
                if name in self.given:
                    yield "has no effect without chain; leave it out", name
        if self.file is None:
            for name in ("rotate_bytes", "keep", "sync", "queue_bytes"):
                if name in self.given:
                    yield "has no effect without file; leave it out", name

    def unfit(self, protocol: str) -> Iterator[tuple[Place, str]]:
        for entry in self.only or ():
            for message, name in entry.unfit(protocol):
                yield entry.place_of(name), message

    def subchains(self) -> list[tuple[str, ChainConfig]]:
        return [(f"{self.name}-chain", self.chain)] if self.chain else []

    def build(self, context: BuildContext) -> Step:
        from ._audit import Audit
        from ._audit_ring import AuditRing
        from .audit_writer import AuditWriter

        ring = writer = None
        if self.file is not None:
            writer = self.__dict__.get("writer")
            if writer is None:
                hub = context.worker.hub

                def complain(path: str, reason: str) -> None:
                    hub.note(
                        40, "audit records cannot be written", {"file": path, "reason": reason}
                    )

                writer = AuditWriter(self.file, self.rotate_bytes, self.keep, self.sync, complain)
                self.__dict__["writer"] = writer
            writer.open()
            ring = AuditRing(self.queue_bytes)
            writer.add(ring)
        apart = None
        for name, steps in self.subchains():
            apart = context.chain(name, steps, protocol="redis")
        return Audit(
            context,
            name=self.name,
            rows=[entry.row() for entry in self.only],
            ring=ring,
            writer=writer,
            chain=apart,
            words=[word.encode() for word in self.command],
            chain_most=self.max_chain_pending,
            refuses=self.when_full == "refuse",
            statement_max=self.statement_bytes,
        )
