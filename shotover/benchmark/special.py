"""The cases that are more than a load: what a transform adds, disturbances, start-up, idle connections."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.error import URLError
from urllib.request import urlopen

from shotover.benchmark.accounting import read_memory, read_usage
from shotover.benchmark.cases import Case
from shotover.benchmark.figures import Turn
from shotover.benchmark.processes import Running, StartError, answers, start_server
from shotover.benchmark.runner import Session, load_turn, told
from shotover.benchmark.targets import Target

COMPILED_STEPS = 32  # so many that a few ns each stand out from the noise
IDLE_BESIDE = 10_000  # idle connections beside a load
IDLE_ASKED = 100  # of which so many are asked afterwards
IDLE_BATCH = 200  # connections opened before the target must answer on one
DISTURBED_SECONDS = 3.0

PYTHON_STEP = '''\
"""Looks at the command and the key of every request, as a rule of access would."""

from shotover import Transform


class Look(Transform):
    seen = 0

    def on_request(self, request):
        if request.command == b"GET" and request.key:
            self.seen += 1
'''


def first_shotover(session: Session) -> Target | None:
    return next((target for target in session.plan.targets if target.kind == "shotover"), None)


# ---- what a transform adds ------------------------------------------------------------------------------------------


def run_hops(session: Session, case: Case) -> None:
    """CPU a request with and without transforms, divided by how many there are; differences within one round."""
    base = first_shotover(session)
    if base is None:
        session.note(f"{case.name} was left out: it needs Shotover")
        return
    script = session.place / "look.py"
    script.write_text(PYTHON_STEP)
    compiled = tuple(f"QueryCounter: {{name: hop-{index}}}" for index in range(COMPILED_STEPS))
    python = (f'Python: {{name: look, path: "{script}", class: Look}}',)
    variants = [
        base,
        replace(base, name="compiled transform", steps=compiled),
        replace(base, name="Python transform", steps=python),
    ]
    session.prepare(case)
    with session.running(case, variants) as up:
        for number, target, running in session.rounds(up):
            session.add(load_turn(session, case, target.name, running, number))
    add_hops(
        session,
        case,
        base.name,
        {target.name: len(target.steps) for target in variants if target.steps},
    )


def add_hops(session: Session, case: Case, base: str, counts: dict[str, int]) -> None:
    """hop_ns of each turn, against the base's turn of the same round."""
    bases = {turn.round: turn.values["cpu_us"] for turn in session.results.of(case.name, base)}
    for name, count in counts.items():
        for turn in session.results.of(case.name, name):
            if turn.round in bases and "cpu_us" in turn.values:
                turn.values["hop_ns"] = (turn.values["cpu_us"] - bases[turn.round]) * 1e3 / count
                session.plan.tell(
                    f"  round {turn.round + 1}  {name:<22} {turn.values['hop_ns']:8.1f} ns a request and hop"
                )


# ---- disturbances ---------------------------------------------------------------------------------------------------


def run_disturbed(session: Session, case: Case) -> None:
    """A busy Python thread inside the proxy with a scrape each second, against the same work in another process."""
    base = first_shotover(session)
    if base is None or base.program != (sys.executable, "-m", "shotover"):
        session.note(f"{case.name} was left out: it needs this package's own Shotover")
        return
    observed = replace(base, observed=True)
    inside = replace(observed, program=(sys.executable, "-m", "shotover.benchmark.busy", "inside"))
    variants: list[tuple[Target, bool, bool]] = [  # target, busy beside, scraped
        (replace(observed, name="quiet"), False, False),
        (replace(observed, name="busy beside"), True, False),
        (replace(inside, name="busy inside, scraped"), False, True),
    ]
    session.prepare(case)
    plan = session.plan
    session.plan = replace(
        plan, seconds=max(plan.seconds, min(DISTURBED_SECONDS, plan.seconds * 2))
    )
    try:
        for number in range(plan.rounds):
            for place in range(len(variants)):
                disturbed_turn(session, case, variants[(number + place) % len(variants)], number)
    finally:
        session.plan = plan


