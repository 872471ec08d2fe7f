"""`make run`: a real server, Shotover before it, a few commands through it, until Ctrl-C."""

from __future__ import annotations

import argparse
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))  # left out by PYTHONSAFEPATH, as in make asan

from servers import Program, ask, find_server, free_port, start_server, version

ROOT = Path(__file__).resolve().parent.parent
TOPOLOGY = "configs/redis.yaml"
CONFIG = "configs/config.yaml"
POLL_SECONDS = 0.2
COMMANDS = (
    ("PING",),
    ("SET", "greeting", "hello, world"),
    ("GET", "greeting"),
    ("INCR", "visits"),
    ("HSET", "user:1", "name", "Ada"),
    ("HGETALL", "user:1"),
    ("NOSUCH",),
)


def main() -> int:
    options = parse()
    stop = Stop()
    host, port = address(options.listen, "LISTEN")
    refuse_if_taken(host, port)
    metrics = metrics_address(options.metrics)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shotover-run-", ignore_cleanup_errors=True) as place:
        program = options.server or find_server()
        server, server_port = start_server(program, Path(place))
        proxy = None
        try:
            proxy = start_proxy(options.listen, metrics, server_port, Path(place))
            if not proxy.answers(port, host):
                print(proxy.log.read_text(), end="", file=sys.stderr)
                return 1
            print(
                f"{version(program)} answers on 127.0.0.1:{server_port}, Shotover "
                f"before it on {options.listen}, after {time.monotonic() - started:.2f} s",
                flush=True,
            )
            converse(host, port)
            if not options.once:
                tell(host, port, metrics)
                stop.wait(proxy, server)
        finally:
            stop.heard = True  # nothing interrupts the end
            code = end(proxy, server)
    return code


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:6380", metavar="HOST:PORT")
    parser.add_argument("--metrics", default="127.0.0.1:9001", metavar="HOST:PORT")
    parser.add_argument("--server", default="", metavar="PATH", help="the redis-server to start")
    parser.add_argument("--once", action="store_true", help="end after the first commands")
    return parser.parse_args()


class Stop:
    """Ctrl-C, SIGTERM and a closed terminal all mean: end both programs, then leave."""

    def __init__(self) -> None:
        self.heard = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._hear)

    def _hear(self, _number: int, _frame: object) -> None:
        if not self.heard:
            self.heard = True
            raise Stopped

    def wait(self, proxy: Program, server: Program) -> None:
        """Until a signal comes, or one of the two ends by itself."""
        while proxy.running and server.running:
            time.sleep(POLL_SECONDS)
        name = "Shotover" if server.running else "the server"
        log = proxy.log if server.running else server.log
        print(f"\n{name} ended by itself:\n{log.read_text()[-2000:]}", file=sys.stderr)


class Stopped(Exception):
    """The user wants to leave."""


def address(text: str, name: str) -> tuple[str, int]:
    """(host, port) of HOST:PORT or [HOST]:PORT."""
    host, _colon, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        sys.exit(f"{name}={text}: expected HOST:PORT, such as 127.0.0.1:6380")
    return host.strip("[]"), int(port)


def refuse_if_taken(host: str, port: int) -> None:
    """End with a line that names who listens there already, and the way out."""
    error = listen_error(host, port)
    if error is None:
        return
    if error.errno != errno.EADDRINUSE:
        sys.exit(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            f"choose another address: make run LISTEN=127.0.0.1:{free_port()}"
        )
    who = listener(port)
    sys.exit(
        f"{host}:{port} is in use{' by ' + who if who else ''}; "
        f"choose another port: make run LISTEN={host}:{free_port()}"
    )


def listen_error(host: str, port: int) -> OSError | None:
    """Why nobody can listen there now."""
    try:
        family, kind, protocol, _name, target = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def listener(port: int) -> str:
    """Who listens on `port`: "NAME (pid N)"; empty when the system does not tell."""
    if shutil.which("ss"):
        text = output("ss", "-Hltnp", f"sport = :{port}")
        found = re.search(r'\("([^"]+)",pid=(\d+)', text)
        return f"{found[1]} (pid {found[2]})" if found else ""
    if shutil.which("lsof"):
        text = output("lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc")
        found = re.search(r"^p(\d+)\nc(.*)$", text, re.MULTILINE)
        return f"{found[2]} (pid {found[1]})" if found else ""
    return ""


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def metrics_address(wanted: str) -> str:
    """`wanted`, or a free port when that is taken: nobody's try should fail for the metrics."""
    host, port = address(wanted, "METRICS")
    if listen_error(host, port) is None:
        return wanted
    found = f"127.0.0.1:{free_port()}"
    print(f"{wanted} is in use; metrics go to {found}")
    return found


def start_proxy(listen: str, metrics: str, server_port: int, place: Path) -> Program:
    """Shotover as a user starts it, from the folder of the checkout."""
    os.chdir(ROOT)
    command = [sys.executable, "-m", "shotover", "-t", TOPOLOGY, "-c", CONFIG]
    return Program(
        command,
        place / "shotover.log",
        LISTEN=listen,
        METRICS=metrics,
        REDIS=f"127.0.0.1:{server_port}",
    )


def converse(host: str, port: int) -> None:
    """Send COMMANDS through the proxy and print what came back."""
    for words in COMMANDS:
        reply = ask(port, *(word.encode() for word in words), host=host)
        line = " ".join(f'"{word}"' if " " in word else word for word in words)
        print(f"  {line:<32} {shown(reply)}")


def shown(reply: bytes) -> str:
    """A reply on one line: its values, without the marks of the protocol."""
    lines = reply.decode().split("\r\n")[:-1]
    values = [line for line in lines if line[:1] not in ("*", "$")]
    return " ".join(value[1:] if value[:1] in ("+", "-", ":") else value for value in values)


def tell(host: str, port: int, metrics: str) -> None:
    """What a user can do now."""
    name = "" if host in ("127.0.0.1", "localhost", "0.0.0.0") else f"-h {host} "
    client = (
        "redis-cli" if shutil.which("redis-cli") or not shutil.which("valkey-cli") else "valkey-cli"
    )
    print(f"try it        {client} {name}-p {port}")
    print(f"topology      {TOPOLOGY}")
    print(f"metrics       http://{metrics}/metrics")
    print("Ctrl-C ends both", flush=True)


def end(proxy: Program | None, server: Program) -> int:
    """Stop Shotover, then the server: the exit code of the whole."""
    code = proxy.stop() if proxy else 1
    server.stop()
    if code:
        print(f"Shotover ended with {code}", file=sys.stderr)
    return 1 if code else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Stopped:
        print("\nstopped")
