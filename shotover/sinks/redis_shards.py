"""Sink `RedisSinkShards`, also `ValkeySinkShards`: many stand-alone servers behind one address."""

from __future__ import annotations

from shotover.config.address import Address, parse_address
from shotover.config.errors import Place, shown
from shotover.config.fields import Field, Text, choice, integer, list_of, number
from shotover.config.reading import INVALID, Invalid, Reader
from shotover.config.source import Mapping, Node
from shotover.config.steps import SinkConfig
from shotover.config.tls import tls_client
from shotover.sinks import redis_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from shotover._proxy.step import Step
    from shotover.config.tls import TlsClientConfig
    from shotover.runtime.assemble import BuildContext

HASHES = (
    "one_at_a_time", "md5", "crc16", "crc32", "crc32a", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "hsieh",
    "murmur", "jenkins",
)  # fmt: skip
HASHING = ("ketama", "modula")
"""Distributions that look at `hash`."""
SERVERS_MAX = 4096
WEIGHT_MAX = 1_000_000
NAME_BYTES_MAX = 255
UNNAMED_PORT = 11211
"""Twemproxy leaves this port, that of memcached, out of the name of a server that was given none."""


class Shard(str):
    """A server; as a string it is what a user would write. `name` decides where its keys are."""

    address: Address
    weight: int
    name: str

    def __new__(cls, address: Address, weight: int, name: str) -> Shard:
        words = f"{address.written}:{weight}" + (f" {name}" if name else "")
        self = super().__new__(cls, words)
        self.address, self.weight, self.name = address, weight, name or _own_name(address)
        return self


class ShardField(Field):
    """A server: one text as twemproxy has it, or a map."""

    kind = "host:port[:weight] [name], or a map of address, weight and name"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        if isinstance(node, Mapping):
            return self._read_map(node, place, reader)
        text = reader.text(node, place, self.expected)
        if isinstance(text, Invalid):
            return text
        try:
            return parse_shard(text)
        except ValueError as error:
            return reader.add(place, f"expected {self.expected}, got {shown(text)}: {error}")

    def _read_map(self, node: Mapping, place: Place, reader: Reader) -> Any:
        values = reader.plain(node, place)
        if not isinstance(values, dict):
            return INVALID
        try:
            if unknown := values.keys() - {"address", "weight", "name"}:
                raise ValueError(f"there is no {', '.join(sorted(unknown))}")
            if "address" not in values:
                raise ValueError("the address is missing")
            address = parse_address(str(values["address"]))
            return _checked(address, str(values.get("weight", 1)), str(values.get("name") or ""))
        except ValueError as error:
            return reader.add(place, f"expected {self.expected}: {error}")

    def plain(self, value: Any) -> Any:
        return str(value)


class TagField(Text):
    """The two characters around a tag."""

    kind = 'two ASCII characters, such as "{}"'

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        value = super().read(node, place, reader)
        if isinstance(value, str) and (len(value) != 2 or not value.isascii() or "\0" in value):
            return self.refuse(node, place, reader)
        return value


def parse_shard(text: str) -> Shard:
    """host:port, host:port:weight, /path, /path:weight, each with or without " name"; a ValueError says what is wrong."""
    where, _, name = text.partition(" ")
    if where.startswith("/"):
        where = "unix:" + where
    head, _, last = where.rpartition(":")
    if where.startswith("unix:"):
        weighed = head != "unix" and last.isdecimal()
    else:
        weighed = where.rpartition("]")[2].count(":") > 1
    if weighed:
        return _checked(parse_address(head), last, name)
    return _checked(parse_address(where), "1", name)


def _checked(address: Address, weight: str, name: str) -> Shard:
    if not (weight.isascii() and weight.isdecimal() and 1 <= int(weight[:9]) <= WEIGHT_MAX):
        raise ValueError(f"the weight is not from 1 to {WEIGHT_MAX}")
    if len(name.encode()) > NAME_BYTES_MAX or not name.isprintable() or " " in name:
        raise ValueError(f"a name has at most {NAME_BYTES_MAX} bytes, no blanks among them")
    return Shard(address, int(weight), name)


def _own_name(address: Address) -> str:
    """What twemproxy calls a server that was given no name."""
    if address.path:
        return f"{address.path}:"
    return address.host if address.port == UNNAMED_PORT else f"{address.host}:{address.port}"


