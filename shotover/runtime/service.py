"""`shotover service install`: what a host needs so that its systemd runs the proxy.

A user of its own (by way of sysusers.d), folders, two files to begin with, the unit, the manual page, completions. Topology and
settings that are there are left alone; the rest is written anew, as an upgrade may need. Everything is planned before anything
is done, so that --dry-run prints just that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from shotover.config.errors import ConfigError
from shotover.runtime import manpage
from shotover.runtime.completion import script
from shotover.runtime.service_unit import quoted, unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from shotover.runtime.grammar import Verb

FOLDER = "/etc/shotover"
SHARE = "/usr/local/share"
SCRIPTS = {
    "bash": "bash-completion/completions/shotover",
    "zsh": "zsh/site-functions/_shotover",
    "fish": "fish/vendor_completions.d/shotover.fish",
}
"""Where shells look for completions."""
NAME_MAX = 31  # of a user, as Linux has it
HOMES = ("/home", "/root", "/run/user")
"""What ProtectHome in the unit hides."""

TOPOLOGY = """\
# What is served: `shotover docs topology`. This stands before a Redis or Valkey on the same machine.
sources:
  - Redis:
      name: cache
      listen_addr: "127.0.0.1:6380"
      connection_limit: 10000
      client_memory_limit: 16MiB
      chain:
        - QueryCounter:
            name: all
        - RedisSinkSingle:
            remote_address: "127.0.0.1:6379"
            connect_timeout_ms: 1000
            read_timeout: 5
"""
CONFIG = """\
# What the process may take, and where it is looked at: `shotover docs process`.
observability_interface: 127.0.0.1:9001
memory_limit: 256MiB
drain_timeout_seconds: 10
"""
SYSUSERS = """\
# The user that shotover.service runs as.
u {user} - "Shotover, a proxy before databases" - /usr/sbin/nologin
"""


class Step:
    """Something to do: a folder (`text` is None) or a file. `keep`: one that is there is somebody's, and stays."""

    def __init__(self, path: str, mode: int, text: str | None = None, keep: bool = False) -> None:
        self.path = path
        self.mode = mode
        self.text = text
        self.keep = keep

    def shown(self) -> str:
        kind = "folder" if self.text is None else "file"
        return f"{kind} {self.path} ({self.mode:04o})"


def install(options: argparse.Namespace, verbs: list[Verb], version: str) -> int:
    """Does it, or prints it. Raises ConfigError."""
    user = checked_user(options.user)
    steps = plan(user, command(options), verbs, version)
    root = options.root or ""
    if options.dry_run:
        for step in steps:
            print(f"# {step.shown()}{', unless it is there' if step.keep else ''}")
            print(step.text if step.text is not None else "")
        return 0
    if not root and os.geteuid() != 0:
        raise ConfigError(
            [
                "only root may install a service: run it with sudo, look at it with --dry-run, or write into a folder with --root"
            ]
        )
    try:
        for step in steps:
            print(carry_out(step, root))
        for line in register(user, root):
            print(line)
    except OSError as error:
        raise ConfigError(
            [f"{error.filename or root}: {(error.strerror or str(error)).lower()}"]
        ) from error
    print(f"now write {FOLDER}/topology.yaml, then: systemctl enable --now shotover")
    return 0


def plan(user: str, line: list[str], verbs: list[Verb], version: str) -> list[Step]:
    return [
        Step(f"{SHARE}/man/man1/shotover.1", 0o644, manpage.page(verbs, version)),
        *(Step(f"{SHARE}/{path}", 0o644, script(shell, verbs)) for shell, path in SCRIPTS.items()),
        Step("/etc/sysusers.d/shotover.conf", 0o644, SYSUSERS.format(user=user)),
        Step(FOLDER, 0o755),
        Step(f"{FOLDER}/topology.yaml", 0o644, TOPOLOGY, keep=True),
        Step(f"{FOLDER}/config.yaml", 0o644, CONFIG, keep=True),
        Step(
            "/etc/systemd/system/shotover.service",
            0o644,
            unit(quoted(line), user, systemd_version()),
        ),
    ]


def command(options: argparse.Namespace) -> list[str]:
    """What the unit starts: the program of this environment, unless another is named."""
    program = options.program or os.path.join(os.path.dirname(sys.executable), "shotover")
    if not os.path.isabs(program):
        raise ConfigError([f"--program: expected an absolute path, got {program}"])
    python = [] if options.program else [os.path.realpath(sys.executable)]
    for path in (program, *python):
        if path.startswith(tuple(f"{home}/" for home in HOMES)):
            raise ConfigError(
                [
                    f"{path} is in somebody's home, which the service does not see: install Shotover elsewhere (python3 -m venv "
                    "/opt/shotover), or name the program with --program"
                ]
            )
    words = [program, "-t", f"{FOLDER}/topology.yaml", "-c", f"{FOLDER}/config.yaml"]
    if options.core_threads != 1:
        words += ["--core-threads", str(options.core_threads)]
    return words


def checked_user(name: str) -> str:
    plain = name.replace("-", "").replace("_", "")
    if not (plain.isascii() and plain.isalnum() and name[0].isalpha() and name.islower()):
        raise ConfigError([f"--user: expected small letters, digits, - and _, got {name}"])
    if len(name) > NAME_MAX or name == "root":
        raise ConfigError([f"--user: {name} cannot be the service's own user"])
    return name


def carry_out(step: Step, root: str) -> str:
    """What was done, for people. Raises OSError."""
    path = root + step.path
    if step.text is None:
        if os.path.isdir(path):
            return f"there already: {step.path}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.mkdir(path)
        os.chmod(path, step.mode)
        return f"made {step.path}"
    if os.path.lexists(path):
        with open(path, encoding="utf-8") as stream:
            same = stream.read() == step.text
        if same or step.keep:
            return f"{'there already' if same else 'left as it is'}: {step.path}"
    replace(path, step)
    return f"wrote {step.path}"


def replace(path: str, step: Step) -> None:
    """Whoever reads it meanwhile sees the old one or the new one, never half."""
    assert step.text is not None
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = f"{path}.new"
    with open(new, "w", encoding="utf-8") as stream:
        stream.write(step.text)
    os.chmod(new, step.mode)
    os.replace(new, path)


def register(user: str, root: str) -> list[str]:
    """The user is made, and systemd reads its units again. Words for people."""
    sysusers = shutil.which("systemd-sysusers")
    if sysusers is None:
        return [f"there is no systemd-sysusers: make the user yourself: useradd --system {user}"]
    said = [f"made the user {user}, unless it was there"]
    flags = [f"--root={os.path.abspath(root)}"] if root else []
    commands = [[sysusers, *flags, "shotover.conf"]]
    if not root and os.path.isdir("/run/systemd/system") and shutil.which("systemctl"):
        commands.append(["systemctl", "daemon-reload"])
        said.append("told systemd")
    for each in commands:
        done = subprocess.run(each, capture_output=True, text=True, check=False)
        if done.returncode:
            words = (done.stderr or done.stdout).strip().split("\n")[-1]
            raise ConfigError([f"{' '.join(each)}: {words or f'exit code {done.returncode}'}"])
    return said


def systemd_version() -> int | None:
    """Of this host's systemd; None: there is none that says so."""
    try:
        done = subprocess.run(
            ["systemctl", "--version"], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    words = done.stdout.split()
    return (
        int(words[1]) if len(words) > 1 and words[0] == "systemd" and words[1].isdigit() else None
    )
