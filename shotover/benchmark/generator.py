"""The load generator's Python face: commands, connections, results.

with Generator(address, [get_command(64)], clients=50) as generator:
    result = generator.run(seconds=2)
    print(result.requests_per_second, result.latency.percentile(99))
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

from shotover._net.tls_context import TlsContext
from shotover.benchmark._load import Load
from shotover.benchmark.histogram import Histogram

KEY = b"key:%012d"  # what _reply.pxd writes: 16 bytes
FILL = b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+/"


@dataclass(frozen=True)
class Command:
    """A request ready to send, and what its reply must be."""

    name: str
    wire: bytes
    key_places: tuple[int, ...]  # offsets of the keys in `wire`
    mark_places: tuple[int, ...]  # offsets where the key's text heads a value
    expects: str  # "ok", "bulk" or "array"; of CQL "row" or "void"
    value_bytes: int  # of each bulk in the reply, or of the row's value; 0 where none is
    weight: int = 1  # its share in a mix


def value_of(size: int, key: bytes) -> bytes:
    """`size` bytes that begin with the key, where they are long enough to hold it."""
    repeated = FILL * (size // len(FILL) + 1)
    return (key + repeated)[:size] if size >= len(key) else repeated[:size]


def command_of(
    words: list[tuple[str, bytes]], name: str, expects: str, value_bytes: int, weight: int
) -> Command:
    """Lays out words, each ("word" | "key" | "tagged" | "value", bytes), and notes where keys and marks stand."""
    wire = bytearray(b"*%d\r\n" % len(words))
    keys: list[int] = []
    marks: list[int] = []
    for kind, text in words:
        wire += b"$%d\r\n" % len(text)
        if kind == "key":
            keys.append(len(wire))
        elif kind == "tagged":  # a key with something before it
            keys.append(len(wire) + len(text) - len(KEY % 0))
        elif kind == "value" and len(text) >= len(KEY % 0):
            marks.append(len(wire))
        wire += text + b"\r\n"
    return Command(name, bytes(wire), tuple(keys), tuple(marks), expects, value_bytes, weight)


def get_command(value_bytes: int, weight: int = 1, tag: bytes = b"") -> Command:
    """`tag` stands before each key."""
    words = [("word", b"GET"), ("tagged", tag + KEY % 0)]
    return command_of(words, "get", "bulk", value_bytes, weight)


def set_command(value_bytes: int, weight: int = 1, tag: bytes = b"") -> Command:
    key = KEY % 0
    words = [("word", b"SET"), ("tagged", tag + key), ("value", value_of(value_bytes, key))]
    return command_of(words, "set", "ok", 0, weight)


def mget_command(value_bytes: int, keys: int, weight: int = 1) -> Command:
    words = [("word", b"MGET")] + [("key", KEY % 0)] * keys
    return command_of(words, "mget", "array", value_bytes, weight)


def mset_command(value_bytes: int, keys: int, weight: int = 1) -> Command:
    key = KEY % 0
    words = [("word", b"MSET")] + [("key", key), ("value", value_of(value_bytes, key))] * keys
    return command_of(words, "mset", "ok", 0, weight)


def ping_command() -> Command:
    """PING of a payload: the reply is a bulk, so it is checked like a GET's."""
    return command_of([("word", b"PING"), ("word", b"ping")], "ping", "bulk", 4, 1)


@dataclass
class LoadResult:
    """What one run counted. Times in seconds, unless the name says otherwise."""

    replies: int
    issued: int
    errors: int  # error replies
    wrong: int  # replies of the wrong type, size or key
    nils: int  # keys that were not there
    lost: int  # requests without a reply
    closed: int  # connections that ended
    dropped: int  # open loop: arrivals that could not be sent
    seconds: float  # from the first request to the last reply
    latency: Histogram
    cpu_us_per_request: float  # the generator's own
    lag_us_max: float = 0.0  # open loop: the generator's own lateness
    lag_us_mean: float = 0.0
    error_text: str = ""
    bytes_out: int = 0
    bytes_in: int = 0
    percentiles: dict[str, float] | None = (
        None  # in place of `latency`, from a generator that has no histogram
    )

    @property
    def requests_per_second(self) -> float:
        return self.replies / self.seconds if self.seconds > 0 else 0.0

    @property
    def failures(self) -> int:
        """Requests that did not get the answer they should have got."""
        return self.errors + self.wrong + self.nils + self.lost + self.dropped

    def complaint(self) -> str:
        """What went wrong, in a few words; empty when nothing did."""
        names = ("errors", "wrong", "nils", "lost", "closed", "dropped")
        told = [f"{getattr(self, name)} {name}" for name in names if getattr(self, name)]
        return ", ".join(told) + (f" ({self.error_text})" if self.error_text else "")


