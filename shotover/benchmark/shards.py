"""Cases with three servers behind one address: RedisSinkShards beside nutcracker, both with keys in the same places.

Beside them runs the same Shotover before one of the servers alone: what the spreading itself costs.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from shotover.benchmark.cases import Case
from shotover.benchmark.generator import fill, get_command
from shotover.benchmark.processes import Running, ask, start_server
from shotover.benchmark.runner import Session, load_turn, told
from shotover.benchmark.targets import Target

MORE_SERVERS = 2
TAGS = 12
STOPPED_CLIENTS = 8  # clients that ask the stopped server meanwhile
STOPPED_REQUESTS = 50  # of each


@contextmanager
def more_servers(session: Session) -> Iterator[list[Running]]:
    """Servers beside the session's own. Raises StartError."""
    with ExitStack() as ending:
        started = []
        for index in range(MORE_SERVERS):
            folder = session.place / f"server-{index + 2}"
            folder.mkdir(exist_ok=True)
            server = start_server(folder, session.descriptors, session.plan.server)
            ending.callback(server.stop)
            started.append(server)
        yield started


def spreading(session: Session, others: list[Running]) -> list[Target]:
    """Those of the session's targets that can spread keys, told of all servers."""
    addresses = tuple(server.address for server in others)
    return [
        replace(target, others=addresses)
        for target in session.plan.targets
        if target.kind in ("shotover", "nutcracker")
    ]


def run_shards(session: Session, case: Case) -> None:
    """Every target that can spread keys, under the case's load."""
    single = next((each for each in session.plan.targets if each.kind == "shotover"), None)
    with more_servers(session) as others:
        targets = spreading(session, others)
        if not targets:
            session.note(f"{case.name} was left out: none of the targets can spread keys")
            return
        if single is not None:
            targets.append(replace(single, name="one server"))
        session.others = others
        try:
            with session.running(case, targets) as up:
                for server in others:
                    ask(server.address, b"FLUSHALL", timeout=30)
                session.prepare(case)
                for target, running in up:
                    if target.others:
                        fill(running.address, case.value_bytes, case.key_count)
                        break  # the others have each key where this one has put it
                for number, target, running in session.rounds(up):
                    turn = load_turn(session, case, target.name, running, number)
                    session.add(turn)
                    session.plan.tell("  " + told(turn))
        finally:
            session.others = []


# ---- one of them stopped ----------------------------------------------------------------------------------------------


def run_stopped(session: Session, case: Case) -> None:
    """Latency of requests for two servers, with the third running and with it stopped while others ask it."""
    with more_servers(session) as others:
        targets = [each for each in spreading(session, others) if each.kind == "shotover"]
        if not targets:
            session.note(f"{case.name} was left out: it needs Shotover")
        session.others = others
        try:
            with session.running(case, targets) as up:
                for number, target, running in session.rounds(up):
                    stopped_turns(session, case, target, running, others[-1], number)
        finally:
            session.others = []


def stopped_turns(
    session: Session,
    case: Case,
    target: Target,
    running: Running,
    victim: Running,
    number: int,
) -> None:
    for server in (session.server, *session.others):
        ask(server.address, b"FLUSHALL", timeout=30)
    live, stopped = tags_by_server(running, victim)
    tagged = replace(
        case, commands=lambda: [get_command(case.value_bytes, tag=tag) for tag in live]
    )
    for tag in live:
        fill(running.address, case.value_bytes, case.key_count, tag)
    turn = load_turn(session, tagged, target.name, running, number)
    session.add(turn)
    session.plan.tell("  " + told(turn))
    waiting: list[socket.socket] = []
    os.kill(victim.pid, signal.SIGSTOP)
    try:
        for _ in range(STOPPED_CLIENTS):
            waiting.append(socket.create_connection(running.address, timeout=10))
            request = b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(stopped), stopped)
            waiting[-1].sendall(request * STOPPED_REQUESTS)
        turn = load_turn(session, tagged, f"{target.name}, one stopped", running, number)
    finally:
        os.kill(victim.pid, signal.SIGCONT)
        for sock in waiting:
            sock.close()
    session.add(turn)
    session.plan.tell("  " + told(turn))


def tags_by_server(running: Running, victim: Running) -> tuple[list[bytes], bytes]:
    """Two tags whose keys are not the victim's, and one whose are."""
    live: list[bytes] = []
    stopped = b""
    for index in range(TAGS * MORE_SERVERS):
        tag = b"{%02d}" % index
        before = ask(victim.address, b"DBSIZE")
        ask(running.address, b"SET", tag, b"1")
        if ask(victim.address, b"DBSIZE") == before:
            live.append(tag)
        else:
            stopped = stopped or tag
    return live[:2], stopped
