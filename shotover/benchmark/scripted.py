"""python -m shotover.benchmark.scripted HOST:PORT [HOST:PORT ...]

A server of CQL that answers at once, from frames made beforehand, for all that the load generator asks and what proxies look
up before they begin. It has one row, whatever the key; see _scripted.pxd. The further addresses are its peers: together they
are a ring, each with a share of the tokens, and answer alike.
"""

from __future__ import annotations

import socket
import struct
import sys
import uuid
from collections.abc import Sequence

from shotover.benchmark._scripted import Server
from shotover.benchmark.cql_wire import (
    ERROR,
    IS_REPLY,
    NO_METADATA,
    PREPARED,
    READY,
    RESULT,
    ROWS,
    SET_KEYSPACE,
    SUPPORTED,
    VOID,
    frame,
    string,
    value,
)
from shotover.benchmark.generator import KEY, value_of

VERSIONS = (3, 4, 5)
VALUE_BYTES = 64
BLOB, INT, UUID, TEXT, INET = 3, 9, 12, 13, 16
SET_OF_TEXT = (0x22, TEXT)
MAP_OF_TEXTS = (0x21, TEXT, TEXT)
GLOBAL_TABLE = 1
TOKENS_EACH = 8
SCHEMA = uuid.UUID(int=1).bytes
IDS = {"read": b"read".ljust(16, b"-"), "write": b"write".ljust(16, b"-")}
INVALID, PROTOCOL = 0x2200, 0x000A

Column = tuple[str, int | tuple[int, ...], bytes | None]


def inet() -> bytes:
    return bytes((127, 0, 0, 1))


def tokens_of(place: int, count: int) -> bytes:
    """Of one of so many nodes: taken in turn, evenly."""
    step = (1 << 64) // (TOKENS_EACH * count)
    tokens = [-(1 << 63) + step * (place + count * turn) for turn in range(TOKENS_EACH)]
    return struct.pack(">i", len(tokens)) + b"".join(value(b"%d" % token) for token in tokens)


def common(port: int, tokens: bytes) -> list[Column]:
    """What a node says of itself and its peers of it."""
    return [
        ("data_center", TEXT, b"datacenter1"),
        ("host_id", UUID, uuid.UUID(int=port + 1).bytes),
        ("rack", TEXT, b"rack1"),
        ("release_version", TEXT, b"5.0.9"),
        ("rpc_address", INET, inet()),
        ("schema_version", UUID, SCHEMA),
        ("tokens", SET_OF_TEXT, tokens),
    ]


def local_row(port: int, tokens: bytes) -> list[Column]:
    """Of system.local."""
    return [
        ("key", TEXT, b"local"),
        ("bootstrapped", TEXT, b"COMPLETED"),
        ("broadcast_address", INET, inet()),
        ("broadcast_port", INT, struct.pack(">i", 7000)),
        ("cluster_name", TEXT, b"scripted"),
        ("cql_version", TEXT, b"3.4.7"),
        ("listen_address", INET, inet()),
        ("listen_port", INT, struct.pack(">i", 7000)),
        ("native_protocol_version", TEXT, b"5"),
        ("partitioner", TEXT, b"org.apache.cassandra.dht.Murmur3Partitioner"),
        ("rpc_port", INT, struct.pack(">i", port)),
        *common(port, tokens),
    ]


def peer_row(port: int, tokens: bytes) -> list[Column]:
    """Of system.peers and system.peers_v2, with the columns of both."""
    return [
        ("peer", INET, inet()),
        ("peer_port", INT, struct.pack(">i", 7000)),
        ("native_address", INET, inet()),
        ("native_port", INT, struct.pack(">i", port)),
        *common(port, tokens),
    ]


