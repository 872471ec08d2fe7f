"""A source that runs: its model, and what each of its workers has of it.

    prepare   chains and sources are built on every worker; nobody comes in yet
    open      a door of its own on every worker
    replace   the doors of another source lead to this one from now on
    close     the doors are closed, clients are answered and disconnected
    discard   it was prepared for nothing

All of it happens on the workers' own threads, between two of their turns (`WorkerThread.call`), or, before those run, here.
"""

from __future__ import annotations

from shotover.config.errors import ConfigError, Problem
from shotover.observability import log
from shotover.runtime import listening, privileges
from shotover.runtime.assemble import build_source
from shotover.runtime.checks import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from shotover.config.steps import SourceConfig
    from shotover.runtime.supervisor import WorkerThread

_log = log.get("shotover")


class Served:
    """See above. `steps`: its compiled steps on all workers, by transform name; `address`: where it really listens."""

    def __init__(self, model: SourceConfig, threads: list[WorkerThread]) -> None:
        self.model = model
        # A UNIX socket cannot be shared by workers, nor what some steps know: one serves it.
        chain = model.chain
        assert chain is not None, "a checked source has a chain"
        alone = model.listen_addr.path or any(step.one_worker for step in walk(chain))
        self.threads = threads[:1] if alone else threads
        self.sources: dict[int, Any] = {}  # by the number of the worker
        self.steps: dict[str, list[Any]] = {}
        self.address = str(model.listen_addr)
        self.addresses: Any = None

    def prepare(self, before: Served | None = None) -> None:
        """Builds it on every worker. `before`: whose doors it will take. Raises ConfigError, with nothing left."""
        options = self.model.options()
        options["memory"] = ledger(self.model.memory_limit, len(self.threads))
        self.addresses = options["addresses"] = address_limit(self.model, before)

        def build(worker: Any) -> Any:
            made: list[Any] = []
            try:
                chain = build_source(worker, self.model, self.steps, made)
                return worker.source(self.model.name, chain, options)
            except BaseException:
                worker.abandon(made)
                raise

        try:
            for thread in self.threads:
                self.sources[thread.index] = thread.call(build, thread.worker)
        except BaseException:
            self.discard()
            raise

    def open(self, who: privileges.Target | None, inherited: list[int] | None = None) -> None:
        """Listens on every worker; they share the port by SO_REUSEPORT. Raises ConfigError: that cannot be had.

        `inherited`: sockets that listen there already; the workers deal them out among themselves.
        """
        model, fds = self.model, inherited or []
        try:
            if not fds:
                listening.probe(model.listen_addr)
            with listening.permissions(model.listen_addr):
                for number, thread in enumerate(self.threads):
                    self._open(thread, fds[number :: len(self.threads)])
            if model.listen_addr.path:
                privileges.hand_over(model.listen_addr.path, who)
        except OSError as error:
            message = listening.explanation(model.listen_addr, error)
            raise ConfigError([Problem(model.place_of("listen_addr"), message)]) from error
        _log.info(f"listening for {model.type_name}", source=model.name, address=self.address)

    def _open(self, thread: WorkerThread, fds: list[int] | None = None) -> None:
        """Port 0: the others take what the first one got."""
        source, address = self.sources[thread.index], self.address
        self.address = thread.call(thread.worker.open, source, address, fds or []) or address

    def replace(self, before: Served) -> None:
        """Takes the doors of `before`. Nothing of it can fail but opening more of them than that had."""
        self.address = before.address
        for thread in self.threads:
            old, new = before.sources.get(thread.index), self.sources[thread.index]
            if old is None:
                self._open(thread)
            else:
                thread.order(thread.worker.replace, old, new)
        for thread in before.threads:
            if thread.index not in self.sources:
                old = before.sources[thread.index]
                thread.order(thread.worker.remove, old, LINGER_MS)

    def close(self, drain_ms: int) -> None:
        """Accepts no more, and disconnects its clients within that time."""
        for thread in self.threads:
            source = self.sources[thread.index]
            thread.order(thread.worker.remove, source, drain_ms)

    def discard(self) -> None:
        """What was built of it goes; also where doors were opened already."""
        for thread in self.threads:
            source = self.sources.pop(thread.index, None)
            if source is not None:
                thread.order(thread.worker.discard, source)

    def connections(self) -> int:
        """Clients it has now."""
        return sum(int(source.session_count) for source in self.sources.values())


LINGER_MS = 10_000
"""What clients get of a worker that serves a source no more."""


def ledger(limit: int | None, workers: int) -> Any:
    """What several workers may take together in memory, in bytes; null is no limit."""
    from shotover._core.ledger import Share

    return Share(limit or 0, workers)


def address_limit(model: SourceConfig, before: Served | None = None) -> Any:
    """What counts the connections of each client address, for all workers; None: nothing does.

    Those of `before` go on to count.
    """
    limit, prefix = model.connection_limit_per_ip, model.connection_limit_ipv6_prefix
    if limit is None:
        return None
    if before is not None and before.addresses is not None:
        old = before.model
        if (old.connection_limit_per_ip, old.connection_limit_ipv6_prefix) == (limit, prefix):
            return before.addresses
    from shotover._proxy.per_address import AddressLimit

    return AddressLimit(limit, prefix)