def result_of(counts: dict[str, Any]) -> LoadResult:
    """From what Load.run returns."""
    replies = counts["replies"]
    issued = counts["issued"]
    return LoadResult(
        replies=replies,
        issued=issued,
        errors=counts["errors"],
        wrong=counts["wrong"],
        nils=counts["nils"],
        lost=counts["lost"],
        closed=counts["closed"],
        dropped=counts["dropped"],
        seconds=(counts["last_ns"] - counts["first_ns"]) / 1e9,
        latency=Histogram(
            counts["latency_counts"],
            counts["latency_sum_ns"],
            counts["latency_least_ns"],
            counts["latency_most_ns"],
        ),
        cpu_us_per_request=counts["cpu_ns"] / 1e3 / replies if replies else 0.0,
        lag_us_max=counts["lag_ns_max"] / 1e3,
        lag_us_mean=counts["lag_ns_sum"] / 1e3 / issued if issued else 0.0,
        error_text=counts["error_text"].decode("utf-8", "replace"),
        bytes_out=counts["bytes_out"],
        bytes_in=counts["bytes_in"],
    )


@dataclass
class Generator:
    """Connections to one target, kept from run to run. Raises OSError when it cannot connect."""

    address: tuple[str, int]
    commands: list[Command]
    clients: int = 50
    pipeline: int = 1
    key_count: int = 100_000
    rate: float = 0.0  # open loop: requests/s; 0 = closed loop
    poisson: bool = True
    sequential: bool = False
    seed: int = 1
    use_poll: bool = False
    tls: TlsContext | None = None  # as which client the connections speak TLS
    windowed: bool = False  # closed loop: `pipeline` requests are under way all the time
    version: int = 0  # of CQL that the connections have been brought to speak; 0 = RESP
    connect_timeout: float = 10.0
    sockets: list[socket.socket] = field(default_factory=list, init=False)

    def __enter__(self) -> Generator:
        try:
            for _ in range(self.clients):
                self.sockets.append(self.connected())
            self.load = Load(
                self.sockets,
                self.commands,
                pipeline=self.pipeline,
                rate=self.rate,
                poisson=self.poisson,
                key_count=self.key_count,
                sequential=self.sequential,
                seed=self.seed,
                use_poll=self.use_poll,
                tls=self.tls,
                windowed=self.windowed,
                cql=self.version,
            )
        except BaseException:
            self.close()
            raise
        return self

    def connected(self) -> socket.socket:
        sock = socket.create_connection(self.address, timeout=self.connect_timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def run(
        self, seconds: float, requests: int | None = None, drain_seconds: float = 10.0
    ) -> LoadResult:
        """Until `seconds` are over or `requests` were sent, whichever is first."""
        if requests is None:
            return result_of(self.load.run(seconds, drain_seconds=drain_seconds))
        return result_of(self.load.run(seconds, requests=requests, drain_seconds=drain_seconds))

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        self.sockets.clear()

    def __exit__(self, *exc: object) -> None:
        self.close()


def fill(
    address: tuple[str, int], value_bytes: int, key_count: int, tag: bytes = b""
) -> LoadResult:
    """Sets every key of the key space once. Raises RuntimeError when the server did not take them all."""
    with Generator(
        address,
        [set_command(value_bytes, tag=tag)],
        clients=1,
        pipeline=16 if value_bytes < 65536 else 1,
        key_count=key_count,
        sequential=True,
    ) as generator:
        result = generator.run(seconds=60, requests=key_count)
    if result.replies != key_count or result.failures:
        raise RuntimeError(
            f"filling {key_count} keys of {value_bytes} bytes: {result.replies} set, {result.complaint()}"
        )
    return result
