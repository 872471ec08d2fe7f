"""Transform `QueryCounter`: counts requests by command."""

from __future__ import annotations

from shotover.config.fields import integer, text
from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext


class QueryCounterConfig(TransformConfig, tag="QueryCounter"):
    """Counts requests in the metric `shotover_query_count`, by command and protocol.

    Its labels are `name` (from `counter_name`), `query` (the command in upper case; `unknown`
    for what no server documents) and `type` (the protocol). Older topologies give the label as
    `name`: with `counter_name` absent, `name` is used for both.

    Of CQL, statements are counted by their type (`SELECT`, `CREATE TABLE`): each one of a batch,
    and a prepared one whenever it is executed; `unknown` is what could not be understood. With
    `tables`, `shotover_table_query_count` has them by `keyspace`, `table` and `query`, too.
    """

    protocols = frozenset({"redis", "cassandra"})

    name_is_label = True

    counter_name: str = text(
        default=None, doc="label `name` of the metric; by default the transform's name"
    )

    tables: int = integer(
        minimum=0,
        maximum=10_000,
        default=0,
        doc="how many pairs of table and type of statement are counted by themselves, a worker; "
        "the others count together. For Cassandra",
    )

    def rename(self, name: str | None) -> None:
        if self.counter_name is None and self.name is not None:
            self.__dict__["counter_name"] = self.name
        super().rename(name)

    def settle(self) -> None:
        if self.counter_name is None:
            self.__dict__["counter_name"] = self.name

    def build(self, context: BuildContext) -> Step:
        from ._query_counter import QueryCounter

        return QueryCounter(
            context, name=self.name, counter_name=self.counter_name, tables=self.tables
        )
