"""Cases where clients speak TLS with the proxy, and the proxy speaks plainly with the server; beside HAProxy doing the same."""

from __future__ import annotations

import socket
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

from shotover._net.tls_context import TlsContext
from shotover.benchmark.cases import Case
from shotover.benchmark.figures import Turn
from shotover.benchmark.processes import Address, StartError
from shotover.benchmark.runner import Session, load_turn, told
from shotover.benchmark.special import open_idle, ping, settled_rss_mib
from shotover.benchmark.targets import Target

REQUEST = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=bench "
    "-addext subjectAltName=IP:127.0.0.1 -keyout server.key -out server.crt"
)


def certificate(place: Path) -> Path:
    """A folder with server.crt, server.key, and both in server.pem. Raises OSError, StartError."""
    folder = place / "certificate"
    if not folder.exists():
        folder.mkdir()
        done = subprocess.run(REQUEST.split(), cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise StartError(f"no certificate can be made: {done.stderr[-200:]}")
        both = (folder / "server.crt").read_text() + (folder / "server.key").read_text()
        (folder / "server.pem").write_text(both)
    return folder


def accepts(address: Address) -> bool:
    """Somebody listens."""
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False


def secured(session: Session, folder: Path) -> list[Target]:
    """Those of the session's targets that can do TLS, told to."""
    return [
        replace(target, tls=folder)
        for target in session.plan.targets
        if target.kind in ("shotover", "haproxy")
    ]


def run_tls(session: Session, case: Case) -> None:
    """Every target that can, under the case's load."""
    folder = certificate(session.place)
    context = TlsContext(server=False, certificate_authority_path=str(folder / "server.crt"))
    session.prepare(case)
    with session.running(case, secured(session, folder), accepts) as up:
        for number, target, running in session.rounds(up):
            turn = load_turn(session, case, target.name, running, number, context)
            session.add(turn)
            session.plan.tell("  " + told(turn))


def run_tls_idle(session: Session, case: Case) -> None:
    """What a TLS connection costs the target in memory, once it has asked something."""
    folder = certificate(session.place)
    context = ssl.create_default_context(cafile=str(folder / "server.crt"))
    for number in range(min(session.plan.rounds, 3)):
        for target in secured(session, folder):
            try:
                turn = idle_turn(session, case, target, number, context)
            except (OSError, StartError) as error:
                session.note(f"left out of {case.name}: {target.name}: {error}")
                continue
            session.add(turn)
            session.plan.tell(
                f"  round {number + 1}  {target.name:<22} {case.clients:,} connections: "
                f"{turn.values['used_bytes']:6.0f} bytes each"
            )


def idle_turn(
    session: Session, case: Case, target: Target, number: int, context: ssl.SSLContext
) -> Turn:
    """Raises OSError, StartError."""
    sockets: list[socket.socket] = []
    running = target.start(session.place, session.server, f"-idle-{number}", accepts)
    try:
        open_idle(running, sockets, 1, context)  # what the first one loads is not each one's
        before = settled_rss_mib(running)
        open_idle(running, sockets, case.clients, context)
        for sock in sockets:
            ping(sock)
        used = settled_rss_mib(running)
    finally:
        for sock in sockets:
            sock.close()
        running.stop()
    values = {
        "used_bytes": (used - before) * 1024 * 1024 / case.clients,
        "rss_mib": used,
        "peak_mib": used,
    }
    return Turn(case.name, target.name, number, values, case.clients)
