"""Names in a topology -> models, each imported when its name is first met.

Built-ins stand in the tables below. A name that is in none of them is looked for among the entry
points of group `shotover.transforms`, so an ordinary start never pays for that search. An entry
point names a `TransformConfig` (used as it is) or a `shotover.Transform` (wrapped by `Python`).
"""

from __future__ import annotations

from shotover.config.errors import nearest, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from shotover.config.steps import Named

ENTRY_POINT_GROUP = "shotover.transforms"

_REDIS_SOURCE = "shotover.sources.redis:RedisSource"
_REDIS_SINGLE = "shotover.sinks.redis_single:RedisSinkSingleConfig"
_REDIS_CLUSTER = "shotover.sinks.redis_cluster:RedisSinkClusterConfig"
_REDIS_SENTINEL = "shotover.sinks.redis_sentinel:RedisSinkSentinelConfig"
_REDIS_CACHE = "shotover.transforms.redis_cache:RedisCacheConfig"
_PORTS_REWRITE = "shotover.transforms.cluster_ports_rewrite:ClusterPortsRewriteConfig"
_REDIS_SHARDS = "shotover.sinks.redis_shards:RedisSinkShardsConfig"
_PROTOCOL_CONVERTER = "shotover.transforms.redis_protocol_converter:RedisProtocolConverterConfig"
_LOAD_BALANCE = "shotover.transforms.load_balance:LoadBalanceConfig"

SOURCES = {
    "Cassandra": "shotover.sources.cassandra:CassandraSource",
    "Redis": _REDIS_SOURCE,
    "Valkey": _REDIS_SOURCE,
}
SINKS = {
    "CassandraSinkCluster": "shotover.sinks.cassandra_cluster:CassandraSinkClusterConfig",
    "CassandraSinkSingle": "shotover.sinks.cassandra_single:CassandraSinkSingleConfig",
    "RedisSinkCluster": _REDIS_CLUSTER,
    "RedisSinkSentinel": _REDIS_SENTINEL,
    "RedisSinkShards": _REDIS_SHARDS,
    "RedisSinkSingle": _REDIS_SINGLE,
    "ValkeySinkCluster": _REDIS_CLUSTER,
    "ValkeySinkSentinel": _REDIS_SENTINEL,
    "ValkeySinkShards": _REDIS_SHARDS,
    "ValkeySinkSingle": _REDIS_SINGLE,
}
TRANSFORMS = {
    "AdaptiveConcurrency": ("shotover.transforms.adaptive_concurrency:AdaptiveConcurrencyConfig"),
    "Audit": "shotover.transforms.audit:AuditConfig",
    "CassandraPeersRewrite": (
        "shotover.transforms.cassandra_peers_rewrite:CassandraPeersRewriteConfig"
    ),
    "Coalesce": "shotover.transforms.coalesce:CoalesceConfig",
    "ConnectionBalanceAndPool": _LOAD_BALANCE,
    "DebugForceEncode": "shotover.transforms.debug_force:DebugForceEncodeConfig",
    "DebugForceParse": "shotover.transforms.debug_force:DebugForceParseConfig",
    "DebugPrinter": "shotover.transforms.debug_printer:DebugPrinterConfig",
    "DebugReturner": "shotover.transforms.debug_returner:DebugReturnerConfig",
    "FaultInjection": "shotover.transforms.fault_injection:FaultInjectionConfig",
    "KeyRouter": "shotover.transforms.key_router:KeyRouterConfig",
    "LoadBalance": _LOAD_BALANCE,
    "NullSink": "shotover.transforms.null_sink:NullSinkConfig",
    "ParallelMap": "shotover.transforms.parallel_map:ParallelMapConfig",
    "Protect": "shotover.transforms.protect:ProtectConfig",
    "Python": "shotover.transforms.python:PythonConfig",
    "QueryCounter": "shotover.transforms.query_counter:QueryCounterConfig",
    "QueryTypeFilter": "shotover.transforms.query_type_filter:QueryTypeFilterConfig",
    "RedisCache": _REDIS_CACHE,
    "RedisClusterPortsRewrite": _PORTS_REWRITE,
    "RedisProtocolConverter": _PROTOCOL_CONVERTER,
    "RedisTimestampTagger": (
        "shotover.transforms.redis_timestamp_tagger:RedisTimestampTaggerConfig"
    ),
    "RequestThrottling": "shotover.transforms.request_throttling:RequestThrottlingConfig",
    "Tee": "shotover.transforms.tee:TeeConfig",
    "TuneableConsistencyScatter": (
        "shotover.transforms.tuneable_consistency_scatter:TuneableConsistencyScatterConfig"
    ),
    "ValkeyCache": _REDIS_CACHE,
    "ValkeyClusterPortsRewrite": _PORTS_REWRITE,
    "ValkeyProtocolConverter": _PROTOCOL_CONVERTER,
}
STEPS = {**SINKS, **TRANSFORMS}
TABLES = {"source": SOURCES, "transform": STEPS}

