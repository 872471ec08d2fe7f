"""Transform `RequestThrottling`: at most so many requests a second, of all or of some."""

from __future__ import annotations

from shotover.config.errors import one_of
from shotover.config.fields import boolean, choice, integer, number, text
from shotover.config.lists import Commands, Entries, Words
from shotover.config.statements import StatementConditions
from shotover.config.steps import TransformConfig
from shotover.transforms.conditions import Conditions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from shotover._proxy.step import Step
    from shotover.config.errors import Place
    from shotover.runtime.assemble import BuildContext

ENTRIES_MAX = 63
"""Most limits and most weights: they are sets of bits, and `max_requests_per_second` is a limit, too."""
NAME_BYTES_MAX = 64
FILL_SECONDS_MAX = 1_000_000
"""Longest time in which an empty bucket may be full again."""
OVERALL = "max_requests_per_second"
CLASSES = (
    "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
    "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
)  # fmt: skip
"""As ACL CAT lists them."""


class Classes(Words):
    """ACL categories, with or without the @."""

    one = "a class of commands"
    many = "classes"

    def form(self, word: str) -> str:
        name = word.lower().removeprefix("@")
        if name not in CLASSES:
            raise ValueError(f"there is no class {word}, expected {one_of(CLASSES)} (ACL CAT)")
        return name


class Limit(Conditions, StatementConditions):
    """A rate, what comes under it, and what has a bucket of its own."""

    redis_only = ("key", "prefix", "glob", "database", "command", "classes")

    name: str = text(doc="name in errors and metrics")
    classes: tuple[str, ...] | None = Classes(key="class", default=None, doc="commands of these")  # type: ignore[assignment]
    per: str | None = choice(
        "user",
        "client",
        "key",
        "prefix",
        "command",
        "statement",
        "keyspace",
        "table",
        default=None,
        doc="what has a bucket of its own; null: there is one for all",
    )
    delimiter: str = text(default=":", doc="with per: prefix, where a prefix ends")
    rate: float = number(minimum=0.001, maximum=4_294_967_295, doc="tokens a second")
    burst: int | None = integer(
        minimum=1,
        maximum=4_294_967_295,
        default=None,
        doc="tokens that a full bucket holds; null: those of a second",
    )
    max_keys: int = integer(
        minimum=8,
        maximum=16_777_216,
        default=65_536,
        doc="with per, how many have buckets at once; 16 bytes each",
    )

    def validate(self) -> Iterator[tuple[str, str | None]]:
        yield from super().validate()
        if len(self.name.encode()) > NAME_BYTES_MAX or not self.name.isprintable():
            yield f"expected at most {NAME_BYTES_MAX} bytes that can be printed", "name"
        if len(self.delimiter.encode()) != 1:
            yield "expected one ASCII character", "delimiter"
        if "delimiter" in self.given and self.per != "prefix":
            yield "has no effect without per: prefix; leave it out", "delimiter"
        if "max_keys" in self.given and self.per is None:
            yield "has no effect without per; leave it out", "max_keys"
        if self.per in ("key", "prefix") and self.kind == "key":
            yield "has no effect with key; leave it out, or say prefix or glob", "per"
        if self.tokens / self.rate > FILL_SECONDS_MAX:
            yield (
                f"at this rate a bucket of {self.tokens} is full after {self.tokens / self.rate:.0f} seconds; "
                f"expected at most {FILL_SECONDS_MAX}",
                "burst",
            )

    def unfit(self, protocol: str) -> Iterator[tuple[Place, str]]:
        yield from super().unfit(protocol)
        wrong = (
            ("prefix", "command") if protocol == "cassandra" else ("statement", "keyspace", "table")
        )
        if self.per in wrong:
            yield (
                self.place_of("per"),
                f"requests of {protocol} have no {self.per} to count them by",
            )

    @property
    def tokens(self) -> int:
        """What a full bucket holds."""
        return self.burst or max(1, int(self.rate))

    @property
    def spares(self) -> tuple[str, ...]:
        """Classes that it leaves alone: the connection's own business, unless it asks for certain commands."""
        return () if self.command or self.classes else ("connection",)

    def cql_row(self) -> tuple[Any, ...]:
        """As StatementLimits takes it."""
        condition = self.statement_row(self.user, self.certificate)
        return (self.name, condition, self.per, False, self.rate, self.tokens, self.max_keys)

    def row(self) -> tuple[Any, ...]:
        """As Limits takes it."""
        keys = self.max_keys
        return (
            *(self.name, self.row_of(0), self.classes or (), self.spares, self.per, self.delimiter),
            *(False, self.rate, self.tokens, keys),
        )


class Weight(StatementConditions):
    """What requests of some commands or statements count."""

    redis_only = ("command", "classes", "each_key")

    command: tuple[str, ...] | None = Commands(default=None, doc="these commands")  # type: ignore[assignment]
    classes: tuple[str, ...] | None = Classes(key="class", default=None, doc="commands of these")  # type: ignore[assignment]
    weight: int = integer(minimum=0, maximum=1_000_000, default=1, doc="tokens that each takes")
    each_key: bool = boolean(default=False, doc="whether each takes so many for every key it names")

    def validate(self) -> Iterator[tuple[str, str | None]]:
        said = (self.command, self.classes, *(getattr(self, name) for name in self.cql_only))
        if all(one is None for one in said):
            yield "expected a command or a class, or for Cassandra a condition on statements", None

    def row(self) -> tuple[Any, ...]:
        """As Limits takes it."""
        commands = tuple(word.encode() for word in self.command or ())
        condition = (0, "any", b"", 0, 0, None, None, commands)
        return (condition, self.classes or (), self.weight, self.each_key)


