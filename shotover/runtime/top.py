"""`shotover top`: a running process on the terminal, looked at again and again.

It asks the observability endpoint for /metrics, /hotkeys and /slowlog, and is found by it as the other verbs are (remote.py).
Keys are clients' bytes: what could steer a terminal is shown as it is written, never sent to it.
"""

from __future__ import annotations

import sys
import time

from shotover.config.errors import ConfigError
from shotover.runtime.figures import Reading
from shotover.runtime.remote import Endpoint, endpoint_parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROWS = 10
"""Hot keys and slow requests shown."""


class Seen:
    """What one look has found. `hot` and `slow`: None, if who asks may not see keys."""

    def __init__(
        self, metrics: Reading, hot: dict[str, Any] | None, slow: list[Any] | None
    ) -> None:
        self.metrics = metrics
        self.hot = hot
        self.slow = slow


def run(arguments: list[str]) -> int:
    """The verb."""
    parser = endpoint_parser("top", "Show what a running process does, until Ctrl-C.")
    parser.add_argument(
        "--every", metavar="SECONDS", type=float, default=2.0, help="between two looks (2)"
    )
    parser.add_argument(
        "--once", action="store_true", help="print one frame of that time as text, and stop"
    )
    options = parser.parse(arguments)
    if not 0.05 <= options.every <= 3600:
        parser.error("--every: expected seconds from 0.05 to 3600")
    from shotover.runtime import top_view as view

    endpoint = Endpoint(options)
    before = look(endpoint)
    if options.once:
        time.sleep(options.every)
        sys.stdout.write(view.as_text(view.frame(before, look(endpoint), endpoint.address)))
        return 0
    with view.screen(view.frame(None, before, endpoint.address)) as live:
        while True:
            time.sleep(options.every)
            now = look(endpoint)
            live.update(view.frame(before, now, endpoint.address), refresh=True)
            before = now


def look(endpoint: Endpoint) -> Seen:
    """Raises ConfigError where nobody answers."""
    metrics = Reading(endpoint.text("GET", "/metrics"), time.monotonic())
    try:
        query = {"count": str(ROWS)}
        return Seen(
            metrics,
            endpoint.call("GET", "/hotkeys", query),
            endpoint.call("GET", "/slowlog", query),
        )
    except ConfigError:
        return Seen(metrics, None, None)
