"""Results as one HTML file that needs nothing else: tables, verdicts, plots."""

from __future__ import annotations

from html import escape

from shotover.benchmark.figures import METRICS, Results, Verdict, verdicts
from shotover.benchmark.plots import PERCENTS, bars, curves
from shotover.benchmark.report import (
    TITLES,
    case_rows,
    doubt_line,
    ratio_lines,
    summary_line,
)
from shotover.benchmark.saved import whole_latency

STYLE = """
:root { color-scheme: light dark; --line: #8a8f9855; --ok: #15803d; --missed: #dc2626; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; } h3 { font-size: 1rem; margin-bottom: .2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
.ok { color: var(--ok); } .missed { color: var(--missed); font-weight: 600; } .unknown { opacity: .7; }
svg { width: 100%; max-width: 46rem; display: block; } svg text { font-size: 12px; fill: currentColor; }
.grid { stroke: var(--line); } .whisker { stroke: currentColor; stroke-width: 1.5; }
nav a { margin-right: .8rem; }
"""
HEADLINES = {
    "startup": "accepting_ms",
    "idle": "idle_bytes",
    "hops": "hop_ns",
    "open": "p50_us",
    "disturbed": "p99_us",
    "idle-beside": "p99_us",
}


def table(rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:]
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def verdict_item(verdict: Verdict) -> str:
    kind = {True: "ok", False: "missed", None: "unknown"}[verdict.met]
    return f'<li class="{kind}">{escape(verdict.demand.target)}: {escape(verdict.text())}</li>'


def case_plots(results: Results, case: str) -> str:
    """The case's own headline as bars; latency by percentile where it was measured."""
    targets = results.targets(case)
    metric = HEADLINES.get(case, "cpu_us")
    figures = [
        (target, found) for target in targets if (found := results.spread(case, target, metric))
    ]
    title = METRICS[metric].title
    parts = (
        [f"<h3>{escape(title)}</h3>", bars(f"{case}: {title}", figures, METRICS[metric].decimals)]
        if figures
        else []
    )
    lines = [
        (target, [(percent, value / 1e3) for percent, value in histogram.curve(PERCENTS)])
        for target in targets
        if (histogram := whole_latency(results, case, target)).counts
    ]
    if lines:
        parts += ["<h3>latency by percentile, all rounds</h3>", curves(f"{case}: latency", lines)]
    return "".join(parts)


def case_section(results: Results, case: str) -> str:
    items = "".join(verdict_item(verdict) for verdict in verdicts(results, case))
    ratios = "".join(f"<p>{escape(line)}</p>" for line in ratio_lines(results, case))
    return (
        f'<section id="{escape(case)}"><h2>{escape(TITLES.get(case, case))}</h2>'
        + table(case_rows(results, case))
        + ratios
        + (f"<ul>{items}</ul>" if items else "")
        + case_plots(results, case)
        + "</section>"
    )


def page_html(results: Results) -> str:
    """The page; well-formed as XML too, the doctype apart."""
    cases = results.cases()
    setting = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>"
        for name, value in results.setting.items()
    )
    links = "".join(f'<a href="#{escape(case)}">{escape(case)}</a> ' for case in cases)
    closing = [summary_line(results), doubt_line(results), *results.notes]
    notes = "".join(f"<li>{escape(line)}</li>" for line in closing if line)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>shotover-bench</title><style>{STYLE}</style></head><body><h1>shotover-bench</h1>"
        "<p>Medians over rounds, least and most in brackets. Ratios are taken within a round. "
        "CPU a request is the proxy's own, by the operating system's accounting; for “direct” it is the server's.</p>"
        f"<table><tbody>{setting}</tbody></table><ul>{notes}</ul><nav>{links}</nav>"
        + "".join(case_section(results, case) for case in cases)
        + "</body></html>\n"
    )
