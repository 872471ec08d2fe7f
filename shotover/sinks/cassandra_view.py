"""What a cluster says of itself, read; and what the proxies before it say of themselves instead.

The proxies of one cluster are a ring of their own, of as many members as are named. Drivers see that ring: each member has the
tokens of the servers that it stands for, those of its data center and rack, so a driver that knows where a row is asks the
proxy that is next to it.
"""

from __future__ import annotations

import ipaddress
import struct
import uuid

from shotover._codec.cql.selecting import read_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Columns = Sequence[tuple[str, bytes]]
    Row = Mapping[str, bytes | None]
    Table = tuple[str, str, Columns, Sequence[Row]]

STORAGE_PORT = 7000
VIRTUAL = ("local", "peers", "peers_v2")
QUESTIONS = (
    "SELECT * FROM system.local WHERE key='local'",
    "SELECT * FROM system.peers",
    "SELECT * FROM system.peers_v2",
    "SELECT keyspace_name, replication FROM system_schema.keyspaces",
    "SELECT keyspace_name, table_name, column_name, kind, position, type FROM system_schema.columns",
)
LOCAL, PEERS, PEERS_V2, KEYSPACES, COLUMNS = range(5)
ANY = (b"\0\0\0\0", bytes(16))


class Endpoint:
    """Where something is reached; its text is host:port or [IPv6]:port."""

    path = ""

    def __init__(self, host: str, port: int, called: str = "") -> None:
        self.host, self.port = host, port
        self.called = called or host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def raw(self) -> bytes:
        return ipaddress.ip_address(self.host).packed


class Server:
    """One server of a cluster, as it or another one of them tells."""

    def __init__(self, row: Row, address: tuple[str, int]) -> None:
        self.address = address
        self.id = row.get("host_id") or b""
        self.data_center = text_of(row.get("data_center"))
        self.rack = text_of(row.get("rack"))
        self.tokens = set_of(row.get("tokens"))
        self.schema_version = row.get("schema_version")
        self.release = text_of(row.get("release_version"))


class Proxy:
    """One member of the ring that drivers see."""

    def __init__(self, endpoint: Endpoint, data_center: str, rack: str, id: bytes) -> None:
        self.endpoint, self.data_center, self.rack, self.id = endpoint, data_center, rack, id
        self.up = True


class View:
    """A cluster as one of its servers sees it, which comes first in `servers`; with the tables it has said that in."""

    def __init__(
        self,
        asked: tuple[str, int],
        local: tuple[Columns, Sequence[Row]],
        peers: tuple[Columns, Sequence[Row]],
        peers_v2: tuple[Columns, Sequence[Row]] | None,
    ) -> None:
        if not local[1]:
            raise ValueError("system.local is empty")
        self.local, self.peers, self.peers_v2 = local, peers, peers_v2
        own = local[1][0]
        self.partitioner = text_of(own.get("partitioner"))
        self.servers = [Server(own, _own_address(own, asked))]
        for row in (peers_v2 or peers)[1]:
            found = _address(row, asked[1])
            if found and row.get("host_id") and row.get("tokens"):
                self.servers.append(Server(row, found))

    def ring(self) -> list[tuple[str, int, bytes, tuple[str, ...]]]:
        """What a change of the ring is seen by."""
        return sorted((*s.address, s.id, tuple(s.tokens)) for s in self.servers)


def read_view(asked: tuple[str, int], bodies: Sequence[bytes | None], version: int) -> View:
    """Of the answers to the first three questions; None for a table that there is not. ValueError."""
    local, peers, peers_v2 = (
        None if body is None else read_rows(body, version)[:2] for body in bodies
    )
    if local is None or peers is None:
        raise ValueError("system.local or system.peers cannot be read")
    return View(asked, local, peers, peers_v2)


