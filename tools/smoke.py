"""Does an installed Shotover serve? smoke.py [ENVIRONMENT [SERVER]]

ENVIRONMENT is a virtual environment with the wheel in it (that of the Python which runs this), SERVER
a redis-server; without one a sink of its own answers. Started in an empty folder, `shotover` must say
its version, serve three commands, and end with 0 on SIGTERM.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from servers import Program, ask, free_port, start_server

TOPOLOGY = """\
sources:
  - Redis:
      listen_addr: 127.0.0.1:{listen}
      chain:
        - RedisSinkSingle: {{remote_address: "127.0.0.1:{server}"}}
"""
ALONE = """\
sources:
  - Redis:
      listen_addr: 127.0.0.1:{listen}
      chain: [QueryCounter, NullSink]
"""
PONG = b"+PONG\r\n"
REFUSED = b"-ERR Handled by shotover null transform\r\n"
CONVERSATION = (
    ((b"PING",), PONG),
    ((b"SET", b"key", b"value"), b"+OK\r\n"),
    ((b"GET", b"key"), b"$5\r\nvalue\r\n"),
)


def main(environment: str = sys.prefix, server_path: str = "") -> None:
    shotover = str(Path(environment, "bin", "shotover"))
    print(said(shotover, "-V"))
    check_files(environment)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if not server_path:
            serve(shotover, ALONE, 0, place)
            print("smoke: 1 passed, 0 failed")
            return
        server, server_port = start_server(server_path, place)
        try:
            serve(shotover, TOPOLOGY, server_port, place)
        finally:
            server.stop()
    print("smoke: 1 passed, 0 failed")


def serve(shotover: str, text: str, server_port: int, place: Path) -> None:
    """Start it, talk through it, end it."""
    port = free_port()
    topology = place / "topology.yaml"
    topology.write_text(text.format(listen=port, server=server_port))
    assert "ok" in said(shotover, "check", "-t", str(topology))
    proxy = Program([shotover, "-t", str(topology)], place / "log")
    try:
        first = PONG if server_port else REFUSED
        assert proxy.answers(port, expected=first), proxy.log.read_text()
        for words, expected in CONVERSATION:
            reply = ask(port, *words)
            assert reply == (expected if server_port else REFUSED), f"{words}: {reply!r}"
        if server_port:
            kept = ask(server_port, b"GET", b"key")
            assert kept == b"$5\r\nvalue\r\n", "the server has not got it"
    finally:
        code = proxy.stop()
    assert code == 0, f"exit code {code}\n{proxy.log.read_text()}"


def check_files(environment: str) -> None:
    """What the wheel must bring beside its modules, and what it must not."""
    code = "import os, shotover; print(os.path.dirname(shotover.__file__))"
    package = Path(said(str(Path(environment, "bin", "python")), "-c", code))
    assert Path(environment).resolve() in package.resolve().parents, package
    names = {str(path.relative_to(package)) for path in package.rglob("*")}
    for name in (
        "py.typed",
        "ARCHITECTURE.md",
        "_proxy/step.pxd",
        "_net/poller.h",
        "_core/counters.pyi",
        "docs/RedisSinkSingle.md",
    ):
        assert name in names, f"the wheel lacks {name}"
        assert name == "py.typed" or (package / name).stat().st_size > 0, f"{name} is empty"
    for suffix in (".c", ".pyx"):
        found = [name for name in names if name.endswith(suffix)]
        assert not found, f"the wheel carries {found}"


def said(*command: str) -> str:
    """What a command that must succeed prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}: {done.stderr}"
    return done.stdout.strip()


if __name__ == "__main__":
    main(*sys.argv[1:])
