"""Transform `QueryTypeFilter`: refuses requests by what they do."""

from __future__ import annotations

from shotover.config.conditions import QUERY_TYPES
from shotover.config.fields import choice, list_of, text
from shotover.config.steps import TransformConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from shotover._proxy.step import Step
    from shotover.runtime.assemble import BuildContext


class QueryTypeFilterConfig(TransformConfig, tag="QueryTypeFilter"):
    """Answers requests of some types with the error `Message was filtered out by shotover`.

    Give exactly one of:

    - `DenyList: [TYPES]`: requests of these types are refused, all others pass;
    - `AllowList: [TYPES]`: requests of these types pass, all others are refused;
    - `filter: TYPE`: the older spelling of `DenyList: [TYPE]`.

    Types are `Read`, `Write`, `ReadWrite`, `SchemaChange` and `PubSubMessage`. What a command
    does is taken from the server's own description of its commands, so that `EXISTS` is a read
    and `APPEND` a write. The connection's own business (`AUTH`, `HELLO`, `SELECT`, `PING`)
    always passes.

    Before Cassandra a statement of CQL is a read, a write or a change of the schema (roles and
    permissions count as such), whether it comes as a query, in a batch or prepared: an `EXECUTE`
    is what it executes. What cannot be understood is refused with `Write` and `ReadWrite`.
    Preparing and `USE` always pass. The error is that of an invalid query (0x2200).
    """

    protocols = frozenset({"redis", "cassandra"})

    filter: str | None = choice(
        *QUERY_TYPES, default=None, doc="one type that is refused: the older spelling of DenyList"
    )
    allow_list: tuple[str, ...] | None = list_of(
        choice(*QUERY_TYPES),
        key="AllowList",
        default=None,
        doc="types that pass; all others are refused",
    )
    deny_list: tuple[str, ...] | None = list_of(
        choice(*QUERY_TYPES),
        key="DenyList",
        default=None,
        doc="types that are refused; all others pass",
    )

    certificates: tuple[str, ...] | None = list_of(
        text(),
        default=None,
        doc="only requests of clients whose certificate names one of these, see TLS; all others pass",
    )

    def validate(self) -> Iterator[tuple[str, str | None]]:
        given = [
            name
            for name, value in (
                ("filter", self.filter),
                ("AllowList", self.allow_list),
                ("DenyList", self.deny_list),
            )
            if value is not None
        ]
        if len(given) != 1:
            got = " and ".join(given) or "none of them"
            yield f"expected exactly one of AllowList, DenyList, filter, got {got}", None

    @property
    def refused(self) -> frozenset[str]:
        """The types refused, however that was written."""
        if self.allow_list is not None:
            return frozenset(QUERY_TYPES) - frozenset(self.allow_list)
        return frozenset((self.filter,) if self.filter is not None else self.deny_list or ())

    def build(self, context: BuildContext) -> Step:
        from ._query_type_filter import QueryTypeFilter

        certificates = self.certificates
        return QueryTypeFilter(
            context,
            name=self.name,
            refused=self.refused,
            certificates=None if certificates is None else [one.encode() for one in certificates],
        )
