"""Results as a JSON file and back, so that a page can be drawn later and sessions laid together."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

from shotover.benchmark.figures import Results, Turn, verdicts
from shotover.benchmark.histogram import Histogram, merged

FORMAT = 1


def to_json(results: Results) -> str:
    """Turns, settings, notes, verdicts; latencies as counts by bucket, and as HdrHistogram where the library is there."""
    pairs = [(case, target) for case in results.cases() for target in results.targets(case)]
    document = {
        "format": FORMAT,
        "setting": results.setting,
        "notes": results.notes,
        "turns": [turn_out(turn) for turn in results.turns],
        "latencies": [
            latency_out(case, target, histogram)
            for case, target in pairs
            if (histogram := whole_latency(results, case, target)).counts
        ],
        "verdicts": [
            {
                "case": case,
                "target": verdict.demand.target,
                "text": verdict.text(),
                "met": verdict.met,
            }
            for case in results.cases()
            for verdict in verdicts(results, case)
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def whole_latency(results: Results, case: str, target: str) -> Histogram:
    """All rounds of a target together."""
    return merged(turn.latency for turn in results.of(case, target) if turn.latency is not None)


def turn_out(turn: Turn) -> dict[str, Any]:
    return {
        "case": turn.case,
        "target": turn.target,
        "round": turn.round,
        "requests": turn.requests,
        "complaint": turn.complaint,
        "values": turn.values,
    }


def latency_out(case: str, target: str, histogram: Histogram) -> dict[str, Any]:
    found: dict[str, Any] = {
        "case": case,
        "target": target,
        "sum_ns": histogram.sum_ns,
        "least_ns": histogram.least_ns,
        "most_ns": histogram.most_ns,
        "counts": {str(index): count for index, count in sorted(histogram.counts.items())},
    }
    if find_spec("hdrh"):
        found["hdr"] = histogram.to_hdr().encode().decode("ascii")
    return found


def from_json(text: str) -> Results:
    """Raises ValueError when the text is not what to_json writes.

    Latencies come back whole: with the first turn of their target.
    """
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']}; this version reads {FORMAT}")
        results = Results(setting=dict(document["setting"]), notes=list(document["notes"]))
        results.turns = [Turn(**turn) for turn in document["turns"]]
        for entry in document["latencies"]:
            counts = {int(index): count for index, count in entry["counts"].items()}
            turns = results.of(entry["case"], entry["target"])
            turns[0].latency = Histogram(
                counts, entry["sum_ns"], entry["least_ns"], entry["most_ns"]
            )
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"not a result file of shotover-bench: {error!r}") from error
    return results


def together(parts: list[Results]) -> Results:
    """Sessions one behind the other. Rounds of later ones are numbered on, so ratios stay within their session."""
    whole = Results()
    for part in parts:
        whole.setting.update(part.setting)
        whole.notes += [note for note in part.notes if note not in whole.notes]
        first = {
            case: 1 + max((turn.round for turn in whole.turns if turn.case == case), default=-1)
            for case in part.cases()
        }
        for turn in part.turns:
            turn.round += first[turn.case]
        whole.turns += part.turns
    return whole
