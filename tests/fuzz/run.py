"""Looks for inputs that break a parser. `make fuzz` runs it in the build that has sanitizers and tells where code goes.

    run.py --seconds 60                     all targets, in turn, by as many processes as there are cores
    run.py --target replies --seconds 600   one of them
    run.py --target replies --replay FILE   one input; FILE is named by a run that has failed
    run.py --keep                           what was found to lead somewhere new goes into corpus/, to be committed

An input is a known one, changed a little (mutate.py). If it takes code where none has gone before, it is known from then
on; its way is told by trace.c. Each target runs in a process of its own, which a finding may end: the input lies in a
file mapped into memory, so it is there afterwards.
"""

from __future__ import annotations

import argparse
import ast
import ctypes
import hashlib
import mmap
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
sys.path.append(str(ROOT))  # last: the variant of the build goes before the checkout

from fuzz.mutate import INPUT_BYTES_MAX, mutate  # noqa: E402
from fuzz.targets import TARGETS, Target  # noqa: E402

WORK = ROOT / "build" / "fuzz"
FOUND = WORK / "found"
KNOWN = HERE / "corpus"
HANG_SECONDS = 20
"""What one input may take: sanitizers and a busy machine included."""
UNTOLD_MAX = 1000
"""Inputs that are built upon where nobody tells which lead somewhere new."""
KEPT_BYTES_MAX = 400
HEADER = 4
"""Bytes before the input in the mapped file: its size."""


