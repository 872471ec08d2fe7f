"""config.yaml: settings of the process as a whole, as opposed to what it serves."""

from __future__ import annotations

from shotover.config.address import Address
from shotover.config.errors import Place
from shotover.config.fields import address, boolean, number, size, text
from shotover.config.models import Model
from shotover.config.reading import Invalid, Reader
from shotover.config.source import Node

MiB = 1 << 20


class ProcessConfig(Model):
    """Log level, observability address, and what happens at shutdown."""

    main_log_level: str = text(
        default="info", doc="comma-separated log directives: a level, or target=level"
    )
    observability_interface: Address | None = address(
        default=None,
        port_min=0,
        literal=True,
        listening=True,
        doc="ip:port of the HTTP endpoint for metrics and health; null is none",
    )
    drain_timeout_seconds: float = number(
        minimum=0,
        maximum=86_400,
        default=10,
        doc="seconds given to requests in flight at shutdown before their connections are cut",
    )
    memory_limit: int | None = size(
        minimum=16 * MiB,
        maximum=1 << 50,
        default=None,
        doc="bytes that requests, replies and connections may take in all; null is no limit",
    )
    old_metric_names: bool = boolean(
        default=False, doc="also export metrics under the names of older versions"
    )


def read_process(root: Node, file: str, reader: Reader) -> ProcessConfig:
    """The settings a file describes, as far as they can be read; problems go to `reader`."""
    place = Place(file, root.line)
    mapping = reader.mapping(root, place, "a map of settings")
    if isinstance(mapping, Invalid):
        return ProcessConfig(place)
    return ProcessConfig.read(mapping, place, reader)
