"""A whole worker between clients of Cassandra and its server, in a simulated world, of which one says anything.

`servers`: what a server answers is the input, cut at SEPARATOR, a piece each time it is asked something. In version 5 a piece
travels in a segment with right sums, unless its first byte is odd. `clients`: what a client sends behind its STARTUP is the
input, while another, whose answers must come, asks what is right. What must hold: a reply answers what has been asked, and once;
it is whole; and nothing is left.
"""

from __future__ import annotations

import random
import zlib
from typing import Any

from simulation.cql_wire import (
    EVENT,
    EXECUTE,
    IS_REPLY,
    OPTIONS,
    QUERY,
    READY,
    REGISTER,
    RESULT,
    STARTUP,
    BadCql,
    Frame,
    Framing,
    execution,
    segment,
    statement,
    string,
    string_map,
)

from shotover.config.source import parse
from shotover.runtime.assemble import build_source, load

SEPARATOR = b"\0|"
LISTEN, SERVER = 6379, 7000
TURNS_MAX = 30_000
TALK_TURNS = 500  # in which clients wait; then they leave
SENDS_MAX = 60
CONNECTED, OVER = 1, 2 | 4 | 8
TOPOLOGY = (
    'sources:\n- Cassandra: {name: s, listen_addr: "127.0.0.1:%d", max_frame_bytes: 65536, chain: [\n'
    '    CassandraSinkSingle: {remote_address: "127.0.0.1:%d", connect_timeout_ms: 50, read_timeout: 0.2,\n'
    "      max_pending_requests: 8}]}\n" % (LISTEN, SERVER)
)
EVENTS = b"\0\1" + string(b"STATUS_CHANGE")
PLAIN = string_map({b"CQL_VERSION": b"3.0.0"})
PACKED = string_map({b"CQL_VERSION": b"3.0.0", b"COMPRESSION": b"lz4"})


class Peer:
    """A client: what it has asked, and what has come of it."""

    def __init__(self, play: Play, version: int, mode: str, raw: bytes | None = None) -> None:
        self.play = play
        self.version = version
        self.mode = mode
        self.raw = raw  # what it sends behind its STARTUP; None: what is right
        self.framing = Framing(opcode_max=255)  # what a server says is passed on
        self.under: set[int] = set()
        self.answered = 0
        self.over = self.started = False
        self.conn = play.world.connect(LISTEN)

    def say(self, frames: list[Frame]) -> None:
        self.under |= {frame.stream for frame in frames}
        self.play.world.send(self.conn, self.framing.pack(frames, self.play.rng))

    def hear(self) -> None:
        state = self.play.world.state(self.conn)
        if state & CONNECTED and not self.started:
            self.started = True
            body = PACKED if self.mode == "lz4" else PLAIN
            self.say([Frame(self.version, 0, 7, STARTUP, body)])
        self.framing.feed(self.play.world.read(self.conn))
        while (
            not (self.raw is not None and self.answered)
            and (frame := self.framing.next()) is not None
        ):
            self.take(frame)  # what answers anything at all is not looked at
        self.over = self.over or bool(state & OVER)

    def take(self, frame: Frame) -> None:
        if frame.opcode == EVENT and frame.stream == -1:
            return
        assert frame.stream in self.under, f"{frame} answers nothing"
        self.under.remove(frame.stream)
        self.answered += 1
        if self.answered > 1 or frame.opcode != READY:
            return
        self.framing.mode = self.mode
        if self.raw is not None:
            self.play.world.send(self.conn, self.enveloped(self.raw))
        else:
            self.say(questions(self.version))

    def enveloped(self, raw: bytes) -> bytes:
        if not self.mode or raw[:1] < b"\x10":
            return raw
        return b"".join(
            segment(raw[at : at + 100_000], raw[0] < 128, self.mode == "lz4", raw[0] < 64)
            for at in range(0, len(raw), 100_000)
        )


def questions(version: int) -> list[Frame]:
    asked = [
        (QUERY, statement(version, b"SELECT 1")),
        (EXECUTE, execution(version, b"@1.1;", b"x" * 50)),
        (REGISTER, EVENTS),
        (OPTIONS, b""),
        (QUERY, statement(version, b'USE "one"')),
        (QUERY, statement(version, b"SELECT 2")),
    ]
    return [Frame(version, 0, 10 + n, opcode, body) for n, (opcode, body) in enumerate(asked)]


