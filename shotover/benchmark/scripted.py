"""python -m shotover.benchmark.scripted HOST:PORT

A server of CQL that answers at once, from frames made beforehand, for all that the load generator asks and what proxies look
up before they begin. It has one row, whatever the key; see _scripted.pxd.
"""

from __future__ import annotations

import socket
import struct
import sys
import uuid

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
GLOBAL_TABLE = 1
IDS = {"read": b"read".ljust(16, b"-"), "write": b"write".ljust(16, b"-")}
INVALID, PROTOCOL = 0x2200, 0x000A

Column = tuple[str, int | tuple[int, int], bytes | None]


def inet() -> bytes:
    return bytes((127, 0, 0, 1))


def local_row(port: int) -> list[Column]:
    """system.local of a cluster of one node."""
    ident = uuid.UUID(int=port + 1).bytes
    token = b"-9223372036854775808"
    return [
        ("key", TEXT, b"local"),
        ("bootstrapped", TEXT, b"COMPLETED"),
        ("broadcast_address", INET, inet()),
        ("broadcast_port", INT, struct.pack(">i", 7000)),
        ("cluster_name", TEXT, b"scripted"),
        ("cql_version", TEXT, b"3.4.7"),
        ("data_center", TEXT, b"datacenter1"),
        ("host_id", UUID, ident),
        ("listen_address", INET, inet()),
        ("listen_port", INT, struct.pack(">i", 7000)),
        ("native_protocol_version", TEXT, b"5"),
        ("partitioner", TEXT, b"org.apache.cassandra.dht.Murmur3Partitioner"),
        ("rack", TEXT, b"rack1"),
        ("release_version", TEXT, b"5.0.9"),
        ("rpc_address", INET, inet()),
        ("rpc_port", INT, struct.pack(">i", port)),
        ("schema_version", UUID, ident),
        ("tokens", SET_OF_TEXT, struct.pack(">i", 1) + value(token)),
    ]


def metadata(keyspace: str, table: str, columns: list[Column]) -> bytes:
    body = struct.pack(">ii", GLOBAL_TABLE if columns else 0, len(columns))
    if columns:
        body += string(keyspace) + string(table)
    for name, kind, _ in columns:
        options = kind if isinstance(kind, tuple) else (kind,)
        body += string(name) + struct.pack(f">{len(options)}H", *options)
    return body


def rows(version: int, keyspace: str, table: str, columns: list[Column], count: int = 1) -> bytes:
    body = struct.pack(">i", ROWS) + metadata(keyspace, table, columns) + struct.pack(">i", count)
    body += b"".join(value(data) for _, _, data in columns) * count
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


def answers_of(version: int, port: int) -> list[tuple[bytes, int]]:
    """(frame, where the key's text belongs) in the order of _scripted.pxd's enum."""
    key: Column = ("key", TEXT, None)
    held: Column = ("value", BLOB, value_of(VALUE_BYTES, KEY % 0))
    told = rows(version, "bench", "rows", [held])
    bare = frame(
        version | IS_REPLY,
        RESULT,
        struct.pack(">iiii", ROWS, NO_METADATA, 1, 1) + value(held[2]),
    )
    local = local_row(port)
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
        (rows(version, "system", "local", local), 0),
        (rows(version, "system", "peers", local, count=0), 0),
        (refusal, 0),
        (unsupported, 0),
    ]


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or ":" not in arguments[0]:
        print(__doc__, file=sys.stderr)
        return 2
    host, _, port = arguments[0].rpartition(":")
    with socket.create_server((host, int(port)), backlog=4096) as listener:
        listener.setblocking(False)
        server = Server(listener, [answers_of(version, int(port)) for version in VERSIONS])
        try:
            server.serve()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
