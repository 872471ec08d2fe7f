"""Transform `KeyRouter`: sends requests down different chains, by key, user, database or command."""

from __future__ import annotations

import os

from shotover.config.errors import ConfigError, Problem
from shotover.config.fields import choice, integer, text
from shotover.config.steps import ChainConfig, TransformConfig, chain
from shotover.transforms.key_router_rules import (
    DEFAULT,
    PartitionKeys,
    Rule,
    RulesField,
    faults,
    key_faults,
    read_file,
    routes_of,
    shapes_of,
    table_of,
)
from shotover.transforms.python import ChainsField

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from shotover._codec.key_rules import KeyRules
    from shotover._proxy.step import Step
    from shotover.config.errors import Place
    from shotover.runtime.assemble import BuildContext
    from shotover.transforms._key_router_cql import StatementRoutes
    from shotover.transforms._key_router_keys import KeyShapes


class KeyRouterConfig(TransformConfig, tag="KeyRouter"):
    """Sends each request down the chain that the first rule names whose conditions all hold.

    A rule has conditions on the key (`key`, `prefix`, `glob` or `hash`), on `user`, `database` and
    `command`, and a chain, `to`. What no rule sends elsewhere goes down the `default` chain.
    Rules stand in `rules`, or in a file of their own, `rules_file`, which is read again whenever
    it changes: the new rules hold from then on if nothing is wrong with any of them.

    A request whose keys belong to several chains is split and its replies joined, where the
    servers say that it may be (`MGET`, `MSET`, `DEL`, `UNLINK`, `EXISTS`, `TOUCH`); other such
    requests, and all of them under `multi_key: refuse`, are answered with an error.

    Before Cassandra, rules have conditions on statements (`statements`, `keyspaces`, `tables`)
    and on `user`; with `partition_keys` also on the partition key of a table. Clients shake hands
    with all chains.
    """

    terminating = True
    protocols = frozenset({"redis", "cassandra"})

    chains: dict[str, ChainConfig] = ChainsField(  # type: ignore[assignment]
        doc="chains by name, each a list of steps; at most 32"
    )
    default: ChainConfig = chain(doc="the chain of whatever no rule sends elsewhere")
    rules: tuple[Rule, ...] = RulesField(  # type: ignore[assignment]
        default=(), doc="the rules, in order"
    )
    rules_file: str | None = text(
        default=None,
        doc="file with the rules instead, relative to the topology file; read again when it changes",
    )
    multi_key: str = choice(
        "split",
        "refuse",
        default="split",
        doc="what becomes of a request whose keys belong to several chains",
    )
    partition_keys: dict[str, dict[str, str]] = PartitionKeys(  # type: ignore[assignment]
        default={},
        doc="before Cassandra: a map from keyspace.table to a map of the columns of its partition key, in "
        "order, to their types; rules for these tables may have a `key`, `prefix`, `glob` or `hash`",
    )
    unknown_partition: str = choice(
        "refuse",
        "default",
        default="refuse",
        doc="before Cassandra: what becomes of a statement whose chain follows from its partition key "
        "when that cannot be told: an error, or the default chain",
    )

    handshake_timeout_ms: int = integer(
        minimum=1,
        maximum=3_600_000,
        default=2000,
        doc="before Cassandra: milliseconds a client waits for chains other than the default one to let it in, or "
        "to prepare a statement; then it goes on without them",
    )

    def subchains(self) -> list[tuple[str, ChainConfig]]:
        found = [(f"{self.name}.{name}", steps) for name, steps in (self.chains or {}).items()]
        return [(f"{self.name}.{DEFAULT}", self.default), *found] if self.default else found

    @property
    def file(self) -> str:
        """The file of the rules, found from the topology that names it."""
        return os.path.join(os.path.dirname(self.place.file), self.rules_file or "")

    def watched_file(self) -> str | None:
        return self.file if self.rules_file else None

    def validate(self) -> Iterator[tuple[str, str | None]]:
        try:
            self.shapes()
        except ValueError as error:
            yield str(error), "partition_keys"
        if DEFAULT in self.chains:
            yield f"the name {DEFAULT} is that of the chain in the field {DEFAULT}", "chains"
        if self.rules_file and self.rules:
            yield "expected rules or rules_file, got both", "rules_file"
            return
        for place, message in faults(self.rules, self.chains):
            yield f"line {place.line}: {message}", "rules"
        if self.rules_file:
            try:
                self.__dict__["read"] = read_file(self.file, self.chains)
            except ConfigError as error:
                for line in error.lines:
                    yield line, "rules_file"

    def table(self) -> KeyRules:
        """The rules as they are now; one for all workers."""
        found = self.__dict__.get("compiled")
        if found is None:
            rules: Sequence[Rule] = self.__dict__.get("read", self.rules)
            found = self.__dict__["compiled"] = table_of(rules, self.chains)
        return found

    def unfit(self, protocol: str) -> Iterator[tuple[Place, str]]:
        self.__dict__["speaks"] = protocol
        rules = self.__dict__.get("read", self.rules)
        for rule in rules:
            yield from rule.unfit(protocol)
        if protocol == "cassandra":
            try:
                yield from key_faults(rules, self.shapes())
            except ValueError:  # said by validate
                return
        elif self.partition_keys:
            yield self.place_of("partition_keys"), f"there are none in {protocol}"

    def shapes(self) -> KeyShapes:
        """The tables of partition_keys."""
        found = self.__dict__.get("shaped")
        if found is None:
            found = self.__dict__["shaped"] = shapes_of(self.partition_keys)
        return found

    def routes(self) -> StatementRoutes:
        """The same as `table`, for Cassandra."""
        found = self.__dict__.get("compiled")
        if found is None:
            rules: Sequence[Rule] = self.__dict__.get("read", self.rules)
            found = self.__dict__["compiled"] = routes_of(rules, self.chains, 1, self.shapes())
        return found

    def reread(self, steps: Sequence[Any]) -> str:
        """Gives all copies the rules that the file has now. Raises ConfigError, with the old ones in force."""
        rules = read_file(self.file, self.chains)
        speaks = self.__dict__.get("speaks", "redis")
        wrong = [Problem(place, text) for rule in rules for place, text in rule.unfit(speaks)]
        if speaks == "cassandra":
            wrong += [Problem(place, text) for place, text in key_faults(rules, self.shapes())]
        if wrong:
            raise ConfigError(wrong)
        table: Any
        if speaks == "cassandra":
            self.__dict__["generation"] = generation = self.__dict__.get("generation", 1) + 1
            table = routes_of(rules, self.chains, generation, self.shapes())
        else:
            table = table_of(rules, self.chains)
        self.__dict__["compiled"] = table
        for step in steps:
            step.set_rules(table)
        return f"{len(rules)} rules"

    def build(self, context: BuildContext) -> Step:
        if context.protocol == "cassandra":
            from ._key_router_cql import CqlRouter

            return CqlRouter(
                context,
                name=self.name,
                chains=[context.chain(name, steps) for name, steps in self.subchains()],
                names=[DEFAULT, *self.chains],
                routes=self.routes(),
                shapes=self.shapes(),
                lenient=self.unknown_partition == "default",
                handshake_timeout_ms=self.handshake_timeout_ms,
            )
        from ._key_router import KeyRouter

        return KeyRouter(
            context,
            name=self.name,
            chains=[context.chain(name, steps) for name, steps in self.subchains()],
            names=[DEFAULT, *self.chains],
            rules=self.table(),
            splits=self.multi_key == "split",
        )