def read_keyspaces(rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    """name -> replication."""
    return {text_of(row.get("keyspace_name")): map_of(row.get("replication")) for row in rows}


def read_tables(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
    """(keyspace, table) -> (column, type) of its partition key, in order."""
    found: dict[tuple[str, str], dict[int, tuple[str, str]]] = {}
    for row in rows:
        if row.get("kind") == b"partition_key":
            table = text_of(row.get("keyspace_name")), text_of(row.get("table_name"))
            position = int.from_bytes(row.get("position") or b"", "big", signed=True)
            column = text_of(row.get("column_name")), text_of(row.get("type"))
            found.setdefault(table, {})[position] = column
    return {table: tuple(keys[at] for at in sorted(keys)) for table, keys in found.items()}


# ---- values --------------------------------------------------------------------------------------


def text_of(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


def _parts(raw: bytes | None, each: int) -> list[bytes]:
    found: list[bytes] = []
    if raw is None or len(raw) < 4:
        return found
    at = 4
    for _ in range(min(struct.unpack_from(">i", raw)[0] * each, len(raw) // 4)):
        size = struct.unpack_from(">i", raw, at)[0] if at + 4 <= len(raw) else -1
        if size < 0 or at + 4 + size > len(raw):
            raise ValueError("a value that cannot be read")
        found.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def set_of(raw: bytes | None) -> list[str]:
    """Of a set or list of text."""
    return [text_of(part) for part in _parts(raw, 1)]


def map_of(raw: bytes | None) -> dict[str, str]:
    parts = [text_of(part) for part in _parts(raw, 2)]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def set_put(texts: Sequence[str]) -> bytes:
    parts = [text.encode() for text in sorted(texts)]
    return struct.pack(">i", len(parts)) + b"".join(struct.pack(">i", len(p)) + p for p in parts)


def _port(raw: bytes | None, otherwise: int) -> int:
    return struct.unpack(">i", raw)[0] if raw is not None and len(raw) == 4 else otherwise


def _host(raw: bytes) -> str:
    return str(ipaddress.ip_address(raw))


def _own_address(row: Row, asked: tuple[str, int]) -> tuple[str, int]:
    """Where clients reach the server that was asked: as it says itself, unless it listens everywhere."""
    raw = row.get("rpc_address")
    if not raw or raw in ANY:
        raw = row.get("broadcast_address")
    return (_host(raw) if raw else asked[0]), _port(row.get("rpc_port"), asked[1])


def _address(row: Row, port: int) -> tuple[str, int] | None:
    raw = row.get("native_address") or row.get("rpc_address")
    if raw in ANY:
        raw = row.get("peer")
    return (_host(raw), _port(row.get("native_port"), port)) if raw else None


# ---- the ring that drivers see -------------------------------------------------------------------


def shares(proxies: Sequence[Proxy], servers: Sequence[Server]) -> list[list[str]]:
    """The tokens of each proxy: of the servers in its data center and rack, dealt out by host id among the proxies there.

    Servers in a rack that has no proxy go to all of the data center; if there are more proxies than servers, single tokens
    are dealt out. Servers in a data center without a proxy are nobody's.
    """
    order = sorted(range(len(proxies)), key=lambda index: proxies[index].id)
    found: list[list[str]] = [[] for _ in proxies]
    racks: dict[tuple[str, str], list[Server]] = {}
    for server in sorted(servers, key=lambda server: server.id):
        racks.setdefault((server.data_center, server.rack), []).append(server)
    for (center, rack), members in sorted(racks.items()):
        near = [i for i in order if proxies[i].data_center == center and proxies[i].up]
        team = [i for i in near if proxies[i].rack == rack] or near
        if not team:
            continue
        if len(members) >= len(team):
            for turn, server in enumerate(members):
                found[team[turn % len(team)]] += server.tokens
        else:
            tokens = sorted((token for server in members for token in server.tokens), key=_in_order)
            for turn, token in enumerate(tokens):
                found[team[turn % len(team)]].append(token)
    return found


def _in_order(token: str) -> tuple[int, str]:
    try:
        return int(token), ""
    except ValueError:
        return 0, token


def tables(
    view: View, proxies: Sequence[Proxy], own: int, versions: Sequence[bytes | None]
) -> dict[str, Table]:
    """system.local, system.peers and system.peers_v2 of the proxy with that index; `versions`: of the schema, as the servers
    that are up have it."""
    tokens = shares(proxies, view.servers)
    agreed = versions[0] if versions and len(set(versions)) == 1 else uuid.uuid4().bytes
    release = min((s.release for s in view.servers if s.release), key=_release, default="")
    me = proxies[own]
    common = {"schema_version": agreed, "release_version": release.encode()}
    local = {
        **view.local[1][0],
        **common,
        "broadcast_address": me.endpoint.raw,
        "listen_address": me.endpoint.raw,
        "rpc_address": me.endpoint.raw,
        "rpc_port": struct.pack(">i", me.endpoint.port),
        "data_center": me.data_center.encode(),
        "rack": me.rack.encode(),
        "host_id": me.id,
        "tokens": set_put(tokens[own]),
    }
    rows = []
    for index, proxy in enumerate(proxies):
        if index == own or not proxy.up:
            continue
        raw = proxy.endpoint.raw
        rows.append(
            {
                **common,
                "peer": raw,
                "rpc_address": raw,
                "native_address": raw,
                "native_port": struct.pack(">i", proxy.endpoint.port),
                "peer_port": struct.pack(">i", STORAGE_PORT),
                "data_center": proxy.data_center.encode(),
                "rack": proxy.rack.encode(),
                "host_id": proxy.id,
                "tokens": set_put(tokens[index]),
            }
        )
    found: dict[str, Table] = {
        "local": ("system", "local", view.local[0], [local]),
        "peers": ("system", "peers", view.peers[0], rows),
    }
    if view.peers_v2 is not None:
        found["peers_v2"] = ("system", "peers_v2", view.peers_v2[0], rows)
    return found


def _release(text: str) -> list[int]:
    numbers = []
    for part in text.replace("-", ".").split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return numbers