class Play:
    """One run."""

    def __init__(self, data: bytes, anything_by: str) -> None:
        from shotover._sim.world import World

        from shotover._proxy.worker import Worker

        number = zlib.crc32(data)
        self.rng = random.Random(number)
        self.pieces = data.split(SEPARATOR) if anything_by == "servers" else []
        self.world: Any = World(number, completion=number & 1, cut=1 + number % 4)
        self.world.serve(SERVER)
        self.worker = Worker(0, poller=self.world.poller(), memory_bytes_max=64 << 20)
        found = load("t.yaml", None, {}, tree_of=lambda file: parse(TOPOLOGY, file))
        [source] = found.topology.sources
        chain = build_source(self.worker, source, {})
        self.worker.listen("s", source.protocol, f"127.0.0.1:{LISTEN}", chain, **source.options())
        version, mode = ((4, ""), (5, "plain"), (5, "lz4"), (3, ""))[number >> 8 & 3]
        self.clients = [Peer(self, version, mode)]
        if anything_by == "clients":
            self.clients.append(Peer(self, version, mode, data))
        self.connections: dict[int, Framing] = {}
        self.sent = self.turns = 0

    def run(self) -> None:
        while self.turns < TALK_TURNS and not all(each.over for each in self.clients):
            if not self.turn():
                break
        if not self.pieces:
            good = self.clients[0]
            while not good.over and (good.under or not good.answered):
                assert self.turn(), "the worker has ended"
            assert not good.under and good.answered == 7, "a client was disturbed by another"
        for client in self.clients:
            if not client.over:
                self.world.close(client.conn)
                client.over = True
        while self.worker.census()["requests"]:  # until the last of them has waited for long enough
            assert self.turn(), "the worker has ended"
        self.worker.drain(50)
        while self.turn():
            pass
        census = self.worker.census()
        assert not census["sessions"] and not census["requests"], census

    def turn(self) -> bool:
        self.turns += 1
        assert self.turns < TURNS_MAX, f"it does not end: {self.worker.census()}"
        by_conn = {client.conn: client for client in self.clients}
        for conn in self.world.news():
            client = by_conn.get(conn)
            if client is not None and not client.over:
                client.hear()
            elif client is None and self.world.port_of(conn) == SERVER:
                self.serve(conn)
        self.world.alarm(self.world.now + 10_000_000)
        return bool(self.worker.turn())

    def serve(self, conn: int) -> None:
        framing = self.connections.setdefault(conn, Framing())
        framing.feed(self.world.read(conn))
        if self.world.state(conn) & OVER:
            self.world.close(conn)
            return
        try:
            while (frame := framing.next()) is not None:
                self.answer(conn, framing, frame)
        except BadCql as bad:
            raise AssertionError(f"the server got no request: {bad}") from bad

    def answer(self, conn: int, framing: Framing, frame: Frame) -> None:
        assert frame.version & IS_REPLY == 0
        opcode = READY if frame.opcode in (STARTUP, REGISTER) else RESULT
        body = b"" if opcode == READY else b"\0\0\0\1"
        reply = Frame(frame.version | IS_REPLY, 0, frame.stream, opcode, body)
        if not self.pieces or (frame.opcode == STARTUP and self.sent % 3):
            self.world.send(conn, framing.pack([reply], self.rng))
        elif self.sent < SENDS_MAX:
            piece = self.pieces[self.sent % len(self.pieces)]
            if framing.mode and piece and not piece[0] & 1:
                piece = segment(piece[:131_071], piece[0] < 128, framing.mode == "lz4", True)
            self.world.send(conn, piece)
        self.sent += 1
        if frame.opcode == STARTUP and frame.version >= 5:
            framing.mode = "lz4" if b"lz4" in frame.body else "plain"


def servers(data: bytes) -> None:
    Play(data, "servers").run()


def clients(data: bytes) -> None:
    Play(data, "clients").run()


def head(version: int, stream: int, opcode: int, size: int) -> bytes:
    return Frame(version, 0, stream, opcode, b"").wire()[:5] + size.to_bytes(4, "big")


READY_NOW = head(0x84, 0, READY, 0)
VOID = head(0x84, 0, RESULT, 4) + b"\0\0\0\1"
ERROR_NOW = head(0x84, 1, 0, 8) + b"\0\0\x10\1\0\2no"
EVENT_NOW = Frame(0x84, 0, -1, EVENT, string(b"STATUS_CHANGE") + string(b"UP") + bytes(9)).wire()
TOKENS = (
    SEPARATOR, READY_NOW, VOID, ERROR_NOW, EVENT_NOW, head(0x84, 1, RESULT, 4) + b"\0\0\0\1",
    head(0x84, 2, RESULT, 9) + b"\0\0\0\3\0\3one", head(0x85, 1, RESULT, 4) + b"\0\0\0\1", head(0x84, 0, 3, 3) + b"\0\1a",
    head(0x84, 0, RESULT, 0x10000000), head(0x84, 0, RESULT, 0xFFFFFFFF), head(0x84, 0x7FFF, RESULT, 0), b"\x84", b"\x85",
    head(4, 1, QUERY, 13) + b"\0\0\0\6SELECT\0\1\0", head(4, 1, QUERY, 70_000), head(4, 2, EXECUTE, 4) + b"\0\0\0\1",
    head(4, 3, STARTUP, 2) + b"\0\0", head(4, 4, OPTIONS, 0), head(4, 5, REGISTER, 2) + b"\0\0", head(6, 1, QUERY, 0),
    head(4, 6, 0x0F, 4) + b"\0\0\0\0", head(4, 7, 0x0D, 4) + b"\1\0\0\0", b"\x01\x02\x03", b"\xff\xff",
)  # fmt: skip


def server_seeds() -> list[bytes]:
    return [
        SEPARATOR.join(pieces)
        for pieces in (
            [READY_NOW, VOID],
            [READY_NOW, VOID + TOKENS[5], EVENT_NOW, ERROR_NOW],
            [TOKENS[8], ERROR_NOW],
            [READY_NOW + VOID, TOKENS[6], TOKENS[7]],
            [VOID[:7], VOID[7:], TOKENS[9], b"x" * 300],
        )
    ]


def client_seeds() -> list[bytes]:
    return [b"".join(frame.wire() for frame in questions(version)) for version in (3, 4, 5)] + list(
        TOKENS[14:]
    )
