"""Write the Grafana dashboards in configs/observability/ from the tables here.

Hand-kept JSON of a dashboard drifts: a panel is a line here, and a test fails when the files are not as this writes them.
Both go by the variables job and instance, and by any Prometheus as data source.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "configs" / "observability"
COLUMNS = 24  # a dashboard's width, as Grafana counts it
HEIGHT = 8
SMALL_HEIGHT = 4
SCHEMA_VERSION = 39
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

HERE = 'job=~"$job", instance=~"$instance"'
RATE = "$__rate_interval"


@dataclass
class Panel:
    """`queries`: (PromQL, how a line is called); `small`: one number instead of lines; `bound`: from where on it is red."""

    title: str
    about: str
    queries: list[tuple[str, str]]
    unit: str = "short"
    small: bool = False
    width: int = 8
    bound: float | None = None


def rate(name: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({name}{{{HERE}{more}}}[{RATE}]))"


def quantile(share: float, name: str, by: str) -> str:
    buckets = f"rate({name}_bucket{{{HERE}}}[{RATE}])"
    return f"histogram_quantile({share}, sum by ({by}, le) ({buckets}))"


def level(name: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) ({name}{{{HERE}{more}}})"


def latencies(name: str, by: str) -> list[tuple[str, str]]:
    """Half, 99 and 99.9 of a hundred."""
    return [
        (quantile(share, name, by), f"{{{{{by}}}}} {label}")
        for share, label in ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"))
    ]


OVERVIEW: dict[str, list[Panel]] = {
    "At a glance": [
        Panel(
            "Requests",
            "Requests read from clients, a second.",
            [(f"sum(rate(shotover_requests_count{{{HERE}}}[{RATE}]))", "")],
            "reqps",
            small=True,
            width=4,
        ),
        Panel(
            "Failed",
            "Share of requests that a sink failed.",
            [
                (
                    f"clamp_max(sum(rate(shotover_failed_requests_count{{{HERE}}}[{RATE}])) / "
                    f"(sum(rate(shotover_requests_count{{{HERE}}}[{RATE}])) > 0), 1)",
                    "",
                )
            ],
            "percentunit",
            small=True,
            width=4,
            bound=0.01,
        ),
        Panel(
            "p99 of a chain",
            "From a request entering a chain to its reply leaving it; the slowest chain.",
            [(f"max({quantile(0.99, 'shotover_chain_latency_seconds', 'chain')})", "")],
            "s",
            small=True,
            width=4,
            bound=0.25,
        ),
        Panel(
            "Clients",
            "Open client connections.",
            [(f"sum(shotover_connections{{{HERE}}})", "")],
            small=True,
            width=4,
        ),
        Panel(
            "Sinks without a server",
            "Those that none of the workers reaches.",
            [
                (
                    f"count(max by (instance, chain, name) (shotover_upstream_up{{{HERE}}}) == 0) or vector(0)",
                    "",
                )
            ],
            small=True,
            width=4,
            bound=1,
        ),
        Panel(
            "Certificate good for",
            "The first to expire.",
            [(f"min(shotover_tls_certificate_expires_in_seconds{{{HERE}}})", "")],
            "s",
            small=True,
            width=4,
        ),
    ],
    "Traffic": [
        Panel(
            "Requests by source",
            "Read from clients, a second.",
            [(rate("shotover_requests_count", "source"), "{{source}}")],
            "reqps",
        ),
        Panel(
            "Requests by command",
            "As QueryCounters of the topology see them; none without a QueryCounter.",
            [
                (
                    f"topk(10, {rate('shotover_query_count', 'name, query')})",
                    "{{name}} {{query}}",
                )
            ],
            "reqps",
        ),
        Panel(
            "Bytes",
            "With clients, a second.",
            [
                (rate("shotover_client_bytes_received_count", "source"), "{{source}} received"),
                (rate("shotover_client_bytes_sent_count", "source"), "{{source}} sent"),
            ],
            "Bps",
        ),
    ],
    "Time": [
        Panel(
            "In all, by chain",
            "From a request entering a chain to its reply leaving it.",
            latencies("shotover_chain_latency_seconds", "chain"),
            "s",
        ),
        Panel(
            "... of the server",
            "From writing a request to a server to reading its reply.",
            latencies("shotover_upstream_wait_seconds", "chain"),
            "s",
        ),
        Panel(
            "... of the proxy",
            "From reading a request to handing it to a connection, and from the end of a reply to its turn at the client. What "
            "grows while the server's time does not: too little processor.",
            [
                (
                    quantile(0.99, "shotover_source_to_sink_latency_seconds", "sink"),
                    "to {{sink}} p99",
                ),
                (
                    quantile(0.99, "shotover_sink_to_source_latency_seconds", "source"),
                    "to clients of {{source}} p99",
                ),
            ],
            "s",
        ),
    ],
    "Errors and limits": [
        Panel(
            "Failed requests",
            "Requests a sink failed, a second.",
            [(rate("shotover_failed_requests_count", "chain, name"), "{{chain}} {{name}}")],
            "reqps",
        ),
        Panel(
            "Refused",
            "By reason, a second.",
            [(rate("shotover_refusals_count", "reason"), "{{reason}}")],
            "reqps",
        ),
        Panel(
            "Limits hit, protocol broken",
            "Times a configured limit was hit, and clients closed for breaking the protocol, a second.",
            [
                (rate("shotover_limits_hit_count", "limit"), "{{limit}}"),
                (rate("shotover_protocol_errors_count", "source"), "{{source}} broke the protocol"),
            ],
            "ops",
        ),
    ],
    "Process": [
        Panel(
            "Processor",
            "Cores in use; a worker takes one at most.",
            [(f"rate(process_cpu_seconds_total{{{HERE}}}[{RATE}])", "{{instance}}")],
        ),
        Panel(
            "Memory",
            "Resident, and what traffic takes of memory_limit.",
            [
                (f"process_resident_memory_bytes{{{HERE}}}", "{{instance}} resident"),
                (level("shotover_memory_used_bytes", "instance"), "{{instance}} traffic"),
                (
                    f"max by (instance) (shotover_memory_limit_bytes{{{HERE}}}) > 0",
                    "{{instance}} limit",
                ),
            ],
            "bytes",
        ),
        Panel(
            "Connections of clients",
            "Open now, and how many more a source accepts.",
            [
                (level("shotover_connections", "source"), "{{source}}"),
                (level("shotover_available_connections_count", "source"), "{{source}} left"),
            ],
        ),
        Panel(
            "Configuration in force",
            "Its number, and clients that are served as an earlier one said.",
            [
                (f"shotover_config_generation{{{HERE}}}", "{{instance}} generation"),
                (f"shotover_config_earlier_connections{{{HERE}}}", "{{instance}} earlier clients"),
            ],
        ),
        Panel(
            "Turns of the loop",
            "A worker's, a second.",
            [(rate("shotover_loop_turns_count", "instance, worker"), "{{instance}} {{worker}}")],
            "ops",
        ),
        Panel(
            "File descriptors",
            "Open, beside the most there may be.",
            [
                (f"process_open_fds{{{HERE}}}", "{{instance}}"),
                (f"process_max_fds{{{HERE}}}", "{{instance}} limit"),
            ],
        ),
    ],
}

SERVERS: dict[str, list[Panel]] = {
    "Connections to servers": [
        Panel(
            "Reached by",
            "Workers that reach the sink's servers.",
            [(level("shotover_upstream_up", "chain, name"), "{{chain}} {{name}}")],
        ),
        Panel(
            "Open",
            "Connections to servers, and those of them lent to one client.",
            [
                (level("shotover_upstream_connections", "chain, name"), "{{chain}} {{name}}"),
                (level("shotover_leases", "chain, name"), "{{chain}} {{name}} lent"),
            ],
        ),
        Panel(
            "Made, lost, in vain",
            "Connections made, lost with requests under way, and that could not be made, a second.",
            [
                (rate("shotover_upstream_connects_count", "name"), "{{name}} made"),
                (rate("shotover_upstream_lost_count", "name"), "{{name}} lost"),
                (rate("shotover_upstream_connect_failures_count", "name"), "{{name}} in vain"),
            ],
            "ops",
        ),
    ],
    "Replies": [
        Panel(
            "Time of the server",
            "From writing a request to reading its reply.",
            latencies("shotover_upstream_wait_seconds", "name"),
            "s",
        ),
        Panel(
            "Too late, sent again",
            "Replies that came too late, and requests sent to a server again, a second.",
            [
                (rate("shotover_upstream_timeouts_count", "name"), "{{name}} too late"),
                (rate("shotover_upstream_retries_count", "name"), "{{name}} again"),
            ],
            "ops",
        ),
        Panel(
            "Bytes",
            "With servers, a second.",
            [
                (rate("shotover_upstream_bytes_sent_count", "name"), "{{name}} sent"),
                (rate("shotover_upstream_bytes_received_count", "name"), "{{name}} received"),
            ],
            "Bps",
        ),
    ],
    "Leases": [
        Panel(
            "Why connections are lent",
            "To one client alone, by the reason why, a second.",
            [(rate("shotover_leases_count", "reason"), "{{reason}}")],
            "ops",
        ),
        Panel(
            "Limit of AdaptiveConcurrency",
            "Requests it lets be under way, those that are, and those that wait.",
            [
                (level("shotover_concurrency_limit", "name"), "{{name}} limit"),
                (level("shotover_concurrency_under_way", "name"), "{{name}} under way"),
                (level("shotover_concurrency_waiting", "name"), "{{name}} waiting"),
            ],
        ),
        Panel(
            "TLS handshakes",
            "With clients and servers, by how they ended, a second.",
            [(rate("shotover_tls_handshakes_count", "result"), "{{result}}")],
            "ops",
        ),
    ],
    "Clusters": [
        Panel(
            "Servers of a cluster",
            "Those that are in it, and those of them that do not answer.",
            [
                (level("shotover_cluster_nodes", "name"), "{{name}}"),
                (level("shotover_cluster_nodes_down", "name"), "{{name}} down"),
            ],
        ),
        Panel(
            "Slots on the move",
            "Requests that a node sent on, and times that the cluster was asked who has what, a second.",
            [
                (rate("shotover_cluster_moved_count", "name"), "{{name}} moved"),
                (rate("shotover_cluster_ask_count", "name"), "{{name}} ask"),
                (rate("shotover_cluster_refreshes_count", "name"), "{{name}} asked"),
            ],
            "ops",
        ),
        Panel(
            "Requests that wait",
            "For a server, and those that did in vain, a second.",
            [
                (level("shotover_held_requests", "name"), "{{name}} wait"),
                (rate("shotover_held_requests_given_up_count", "name"), "{{name}} in vain"),
            ],
        ),
        Panel(
            "Shards ejected",
            "Servers whose keys others have now.",
            [(level("shotover_shards_ejected", "name"), "{{name}}")],
        ),
        Panel(
            "Sentinels",
            "Workers that a sentinel answers, and failovers within an hour.",
            [
                (level("shotover_sentinel_up", "name, sentinel"), "{{name}} {{sentinel}}"),
                (
                    f"sum by (name) (increase(shotover_failovers_count{{{HERE}}}[1h]))",
                    "{{name}} failovers",
                ),
            ],
        ),
    ],
}

DASHBOARDS: dict[str, tuple[str, dict[str, list[Panel]]]] = {
    "overview": ("Shotover: overview", OVERVIEW),
    "servers": ("Shotover: servers", SERVERS),
}


def panel_of(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bound is not None:
        steps.append({"color": "red", "value": panel.bound})
    targets = [
        {
            "datasource": SOURCE,
            "expr": expr,
            "legendFormat": legend or "__auto",
            "refId": chr(ord("A") + index),
        }
        for index, (expr, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": "stat" if panel.small else "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": SMALL_HEIGHT if panel.small else HEIGHT},
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}}
        if panel.small
        else {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": targets,
    }


def row_of(title: str, number: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
        "panels": [],
    }


def laid_out(rows: dict[str, list[Panel]]) -> list[dict[str, Any]]:
    """Rows under each other, panels from left to right."""
    found: list[dict[str, Any]] = []
    y = 0
    for title, panels in rows.items():
        found.append(row_of(title, len(found) + 1, y))
        x, y, height = 0, y + 1, 0
        for panel in panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            found.append(panel_of(panel, len(found) + 1, x, y))
            x, height = x + panel.width, max(height, found[-1]["gridPos"]["h"])
        y += height
    return found


def variable(name: str, matchers: str = "") -> dict[str, Any]:
    """One that offers the values of a label, all of them at first."""
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {
            "query": f"label_values(shotover_build_info{matchers}, {name})",
            "refId": name,
        },
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard(name: str) -> str:
    title, rows = DASHBOARDS[name]
    source = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    tree = {
        "uid": f"shotover-{name}",
        "title": title,
        "tags": ["shotover"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {
                "type": "dashboards",
                "title": "Shotover",
                "tags": ["shotover"],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {
            "list": [source, variable("job"), variable("instance", '{job=~"$job"}')],
        },
        "panels": laid_out(rows),
    }
    return json.dumps(tree, indent=1) + "\n"


def main() -> None:
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(dashboard(name), encoding="utf-8")


if __name__ == "__main__":
    main()
