"""A proxy at work for as long as you like: python tests/soak --seconds 600 --seed 1; `make soak` runs it.

Exit code 0 when all was well, 1 with a list when it was not. The seed makes clients and faults the same again; what
they meet depends on time, too.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT / "tests")
sys.path.append(str(ROOT))

from soak.run import soak  # noqa: E402


def tell(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long clients ask")
    parser.add_argument("--seed", type=int, default=None, help="drawn if not given")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    outcome = soak(options.seconds, seed, tell)
    tell(outcome.report())
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