def disturbed_turn(
    session: Session, case: Case, variant: tuple[Target, bool, bool], number: int
) -> None:
    """Started for this turn only: a burner must not outlive it."""
    target, beside, scraped = variant
    try:
        running = target.start(session.place, session.server, f"-{case.name}-{number}")
    except StartError as error:
        session.note(f"left out: {error}")
        return
    try:
        with (
            burner() if beside else no_burner(),
            scraper(session, target, number) if scraped else no_burner(),
        ):
            turn = load_turn(session, case, target.name, running, number)
    finally:
        running.stop()
    session.add(turn)
    session.plan.tell("  " + told(turn))


@contextmanager
def no_burner() -> Iterator[None]:
    yield


@contextmanager
def burner() -> Iterator[None]:
    """A busy Python process."""
    process = subprocess.Popen([sys.executable, "-m", "shotover.benchmark.busy", "beside"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def scraper(session: Session, target: Target, number: int) -> Iterator[None]:
    """GET /metrics each second. A note when one fails."""
    config = session.place / f"{target.name}-disturbed-{number}" / "config.yaml"
    found = re.search(r'observability_interface: "([^"]+)"', config.read_text())
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(0.5):
            try:
                urlopen(f"http://{found[1] if found else ''}/metrics", timeout=5).read()
            except (URLError, OSError) as error:
                session.note(f"disturbed: a scrape failed: {error}")
            ended.wait(0.5)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


# ---- start-up -------------------------------------------------------------------------------------------------------


def run_startup(session: Session, case: Case) -> None:
    """From starting the program to a connection accepted and to a first PING answered.

    A start that does not count comes first: it leaves bytecode and pages in their caches, for all targets alike.
    """
    for target in session.plan.targets:
        try:
            startup_turn(session, case, target, -1)
        except StartError as error:
            session.note(f"left out: {error}")
    for number in range(session.plan.rounds):
        for place in range(len(session.plan.targets)):
            target = session.plan.targets[(number + place) % len(session.plan.targets)]
            try:
                turn = startup_turn(session, case, target, number)
            except StartError as error:
                session.note(f"left out: {error}")
                continue
            session.add(turn)
            session.plan.tell(
                f"  round {number + 1}  {target.name:<22} accepting after "
                f"{turn.values['accepting_ms']:7.1f} ms, resident {turn.values['rss_mib']:6.1f} MiB"
            )


def startup_turn(session: Session, case: Case, target: Target, number: int) -> Turn:
    """Raises StartError."""
    started = time.perf_counter()
    watch = ConnectWatch(started)
    if target.kind == "direct":
        running = start_server(session.place, session.descriptors, session.plan.server, watch)
    else:
        running = target.start(session.place, session.server, f"-startup-{number}", watch)
    try:
        memory, spent = read_memory(running.pid), read_usage(running.pid)
    finally:
        running.stop()
    values = {
        "accepting_ms": watch.accepting_ms,
        "first_reply_ms": watch.first_reply_ms,
        "start_cpu_ms": spent.total_us / 1e3,
        "rss_mib": memory.rss_mib,
        "peak_mib": memory.peak_mib,
    }
    return Turn(case.name, target.name, number, values)


class ConnectWatch:
    """Asks a starting program, in place of processes.answers, and notes when it accepted and when it first replied.

    The clock starts before the process does, so writing its configuration (a fraction of a millisecond) counts too.
    """

    def __init__(self, started: float) -> None:
        self.started = started
        self.accepting_ms = 0.0
        self.first_reply_ms = 0.0

    def __call__(self, address: tuple[str, int]) -> bool:
        if not self.accepting_ms:
            try:
                socket.create_connection(address, timeout=1.0).close()
            except OSError:
                return False
            self.accepting_ms = (time.perf_counter() - self.started) * 1e3
        if not answers(address):
            return False
        self.first_reply_ms = (time.perf_counter() - self.started) * 1e3
        return True


# ---- idle connections -----------------------------------------------------------------------------------------------


def run_idle(session: Session, case: Case) -> None:
    """What a connection that asks nothing costs the target in memory, and one that asked once."""
    for number in range(min(session.plan.rounds, 3)):
        for place in range(len(session.plan.targets)):
            target = session.plan.targets[(number + place) % len(session.plan.targets)]
            clients = min(case.clients, target.clients_max(session.descriptors))
            try:
                turn = idle_turn(session, case, target, number, clients)
            except OSError as error:
                session.note(f"left out of {case.name}: {target.name}: {error}")
                continue
            except StartError as error:
                session.note(f"left out: {error}")
                continue
            session.add(turn)
            session.plan.tell(
                f"  round {number + 1}  {target.name:<22} {clients:,} connections: "
                f"{turn.values['idle_bytes']:6.0f} bytes each, {turn.values['used_bytes']:6.0f} once used"
            )


def idle_turn(session: Session, case: Case, target: Target, number: int, clients: int) -> Turn:
    """Raises OSError, StartError."""
    sockets: list[socket.socket] = []
    running = target.start(session.place, session.server, f"-idle-{number}")
    try:
        before = settled_rss_mib(running)
        open_idle(running, sockets, clients)
        idle = settled_rss_mib(running)
        for sock in sockets:
            ping(sock)
        used = settled_rss_mib(running)
    finally:
        for sock in sockets:
            sock.close()
        running.stop()
    values = {
        "growth_mib": idle - before,
        "idle_bytes": (idle - before) * 1024 * 1024 / clients,
        "used_bytes": (used - before) * 1024 * 1024 / clients,
        "rss_mib": used,
        "peak_mib": used,
    }
    return Turn(case.name, target.name, number, values, clients)


def open_idle(
    running: Running,
    sockets: list[socket.socket],
    clients: int,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Connections are accepted in order, so an answer on the last one tells that all before it were."""
    while len(sockets) < clients:
        for _ in range(min(IDLE_BATCH, clients - len(sockets))):
            sock = socket.create_connection(running.address, timeout=10)
            sockets.append(
                sock if tls is None else tls.wrap_socket(sock, server_hostname="127.0.0.1")
            )
        ping(sockets[-1])


def run_idle_beside(session: Session, case: Case) -> None:
    """The same load with and without idle connections beside it, each turn with a target of its own."""
    session.prepare(case)
    for target in session.plan.targets:
        if target.kind != "shotover":
            continue
        idle = min(IDLE_BESIDE, target.clients_max(session.descriptors) - case.clients)
        if idle < 1:
            session.note(f"{case.name} was left out: too few descriptors (ulimit -n)")
            return
        for number in range(session.plan.rounds):
            for place in range(2):
                beside = (number + place) % 2 == 1
                try:
                    idle_beside_turn(session, case, target, number, idle if beside else 0)
                except (OSError, StartError) as error:
                    session.note(f"left out of {case.name}: {target.name}: {error}")


def idle_beside_turn(session: Session, case: Case, target: Target, number: int, idle: int) -> None:
    """Raises OSError, StartError."""
    name = f"{target.name}, idle beside" if idle else target.name
    sockets: list[socket.socket] = []
    running = target.start(session.place, session.server, f"-{case.name}-{number}-{idle}")
    try:
        before = settled_rss_mib(running)
        open_idle(running, sockets, idle)
        growth = settled_rss_mib(running) - before
        turn = load_turn(session, case, name, running, number)
        for sock in sockets[:: max(1, idle // IDLE_ASKED)]:
            ping(sock)  # it has not been forgotten
    finally:
        for sock in sockets:
            sock.close()
        running.stop()
    if idle and turn.values:
        turn.values |= {"growth_mib": growth, "idle_bytes": growth * 1024 * 1024 / idle}
    session.add(turn)
    session.plan.tell("  " + told(turn))


def ping(sock: socket.socket) -> None:
    """Raises ConnectionError when the answer is not a PONG."""
    sock.sendall(b"*1\r\n$4\r\nPING\r\n")
    if sock.recv(64) != b"+PONG\r\n":
        raise ConnectionError("a PING was not answered")


def settled_rss_mib(running: Running, deadline: float = 3.0) -> float:
    """Resident MiB once two looks 100 ms apart agree within 64 KiB, or at the deadline."""
    until = time.monotonic() + deadline
    last = read_memory(running.pid).rss_mib
    while time.monotonic() < until:
        time.sleep(0.1)
        now = read_memory(running.pid).rss_mib
        if abs(now - last) < 1 / 16:
            return now
        last = now
    return last
