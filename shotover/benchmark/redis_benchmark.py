"""The other generator: redis-benchmark, where it is installed, for figures that others can compare with theirs."""

from __future__ import annotations

import csv
import io
import resource
import subprocess
from functools import cache

from shotover.benchmark.cases import Case
from shotover.benchmark.generator import LoadResult
from shotover.benchmark.histogram import Histogram
from shotover.benchmark.processes import Address

PROBE_REQUESTS = 2_000


def run_redis_benchmark(case: Case, address: Address, seconds: float) -> LoadResult:
    """About `seconds` of the case's load: a short probe first tells how many requests that is. Raises RuntimeError."""
    count = request_count(case, address, seconds)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = run_once(case, address, count)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result_of_row(rows, count, cpu_s)


@cache
def request_count(case: Case, address: Address, seconds: float) -> int:
    """The same for all rounds of a target, so that rounds are comparable."""
    probe = max(PROBE_REQUESTS, case.clients * case.pipeline * 4)
    return max(probe, int(float(run_once(case, address, probe)["rps"]) * seconds))


def run_once(case: Case, address: Address, count: int) -> dict[str, str]:
    """The row of --csv."""
    command = [
        "redis-benchmark",
        "-h",
        address[0],
        "-p",
        str(address[1]),
        "-n",
        str(count),
        "-c",
        str(case.clients),
        "-P",
        str(case.pipeline),
        "-r",
        str(case.key_count),
        "--csv",
        *case.redis_benchmark,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"redis-benchmark: {error}") from error
    return parse_csv(done.stdout, done.stderr)


def parse_csv(text: str, errors: str = "") -> dict[str, str]:
    """The one row below the header; anything before the header is a warning. Raises RuntimeError when there is none."""
    start = text.find('"test"')
    rows = list(csv.DictReader(io.StringIO(text[start:]))) if start >= 0 else []
    if not rows or not rows[0].get("rps"):
        raise RuntimeError(f"redis-benchmark printed no figures: {(errors or text).strip()[-300:]}")
    return dict(rows[0])


def result_of_row(row: dict[str, str], count: int, cpu_seconds: float) -> LoadResult:
    """redis-benchmark tells no histogram: two percentiles are all there is of latency."""
    return LoadResult(
        replies=count,
        issued=count,
        errors=0,
        wrong=0,
        nils=0,
        lost=0,
        closed=0,
        dropped=0,
        seconds=count / float(row["rps"]),
        latency=Histogram(),
        cpu_us_per_request=cpu_seconds * 1e6 / count,
        percentiles={
            "p50_us": float(row["p50_latency_ms"]) * 1e3,
            "p99_us": float(row["p99_latency_ms"]) * 1e3,
        },
    )
