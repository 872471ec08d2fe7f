"""A checked topology as YAML again: names derived, defaults filled in, secrets hidden.

What is printed is itself a topology (where no secret was hidden): loading it gives the same
sources and chains. A comment marks every value nobody wrote.
"""

from __future__ import annotations

from shotover.config.reading import scalar_value
from shotover.config.source import Scalar
from shotover.config.steps import ChainConfig, ChainField

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from shotover.config.models import Model
    from shotover.config.steps import Named, StepConfig
    from shotover.runtime.assemble import Loaded

DEFAULT = "  # default"
INDENT = "  "
PLAIN_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:")


def explain(loaded: Loaded) -> str:
    """The text `shotover explain` prints."""
    lines = ["# settings of the process"]
    lines += [f"#   {line}" for line in _fields(loaded.process, "")]
    lines.append("sources:")
    for source in loaded.topology.sources:
        lines += _named(source, INDENT)
    spare = [chain.name for chain in loaded.topology.spare_chains]
    if spare:
        lines.append(f"# checked, but bound to no source: {', '.join(spare)}")
    unbound = [source.name for source in loaded.topology.unbound_sources]
    if unbound:
        lines.append(f"# not started, since bound to no chain: {', '.join(unbound)}")
    return "\n".join(lines) + "\n"


def tree(model: Named, hide: bool = True) -> dict[str, object]:
    """A source or step as plain values, for machines; secrets hidden, unless they are for nobody to see."""
    fields = {}
    for name, field in model.fields.items():
        value = getattr(model, name)
        fields[field.key] = _tree_value(field.masked(value) if hide else field.plain(value), hide)
    return {model.type_name: fields}


def _tree_value(value: object, hide: bool) -> object:
    if isinstance(value, ChainConfig):
        return [tree(step, hide) for step in value]
    if isinstance(value, dict):
        return {key: _tree_value(item, hide) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tree_value(item, hide) for item in value]
    return value


def _named(model: Named, indent: str) -> Iterator[str]:
    yield f"{indent}- {model.type_name}:"
    yield from _fields(model, indent + INDENT * 3)


def _fields(model: Model, indent: str) -> Iterator[str]:
    fields = sorted(model.fields.items(), key=lambda item: isinstance(item[1], ChainField))
    for name, field in fields:
        value = field.masked(getattr(model, name))
        mark = "" if name in model.given else DEFAULT
        if name == "name" and mark:
            mark = "  # derived"
        comment = _chain_names(model, value) if isinstance(value, ChainConfig) else mark
        yield from _entry(field.key, value, indent, comment)


def _chain_names(model: Model, chain: ChainConfig) -> str:
    subchains = getattr(model, "subchains", None)
    names = [name for name, found in subchains() if found is chain] if subchains else [chain.name]
    shown = names if len(names) <= 2 else [names[0], "...", names[-1]]
    return f"  # chain {', '.join(shown)}"


def _entry(key: str, value: object, indent: str, comment: str = "") -> Iterator[str]:
    """`key: value` in as many lines as it takes."""
    head = f"{indent}{_scalar(key)}:"
    if isinstance(value, ChainConfig):
        yield head + comment
        yield from _steps(value.steps, indent + INDENT)
    elif isinstance(value, dict) and value:
        yield head + comment
        for name, item in value.items():
            yield from _entry(str(name), item, indent + INDENT)
    elif isinstance(value, (list, tuple)) and value:
        yield f"{head} [{', '.join(flow(item) for item in value)}]{comment}"
    else:
        yield f"{head} {flow(value)}{comment}"


def _steps(steps: tuple[StepConfig, ...], indent: str) -> Iterator[str]:
    for step in steps:
        yield from _named(step, indent)


def flow(value: object) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        items = (f"{_scalar(str(key))}: {flow(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    return _scalar(str(value))


def _scalar(text: str) -> str:
    """Text as YAML: plain where that means the same, else in double quotes."""
    plain = (
        text != ""
        and PLAIN_CHARACTERS.issuperset(text)
        and text[0] not in "-:"
        and not text.endswith(":")
        and scalar_value(Scalar(0, text, plain=True)) == text
    )
    if plain:
        return text
    import json  # only quoted text needs it

    return json.dumps(text.replace("${", "$${"), ensure_ascii=False)
