"""Transform `Protect`: seals columns of Cassandra tables."""

from __future__ import annotations

import re
from typing import NamedTuple

from shotover.config.fields import (
    HIDDEN,
    Field,
    Settings,
    boolean,
    choice,
    list_of,
    number,
    settings,
    text,
)
from shotover.config.models import Model, read_map
from shotover.config.reading import INVALID, Invalid
from shotover.config.source import Mapping, Sequence
from shotover.config.steps import TransformConfig
from shotover.transforms.protect_types import option_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Sequence as SequenceOf
    from typing import Any, ClassVar

    from shotover._proxy.step import Step
    from shotover.config.errors import Place
    from shotover.config.reading import Reader
    from shotover.config.source import Node
    from shotover.config.steps import StepConfig
    from shotover.runtime.assemble import BuildContext

COLUMNS_MAX = 4096
NAME_BYTES_MAX = 48
LOOKUP_NAME = re.compile(rf"[A-Za-z0-9_]{{1,{NAME_BYTES_MAX}}}")
WARNING = 30  # as in _proxy/step.pxd


class Keks(Settings):
    """A map from names to key-encryption keys, which files may hold."""

    secrets = True


def keks(**common: Any) -> Any:
    return Keks(**common)


class Local(Model):
    """Key-encryption keys that stand in the topology."""

    kek: str = text(
        secret=True,
        doc="the key-encryption key: base64 of 32 bytes, from a variable or a file",
    )
    kek_id: str = text(
        default="local",
        empty=True,
        doc="its name, stored with each value; change it together with the key",
    )
    old_keks: dict[str, str] = keks(
        default={}, doc="keys that values may still be sealed under: a map from kek_id to kek"
    )

    def keys_by_id(self) -> dict[str, bytes]:
        from shotover.transforms.protect_keys import kek_of

        written = {self.kek_id or "local": self.kek, **self.old_keks}
        return {name: kek_of(kek) for name, kek in written.items()}

    def validate(self) -> Iterator[tuple[str, str | None]]:
        from shotover.transforms.protect_keys import kek_of

        for name, kek in (
            ("kek", self.kek),
            *((f"old_keks.{n}", k) for n, k in self.old_keks.items()),
        ):
            try:
                kek_of(kek if isinstance(kek, str) else "")
            except ValueError as error:
                yield f"{name}: {error}", name.partition(".")[0]
        for name in (self.kek_id, *self.old_keks):
            if len(str(name).encode()) > 255:
                yield "expected an id of at most 255 bytes", "kek_id"


class AwsKms(Model):
    """A key in AWS KMS. Credentials come the way AWS' libraries find them."""

    cmk_id: str = text(doc="id, ARN or alias of the key-encryption key")
    region: str = text(doc="such as us-east-1")
    endpoint: str | None = text(default=None, doc="URL to use instead of AWS' own")
    encryption_context: dict[str, str] = settings(default={}, doc="what KMS ties each data key to")
    grant_tokens: tuple[str, ...] = list_of(
        text(secret=True), empty=True, default=(), doc="grant tokens"
    )
    key_spec: str | None = choice(
        "AES_256",
        default=None,
        doc="accepted, since other versions have it: data keys have 256 bits",
    )
    number_of_bytes: int | None = choice(
        "32", default=None, doc="accepted, since other versions have it: data keys have 32 bytes"
    )


class VaultTransit(Model):
    """A key in the transit engine of Vault or OpenBao."""

    address: str = text(doc="URL of the server")
    key: str = text(doc="name of the key-encryption key")
    token: str = text(secret=True, doc="from a variable or a file")
    mount_point: str = text(default="transit", doc="where the engine is mounted")
    namespace: str | None = text(default=None, doc="namespace, where there are some")


MANAGERS: dict[str, type[Model]] = {"Local": Local, "AWSKms": AwsKms, "VaultTransit": VaultTransit}