NOT_YET = frozenset(
    {
        "Kafka",
        "OpenSearch",
        "DebugLogToFile",
        "KafkaSinkCluster",
        "KafkaSinkSingle",
        "OpenSearchSinkSingle",
    }
)
"""Names users of other versions know, so that an error can say more than "unknown"."""


def find(kind: str, name: str) -> type[Named]:
    """The model of a "source" or "transform" named in YAML; LookupError says why there is none."""
    target = TABLES[kind].get(name)
    if target is not None:
        return load(target)
    if kind == "transform":
        point = _entry_points().get(name)
        if point is not None:
            return _model_of(name, point)
    raise LookupError(_unknown(kind, name))


def load(target: str) -> type[Named]:
    """The model behind `module:name`."""
    from importlib import import_module

    module, _, attribute = target.partition(":")
    model: type[Named] = getattr(import_module(module), attribute)
    return model


def names() -> list[str]:
    """Every name a topology may use: built-ins and entry points, sorted."""
    return sorted({*SOURCES, *STEPS, *_entry_points()})


def lookup(name: str, others: Iterable[str] = ()) -> type[Named]:
    """The model of a name of either kind; LookupError suggests the nearest of them and `others`."""
    kind = "source" if name in SOURCES else "transform"
    try:
        return find(kind, name)
    except LookupError:
        known = [*names(), *others]
        if name in NOT_YET or name in known:  # a package's that cannot be imported
            raise
        near = nearest(name, known)
        hint = f"did you mean {near}?" if near else f"known are {', '.join(known)}"
        raise LookupError(f"nothing is named {shown(name)}, {hint}") from None


def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def _model_of(name: str, point: Any) -> type[Named]:
    """The model of an entry point; whatever its import raises becomes one sentence."""
    from shotover.config.steps import StepConfig
    from shotover.transforms.python import model_for

    try:
        found = point.load()
    except Exception as error:  # any code may stand behind an entry point
        reason = f"{type(error).__name__}: {error}"
        raise LookupError(
            f"transform {name} ({point.value}) cannot be imported: {reason}"
        ) from error
    if isinstance(found, type) and issubclass(found, StepConfig):
        return found
    if isinstance(found, type):
        return model_for(name, found)
    raise LookupError(
        f"transform {name} ({point.value}) is neither a TransformConfig nor a Transform"
    )


def _unknown(kind: str, name: str) -> str:
    table = TABLES[kind]
    if name in NOT_YET:
        return f"{name} is not supported yet by this version"
    other = "transform" if kind == "source" else "source"
    if name in TABLES[other]:
        return f"{name} is a {other}, expected a {kind}"
    known = sorted({*table, *(_entry_points() if kind == "transform" else ())})
    near = nearest(name, known)
    hint = f"did you mean {near}?" if near else f"known are {', '.join(known)}"
    return f"unknown {kind} {shown(name)}, {hint}"
