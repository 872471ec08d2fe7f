"""`shotover docs NAME`: the page of a source, transform or sink.

A page in shotover/docs/ is printed as it is; without one the page is made from the model, whose
docstring and fields are its documentation. Tables of fields in the pages are written there by
tools/field_tables.py, from the models.
"""

from __future__ import annotations

import os

from shotover.config.fields import REQUIRED
from shotover.config.steps import SinkConfig, SourceConfig, StepConfig
from shotover.runtime import catalogue
from shotover.runtime.explain import flow
from shotover.runtime.naming import kebab

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shotover.config.fields import Field
    from shotover.config.models import Model
    from shotover.config.steps import Named

GUIDES = {
    "topology": "Topology files: layouts, names, addresses, variables.",
    "process": "config.yaml, the command line, signals.",
    "packages": "Wheels, systemd, containers, Kubernetes, completion, the man page.",
    "commands": "What becomes of each Redis command in each topology.",
    "statements": "Conditions on statements of CQL: type, keyspace, table, consistency.",
    "observability": "Metrics, health, logs.",
    "inside": "Hot keys, big values and slow requests; shotover top; the command SHOTOVER.",
    "security": "What is promised against whom, and how to run it hardened.",
    "TLS": "TLS with clients and servers: certificates, identities, renewal.",
    "operations": "From an empty machine to the day a server dies, command by command.",
    "ProxyProtocol": "The PROXY protocol: whom a load balancer in front speaks for.",
    "configuration": "Another configuration while it serves: plan, apply, history, rollback; over HTTP.",
    "overload": "Limits, memory, and what becomes of requests when there are too many.",
}
"""Pages that are about no one thing."""

DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs")


def page(name: str) -> str:
    """The page about `name`; LookupError suggests the nearest name."""
    written = _written(name)
    if written is not None:
        return written
    model = catalogue.lookup(name, GUIDES)
    return _written(model.tags[0]) or made_page(model)


def index() -> str:
    """Every name a topology may use and every guide, one a line, with a sentence about it."""
    about = {name: _about(name) for name in catalogue.names()} | GUIDES
    width = max(map(len, about))
    return "".join(f"{name:<{width}}  {sentence}\n" for name, sentence in about.items())


def _about(name: str) -> str:
    try:
        return summary(catalogue.find("source" if name in catalogue.SOURCES else "transform", name))
    except LookupError as error:  # somebody's package that cannot be imported
        return str(error.args[0])


def made_page(model: type[Named]) -> str:
    """The page made from a model."""
    title = ", ".join(model.tags)
    parts = [f"# {title}", _kind(model), _docstring(model), "## Fields", field_table(model)]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(model: type[Named]) -> str:
    """The first sentence of a model's documentation, on one line."""
    paragraph = " ".join(_docstring(model).split("\n\n")[0].split())
    head, stop, _rest = paragraph.partition(". ")
    return head + "." if stop else paragraph


def _written(name: str) -> str | None:
    if not name.replace("-", "").replace("_", "").isalnum():
        return None  # a name, never a path
    for stem in (name, kebab(name)):
        try:
            with open(os.path.join(DOCS, f"{stem}.md"), encoding="utf-8") as stream:
                return stream.read()
        except OSError:
            continue
    return None


def _kind(model: type[Named]) -> str:
    if issubclass(model, SourceConfig):
        return f"A source; its clients speak {model.protocol}."
    assert issubclass(model, StepConfig)
    kind = "sink" if issubclass(model, SinkConfig) else "transform"
    protocols = " or ".join(sorted(model.protocols)) if model.protocols else "any protocol"
    place = "ends a chain" if model.terminating else "passes requests on"
    return f"A {kind}; works with {protocols}; {place}."


def _docstring(model: type[Named]) -> str:
    lines = (model.__doc__ or "").expandtabs().splitlines()
    rest = [line for line in lines[1:] if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in rest), default=0)
    return "\n".join([*lines[:1], *(line[margin:].rstrip() for line in lines[1:])]).strip()


def field_table(model: type[Model]) -> str:
    """A row for each field: names, what is expected with its bounds, default, meaning."""
    rows = ["| field | value | default | |", "|---|---|---|---|"]
    rows += [_field_row(field) for field in model.fields.values()]
    return "\n".join(rows)


def _field_row(field: Field) -> str:
    names = ", ".join(f"`{key}`" for key in (field.key, *field.aliases))
    default = "required" if field.default is REQUIRED else f"`{flow(field.plain(field.default))}`"
    return f"| {names} | {field.expected} | {default} | {field.doc} |"
