"""Fetches and builds the clients of other languages into build/clients: what `make test-clients` does first.

Each client is a folder here: a program, its libraries with pinned versions, and a lock file. They are fetched by the
language's own tool (npm, go, mvn), with whatever it is set up to fetch from. A client that is built is left alone until
its folder or its toolchain changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build" / "clients"
STAMP = "built"
GET_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


class Missing(Exception):
    """What is not on this machine, and what to do about it."""


def tool(name: str, what: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name} is not on PATH: install {what}, or choose others (CLIENTS=...)")
    return path


def run(command: list[str], folder: Path, **environment: str) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Missing(f"{' '.join(command)} failed in {folder}:\n{done.stdout}{done.stderr}")


def node(source: Path, target: Path) -> list[str]:
    program = tool("node", "Node.js 20 or newer")
    for path in source.iterdir():
        shutil.copy(path, target)
    run([tool("npm", "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], target)
    return [program, str(target / "client.mjs")]


def go(source: Path, target: Path) -> list[str]:
    program = target / "client"
    run(
        [tool("go", "Go 1.24 or newer"), "build", "-mod=readonly", "-o", str(program), "."],
        source,
        GOTOOLCHAIN="local",
        GOWORK="off",
    )
    return [str(program)]


def java(source: Path, target: Path) -> list[str]:
    program, compiler = tool("java", "a JDK 17 or newer"), tool("javac", "a JDK 17 or newer")
    maven = tool("mvn", "Maven 3")
    shutil.copy(source / "pom.xml", target)
    jars = target / "jars"
    run([maven, "--batch-mode", "--quiet", GET_JARS, f"-DoutputDirectory={jars}"], target)
    check_jars(jars, source / "jars.sha256")
    run(
        [compiler, "-nowarn", "-d", "classes", "-cp", f"{jars}/*", str(source / "Client.java")],
        target,
    )
    return [
        program,
        "-Xshare:auto",
        "-XX:+UseSerialGC",
        "-cp",
        f"{target / 'classes'}:{jars}/*",
        "Client",
    ]


def check_jars(jars: Path, lock: Path) -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in jars.iterdir()}
    text = "".join(f"{found[name]}  {name}\n" for name in sorted(found))
    if os.environ.get("WRITE_LOCKS"):
        lock.write_text(text)
    if text != lock.read_text():
        raise Missing(f"the jars in {jars} are not those of {lock}; WRITE_LOCKS=1 writes it anew")


CLIENTS: dict[str, Callable[[Path, Path], list[str]]] = {
    "node-redis": node,
    "ioredis": node,
    "go-redis": go,
    "jedis": java,
    "lettuce": java,
}


def chosen() -> list[str]:
    """Those that the variable CLIENTS names, or all."""
    return os.environ.get("CLIENTS", "").split() or list(CLIENTS)


def digest(name: str) -> str:
    """Of all that the build of a client depends on."""
    state = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted((HERE / name).iterdir()):
        state.update(path.name.encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


def built(name: str) -> list[str]:
    """The command of a client that is built; Missing if it is not."""
    stamp = BUILD / name / STAMP
    lines = stamp.read_text().splitlines() if stamp.exists() else [""]
    if lines[0] != digest(name):
        raise Missing(f"the client {name} is not built: make test-clients builds it")
    return lines[1:]


def build(name: str) -> None:
    try:
        built(name)
        return
    except Missing:
        print(f"building the client {name}", flush=True)
    target = BUILD / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    command = CLIENTS[name](HERE / name, target)
    (target / STAMP).write_text("\n".join([digest(name), *command]))


def main() -> int:
    names = chosen()
    unknown = set(names) - set(CLIENTS)
    if unknown:
        print(f"no such client: {', '.join(sorted(unknown))}; there are {', '.join(CLIENTS)}")
        return 2
    for name in names:
        try:
            build(name)
        except Missing as error:
            print(f"test-clients: {name}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
