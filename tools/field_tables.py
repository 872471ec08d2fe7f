"""Write the tables of fields in shotover/docs/ from the models: they say what the program accepts.

A page holds a table below the line "## Fields", or below others that TABLES names; a test fails when one is not as this
writes it.
"""

from __future__ import annotations

import re
from pathlib import Path

from shotover.config.inside import HotKeysConfig, InBandConfig, SlowRequestsConfig
from shotover.config.process import ProcessConfig
from shotover.config.proxy_protocol import ProxyProtocolConfig
from shotover.config.tls import TlsClientConfig, TlsServerConfig
from shotover.runtime import catalogue, manual
from shotover.sinks.cassandra_cluster import ShotoverNode

DOCS = Path(manual.DOCS)
USUAL = "Fields"
TABLES: dict[tuple[str, str], type] = {
    ("process", USUAL): ProcessConfig,
    ("ProxyProtocol", USUAL): ProxyProtocolConfig,
    ("inside", "Fields of hot_keys"): HotKeysConfig,
    ("inside", "Fields of slow_requests"): SlowRequestsConfig,
    ("inside", "Fields of in_band"): InBandConfig,
    ("CassandraSinkCluster", "Fields of a proxy"): ShotoverNode,
    ("TLS", "Fields of a source"): TlsServerConfig,
    ("TLS", "Fields of a sink"): TlsClientConfig,
}
"""Tables of what no topology names by a type of its own, by page and heading."""


def tables() -> dict[tuple[str, str], type]:
    """The model of each table, by page and heading."""
    built_in = {**catalogue.SOURCES, **catalogue.STEPS}
    found = {model.tags[0]: model for model in map(catalogue.load, built_in.values())}
    return {**{(name, USUAL): model for name, model in found.items()}, **TABLES}


def written(text: str, heading: str, model: type) -> str:
    """A page's text with the table as it must be; ValueError: it has no place for one."""
    table = re.compile(rf"(?<=^## {heading}\n\n)\|.*?\|$(?!\n\|)", re.MULTILINE | re.DOTALL)
    if not table.search(text):
        raise ValueError(f'there is no table below a line "## {heading}"')
    return table.sub(lambda _found: manual.field_table(model), text, count=1)


if __name__ == "__main__":
    for (name, heading), model in tables().items():
        page = DOCS / f"{name}.md"
        page.write_text(written(page.read_text(), heading, model))
