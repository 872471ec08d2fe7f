"""Plays one seed: python tests/simulation SEED [WORKLOAD] [--trace]; several: python tests/simulation --seeds 0:200."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT / "tests")
sys.path.append(str(ROOT))

from simulation import cluster_workloads as _cluster_workloads  # noqa: E402, F401  they register themselves
from simulation import cql_cache as _cql_cache  # noqa: E402, F401
from simulation import cql_ring_workloads as _cql_ring_workloads  # noqa: E402, F401
from simulation import cql_workloads as _cql_workloads  # noqa: E402, F401
from simulation.plan import Plan  # noqa: E402
from simulation.run import play  # noqa: E402
from simulation.workloads import WORKLOADS, plan_for, with_replaces  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="the seed of one run")
    parser.add_argument(
        "workload",
        nargs="?",
        default="",
        choices=["", *WORKLOADS],
        metavar="WORKLOAD",
        help=f"one of {', '.join(WORKLOADS)}; without it the seed chooses",
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace the source a few times in each run"
    )
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    parser.add_argument(
        "--seeds", metavar="FIRST:END", help="many runs instead of one; prints those that fail"
    )
    parser.add_argument(
        "--only",
        default="",
        metavar="WORD",
        help="with --seeds: workloads whose names begin so, in turn",
    )
    parser.add_argument(
        "--first", action="store_true", help="with --seeds: stop at the first that fails"
    )
    parser.add_argument(
        "--seconds", type=float, default=3600, help="with --seeds: begin no run after so long"
    )
    options = parser.parse_args()
    make = with_replaces if options.replace else plan_for
    if options.seeds:
        first, _, end = options.seeds.partition(":")
        seeds = range(int(first or 0), int(end))
        return many(make, seeds, options.only, options.first, options.seconds)
    if options.seed is None:
        parser.error("a seed, or --seeds")
    return one(make(options.seed, options.workload), options.trace)


def one(plan: Plan, trace: bool) -> int:
    simulation = play(plan, trace)
    if trace:
        print("\n".join(simulation.trace()))
    print(plan.topology)
    print(f"{plan.sentence()}: {simulation.turns} turns, digest {simulation.digest()}")
    for violation in simulation.violations:
        print("VIOLATION:", violation)
    return bool(simulation.violations)


def many(
    make: Callable[[int, str], Plan], seeds: range, workload: str, first: bool, seconds: float
) -> int:
    begun = time.monotonic()
    played = failed = 0
    names = [name for name in WORKLOADS if name.startswith(workload)]
    for seed in seeds:
        if time.monotonic() - begun > seconds:
            break
        played += 1
        plan = make(seed, names[seed % len(names)])
        violations = play(plan).violations
        if violations:
            failed += 1
            print(
                f"python tests/simulation {seed} {plan.workload}{' --replace' * bool(plan.replaces)}: "
                f"{violations[0][:300]}",
                flush=True,
            )
            if first:
                break
    print(f"{played} runs, {failed} failed, {time.monotonic() - begun:.1f} s")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
