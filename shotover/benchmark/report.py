"""Results as text: a table a case, what Shotover is to each peer, the verdicts, and what to doubt."""

from __future__ import annotations

from shotover.benchmark.cases import SUITES
from shotover.benchmark.figures import METRICS, Results, Spread, Verdict, verdicts

TITLES = {case.name: case.title for cases in SUITES.values() for case in cases}
RANGED = (
    "rps",
    "cpu_us",
    "hop_ns",
    "accepting_ms",
    "idle_bytes",
)  # written with their least and most
COLUMNS = (
    "rps",
    "p50_us",
    "p99_us",
    "p999_us",
    "cpu_us",
    "user_us",
    "system_us",
    "server_us",
    "syscalls",
    "hop_ns",
    "accepting_ms",
    "first_reply_ms",
    "start_cpu_ms",
    "idle_bytes",
    "used_bytes",
    "growth_mib",
    "rss_mib",
    "peak_mib",
    "generator_us",
)
BASES = ("nutcracker", "haproxy")  # peers whose ratio has a column of its own


def figure(found: Spread | None, metric: str, ranged: bool) -> str:
    """A median, with its range when asked for and there is one; "-" for nothing."""
    if found is None:
        return "-"
    decimals = METRICS[metric].decimals
    text = f"{found.median:,.{decimals}f}"
    if ranged and found.count > 1:
        text += f" ({found.least:,.{decimals}f}-{found.most:,.{decimals}f})"
    return text


def case_rows(results: Results, case: str) -> list[list[str]]:
    """A header and a row for each target; only columns that somebody has a figure for."""
    targets = results.targets(case)
    columns = [
        name for name in COLUMNS if any(results.spread(case, target, name) for target in targets)
    ]
    bases = [base for base in BASES if base in targets and "cpu_us" in columns]
    header = (
        ["target"] + [METRICS[name].title for name in columns] + [f"CPU x {base}" for base in bases]
    )
    rows = [header]
    for target in targets:
        row = [target] + [
            figure(results.spread(case, target, name), name, name in RANGED) for name in columns
        ]
        for base in bases:
            ratio = results.ratio(case, target, base, "cpu_us")
            row.append(f"{ratio.median:.2f}" if ratio else "-")
        rows.append(row)
    return rows


def aligned(rows: list[list[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    ]


def ratio_lines(results: Results, case: str) -> list[str]:
    """CPU a request of each Shotover to every other proxy: per round, then the median."""
    targets = results.targets(case)
    ours = [target for target in targets if target.startswith("shotover")]
    others = [target for target in targets if target not in ours and target != "direct"]
    lines = []
    for target in ours:
        parts = []
        for other in others:
            ratio = results.ratio(case, target, other, "cpu_us")
            if ratio:
                parts.append(f"{ratio.median:.2f} x {other} ({ratio.least:.2f}-{ratio.most:.2f})")
        if parts:
            lines.append(f"{target}, CPU a request: " + ", ".join(parts))
    return lines


def case_lines(results: Results, case: str) -> list[str]:
    lines = [f"{TITLES.get(case, case)}  [{case}]"]
    lines += ["  " + line for line in aligned(case_rows(results, case))]
    lines += ["  " + line for line in ratio_lines(results, case)]
    lines += ["  demand: " + verdict.text() for verdict in verdicts(results, case)]
    return lines


def all_verdicts(results: Results) -> list[Verdict]:
    return [verdict for case in results.cases() for verdict in verdicts(results, case)]


def summary_line(results: Results) -> str:
    """How many demands are met; empty when there is nothing to judge."""
    judged = [verdict for verdict in all_verdicts(results) if verdict.met is not None]
    if not judged:
        return ""
    missed = [f"{verdict.demand.case}: {verdict.text()}" for verdict in judged if not verdict.met]
    line = f"{len(judged) - len(missed)} of {len(judged)} demands met"
    return line + ("; missed:\n  " + "\n  ".join(missed) if missed else "")


def doubt_line(results: Results) -> str:
    """How much other work the machine did meanwhile, in cores; empty where that is not known."""
    loads = sorted(turn.values["other_cpu"] for turn in results.turns if "other_cpu" in turn.values)
    if not loads:
        return ""
    return f"other work on the machine: {loads[len(loads) // 2]:.2f} cores in the median turn, {loads[-1]:.2f} in the worst"


def report_text(results: Results) -> str:
    """The whole report, for a terminal."""
    blocks = ["\n".join(f"{name:<12} {value}" for name, value in results.setting.items())]
    blocks += ["\n".join(case_lines(results, case)) for case in results.cases()]
    closing = [summary_line(results), doubt_line(results)] + [
        f"note: {note}" for note in results.notes
    ]
    blocks.append("\n".join(line for line in closing if line))
    return "\n\n".join(block for block in blocks if block) + "\n"