class LimitsField(Entries):
    kind = "a list of limits"
    what = "a limit: a map of its name, its rate and what comes under it"
    model = Limit


class WeightsField(Entries):
    kind = "a list of weights"
    what = "a weight: a map of a command or class and its weight"
    model = Weight


class RequestThrottlingConfig(TransformConfig, tag="RequestThrottling"):
    """Lets at most `max_requests_per_second` requests through; answers the others with an error.

    With `limits`, each request is held against all limits whose conditions (on its key, user,
    database and command) it meets, and passes if all of them allow it. A limit has one bucket of
    tokens, or one for each user, client, key, prefix or command; `weights` say how many tokens
    requests take. The error names the limit and says when to try again.

    Rates are metered continuously (GCRA), over all clients and workers. What opens or closes a
    transaction always passes, and a transaction of which a command was refused is discarded as a
    whole.
    """

    protocols = frozenset({"redis", "cassandra"})

    max_requests_per_second: int | None = integer(
        minimum=50,
        maximum=2**32 - 1,
        default=None,
        doc="requests let through in a second, over all clients and workers together",
    )
    limits: tuple[Limit, ...] = LimitsField(  # type: ignore[assignment]
        default=(), doc="limits, all of which must let a request pass"
    )
    weights: tuple[Weight, ...] = WeightsField(  # type: ignore[assignment]
        default=(),
        doc="how many tokens of `limits` a request takes, by the first that fits; otherwise one",
    )

    def validate(self) -> Iterator[tuple[str, str | None]]:
        if self.max_requests_per_second is None and not self.limits:
            yield f"expected {OVERALL}, limits or both, got neither", None
        for name, found in (("limits", self.limits), ("weights", self.weights)):
            if len(found) > ENTRIES_MAX:
                yield f"expected at most {ENTRIES_MAX} {name}, got {len(found)}", name
        if self.weights and not self.limits:
            yield f"have no effect without limits: {OVERALL} counts requests", "weights"
        if len(self.limits) + len(self.weights) > ENTRIES_MAX and any(
            entry.given.intersection(StatementConditions.cql_only)
            for entry in (*self.limits, *self.weights)
        ):
            yield (
                f"expected at most {ENTRIES_MAX} limits and weights together for Cassandra",
                "limits",
            )
        names = {OVERALL: 0}
        for limit in self.limits:
            if limit.name in names:
                yield (
                    f"line {limit.place.line}: two limits have the name {limit.name}; give one of them another",
                    "limits",
                )
            names[limit.name] = 1
        largest = max((limit.tokens for limit in self.limits), default=0)
        for weight in self.weights:
            if self.limits and weight.weight > largest:
                yield (
                    f"line {weight.place.line}: {weight.weight} is more than any limit's burst holds, so that such a "
                    f"request would never pass",
                    "weights",
                )

    def unfit(self, protocol: str) -> Iterator[tuple[Place, str]]:
        for entry in (*self.limits, *self.weights):
            yield from entry.unfit(protocol)

    def build(self, context: BuildContext) -> Step:
        if self.limits and context.protocol == "cassandra":
            return self._build_cql(context)
        if self.limits:
            return self._build_limits(context)
        from ._request_throttling import Limiter, RequestThrottling

        limiter = self.__dict__.get("limiter")
        if limiter is None:
            limiter = self.__dict__["limiter"] = Limiter(self.max_requests_per_second)
        return RequestThrottling(context, name=self.name, limiter=limiter)

    def _build_limits(self, context: BuildContext) -> Step:
        from ._request_throttling_limits import Limits, RequestLimits

        limits = self.__dict__.get("shared_limits")
        if limits is None:
            limits = self.__dict__["shared_limits"] = Limits(
                [*self._overall(), *(limit.row() for limit in self.limits)],
                [weight.row() for weight in self.weights],
            )
        return RequestLimits(context, name=self.name, limits=limits)

    def _build_cql(self, context: BuildContext) -> Step:
        from ._request_throttling_cql import CqlLimits, StatementLimits

        limits = self.__dict__.get("shared_limits")
        if limits is None:
            rows = [limit.cql_row() for limit in self.limits]
            rate = self.max_requests_per_second
            if rate is not None:
                everything = (None,) * 6
                rows.insert(0, (OVERALL, everything, None, True, float(rate), rate, 0))
            weights = [(weight.statement_row(), weight.weight) for weight in self.weights]
            limits = self.__dict__["shared_limits"] = StatementLimits(rows, weights)
        return CqlLimits(context, name=self.name, limits=limits)

    def _overall(self) -> Iterator[tuple[Any, ...]]:
        """`max_requests_per_second` as one of the limits: it counts everything, as one each."""
        rate = self.max_requests_per_second
        if rate is not None:
            condition = (0, "any", b"", 0, 0, None, None, ())
            yield (OVERALL, condition, (), (), None, ":", True, float(rate), rate, 0)