class Trace:
    """Where the code of an input has gone; without the library that tells (trace.c), nothing is ever new."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        nothing: Callable[[], int] = lambda: 0  # noqa: E731
        self.active = hasattr(library, "trace_begin")
        self.begin = library.trace_begin if self.active else nothing
        self.end = library.trace_end if self.active else nothing
        self.edges = library.trace_edges if self.active else nothing
        self.forget = library.trace_forget if self.active else nothing


def known_inputs(target: Target) -> list[bytes]:
    """Seeds, and what earlier runs have found to lead somewhere new; without doubles."""
    path = KNOWN / f"{target.name}.txt"
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return list(dict.fromkeys([b"", *target.seeds(), *map(ast.literal_eval, lines)]))


def keep(target: Target, inputs: Sequence[bytes]) -> None:
    """As few and short ones as take every edge that all take. One literal a line: a change of it can be read."""
    KNOWN.mkdir(exist_ok=True)
    trace = Trace()
    trace.forget()
    lines = []
    for data in [b"", *target.seeds(), *sorted(inputs, key=lambda data: (len(data), data))]:
        before = trace.edges()
        trace.begin()
        target.run(data)
        trace.end()
        if (
            trace.edges() > before
            and data not in target.seeds()
            and 0 < len(data) <= KEPT_BYTES_MAX
        ):
            lines.append(ascii(data))
    (KNOWN / f"{target.name}.txt").write_text(
        "".join(f"{line}\n" for line in lines), encoding="ascii"
    )


# ---- one target, in this process ---------------------------------------------------------------------------------


def hunt(
    target: Target, seed: int, seconds: float, count_max: int | None, current: mmap.mmap | bytearray
) -> tuple[list[bytes], int, int]:
    """Tries inputs until time or `count_max` is up: (those that led somewhere new, tried, edges seen)."""
    chance = random.Random(seed)
    trace = Trace()
    corpus: list[bytes] = []
    waiting = sorted(known_inputs(target), key=len)
    count = 0
    end = time.monotonic() + seconds
    while waiting or ((count_max is None or count < count_max) and time.monotonic() < end):
        data = (
            waiting.pop(0)
            if waiting
            else mutate(chance, pick(chance, corpus), corpus, target.tokens)
        )
        current[HEADER : HEADER + len(data)] = data
        current[:HEADER] = len(data).to_bytes(HEADER, "little")
        signal.alarm(HANG_SECONDS)
        trace.begin()
        target.run(data)
        fresh = trace.end()
        count += 1
        if fresh or (not (trace.active and target.compiled) and count <= UNTOLD_MAX):
            corpus.append(data)
    signal.alarm(0)
    return corpus, count, trace.edges()


def pick(chance: random.Random, corpus: list[bytes]) -> bytes:
    """One to change: the latest lead on more often than the first."""
    if chance.random() < 0.5:
        return corpus[-1 - int(min(chance.expovariate(0.05), len(corpus) - 1))]
    return chance.choice(corpus)


def child(arguments: argparse.Namespace) -> int:
    """What runs in a process of its own. Ends with 1 on a broken property, by a signal on worse."""
    target = TARGETS[arguments.target]
    with open(arguments.child, "r+b") as file, mmap.mmap(file.fileno(), 0) as current:
        try:
            corpus, count, edges = hunt(target, arguments.seed, arguments.seconds, None, current)
        except Exception:
            traceback.print_exc()
            return 1
    told = (
        f"{len(corpus)} led somewhere new, {edges} edges"
        if target.compiled
        else "its code tells nothing"
    )
    print(f"{target.name}: {count} inputs, {told}", flush=True)
    if arguments.keep and target.compiled:
        keep(target, corpus)
    return 0


# ---- all of them -------------------------------------------------------------------------------------------------


def guard(target: Target, seconds: float, seed: int, kept: bool) -> bool:
    """Runs a child and keeps the input that ends it. False: there was one."""
    current = WORK / f"current-{target.name}"
    current.write_bytes(bytes(HEADER + INPUT_BYTES_MAX))
    command = [
        sys.executable,
        str(HERE / "run.py"),
        "--target",
        target.name,
        "--child",
        str(current),
        "--seconds",
        str(seconds),
        "--seed",
        str(seed),
        *(["--keep"] if kept else []),
    ]
    done = subprocess.run(command, check=False)
    if done.returncode == 0:
        current.unlink()
        return True
    raw = current.read_bytes()
    data = raw[HEADER : HEADER + int.from_bytes(raw[:HEADER], "little")]
    FOUND.mkdir(parents=True, exist_ok=True)
    path = FOUND / f"{target.name}-{hashlib.sha1(data).hexdigest()[:10]}"
    path.write_bytes(data)
    print(
        f"{target.name}: {how_it_ended(done.returncode)} on {data[:200]!a}\n"
        f"replay it:  {replay_command(target, path)}",
        file=sys.stderr,
        flush=True,
    )
    return False


def how_it_ended(code: int) -> str:
    if code == -signal.SIGALRM:
        return f"no end after {HANG_SECONDS} s"
    return f"ended by {signal.Signals(-code).name}" if code < 0 else "a property does not hold"


def replay_command(target: Target, path: Path) -> str:
    return f"make fuzz ARGS='--target {target.name} --replay {os.path.relpath(path, ROOT)}'"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", choices=sorted(TARGETS), help="only this one")
    parser.add_argument("--seconds", type=float, default=60, help="for all of it (default: 60)")
    parser.add_argument(
        "--seed", type=int, default=None, help="of the changes; another one in each run by default"
    )
    parser.add_argument("--replay", type=Path, help="one input, in this process")
    parser.add_argument("--keep", action="store_true", help="write what was found into corpus/")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return child(arguments)
    if arguments.replay:
        if not arguments.target:
            parser.error("--replay needs --target")
        TARGETS[arguments.target].run(arguments.replay.read_bytes())
        print(f"{arguments.replay}: nothing breaks")
        return 0
    if not Trace().active:
        print(
            "this build does not tell where code goes: inputs are changed at random only (see make fuzz)",
            flush=True,
        )
    chosen = [TARGETS[arguments.target]] if arguments.target else list(TARGETS.values())
    seed = (
        arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    )
    jobs = min(len(chosen), os.cpu_count() or 1)
    WORK.mkdir(parents=True, exist_ok=True)
    print(f"{', '.join(target.name for target in chosen)}; --seed {seed}", flush=True)
    with ThreadPoolExecutor(jobs) as pool:
        seconds = arguments.seconds * jobs / len(chosen)
        good = list(pool.map(lambda target: guard(target, seconds, seed, arguments.keep), chosen))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
