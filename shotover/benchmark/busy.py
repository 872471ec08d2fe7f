"""A Python thread that never rests: beside Shotover in the same process, or alone in a process of its own.

python -m shotover.benchmark.busy inside -t topology.yaml ...    Shotover's command line, with a busy thread
python -m shotover.benchmark.busy beside                         only the busy loop, until it is ended
"""

from __future__ import annotations

import sys
import threading


def spin() -> None:
    """Pure Python work: holds the GIL whenever it may."""
    number = 0
    while True:
        number = (number * 31 + 7) % 1_000_003


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["beside"]:
        spin()
    if arguments[:1] != ["inside"]:
        print(__doc__, file=sys.stderr)
        return 2
    from shotover.cli import main as shotover

    threading.Thread(target=spin, daemon=True).start()
    return shotover(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
