"""What a Redis Cluster says of itself, read; and what the proxy says of itself when it presents itself as one."""

from __future__ import annotations

import hashlib

SLOT_COUNT = 16384
PORT_MAX = 65535

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Endpoint:
    """Where a node is reached; its text is host:port or [IPv6]:port. `called` is its name, for TLS."""

    path = ""

    def __init__(self, host: str, port: int, called: str = "") -> None:
        self.host = host
        self.port = port
        self.called = called or host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Member:
    """One node: where it is, and the ranges of slots (both ends included) that it serves."""

    __slots__ = ("host", "id", "names", "port", "replica_of", "slots")

    def __init__(self, host: str, port: int, id: str, names: tuple[str, ...] = ()) -> None:
        self.host = host
        self.port = port
        self.id = id
        self.names = names
        self.slots: list[tuple[int, int]] = []
        self.replica_of = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Member) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]


class View:
    """A cluster as one of its nodes sees it: masters that have slots, replicas that are well."""

    __slots__ = ("masters", "replicas")

    def __init__(self, masters: list[Member], replicas: list[Member]) -> None:
        self.masters = masters
        self.replicas = replicas

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, View)
            and self.masters == other.masters
            and self.replicas == other.replicas
        )

    __hash__ = None  # type: ignore[assignment]


def parse(reply: bytes, asked_host: str, asked_port: int) -> View:
    """The answer to CLUSTER NODES, a bulk or verbatim string as it came.

    `asked_host` stands in for an address that the node does not know of itself. Raises ValueError.
    """
    _, _, body = reply.partition(b"\r\n")
    text = body.decode("utf-8", "replace").removeprefix("txt:")
    masters: list[Member] = []
    replicas: list[Member] = []
    for line in text.splitlines():
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 8:
            raise ValueError(
                f"a line of CLUSTER NODES has {len(fields)} fields, not 8: {line[:80]!r}"
            )
        flags = fields[2].split(",")
        if "noaddr" in flags or "handshake" in flags:
            continue
        host, port, names = _address(fields[1])
        member = Member(host or asked_host, port or asked_port, fields[0], names)
        if "master" in flags:
            member.slots = [_range(word) for word in fields[8:] if not word.startswith("[")]
            if member.slots:
                masters.append(member)
        elif "fail" not in flags:
            member.replica_of = fields[3]
            replicas.append(member)
    masters.sort(key=lambda member: member.slots)
    replicas.sort(key=lambda member: member.id)
    return View(masters, replicas)


def is_literal(host: str) -> bool:
    """Whether nothing need be looked up."""
    from _socket import AF_INET, AF_INET6, inet_pton

    try:
        inet_pton(AF_INET6 if ":" in host else AF_INET, host)
    except OSError:
        return False
    return True


def _address(text: str) -> tuple[str, int, tuple[str, ...]]:
    """Of "host:port@busport,hostname,...": what to connect to, and the names beside it.

    A name stands in for an address only where there is none.
    """
    address, *more = text.split(",")
    host, _, port = address.split("@")[0].rpartition(":")
    names = tuple(word for word in more if word and "=" not in word)
    if not host or host == "?":
        host = names[0] if names else ""
    if (
        not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= PORT_MAX)
        or "\0" in host
    ):
        raise ValueError(f"{text[:80]!r} is not an address")
    return host.strip("[]"), int(port), names


def _range(word: str) -> tuple[int, int]:
    first, _, last = word.partition("-")
    try:
        slots = int(first), int(last or first)
    except ValueError:
        raise ValueError(f"{word!r} is not a range of slots") from None
    if not 0 <= slots[0] <= slots[1] < SLOT_COUNT:
        raise ValueError(f"slots {word} are not from 0 to {SLOT_COUNT - 1}")
    return slots


# ---- the proxy as a cluster of one ----------------------------------------------------------------


def answer(words: Sequence[bytes], own: str, view: View | None, resp3: bool) -> bytes:
    """The reply to CLUSTER ... of a proxy that listens on `own` ("host:port") and serves all slots."""
    host, _, port = own.rpartition(":")
    host = host.strip("[]")
    node = hashlib.sha1(own.encode()).hexdigest()
    name = words[1].upper() if len(words) > 1 else b""
    if name == b"SLOTS":
        return _array(
            _array(
                _number(0),
                _number(SLOT_COUNT - 1),
                _array(_bulk(host), _number(port), _bulk(node), _array()),
            )
        )
    if name == b"SHARDS":
        member = _map(
            resp3,
            (_bulk("id"), _bulk(node)),
            (_bulk("port"), _number(port)),
            (_bulk("ip"), _bulk(host)),
            (_bulk("endpoint"), _bulk(host)),
            (_bulk("role"), _bulk("master")),
            (_bulk("replication-offset"), _number(0)),
            (_bulk("health"), _bulk("online")),
        )
        return _array(
            _map(
                resp3,
                (_bulk("slots"), _array(_number(0), _number(SLOT_COUNT - 1))),
                (_bulk("nodes"), _array(member)),
            )
        )
    if name == b"NODES":
        return _bulk(
            f"{node} {own}@{int(port) + 10000} myself,master - 0 0 1 connected 0-{SLOT_COUNT - 1}\n"
        )
    if name == b"MYID":
        return _bulk(node)
    if name == b"INFO":
        return _bulk(_info(view))
    if name == b"KEYSLOT" and len(words) == 3:
        from shotover._codec.slots import slot_of

        return _number(slot_of(words[2]))
    if name in (b"REPLICAS", b"SLAVES", b"LINKS"):
        return _array()
    shown = words[1].decode("utf-8", "replace")[:64] if len(words) > 1 else ""
    return (
        f"-ERR CLUSTER {shown} is not answered by the proxy, which presents itself as the only node; "
        "connect to a node of the cluster\r\n"
    ).encode()


def _info(view: View | None) -> str:
    covered = (
        sum(last + 1 - first for master in view.masters for first, last in master.slots)
        if view
        else 0
    )
    state = "ok" if covered == SLOT_COUNT else "fail"
    return (
        f"cluster_enabled:1\r\ncluster_state:{state}\r\ncluster_slots_assigned:{covered}\r\n"
        f"cluster_slots_ok:{covered}\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:0\r\n"
        "cluster_known_nodes:1\r\ncluster_size:1\r\ncluster_current_epoch:1\r\ncluster_my_epoch:1\r\n"
    )


def _array(*items: bytes) -> bytes:
    return b"*%d\r\n" % len(items) + b"".join(items)


def _map(resp3: bool, *pairs: tuple[bytes, bytes]) -> bytes:
    flat = b"".join(key + value for key, value in pairs)
    return (b"%%%d\r\n" % len(pairs) if resp3 else b"*%d\r\n" % (2 * len(pairs))) + flat


def _number(value: int | str) -> bytes:
    return b":%d\r\n" % int(value)


def _bulk(text: str) -> bytes:
    raw = text.encode()
    return b"$%d\r\n%b\r\n" % (len(raw), raw)
