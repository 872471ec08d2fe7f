"""The answers to the command SHOTOVER (see _proxy/in_band.pxd), in RESP that clients of both versions understand."""

from __future__ import annotations

from time import monotonic

from shotover._proxy.in_band import InBand
from shotover.observability import log
from shotover.observability.logformat import json_text
from shotover.observability.redact import redact_tree
from shotover.runtime.explain import tree
from shotover.runtime.inside import COUNT, COUNT_MAX, ORDERS, Noted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from shotover.runtime.supervisor import Supervisor

_log = log.get("shotover")

USAGE = {
    "INFO": "INFO: sources, their clients, requests, failures and latencies",
    "TOPOLOGY": "TOPOLOGY: what runs, as JSON, without secrets",
    "SLOWLOG": "SLOWLOG [COUNT]: slow requests, the latest first",
    "HOTKEYS": "HOTKEYS [COUNT] [" + "|".join(ORDERS) + "]: what is hot, the heaviest first",
    "HELP": "HELP: this",
}
KNOWN = ", ".join(USAGE)


class Mistaken(Exception):
    """What the client is told instead of an answer."""


def encoded(value: object) -> bytes:
    """A reply of bulk strings, integers and arrays."""
    if isinstance(value, bool) or not isinstance(value, (int, str, list)):
        raise TypeError(f"no reply is made of {value!r}")
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, list):
        return b"*%d\r\n" % len(value) + b"".join(map(encoded, value))
    data = value.encode("utf-8", "replace")
    return b"$%d\r\n%b\r\n" % (len(data), data)


def error(text: str) -> bytes:
    """An error reply; nothing that a client sent can end its line."""
    return b"-ERR " + "".join(c if c.isprintable() else "?" for c in text).encode() + b"\r\n"


class InBandDesk:
    """Looked at by the main thread: takes the workers' questions and gives them their replies."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._noted = Noted(supervisor)
        self._began = monotonic()

    def look(self) -> None:
        """Answers what is held now. Steps that are new learn how to wake us."""
        for thread in self._supervisor.threads:
            for step in _steps(thread.worker):
                step.wake_fd = self._supervisor.wake_fd
                if step.has_questions:
                    try:
                        words = thread.call(step.take)
                        thread.call(step.give, [self.reply(asked) for asked in words])
                    except TimeoutError:
                        _log.warning("a worker was too busy to be asked", worker=thread.index)

    def reply(self, words: list[bytes]) -> bytes:
        """To one question, SHOTOVER and what follows it."""
        name = words[1].decode("ascii", "replace").upper() if len(words) > 1 else ""
        arguments = [word.decode("ascii", "replace").lower() for word in words[2:]]
        try:
            if name not in USAGE:
                asked = f"unknown subcommand '{name[:32]}'" if name else "a subcommand is missing"
                raise Mistaken(f"SHOTOVER: {asked}; there are {KNOWN}")
            return encoded(getattr(self, f"_{name.lower()}")(arguments))
        except Mistaken as mistake:
            return error(str(mistake))

    def _help(self, arguments: list[str]) -> list[str]:
        _none("HELP", arguments)
        return ["SHOTOVER <subcommand>. Subcommands are:", *USAGE.values()]

    def _topology(self, arguments: list[str]) -> str:
        _none("TOPOLOGY", arguments)
        sources = [tree(source) for source in self._supervisor.loaded.topology.sources]
        return json_text(redact_tree({"sources": sources}))

    def _info(self, arguments: list[str]) -> str:
        _none("INFO", arguments)
        lines = [
            "# Shotover",
            f"uptime_in_seconds:{int(monotonic() - self._began)}",
            f"workers:{len(self._supervisor.threads)}",
            f"generation:{self._supervisor.live.current.number}",
        ]
        for name, served in self._supervisor.served.items():
            lines += ["", f"# Source {name}", f"address:{served.address}"]
            lines.append(f"clients:{served.connections()}")
            lines += _sums(name, [source.samples() for source in served.sources.values()])
        return "\r\n".join(lines) + "\r\n"

    def _slowlog(self, arguments: list[str]) -> list[list[Any]]:
        count = _count(arguments[0]) if arguments else COUNT
        _none("SLOWLOG", arguments[1:])
        return [_flat(entry) for entry in self._noted.slow(None, count)]

    def _hotkeys(self, arguments: list[str]) -> list[list[Any]]:
        order = "count"
        count = COUNT
        for argument in arguments:
            if argument in ORDERS:
                order = argument
            else:
                count = _count(argument)
        return [
            _flat({"source": name, **entry})
            for name, found in self._noted.hot_keys(None, count).items()
            for entry in found[order]
        ]


def _steps(worker: Any) -> list[InBand]:
    """Its steps that answer, also those of sources that have been replaced and still have clients."""
    firsts = [source.chain.first for source in list(worker.sources)]
    return [step for step in firsts if isinstance(step, InBand)]


def _none(name: str, arguments: list[str]) -> None:
    if arguments:
        raise Mistaken(
            f"SHOTOVER {name}: '{arguments[0][:32]}' is one word too many; {USAGE[name]}"
        )


def _count(word: str) -> int:
    if not (word.isdecimal() and len(word) < 9 and int(word) <= COUNT_MAX):
        raise Mistaken(f"SHOTOVER: '{word[:32]}' is no number from 0 to {COUNT_MAX}")
    return int(word)


def _flat(entry: dict[str, Any]) -> list[Any]:
    """Names and values in turns, as maps are in RESP2."""
    found: list[Any] = []
    for name, value in entry.items():
        if isinstance(value, bool):
            value = int(value)
        elif isinstance(value, float):
            value = f"{value:.6g}" if name != "time" else f"{value:.3f}"
        found += [name, value]
    return found


def _sums(source: str, workers: list[list[Any]]) -> list[str]:
    """Counters of a source, over its workers."""
    named = {
        "shotover_requests_count": "requests",
        "shotover_replies_count": "replies",
        "shotover_client_bytes_received_count": "bytes_received",
        "shotover_client_bytes_sent_count": "bytes_sent",
        "shotover_protocol_errors_count": "protocol_errors",
        "shotover_slow_requests_count": "slow_requests",
        "shotover_hot_key_samples_count": "hot_key_samples",
    }
    sums: dict[str, int] = {}
    for samples in workers:
        for name, labels, _, value in samples:
            if name in named and labels.get("source") == source:
                sums[named[name]] = sums.get(named[name], 0) + int(value)
    return [f"{name}:{value}" for name, value in sums.items()]
