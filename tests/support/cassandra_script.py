"""A cluster that does what a test says: nodes that know a ring, a schema and prepared statements, and answer as they are told."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import ssl
import struct
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from shotover._codec.cql.selecting import Select
from support.cassandra import (
    ERROR,
    EVENT,
    EXECUTE,
    OPTIONS,
    PREPARE,
    QUERY,
    READY,
    REGISTER,
    RESULT,
    STARTUP,
    SUPPORTED,
    frame,
    string,
)
from support.certificates import usual
from support.wait import free_port

VOID = b"\0\0\0\1"
UNPREPARED, BOOTSTRAPPING = 0x2500, 0x1002
TEXT, INT, UUID, INET = b"\0\x0d", b"\0\x09", b"\0\x0c", b"\0\x10"
TEXTS = b"\0\x22\0\x0d"
MAP = b"\0\x21\0\x0d\0\x0d"
BATCH = 13
Answer = tuple[int, bytes] | None
Asked = Callable[["ScriptedNode", int, str], Answer]


def error(code: int, text: str, more: bytes = b"") -> tuple[int, bytes]:
    return ERROR, struct.pack(">i", code) + string(text) + more


def texts(values: Sequence[str]) -> bytes:
    """A list, set or map of text."""
    return b"".join(struct.pack(">i", len(value)) + value.encode() for value in values)


class ScriptedNode:
    """Listens on its own address. `asked` has (opcode, statement) of what it was asked about rows."""

    def __init__(self, script: Script, index: int) -> None:
        self.script, self.index = script, index
        self.host = f"{script.prefix}{index + 1}"
        self.rack = f"r{index % script.racks + 1}"
        self.id = uuid.UUID(int=index + 1).bytes
        self.prepared: dict[bytes, str] = {}
        self.asked: list[tuple[int, str]] = []
        self.connections: list[socket.socket] = []
        self.watchers: list[socket.socket] = []
        self.threads: list[threading.Thread] = []
        self.mute = False
        self.context: ssl.SSLContext | None = None
        if script.tls:
            issued = usual().authority.issue(f"node{index}", addresses=[self.host])
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(issued.certificate, issued.key)
        self.listener: socket.socket | None = None
        self.listen()

    def listen(self) -> None:
        self.listener = socket.create_server((self.host, self.script.port))
        self.threads.append(threading.Thread(target=self._accept, args=(self.listener,)))
        self.threads[-1].start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections.append(connection.dup())  # to end it by, from any thread
            self.threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self.threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(OSError))
            stack.enter_context(connection)
            if self.context is not None:
                connection = stack.enter_context(
                    self.context.wrap_socket(connection, server_side=True)
                )
            stream = stack.enter_context(connection.makefile("rb"))
            while len(head := stream.read(9)) == 9:
                version, _, number, opcode, size = struct.unpack(">BBhBi", head)
                answer = self._answer(connection, opcode, stream.read(size))
                if answer is not None and not self.mute:
                    connection.sendall(frame(answer[0], answer[1], number, version | 0x80))

    def _answer(self, connection: socket.socket, opcode: int, body: bytes) -> Answer:
        if opcode == STARTUP:
            return READY, b""
        if opcode == OPTIONS:
            return SUPPORTED, b"\0\0"
        if opcode == REGISTER:
            self.watchers.append(connection)
            return READY, b""
        if opcode == EXECUTE:
            id = body[2 : 2 + struct.unpack_from(">H", body)[0]]
            text = self.prepared.get(id, "")
            if not text:
                return error(UNPREPARED, "Prepared query not found", string(id))
        elif opcode == BATCH:
            text = ""
        else:
            text = body[4 : 4 + struct.unpack_from(">i", body)[0]].decode()
        if opcode == QUERY and " system" in text:
            return RESULT, Select(text.encode()).answer(self.script.table(self, text), [])
        self.asked.append((opcode, text))
        answer = self.script.answer(self, opcode, text)
        if opcode == PREPARE and answer == (RESULT, VOID):
            id = hashlib.md5(text.encode()).digest()
            self.prepared[id] = text
            return RESULT, prepared(id, "?" in text)
        return answer

    def texts(self, opcode: int) -> list[str]:
        return [text for what, text in self.asked if what == opcode]

    def hang_up(self) -> None:
        while self.connections:
            with contextlib.suppress(OSError), self.connections.pop() as connection:
                connection.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """As if it were killed; `listen` brings it back, without its prepared statements."""
        if self.listener is not None:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        self.hang_up()
        self.prepared.clear()


def prepared(id: bytes, marks: bool = True) -> bytes:
    """PREPARED of a statement with the values k int, v text, of which the first is the partition key; or without values."""
    if not marks:
        return struct.pack(">i", 4) + string(id) + struct.pack(">iii", 0, 0, 0) + struct.pack(">ii", 4, 0)  # fmt: skip
    bound = struct.pack(">iii", 1, 2, 1) + struct.pack(">H", 0) + string("ks") + string("t")
    bound += string("k") + INT + string("v") + TEXT
    return struct.pack(">i", 4) + string(id) + bound + struct.pack(">ii", 4, 0)


class Script:
    """`copies` of each row of ks.t; with `tls`, each has a certificate for its own address. `decide` says
    what becomes of requests about rows: it may refuse, or say nothing."""

    def __init__(self, count: int = 3, copies: int = 1, racks: int = 1, tls: bool = False) -> None:
        self.tls = tls
        self.prefix = f"127.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250}."
        self.port = free_port()
        self.copies, self.racks = copies, racks
        self.version = uuid.uuid4().bytes
        self.decide: Asked = lambda _node, _opcode, _text: (RESULT, VOID)
        self.members = list(range(count))
        self.nodes = [ScriptedNode(self, index) for index in range(count)]

    def answer(self, node: ScriptedNode, opcode: int, text: str) -> Answer:
        return self.decide(node, opcode, text)

    def tokens(self, index: int) -> list[str]:
        count = len(self.nodes)
        return [str(-(1 << 63) + 7 + ((1 << 64) // (4 * count)) * (index + count * turn)) for turn in range(4)]  # fmt: skip

    def _row(self, node: ScriptedNode) -> dict[str, bytes]:
        raw = socket.inet_aton(node.host)
        tokens = self.tokens(node.index)
        return {
            "key": b"local", "peer": raw, "rpc_address": raw, "native_address": raw, "data_center": b"dc1",
            "rack": node.rack.encode(), "host_id": node.id, "schema_version": self.version, "release_version": b"5.0.9",
            "partitioner": b"Murmur3Partitioner", "cluster_name": b"script",
            "tokens": struct.pack(">i", len(tokens)) + texts(tokens),
            "rpc_port": struct.pack(">i", self.port), "native_port": struct.pack(">i", self.port),
        }  # fmt: skip

    def table(self, asked: ScriptedNode, text: str) -> Any:
        common = [("data_center", TEXT), ("host_id", UUID), ("rack", TEXT), ("release_version", TEXT),
                  ("schema_version", UUID), ("tokens", TEXTS)]  # fmt: skip
        if "system.local" in text:
            more = [("key", TEXT), ("partitioner", TEXT), ("rpc_address", INET), ("rpc_port", INT)]
            columns = [*more, ("cluster_name", TEXT), *common]
            return "system", "local", columns, [self._row(asked)]
        if "system.peers" in text:
            name = "peers_v2" if "peers_v2" in text else "peers"
            more = [("peer", INET), ("rpc_address", INET)]
            if name == "peers_v2":
                more = [("peer", INET), ("native_address", INET), ("native_port", INT)]
            rows = [self._row(self.nodes[i]) for i in self.members if i != asked.index]
            return "system", name, [*more, *common], rows
        if "system_schema.keyspaces" in text:
            said = ["class", "NetworkTopologyStrategy", "dc1", str(self.copies)]
            replication = struct.pack(">i", 2) + texts(said)
            columns = [("keyspace_name", TEXT), ("replication", MAP)]
            return "system_schema", "keyspaces", columns, [{"keyspace_name": b"ks", "replication": replication}]  # fmt: skip
        names = ("keyspace_name", "table_name", "column_name", "kind", "type")
        columns = [*((name, TEXT) for name in names), ("position", INT)]
        key = dict(zip(names, (b"ks", b"t", b"k", b"partition_key", b"int"), strict=True))
        value = dict(zip(names, (b"ks", b"t", b"v", b"regular", b"text"), strict=True))
        rows = [{**key, "position": bytes(4)}, {**value, "position": b"\xff" * 4}]
        return "system_schema", "columns", columns, rows

    def tell(self, kind: str, change: str, node: ScriptedNode) -> None:
        """An event, from every node."""
        body = string(kind) + string(change) + b"\4" + socket.inet_aton(node.host) + struct.pack(">i", self.port)  # fmt: skip
        for each in self.nodes:
            for watcher in each.watchers:
                with contextlib.suppress(OSError):
                    watcher.sendall(frame(EVENT, body, -1, 0x84))

    def asked(self, opcode: int) -> list[list[str]]:
        """By node, what it was asked."""
        return [node.texts(opcode) for node in self.nodes]

    def end(self) -> None:
        for node in self.nodes:
            node.end()
        for node in self.nodes:
            for thread in node.threads:
                thread.join(10)