class KeyManagerField(Field):
    """A map with one key, the kind of manager."""

    kind = f"a map with one of {', '.join(MANAGERS)}"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        mapping = reader.mapping(node, place, self.expected)
        if isinstance(mapping, Invalid):
            return mapping
        if len(mapping.entries) != 1 or next(iter(mapping.entries)) not in MANAGERS:
            got = ", ".join(mapping.entries) or "nothing"
            return reader.add(place, f"expected {self.expected}, got {got}")
        ((kind, child),) = mapping.entries.items()
        at = place.child(kind, mapping.lines[kind])
        before = len(reader.problems)
        fields = read_map(child, at, reader, "a map of fields")
        if isinstance(fields, Invalid):
            return fields
        model = MANAGERS[kind].read(fields, at, reader)
        return INVALID if len(reader.problems) > before else (kind, model)

    def plain(self, value: Any) -> Any:
        if value is None:
            return None
        kind, model = value
        shown = {
            field.key: field.masked(getattr(model, name)) for name, field in model.fields.items()
        }
        if shown.get("old_keks"):
            shown["old_keks"] = dict.fromkeys(shown["old_keks"], HIDDEN)
        if shown.get("grant_tokens"):
            shown["grant_tokens"] = [HIDDEN]
        return {kind: {key: each for key, each in shown.items() if each not in (None, {}, [], ())}}


class Column(NamedTuple):
    """What is declared of a protected column."""

    type: str | None = None
    lookup: str | None = None


class ColumnFields(Model):
    """The longer form of it."""

    type: str = text(doc="as clients see it")
    lookup: str | None = text(default=None, doc="the column beside it that gets its keyed hash")


class ProtectedColumns(Field):
    """keyspace -> table -> columns: a list of names, or a map from names to types or {type, lookup}."""

    kind = "a map from keyspace to table to columns: a list of names, or a map from names to types"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        before = len(reader.problems)
        found: dict[str, dict[str, dict[str, Column]]] = {}
        for keyspace, tables, at in self._entries(node, place, reader):
            for table, columns, where in self._entries(tables, at, reader):
                found.setdefault(keyspace, {})[table] = self._columns(columns, where, reader)
        if len(reader.problems) > before:
            return INVALID
        count = sum(len(columns) for tables in found.values() for columns in tables.values())
        if count == 0:
            return reader.add(place, "expected at least one column")
        if count > COLUMNS_MAX:
            return reader.add(place, f"expected at most {COLUMNS_MAX} columns, got {count}")
        return found

    def _entries(
        self, node: Node, place: Place, reader: Reader
    ) -> Iterator[tuple[str, Any, Place]]:
        mapping = reader.mapping(node, place, self.expected)
        if isinstance(mapping, Invalid):
            return
        for name, child in mapping.entries.items():
            at = place.child(name, mapping.lines[name])
            if not name or len(name.encode()) > NAME_BYTES_MAX:
                reader.add(at, f"expected a name of 1 to {NAME_BYTES_MAX} bytes")
            else:
                yield name, child, at

    def _columns(self, node: Node, place: Place, reader: Reader) -> dict[str, Column]:
        found: dict[str, Column] = {}
        if isinstance(node, Sequence):
            for index, child in enumerate(node.items):
                name = reader.text(child, place.item(index, child.line), "the name of a column")
                if not isinstance(name, Invalid):
                    found[name] = Column()
        elif isinstance(node, Mapping):
            for name, child in node.entries.items():
                at = place.child(name, node.lines[name])
                if isinstance(child, Mapping):
                    declared = ColumnFields.read(child, at, reader)
                    column = Column(declared.type, declared.lookup)
                else:
                    written = reader.text(child, at, "the type of a column")
                    column = Column(None if isinstance(written, Invalid) else written)
                if column.type is not None:
                    self._check_type(column.type, at, reader)
                found[name] = column
        else:
            reader.expected("a list of columns, or a map from columns to types", node, place)
        lookups = [column.lookup for column in found.values() if column.lookup]
        for lookup in lookups:
            if lookup in found or lookups.count(lookup) > 1:
                reader.add(place, f"expected a column of its own as lookup, got {lookup}")
            elif not LOOKUP_NAME.fullmatch(lookup):
                reader.add(
                    place, f"expected letters, digits and _ as lookup, at most {NAME_BYTES_MAX}"
                )
        return found

    def _check_type(self, written: str, place: Place, reader: Reader) -> None:
        try:
            option_of(written)
        except ValueError as error:
            reader.add(place, f"expected a type, got {written}: {error}")

    def plain(self, value: Any) -> Any:
        return {
            keyspace: {table: self._plain(columns) for table, columns in tables.items()}
            for keyspace, tables in (value or {}).items()
        }

    def _plain(self, columns: dict[str, Column]) -> Any:
        if not any(column.type for column in columns.values()):
            return list(columns)
        return {
            name: {"type": column.type, "lookup": column.lookup} if column.lookup else column.type
            for name, column in columns.items()
        }


def key_manager(**common: Any) -> Any:
    return KeyManagerField(**common)


