"""Runs cases: starts the targets of each, takes turns with them round by round, keeps what every turn measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, strftime

from shotover._net.tls_context import TlsContext
from shotover.benchmark.accounting import (
    SystemCalls,
    machine_busy_us,
    read_memory,
    read_usage,
)
from shotover.benchmark.cases import Case
from shotover.benchmark.figures import Results, Turn
from shotover.benchmark.generator import Generator, LoadResult, fill
from shotover.benchmark.histogram import Histogram
from shotover.benchmark.processes import (
    Address,
    Running,
    StartError,
    answers,
    ask,
    raise_descriptor_limit,
    server_version,
    start_server,
)
from shotover.benchmark.redis_benchmark import run_redis_benchmark
from shotover.benchmark.targets import Target

WARM_UP_SECONDS = 0.25


@dataclass
class Plan:
    """What the user asked for."""

    cases: list[Case]
    targets: list[Target]
    rounds: int = 5
    seconds: float = 2.0  # a turn
    generator: str = "own"  # or "redis-benchmark"
    syscalls: bool = False
    server: str | None = None  # a binary, instead of the one found
    node: Address | None = (
        None  # a Cassandra that runs; None: one is started, for cases that need it
    )
    tell: Callable[[str], None] = lambda line: None


@dataclass
class Session:
    """A server that runs, a folder for files, and the results so far."""

    plan: Plan
    place: Path
    server: Running
    descriptors: int  # how many this process may hold, and each it starts
    others: list[Running] = field(default_factory=list)  # servers beside it, in some cases
    node: Running | None = None  # a Cassandra, once a case has needed it
    ending: ExitStack = field(default_factory=ExitStack)  # of what lasts as long as the session
    results: Results = field(default_factory=Results)

    def note(self, line: str) -> None:
        if line not in self.results.notes:
            self.results.notes.append(line)
            self.plan.tell(line)

    def add(self, turn: Turn) -> None:
        self.results.turns.append(turn)
        if turn.complaint:
            self.note(f"{turn.case}, {turn.target}, round {turn.round + 1}: {turn.complaint}")

    def prepare(self, case: Case) -> None:
        """Empties the server and gives every key of the case a value of the case's size."""
        ask(self.server.address, b"FLUSHALL", timeout=30)
        if case.kind in ("load", "hops", "disturbed", "shards", "cluster", "tls", "idle-beside"):
            fill(self.server.address, case.value_bytes, case.key_count)

    @contextmanager
    def running(
        self,
        case: Case,
        targets: list[Target],
        ready: Callable[[Address], bool] = answers,
    ) -> Iterator[list[tuple[Target, Running]]]:
        """The targets that come up, fresh for this case; a note for each that does not."""
        up: list[tuple[Target, Running]] = []
        try:
            for target in targets:
                try:
                    up.append(
                        (target, target.start(self.place, self.server, f"-{case.name}", ready))
                    )
                except StartError as error:
                    self.note(f"left out: {error}")
            yield up
        finally:
            for _, running in up:
                running.stop()

    def rounds(self, up: list[tuple[Target, Running]]) -> Iterator[tuple[int, Target, Running]]:
        """Turn by turn; each round begins with another target, so that none always follows the same one."""
        for number in range(self.plan.rounds):
            for place in range(len(up)):
                target, running = up[(number + place) % len(up)]
                yield number, target, running


def begin_redis(plan: Plan, place: Path, descriptors: int) -> tuple[Running, str]:
    """A Redis or Valkey, and its version. Raises StartError."""
    server = start_server(place, descriptors, plan.server)
    return server, server_version(server.address)


def run_plan(
    plan: Plan,
    place: Path,
    kinds: dict[str, Callable[[Session, Case], None]],
    begin: Callable[[Plan, Path, int], tuple[Running, str]] = begin_redis,
) -> Results:
    """Runs all cases; `kinds` maps a case's kind to what runs it. Raises StartError when there is no server.

    KeyboardInterrupt ends it early with what there is.
    """
    descriptors = raise_descriptor_limit()
    server, version = begin(plan, place, descriptors)
    session = Session(plan, place, server, descriptors)
    session.results.setting.update(setting_of(plan, version))
    try:
        for case in plan.cases:
            plan.tell(f"{case.name}: {case.title}")
            try:
                kinds[case.kind](session, case)
            except (OSError, RuntimeError, StartError) as error:
                session.note(f"{case.name} was given up: {error}")
    except KeyboardInterrupt:
        session.note("interrupted")
    finally:
        session.ending.close()
        server.stop()
    return session.results


def setting_of(plan: Plan, version: str) -> dict[str, str]:
    """What a reader must know to read the figures."""
    setting = {
        "date": strftime("%Y-%m-%d %H:%M %z"),
        "machine": f"{os.cpu_count()} cores, {processor_name()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "server": version,
        "rounds": f"{plan.rounds} of {plan.seconds:g} s a turn",
        "generator": plan.generator,
    }
    setting.update({target.name: target.version for target in plan.targets if target.version})
    return setting


def processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def run_load(session: Session, case: Case) -> None:
    """Kind "load": every target under the case's load."""
    if session.plan.generator == "redis-benchmark" and not case.redis_benchmark:
        session.note(f"{case.name} was left out: redis-benchmark cannot make this load")
        return
    session.prepare(case)
    with session.running(case, session.plan.targets) as up:
        for number, target, running in session.rounds(up):
            turn = load_turn(session, case, target.name, running, number)
            session.add(turn)
            session.plan.tell("  " + told(turn))


def told(turn: Turn) -> str:
    """One line of progress."""
    values = turn.values
    return (
        f"round {turn.round + 1}  {turn.target:<22} {values.get('rps', 0):>9,.0f}/s  p50 {values.get('p50_us', 0):>8,.1f}  "
        f"p99 {values.get('p99_us', 0):>8,.0f} us  CPU {values.get('cpu_us', 0):>8.2f} us/request  {turn.complaint}"
    )


def generator_of(case: Case, address: Address, seed: int, tls: TlsContext | None) -> Generator:
    """What makes a case's load."""
    return Generator(
        address,
        case.commands(),
        clients=case.clients,
        pipeline=case.pipeline,
        key_count=case.key_count,
        rate=case.rate,
        seed=seed,
        tls=tls,
    )


def load_turn(
    session: Session,
    case: Case,
    name: str,
    running: Running,
    number: int,
    tls: TlsContext | None = None,
    make: Callable[[Case, Address, int, TlsContext | None], Generator] = generator_of,
) -> Turn:
    """One target, one round."""
    plan = session.plan
    if plan.generator == "redis-benchmark":
        return measured(
            session,
            case,
            name,
            running,
            number,
            lambda: run_redis_benchmark(case, running.address, plan.seconds),
        )
    with make(case, running.address, number + 1, tls) as generator:
        warm_up = generator.run(min(WARM_UP_SECONDS, plan.seconds))
        if warm_up.complaint() or not warm_up.replies:
            return Turn(
                case.name, name, number, {}, 0, "warming up: " + (warm_up.complaint() or "no reply")
            )
        turn = measured(session, case, name, running, number, lambda: generator.run(plan.seconds))
        if plan.syscalls and number == 0:
            add_syscalls(
                turn, running, session.place, lambda: generator.run(min(plan.seconds, 1.0))
            )
    return turn


def add_syscalls(turn: Turn, running: Running, place: Path, run: Callable[[], LoadResult]) -> None:
    """A further, untimed run under a counter of system calls; in the first round only."""
    with SystemCalls(running.pid, place) as calls:
        replies = run().replies
    if calls.count is not None and replies:
        turn.values["syscalls"] = calls.count / replies


def measured(
    session: Session,
    case: Case,
    name: str,
    running: Running,
    number: int,
    run: Callable[[], LoadResult],
) -> Turn:
    """Runs a load between two readings of everybody's CPU time."""
    servers = [session.server, *session.others]
    servers_before = [read_usage(server.pid) for server in servers]
    before = read_usage(running.pid)
    busy_before, clock_before = machine_busy_us(), monotonic()
    result = run()
    spent = read_usage(running.pid).since(before)
    server_us = sum(
        read_usage(server.pid).since(earlier).total_us
        for server, earlier in zip(servers, servers_before, strict=True)
    )
    memory = read_memory(running.pid)
    replies = max(1, result.replies)
    values = {
        "rps": result.requests_per_second,
        "cpu_us": spent.total_us / replies,
        "user_us": spent.user_us / replies,
        "system_us": spent.system_us / replies,
        "server_us": server_us / replies,
        "rss_mib": memory.rss_mib,
        "peak_mib": memory.peak_mib,
        "generator_us": result.cpu_us_per_request,
    }
    values.update(result.percentiles or latency_values(result.latency))
    if case.rate:
        values["lag_us"] = result.lag_us_mean
    if busy_before is not None:
        ours_us = (
            result.cpu_us_per_request * replies
            + server_us
            + (spent.total_us if running.process else 0.0)
        )
        busy_us = (machine_busy_us() or 0.0) - busy_before
        values["other_cpu"] = max(0.0, busy_us - ours_us) / 1e6 / (monotonic() - clock_before)
    complaint = result.complaint() or ("" if result.replies else "no reply")
    return Turn(case.name, name, number, values, result.replies, complaint, result.latency)


def latency_values(latency: Histogram) -> dict[str, float]:
    if not latency.counts:
        return {}
    return {
        "p50_us": latency.percentile(50) / 1e3,
        "p99_us": latency.percentile(99) / 1e3,
        "p999_us": latency.percentile(99.9) / 1e3,
    }
