"""What workers have noted of their traffic, put together: hot keys, slow requests, and how each source does.

    GET /hotkeys[?source=NAME][&count=N]    the heaviest keys by count, bytes and time, and prefixes and clients
    GET /slowlog[?source=NAME][&count=N]    slow requests, the latest first

Both show keys, so that only who may change something may read them. Values are never there.
"""

from __future__ import annotations

from shotover.observability.httpwire import Response
from shotover.observability.logformat import json_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from shotover._proxy.inside import Inside
    from shotover.observability.httpwire import Request
    from shotover.runtime.supervisor import Supervisor, WorkerThread

ORDERS = ("count", "bytes", "seconds", "prefixes", "clients")
"""What the sketches are of, as BY_* in _proxy/inside.pxd."""
COUNT, COUNT_MAX = 20, 10_000
"""How many of each are shown, unless somebody says, and at most."""


def readable(data: bytes) -> str:
    """A key as text; bytes that are none as \\xNN."""
    return data.decode("utf-8", "backslashreplace")


class Noted:
    """What the workers of `supervisor` have noted; nothing is kept here."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def _sources(
        self, source: str | None
    ) -> Iterator[tuple[str, list[tuple[WorkerThread, Inside]]]]:
        """(name, Inside of each worker) of sources that note something."""
        for name, served in self._supervisor.served.items():
            if source is None or source == name:
                found = [
                    (thread, served.sources[thread.index].inside)
                    for thread in served.threads
                    if served.sources[thread.index].inside is not None
                ]
                if found:
                    yield name, found

    def hot_keys(self, source: str | None = None, count: int = COUNT) -> dict[str, Any]:
        """By source. Weights are those of what was looked at, and count half after each half-life; `share` is of all such."""
        found = {}
        for name, insides in self._sources(source):
            copies = [_copied(thread, inside.hot) for thread, inside in insides]
            looks = [look for look in copies if look is not None]
            if looks:
                found[name] = {
                    "sample_percent": insides[0][1].chance * 100,
                    "samples": sum(samples for samples, _ in looks),
                    **{
                        order: merged([sketches[place] for _, sketches in looks], count, order)
                        for place, order in enumerate(ORDERS)
                    },
                }
        return found

    def slow(self, source: str | None = None, count: int = COUNT) -> list[dict[str, Any]]:
        """The latest first, over all sources and workers."""
        found = [
            {"source": name, **entry, "key": readable(entry["key"])}
            for name, insides in self._sources(source)
            for thread, inside in insides
            for entry in _copied(thread, inside.slowest)
        ]
        for entry in found:
            entry["command"] = readable(entry["command"])
            entry["statement"] = readable(entry["statement"])
        found.sort(key=lambda entry: -entry["time"])
        return found[:count]


def _copied(thread: WorkerThread, copy: Callable[[], Any]) -> Any:
    """A worker that changes what is copied all the time does it itself, between two of its turns."""
    try:
        return copy()
    except TimeoutError:
        return thread.call(copy)


def merged(
    sketches: list[tuple[int, list[tuple[bytes, int, int, int]]]], count: int, order: str
) -> list[dict[str, Any]]:
    """The heaviest of all workers together: weights of a key, and what they may have too much, are summed."""
    total = sum(whole for whole, _ in sketches)
    sums: dict[tuple[bytes, int], list[int]] = {}
    for _, entries in sketches:
        for key, size, weight, error in entries:
            has = sums.setdefault((key, size), [0, 0])
            has[0] += weight
            has[1] += error
    heaviest = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))[:count]
    unit = 1e-9 if order == "seconds" else 1
    return [
        {
            "key": readable(key),
            "key_bytes": size,
            "weight": weight * unit,
            "error": error * unit,
            "share": weight / total if total else 0.0,
        }
        for (key, size), (weight, error) in heaviest
        if weight
    ]


class InsidePages:
    """See Pages in observability/admin.py."""

    def __init__(self, noted: Noted) -> None:
        self.routes: dict[str, dict[str, Callable[[Request], Response]]] = {
            "/hotkeys": {"GET": lambda request: _answer(request, noted.hot_keys)},
            "/slowlog": {"GET": lambda request: _answer(request, noted.slow)},
        }
        self.prefixes: dict[str, dict[str, Callable[[Request], Response]]] = {}


def _answer(request: Request, ask: Callable[[str | None, int], object]) -> Response:
    source = request.query.get("source")
    count = request.query.get("count", str(COUNT))
    if not (count.isascii() and count.isdecimal() and len(count) < 9):
        return Response(400, f"count: expected a number from 0 to {COUNT_MAX}\n")
    found = ask(source, min(int(count), COUNT_MAX))
    return Response(200, json_text(found) + "\n", "application/json")
