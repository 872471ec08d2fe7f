"""The HTTP endpoints of a running process: what each answers, put together from its workers.

The main thread serves them between its other work (supervisor.wait), so handlers read workers'
counters and never wait for anything.
"""

from __future__ import annotations

from shotover.config import apart
from shotover.config.errors import ConfigError, Problem
from shotover.config.process import EVERYTHING
from shotover.observability import log
from shotover.observability.admin import Access, AdminApp, TeeSwitch, upstream_problems
from shotover.observability.http import AddressError, HttpServer, is_loopback
from shotover.observability.process import process_samples
from shotover.runtime.checks import walk
from shotover.runtime.config_pages import ConfigPages
from shotover.runtime.explain import tree
from shotover.runtime.inside import InsidePages, Noted
from shotover.runtime.listening import explanation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from shotover.config.address import Address
    from shotover.config.errors import Place
    from shotover.config.process import ProcessConfig
    from shotover.config.steps import StepConfig
    from shotover.config.topology import Topology
    from shotover.observability.metrics import Sample
    from shotover.runtime.supervisor import Supervisor

_log = log.get("shotover::observability")


def open_servers(supervisor: Supervisor) -> list[HttpServer]:
    """Every endpoint the configuration asks for, listening. Raises ConfigError, none left open."""
    servers: list[HttpServer] = []
    try:
        process = supervisor.loaded.process
        if process.observability_interface is not None:
            place = process.place_of("observability_interface")
            access = _access(process, process.observability_interface)
            app = _admin_app(supervisor, access)
            servers.append(_open(supervisor, process.observability_interface, place, app))
            if not access.local and access.token is None:
                _log.warning(
                    "the endpoint can be reached from other machines and asks for no token: let it listen "
                    "on 127.0.0.1, or set admin_token",
                    address=process.observability_interface,
                )
        return servers + list(open_switches(supervisor, supervisor.loaded.topology, {}).values())
    except BaseException:
        for server in servers:
            server.close()
        raise


def open_switches(
    supervisor: Supervisor, topology: Topology, are_open: Mapping[tuple[str, str], HttpServer]
) -> dict[tuple[str, str], HttpServer]:
    """The switch of each Tee that has one, by (name, address); those that `are_open` stay so.

    Raises ConfigError, with no new one left.
    """
    found: dict[tuple[str, str], HttpServer] = {}
    try:
        for source in topology.sources:
            for step in walk(source.steps()):
                for address, attribute in step.listens():
                    key = step.name, str(address)
                    found[key] = are_open.get(key) or _open_switch(
                        supervisor, step, address, attribute
                    )
    except BaseException:
        for key, server in found.items():
            if key not in are_open:
                server.close()
        raise
    return found


def _open_switch(
    supervisor: Supervisor, step: StepConfig, address: Address, attribute: str
) -> HttpServer:
    access = _access(supervisor.loaded.process, address)
    switch = _switch(supervisor, address, step.name, access)
    server = _open(supervisor, address, step.place_of(attribute), switch)
    server.purpose = step.name, str(address)
    return server


def _open(
    supervisor: Supervisor, address: Address, place: Place, handler: Callable[..., Any]
) -> HttpServer:
    inherited = supervisor.inherited.take(address)
    try:
        return HttpServer(str(address), handler, fd=inherited[0] if inherited else None)
    except AddressError as error:
        raise ConfigError([Problem(place, str(error))]) from error
    except OSError as error:
        raise ConfigError([Problem(place, explanation(address, error))]) from error


def _access(process: ProcessConfig, address: Address) -> Access:
    return Access(
        process.admin_token,
        process.admin_token_for == EVERYTHING,
        is_loopback(address.host),
    )


def _admin_app(supervisor: Supervisor, access: Access) -> AdminApp:
    def samples() -> list[list[Sample]]:
        gathered: list[list[Sample]] = [t.worker.samples() for t in supervisor.threads]
        draining = float(supervisor.draining)
        own = [
            *process_samples(),
            ("shotover_draining", {}, "gauge", draining),
            ("shotover_log_lines_lost_count", {}, "counter", log.dropped_total()),
        ]
        return [*gathered, [*own, *supervisor.live.samples()]]

    def problems() -> list[str]:
        """Where traffic does not tell, being asked makes sinks try: the next to ask hears of it."""
        found = upstream_problems(samples())
        for thread in supervisor.threads:
            thread.worker.probe()
        return found

    return AdminApp(
        samples=samples,
        problems=problems,
        topology=lambda: {
            "sources": [tree(source) for source in supervisor.loaded.topology.sources]
        },
        old_names=supervisor.loaded.process.old_metric_names,
        access=access,
        more=(ConfigPages(supervisor.live, apart.parse), InsidePages(Noted(supervisor))),
    )


def _switch(supervisor: Supervisor, address: Address, name: str, access: Access) -> TeeSwitch:
    """The switch of a Tee; all its copies, on every worker, are switched together."""

    def switched() -> bool:
        return any(step.switched for step in supervisor.steps.get(name, []))

    def switch(to_own_chain: bool) -> None:
        for step in supervisor.steps.get(name, []):
            step.switched = to_own_chain

    return TeeSwitch(switched, switch, str(address), access)
