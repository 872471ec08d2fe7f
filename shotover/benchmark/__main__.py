"""python -m shotover.benchmark is shotover-bench."""

from shotover.benchmark.cli import main

main(prog_name="shotover-bench")