def protected_columns(**common: Any) -> Any:
    return ProtectedColumns(**common)


class ProtectConfig(TransformConfig, tag="Protect"):
    """Seals values of some columns on their way to the server, and opens them on their way back.

    The columns are of type `blob` in the table. Where a column is declared with a type, clients
    see that type: in prepared statements, in rows, in literals. Without one they see a blob.

    Values are sealed in INSERT, UPDATE and BATCH, as literals and as bound values, prepared or not.
    What would store plain text, or would not find what is sealed, is refused: a protected column
    in WHERE, IF or a function, SELECT JSON, a statement that cannot be followed and names such a table.
    """

    protocols: ClassVar[frozenset[str]] = frozenset({"cassandra"})

    keyspace_table_columns: dict[str, dict[str, dict[str, Column]]] = protected_columns(
        doc="the columns: a map from keyspace to table to a list of columns, or to types, or to `type` and `lookup`"
    )
    key_manager: Any = key_manager(
        doc="who has the key-encryption key: `Local`, `AWSKms` or `VaultTransit`, with its fields"
    )
    lookup_key: str | None = text(
        default=None,
        secret=True,
        doc="the key of the hashes in look-up columns: base64 of 32 bytes, from a variable or a file",
    )
    data_key_seconds: float = number(
        minimum=1,
        maximum=31_536_000,
        default=3600,
        doc="seconds for which one data key is used",
    )
    open_rust_form: bool = boolean(
        default=False,
        doc="values that Shotover in Rust has sealed with AWS KMS are opened, too; none are written",
    )
    unsealed: str = choice(
        "Pass",
        "Refuse",
        default="Pass",
        doc="what becomes of a value from the server that is not sealed: it passes as it is, or its reply is refused",
    )

    def validate(self) -> Iterator[tuple[str, str | None]]:
        from shotover.transforms.protect_keys import kek_of

        looked_up = any(
            column.lookup
            for tables in self.keyspace_table_columns.values()
            for columns in tables.values()
            for column in columns.values()
        )
        if self.lookup_key is None:
            if looked_up:
                yield "columns with lookup need lookup_key", "keyspace_table_columns"
            return
        try:
            kek_of(self.lookup_key)
        except ValueError as error:
            yield f"{error}", "lookup_key"
        if not looked_up:
            yield "no column has lookup", "lookup_key"

    def unfit_above(self, below: SequenceOf[StepConfig]) -> Iterator[tuple[Place, str]]:
        """Statements have more values below than above it, where there are look-up columns."""
        for step in below if self.lookup_key is not None else ():
            if not step.terminating or any(step.own_chains()):
                yield (
                    step.place,
                    f"{step.type_name} would see statements of Protect's own, with its look-up columns: put it above Protect",
                )

    def columns(self) -> list[tuple[str, str, str, str | None, bytes, str | None]]:
        """(keyspace, table, name, type, [option], look-up column) of each."""
        return [
            (
                keyspace,
                table,
                name,
                column.type,
                option_of(column.type) if column.type else b"",
                column.lookup,
            )
            for keyspace, tables in self.keyspace_table_columns.items()
            for table, names in tables.items()
            for name, column in names.items()
        ]

    def build(self, context: BuildContext) -> Step:
        from shotover.transforms.protect_keys import kek_of

        from ._protect import Protect

        return Protect(
            context,
            name=self.name,
            columns=self.columns(),
            lookup_key=kek_of(self.lookup_key) if self.lookup_key else None,
            keyring=self._keyring(context),
            opens_rust=self.open_rust_form,
            refuses_unsealed=self.unsealed == "Refuse",
        )

    def _keyring(self, context: BuildContext) -> Any:
        """One for all workers."""
        from shotover.config.errors import ConfigError, Problem
        from shotover.transforms.protect_keys import Keyring, manager_of

        keyring = self.__dict__.get("keyring")
        if keyring is None:
            kind, fields = self.key_manager
            extra = {"AWSKms": "aws", "VaultTransit": "vault"}.get(kind)
            try:
                manager = manager_of(kind, fields)
            except ImportError as error:
                hint = f"{kind} needs a package that is not there ({error.name}): install shotover[{extra}]"
                raise ConfigError([Problem(self.place_of("key_manager"), hint)]) from None
            note = context.worker.hub.note
            keyring = Keyring(
                manager,
                self.data_key_seconds,
                lambda message: note(WARNING, f"{self.label}: {message}", {}),
            )
            self.__dict__["keyring"] = keyring
        return keyring
