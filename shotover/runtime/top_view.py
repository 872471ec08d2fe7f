"""The pictures of `shotover top`, by rich, which is in an extra of its own."""

from __future__ import annotations

import io
import time

from shotover.config.errors import ConfigError
from shotover.runtime.figures import Between, count_text, time_text
from shotover.runtime.top import ROWS

try:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text
except ImportError:
    raise ConfigError(["shotover top needs a little more: pip install 'shotover[top]'"]) from None

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from shotover.runtime.top import Seen

LATENCY = "shotover_chain_latency_seconds"
WAIT = "shotover_upstream_wait_seconds"
KEY_MAX = 48
ONCE_WIDTH = 120
"""Characters a line of --once has, which goes to files and pipes."""


def screen(shown: Group) -> Live:
    """The whole terminal, until left."""
    return Live(shown, console=Console(), screen=True, auto_refresh=False)


def as_text(shown: Group) -> str:
    """A frame without colours."""
    out = io.StringIO()
    Console(file=out, width=ONCE_WIDTH, color_system=None, force_terminal=False).print(shown)
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())


def frame(before: Seen | None, now: Seen, address: str) -> Group:
    """One picture of all."""
    between = Between(before.metrics if before is not None else None, now.metrics)
    parts: list[Any] = [
        _head(between, address),
        _sources(between),
        _chains(between),
        _sinks(between),
    ]
    if now.hot is None or now.slow is None:
        parts.append(Text("keys and slow requests are shown to those who may change something"))
    else:
        parts += [_hot(source, found) for source, found in now.hot.items()]
        if now.slow:
            parts.append(_slow(now.slow))
    return Group(*parts)


def _head(between: Between, address: str) -> Text:
    now = between.now
    memory = now.sum("process_resident_memory_bytes")
    draining = "  DRAINING" if now.sum("shotover_draining") else ""
    return Text(
        f"Shotover at {address}  workers {len(now.values('shotover_loop_turns_count', 'worker'))}  "
        f"generation {now.sum('shotover_config_generation'):g}  memory {count_text(memory)}B{draining}"
    )


def _table(title: str, *columns: str) -> Table:
    """The first column has names, the others figures."""
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, expand=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _sources(between: Between) -> Table:
    table = _table(
        "sources", "source", "clients", "requests/s", "replies/s", "in B/s", "out B/s", "refused/s"
    )
    for source in between.now.values("shotover_requests_count", "source"):
        table.add_row(
            safe(source),
            count_text(between.now.sum("shotover_connections", source=source)),
            count_text(between.rate("shotover_requests_count", source=source)),
            count_text(between.rate("shotover_replies_count", source=source)),
            count_text(between.rate("shotover_client_bytes_received_count", source=source)),
            count_text(between.rate("shotover_client_bytes_sent_count", source=source)),
            count_text(between.rate("shotover_refusals_count", source=source)),
        )
    return table


def _chains(between: Between) -> Table:
    table = _table("chains", "chain", "requests/s", "failed/s", "p50", "p99", "p99.9")
    for chain in between.now.values(f"{LATENCY}_count", "chain"):
        table.add_row(
            safe(chain),
            count_text(between.rate(f"{LATENCY}_count", chain=chain)),
            count_text(between.rate("shotover_chain_failures_count", chain=chain)),
            *(time_text(between.quantile(q, LATENCY, chain=chain)) for q in (0.5, 0.99, 0.999)),
        )
    return table


def _sinks(between: Between) -> Table:
    table = _table(
        "servers", "server", "up", "connections", "requests/s", "failed/s", "lost/s", "p50", "p99"
    )
    for name in between.now.values("shotover_upstream_up", "name"):
        labels = {"name": name}
        up = between.now.sum("shotover_upstream_up", **labels)
        table.add_row(
            safe(name),
            Text(f"{up:g}" if up else "DOWN", style="" if up else "bold red"),
            count_text(between.now.sum("shotover_upstream_connections", **labels)),
            count_text(between.rate(f"{WAIT}_count", **labels)),
            count_text(between.rate("shotover_failed_requests_count", **labels)),
            count_text(between.rate("shotover_upstream_lost_count", **labels)),
            *(time_text(between.quantile(share, WAIT, **labels)) for share in (0.5, 0.99)),
        )
    return table


def _hot(source: str, found: dict[str, Any]) -> Table:
    """The heaviest by count and by bytes side by side."""
    table = _table(
        f"hot keys of {safe(source).plain} ({found['samples']} looked at)",
        *("by count", "share", "by bytes", "share", "by time", "share"),
    )
    for column in (2, 4):
        table.columns[column].justify = "left"
    orders = [found["count"], found["bytes"], found["seconds"]]
    for index in range(min(ROWS, max(map(len, orders)))):
        cells: list[Text] = []
        for order in orders:
            entry = order[index] if index < len(order) else None
            cells.append(safe(entry["key"]) if entry else Text(""))
            cells.append(Text(f"{entry['share']:.1%}" if entry else ""))
        table.add_row(*cells)
    return table


def _slow(entries: list[dict[str, Any]]) -> Table:
    table = _table(
        "slow requests, the latest first",
        *("when", "took", "waited", "server", "kept", "command", "key", "client"),
    )
    for column in (5, 6, 7):
        table.columns[column].justify = "left"
    for entry in entries[:ROWS]:
        table.add_row(
            time.strftime("%H:%M:%S", time.localtime(entry["time"])),
            *(
                time_text(entry[name] / 1e3)
                for name in ("ms", "waited_ms", "upstream_ms", "kept_ms")
            ),
            safe(entry["command"]),
            safe(entry["key"] or entry["statement"]),
            safe(entry["address"]),
        )
    return table


def safe(text: str) -> Text:
    """Text of others: no markup, nothing that steers a terminal, not too long."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:KEY_MAX])
    return Text(shown + ("…" if len(text) > KEY_MAX else ""))
