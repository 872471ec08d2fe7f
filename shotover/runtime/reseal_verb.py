"""What `shotover reseal` does with a topology and its flags; the work itself is in reseal.py."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from shotover.config.errors import ConfigError
from shotover.runtime.checks import walk
from shotover.runtime.cql_client import CqlClient
from shotover.runtime.reseal import Progress, Resealer, ResealError
from shotover.transforms.protect import ProtectConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from shotover.config.steps import SourceConfig
    from shotover.runtime.assemble import Loaded

PASSWORD = "SHOTOVER_PASSWORD"


def run(loaded: Loaded, options: argparse.Namespace) -> int:
    """The exit code: 0 if it has come to its end or to --rows."""
    try:
        source, tables = chosen(loaded, options.table)
        host, port = place_of(source, options.via)
        login = None
        if options.username is not None:
            login = options.username, os.environ.get(PASSWORD, "")
        tls = None if options.tls_ca is None else ssl.create_default_context(cafile=options.tls_ca)
        resealer = Resealer(
            lambda: CqlClient(host, port, login, tls),
            Progress.read(Path(options.progress)),
            options.page_rows,
            options.rows,
            options.rows_per_second,
        )
        resealer.run(tables, print)
    except (ResealError, OSError) as error:
        raise ConfigError([str(error)]) from None
    return 0


def chosen(
    loaded: Loaded, wanted: list[str] | None
) -> tuple[SourceConfig, dict[tuple[str, str], list[str]]]:
    """The source before the first Protect, and the columns of each table that is asked for."""
    for source in loaded.topology.sources:
        for step in walk(source.chain) if source.chain is not None else ():
            if not isinstance(step, ProtectConfig):
                continue
            tables = {
                (keyspace, table): list(columns)
                for keyspace, of in step.keyspace_table_columns.items()
                for table, columns in of.items()
            }
            named = {f"{keyspace}.{table}": (keyspace, table) for keyspace, table in tables}
            unknown = [name for name in wanted or () if name not in named]
            if unknown:
                raise ResealError(
                    f"{unknown[0]} has no protected columns; there are {', '.join(named)}"
                )
            return source, {named[name]: tables[named[name]] for name in wanted or named}
    raise ResealError("no chain of this topology has a Protect")


def place_of(source: SourceConfig, via: str | None) -> tuple[str, int]:
    written = via if via is not None else str(source.listen_addr)
    host, _, port = written.rpartition(":")
    if not host or not port.isdecimal() or written.startswith("unix:"):
        raise ResealError(
            f"expected host:port of the Shotover that runs, got {written}: give --via"
        )
    host = host.strip("[]")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port)