def keyspaces() -> list[list[Column]]:
    pairs = ("class", "SimpleStrategy", "replication_factor", "1")
    replication = struct.pack(">i", len(pairs) // 2) + b"".join(value(text.encode()) for text in pairs)  # fmt: skip
    return [[("keyspace_name", TEXT, b"bench"), ("replication", MAP_OF_TEXTS, replication)]]


def columns() -> list[list[Column]]:
    names = ("keyspace_name", "table_name", "column_name", "kind", "type")
    told = (
        ("bench", "rows", "key", "partition_key", "text", 0),
        ("bench", "rows", "value", "regular", "blob", -1),
    )
    held: list[list[Column]] = []
    for *texts, position in told:
        held.append(
            [(name, TEXT, str(text).encode()) for name, text in zip(names, texts, strict=True)]
        )
        held[-1].append(("position", INT, struct.pack(">i", position)))
    return held


def metadata(keyspace: str, table: str, columns: list[Column]) -> bytes:
    body = struct.pack(">ii", GLOBAL_TABLE if columns else 0, len(columns))
    if columns:
        body += string(keyspace) + string(table)
    for name, kind, _ in columns:
        options = kind if isinstance(kind, tuple) else (kind,)
        body += string(name) + struct.pack(f">{len(options)}H", *options)
    return body


def rows(
    version: int, keyspace: str, table: str, told: list[Column], held: list[list[Column]]
) -> bytes:
    """The rows `held`, each of the columns of `told`."""
    body = struct.pack(">i", ROWS) + metadata(keyspace, table, told) + struct.pack(">i", len(held))
    body += b"".join(value(data) for row in held for _, _, data in row)
    return frame(version | IS_REPLY, RESULT, body)


def prepared(version: int, name: str, bound: list[Column], columns: list[Column]) -> bytes:
    """The answer to PREPARE: the first of what is bound is the partition key."""
    body = struct.pack(">iH", PREPARED, len(IDS[name])) + IDS[name]
    if version >= 5:
        body += struct.pack(">H", len(IDS[name])) + IDS[name]
    told = metadata("bench", "rows", bound)
    if version >= 4:
        told = told[:8] + struct.pack(">iH", 1, 0) + told[8:]
    return frame(version | IS_REPLY, RESULT, body + told + metadata("bench", "rows", columns))


def supported(version: int) -> bytes:
    lists = {
        "CQL_VERSION": ["3.4.7"],
        "COMPRESSION": [],
        "PROTOCOL_VERSIONS": [f"{each}/v{each}" for each in VERSIONS],
    }
    body = struct.pack(">H", len(lists))
    for name, values in lists.items():
        body += string(name) + struct.pack(">H", len(values)) + b"".join(map(string, values))
    return frame(version | IS_REPLY, SUPPORTED, body)


def answers_of(version: int, port: int, peers: Sequence[int] = ()) -> list[tuple[bytes, int]]:
    """(frame, where the key's text belongs) in the order of _scripted.pxd's enum. `peers`: ports of the others of the ring."""
    members = sorted((port, *peers))
    tokens = {each: tokens_of(place, len(members)) for place, each in enumerate(members)}
    local = local_row(port, tokens[port])
    others = [peer_row(each, tokens[each]) for each in members if each != port]
    nobody = peer_row(port, tokens[port])
    key: Column = ("key", TEXT, None)
    held: Column = ("value", BLOB, value_of(VALUE_BYTES, KEY % 0))
    told = rows(version, "bench", "rows", [held], [[held]])
    bare = frame(
        version | IS_REPLY,
        RESULT,
        struct.pack(">iiii", ROWS, NO_METADATA, 1, 1) + value(held[2]),
    )
    refusal = frame(
        version | IS_REPLY,
        ERROR,
        struct.pack(">i", INVALID) + string("the scripted server knows no such request"),
    )
    unsupported = frame(
        version | IS_REPLY,
        ERROR,
        struct.pack(">i", PROTOCOL)
        + string(
            "Invalid or unsupported protocol version; supported versions are (3/v3, 4/v4, 5/v5)"
        ),
    )
    return [
        (frame(version | IS_REPLY, READY, b""), 0),
        (supported(version), 0),
        (prepared(version, "read", [key], [held]), 0),
        (prepared(version, "write", [key, held], []), 0),
        (bare, len(bare) - VALUE_BYTES),
        (told, len(told) - VALUE_BYTES),
        (frame(version | IS_REPLY, RESULT, struct.pack(">i", VOID)), 0),
        (
            frame(version | IS_REPLY, RESULT, struct.pack(">i", SET_KEYSPACE) + string("bench")),
            0,
        ),
        (rows(version, "system", "local", local, [local]), 0),
        (rows(version, "system", "peers", nobody, others), 0),
        (rows(version, "system_schema", "keyspaces", keyspaces()[0], keyspaces()), 0),
        (rows(version, "system_schema", "columns", columns()[0], columns()), 0),
        (rows(version, "system", "nothing", local, []), 0),
        (refusal, 0),
        (unsupported, 0),
    ]


def main(arguments: list[str]) -> int:
    if not arguments or not all(":" in each for each in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    host = arguments[0].rpartition(":")[0]
    port, *peers = (int(each.rpartition(":")[2]) for each in arguments)
    with socket.create_server((host, port), backlog=4096) as listener:
        listener.setblocking(False)
        server = Server(listener, [answers_of(version, port, peers) for version in VERSIONS])
        try:
            server.serve()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
