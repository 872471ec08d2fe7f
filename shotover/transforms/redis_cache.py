"""Transform `RedisCache`: keeps replies of Cassandra in Redis."""

from __future__ import annotations

from shotover.config.fields import Field, boolean, integer, list_of, number, size, text
from shotover.config.models import Model
from shotover.config.reading import INVALID, Invalid
from shotover.config.steps import ChainConfig, TransformConfig, chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from shotover._proxy.step import Step
    from shotover.config.errors import Place
    from shotover.config.reading import Reader
    from shotover.config.source import Node
    from shotover.runtime.assemble import BuildContext

TABLES_MAX = 1000
NAME_BYTES_MAX = 48  # of a keyspace or table: the servers' own bound
PREFIX_BYTES_MAX = 32
LOGIN_BYTES_MAX = 1000
KEY_COLUMNS_MAX = 32


class CachedTable(Model):
    """A table whose rows are cached."""

    partition_key: tuple[str, ...] = list_of(
        text(), doc="columns of the partition key, as the server spells them"
    )
    range_key: tuple[str, ...] = list_of(
        text(),
        empty=True,
        default=(),
        doc="clustering columns; accepted, since other versions need them: here what is kept of a "
        "partition is dropped as a whole when a row of it is written",
    )

    def validate(self) -> Iterator[tuple[str, str | None]]:
        columns = self.partition_key
        if len(columns) > KEY_COLUMNS_MAX:
            yield f"expected at most {KEY_COLUMNS_MAX} columns, got {len(columns)}", "partition_key"


class CachingSchema(Field):
    """A map from keyspace.table to its key."""

    kind = "a map from keyspace.table to its partition_key and range_key"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        mapping = reader.mapping(node, place, self.expected)
        if isinstance(mapping, Invalid):
            return mapping
        before = len(reader.problems)
        if not mapping.entries:
            return reader.add(place, "expected at least one table, got an empty map")
        if len(mapping.entries) > TABLES_MAX:
            count = len(mapping.entries)
            return reader.add(place, f"expected at most {TABLES_MAX} tables, got {count}")
        found: dict[str, CachedTable] = {}
        for name, child in mapping.entries.items():
            at = place.child(name, mapping.lines[name])
            parts = name.split(".")
            if len(parts) != 2 or not all(
                part and len(part.encode()) <= NAME_BYTES_MAX for part in parts
            ):
                reader.add(at, f"expected keyspace.table, got {name!r}")
                continue
            fields = reader.mapping(child, at, "a map with partition_key and range_key")
            if not isinstance(fields, Invalid):
                found[name] = CachedTable.read(fields, at, reader)
        return INVALID if len(reader.problems) > before else found

    def plain(self, value: dict[str, CachedTable]) -> Any:
        return {
            name: {
                "partition_key": list(table.partition_key),
                "range_key": list(table.range_key),
            }
            for name, table in (value or {}).items()
        }


def caching_schema(**common: Any) -> Any:
    return CachingSchema(**common)


class RedisCacheConfig(TransformConfig, tag="RedisCache", aliases=("ValkeyCache",)):
    """Keeps the replies to reads of one partition in Redis, and answers the same reads from there.

    A `SELECT` on a table of `caching_schema` that gives every column of its partition key one
    value is answered from Redis if the same was asked before, with the same values, consistency,
    page, protocol version, by the same user. Whatever may change the partition (INSERT, UPDATE,
    DELETE, BATCH, prepared or not, with a literal or a bound value) makes what is kept of it void:
    Redis is told before the server gets the write, and again before the client gets the reply, so
    that no read that was under way meanwhile leaves an old reply behind. TRUNCATE, DROP, ALTER,
    GRANT and what cannot be understood make whole tables void.

    Not cached: errors, empty replies (unless `cache_empty`), reads of several partitions or with
    functions, serial reads, traced ones.

    What changes rows past this proxy (other clients, a TTL of the row's own) is seen after `ttl`
    seconds at the latest. `chain` ends in a sink of Redis; it may be shared by several proxies.
    When Redis does not answer within `timeout_ms`, requests go on without it.
    """

    protocols = frozenset({"cassandra"})
    chain_protocol = "redis"

    caching_schema: dict[str, CachedTable] = caching_schema(
        doc="the tables to cache: a map from keyspace.table to `partition_key` and `range_key`, lists of columns"
    )
    chain: ChainConfig = chain(doc="the way to Redis: steps for Redis, the last of them a sink")
    username: str | None = text(
        default=None,
        doc="user of Redis with which the cache logs in; null with a password: default",
    )
    password: str | None = text(
        default=None,
        secret=True,
        doc="its password, from a variable or a file; null: Redis wants none",
    )
    ttl: float = number(
        minimum=0.001,
        maximum=31_536_000,
        default=60,
        doc="seconds for which a reply is kept at most",
    )
    key_prefix: str = text(
        default="shotover:", doc="what the names of all keys begin with, 32 bytes at most"
    )
    cache_empty: bool = boolean(default=False, doc="whether replies without a row are kept, too")
    max_entry_bytes: int = size(
        minimum=64,
        maximum=64 << 20,
        default=1 << 20,
        doc="bytes of the largest reply that is kept",
    )
    timeout_ms: int = integer(
        minimum=1,
        maximum=60_000,
        default=500,
        doc="milliseconds for which a request waits for Redis",
    )
    write_window: float = number(
        minimum=1,
        maximum=3600,
        default=30,
        doc="seconds for which nothing of a partition is cached after a write of which nobody "
        "knows whether it was carried out; longer than any write takes",
    )
    strict: bool = boolean(
        default=False,
        doc="whether a write of which Redis cannot be told is refused; else it goes on, and what "
        "other proxies have of it in the cache may be old for `ttl` seconds",
    )

    def validate(self) -> Iterator[tuple[str, str | None]]:
        if len(self.key_prefix.encode()) > PREFIX_BYTES_MAX:
            yield f"expected at most {PREFIX_BYTES_MAX} bytes", "key_prefix"
        if self.password is None:
            if self.username is not None:
                yield "has no effect without password; leave it out", "username"
            return
        for name, word in (("username", self.username or ""), ("password", self.password)):
            if len(word.encode()) > LOGIN_BYTES_MAX:
                yield f"expected at most {LOGIN_BYTES_MAX} bytes", name
        steps = tuple(self.chain or ())
        if steps and (steps[-1].tags[:1] != ("RedisSinkSingle",) or len(steps) > 1):
            yield "works with a chain of one RedisSinkSingle", "password"

    def subchains(self) -> list[tuple[str, ChainConfig]]:
        return [(f"{self.name}.cache", self.chain)] if self.chain else []

    def build(self, context: BuildContext) -> Step:
        from ._redis_cache import RedisCache

        ((name, steps),) = self.subchains()
        chain = context.chain(name, steps, protocol=self.chain_protocol)
        if self.password is not None:
            chain.steps[0].log_in(self.username, self.password)
        return RedisCache(
            context,
            name=self.name,
            chain=chain,
            schema=[
                (*table.split("."), key.partition_key) for table, key in self.caching_schema.items()
            ],
            key_prefix=self.key_prefix,
            ttl=self.ttl,
            write_window=self.write_window,
            timeout_ms=self.timeout_ms,
            max_entry_bytes=self.max_entry_bytes,
            cache_empty=self.cache_empty,
            strict=self.strict,
        )