class RedisSinkShardsConfig(SinkConfig, tag="RedisSinkShards", aliases=("ValkeySinkShards",)):
    """Spreads keys over many stand-alone Redis or Valkey servers, as twemproxy does.

    The server of a key follows from the key, and from the names and weights of the servers. With
    `ketama`, `modula` and the twelve hashes it is the one that twemproxy would take, so that this
    can stand in its place without moving data. Clients see one server.

    Commands with keys of several servers are split and their replies joined where that can be done
    (MGET, MSET, DEL, UNLINK, EXISTS, TOUCH); others are refused. A transaction has the keys of
    one server.

    A server that does not answer is left alone until it answers the proxy's own PING again, and
    delays nobody else. What becomes of its keys meanwhile is said by `keys_of_dead_servers`.
    """

    protocols = frozenset({"redis"})

    servers: tuple[Shard, ...] = list_of(
        ShardField(), doc="the servers; keys follow names, not addresses, nor the order here"
    )
    distribution: str = choice(
        "ketama",
        "modula",
        "random",
        "rendezvous",
        default="ketama",
        doc="how the server follows from the hash",
    )
    hash: str = choice(
        *HASHES,
        default="fnv1a_64",
        doc="what ketama and modula hash keys with, as twemproxy has it",
    )
    hash_tag: str | None = TagField(
        default=None,
        doc="two characters; only what stands between them in a key is hashed, if they are there",
    )  # type: ignore[assignment]
    multi_key: str = choice(
        "split",
        "refuse",
        default="split",
        doc="MGET, MSET, DEL and their like with keys of several servers: split them, which is not "
        "atomic, or answer CROSSSLOT",
    )
    keys_of_dead_servers: str = choice(
        "fail",
        "remap",
        default="fail",
        doc="fail: requests for them are answered with an error; remap: they belong to other servers "
        "until the server is back, which then has its older values",
    )
    failure_limit: int = integer(
        minimum=1,
        maximum=1000,
        default=2,
        doc="with remap: failures in a row (no reply in time, no connection, a PING that fails) after "
        "which a server is dead",
    )
    rejoin_timeout: float = number(
        minimum=0,
        maximum=86_400,
        default=30.0,
        doc="with remap: seconds after which a dead server gets its keys again, if it answers by then",
    )
    connect_timeout_ms: int = redis_fields.connect_timeout_ms()
    read_timeout: float | None = redis_fields.read_timeout(10.0)
    retry_timeout: float = redis_fields.hold_timeout(
        1.0,
        "seconds for which a request is held whose server is away, from when that was noticed",
    )
    max_held_requests: int = redis_fields.max_held_requests()
    connection_count: int = redis_fields.connection_count(" to each server")
    max_pending_requests: int = redis_fields.max_pending_requests()
    max_leases: int = redis_fields.max_leases(" to one server")
    retries: int = redis_fields.retries(
        "a server hangs up on a shared connection", "all its requests"
    )
    tls: TlsClientConfig | None = tls_client()

    def validate(self) -> Iterator[tuple[str, str | None]]:
        if len(self.servers) > SERVERS_MAX:
            yield f"expected at most {SERVERS_MAX} servers, got {len(self.servers)}", "servers"
        names: set[str] = set()
        for shard in self.servers:
            if shard.name in names:
                yield (
                    f"two servers have the name {shown(shard.name)}; give one of them another",
                    "servers",
                )
            names.add(shard.name)
        if self.distribution not in HASHING:
            for name in {"hash", "hash_tag"} & self.given:
                if name == "hash" or self.distribution == "random":
                    yield (
                        f"has no effect with distribution: {self.distribution}; leave it out",
                        name,
                    )
        if self.keys_of_dead_servers == "fail":
            for name in sorted({"failure_limit", "rejoin_timeout"} & self.given):
                yield "has no effect without keys_of_dead_servers: remap; leave it out", name
        elif self.read_timeout is None:
            yield (
                "is needed with keys_of_dead_servers: remap, or a server that says nothing is never noticed",
                "read_timeout",
            )

    def build(self, context: BuildContext) -> Step:
        from ._redis_shards import RedisSinkShards

        return RedisSinkShards(
            context,
            name=self.name,
            servers=[(each.address, each.name.encode(), each.weight) for each in self.servers],
            distribution=self.distribution,
            hash=self.hash,
            hash_tag=self.hash_tag or "",
            splits=self.multi_key == "split",
            remap=self.keys_of_dead_servers == "remap",
            failure_limit=self.failure_limit,
            rejoin_timeout=self.rejoin_timeout,
            retry_timeout=self.retry_timeout,
            max_held_requests=self.max_held_requests,
            **redis_fields.connecting(self),
        )
