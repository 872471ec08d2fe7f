"""Cases of the Cassandra suite: every target before a scripted server that answers at once, a ring of those, or Cassandra."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

from shotover._net.tls_context import TlsContext
from shotover.benchmark.cases import Case
from shotover.benchmark.cql import CqlGenerator, answers_cql, fill_rows, make_tables
from shotover.benchmark.cql_wire import CqlError
from shotover.benchmark.generator import Generator, fill, get_command
from shotover.benchmark.processes import (
    HOST,
    Address,
    Running,
    StartError,
    free_port,
    start,
    start_server,
    text_of,
)
from shotover.benchmark.runner import Plan, Session, load_turn, told
from shotover.benchmark.targets import Target

NODE_TOOL = Path(__file__).parents[2] / "tools" / "cassandra_node.py"  # of a checkout
BESIDE = "Shotover before Redis"
RING_NODES = 3


def start_scripted(place: Path, address: Address, *peers: Address) -> Running:
    """Raises StartError."""
    command = [sys.executable, "-m", "shotover.benchmark.scripted"]
    place.mkdir(exist_ok=True)
    return start(
        "server",
        command + [text_of(each) for each in (address, *peers)],
        address,
        place,
        answers_cql,
    )


def begin_scripted(plan: Plan, place: Path, descriptors: int) -> tuple[Running, str]:
    """The scripted server. Raises StartError."""
    return start_scripted(place, (HOST, free_port())), "scripted, answers at once"


def cql_generator(
    case: Case, address: Address, seed: int, tls: TlsContext | None = None
) -> Generator:
    return CqlGenerator(
        address,
        makers=case.makers,
        clients=case.clients,
        pipeline=case.pipeline,
        key_count=case.key_count,
        rate=case.rate,
        seed=seed,
        tls=tls,
        value_bytes=case.value_bytes,
        version=case.version,
    )


def windowed_generator(
    case: Case, address: Address, seed: int, tls: TlsContext | None = None
) -> Generator:
    """GET by as many clients, with as many under way."""
    return Generator(
        address,
        [get_command(case.value_bytes)],
        clients=case.clients,
        pipeline=case.pipeline,
        key_count=case.key_count,
        seed=seed,
        tls=tls,
        windowed=True,
    )


@contextmanager
def redis_beside(session: Session, case: Case) -> Iterator[list[tuple[Target, Running]]]:
    """The session's first Shotover, but with a Redis source before a Redis that has all keys."""
    single = next((each for each in session.plan.targets if each.kind == "shotover"), None)
    if not case.beside_redis or single is None:
        yield []
        return
    folder = session.place / "redis"
    folder.mkdir(exist_ok=True)
    try:
        server = start_server(folder, session.descriptors)
    except StartError as error:
        session.note(f"left out: {BESIDE}: {error}")
        yield []
        return
    try:
        fill(server.address, case.value_bytes, case.key_count)
        with session.running(case, []) as up:
            target = replace(single, name=BESIDE, protocol="redis")
            up.append((target, target.start(session.place, server, f"-{case.name}")))
            yield up
    finally:
        server.stop()


def run_cql(session: Session, case: Case) -> None:
    """Kind "cql": every target under the case's load."""
    with (
        session.running(case, session.plan.targets, answers_cql) as up,
        redis_beside(session, case) as beside,
    ):
        take_turns(session, case, [*up, *beside])


def take_turns(session: Session, case: Case, up: list[tuple[Target, Running]]) -> None:
    for number, target, running in session.rounds(up):
        make = windowed_generator if target.name == BESIDE else cql_generator
        try:
            turn = load_turn(session, case, target.name, running, number, make=make)
        except CqlError as error:
            session.note(f"{case.name}, {target.name}, round {number + 1}: {error}")
            continue
        session.add(turn)
        session.plan.tell("  " + told(turn))


# ---- before a ring ----------------------------------------------------------------------------------------------------


@contextmanager
def scripted_ring(session: Session) -> Iterator[tuple[Address, ...]]:
    """Scripted servers that share the tokens. Raises StartError."""
    addresses = [(HOST, free_port()) for _ in range(RING_NODES)]
    with ExitStack() as ending:
        nodes = []
        for index, address in enumerate(addresses):
            peers = [each for each in addresses if each != address]
            nodes.append(start_scripted(session.place / f"ring-{index}", address, *peers))
            ending.callback(nodes[-1].stop)
        session.others = nodes
        ending.callback(session.others.clear)
        yield tuple(addresses)


def run_cql_ring(session: Session, case: Case) -> None:
    """Kind "cql-ring": Shotover before a ring, before a ring of one, whose only difference is that each request is looked at, and
    before one server. Peers get a server of the ring as {upstream}."""
    single = next((each for each in session.plan.targets if each.kind == "shotover"), None)
    if single is None:
        session.note(f"{case.name} was left out: it needs Shotover")
        return
    with scripted_ring(session) as addresses:
        targets = []
        for target in session.plan.targets:
            if target.kind == "shotover":
                targets.append(replace(target, cluster=addresses))
            elif target.kind == "template":
                targets.append(replace(target, instead=addresses[0]))
        targets.append(replace(single, name="ring of one", cluster=(session.server.address,)))
        targets.append(replace(single, name="one server"))
        with session.running(case, targets, answers_cql) as up:
            take_turns(session, case, up)


# ---- before Cassandra -------------------------------------------------------------------------------------------------


def start_node(session: Session) -> Running:
    """A node of its own, or the one that the user has named. Raises StartError."""
    if session.plan.node:
        return Running("cassandra", session.plan.node, None, 0)
    if not NODE_TOOL.exists():
        raise StartError("no Cassandra: name one that runs with --node HOST:PORT")
    folder = session.place / "cassandra"
    port = free_port()
    command = [sys.executable, str(NODE_TOOL), "start", "--dir", str(folder), "--port", str(port)]
    command += ["--storage-port", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StartError(f"no Cassandra: {(done.stderr or done.stdout)[-500:].strip()}")
    pid = int((folder / "pid").read_text())
    session.ending.callback(end_process, pid)
    return Running("cassandra", (HOST, port), None, pid)


def end_process(pid: int, seconds: float = 20.0) -> None:
    """Of a process that is no child of ours: it has so long to end by itself."""
    deadline = monotonic() + seconds
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while monotonic() < deadline:
            sleep(0.05)
            os.kill(pid, 0)
        os.kill(pid, signal.SIGKILL)


@contextmanager
def node_in_place(session: Session) -> Iterator[None]:
    """The session's server is a node of Cassandra meanwhile; it ends with the session."""
    scripted = session.server
    session.node = session.node or start_node(session)
    session.server = session.node
    try:
        yield
    finally:
        session.server = scripted


def run_cql_node(session: Session, case: Case) -> None:
    """Kind "cql-node"."""
    with node_in_place(session):
        make_tables(session.server.address)
        fill_rows(session.server.address, case.value_bytes, case.key_count)
        run_cql(session, case)
