"""A configuration as a resource: its tree by path, parts of it put, merged and taken out, and as plain values for JSON.

A path is `sources/0/chain/1`: keys of maps, places in lists; in a list an entry is also found by its `name`, or by its type if
that is there once: `sources/cache/chain/RequestThrottling/max_requests_per_second`. The key that names an entry's type may be
left out or written. Trees are never changed: each change gives a new one, which shares what is the same.
"""

from __future__ import annotations

from shotover.config.errors import ConfigError, Place, Problem, shown, suggestion
from shotover.config.reading import scalar_value
from shotover.config.source import Mapping, Node, Scalar, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

HIDDEN = "[redacted]"
"""What stands for a secret where a configuration is shown; put back, it means: as it is."""


class NoSuchPath(LookupError):
    """A path leads nowhere; the text says where it ends, and what there is."""


def split(path: str) -> list[str]:
    """The steps of a path as a URL has it."""
    from urllib.parse import unquote  # only those who use paths pay for it

    return [unquote(part) for part in path.strip("/").split("/") if part]


def plain(node: Node) -> object:
    """The tree as plain values."""
    if isinstance(node, Mapping):
        return {key: plain(child) for key, child in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(child) for child in node.items]
    assert isinstance(node, Scalar)
    return scalar_value(node)


def find(root: Node, path: list[str]) -> Node:
    """What is there. Raises NoSuchPath."""
    node = root
    for depth, part in enumerate(path):
        node = _child(node, part, path[:depth])
    return node


def put(root: Node, path: list[str], value: Node) -> Node:
    """A tree with `value` there: in place of what was, or as a new entry of a map, or (`-`) at the end of a list."""
    return _changed(root, path, 0, lambda _before: value)


def merged(root: Node, path: list[str], patch: Node) -> Node:
    """A tree in which `patch` is merged into what is there: keys it has replace, null takes out (RFC 7396)."""
    return _changed(root, path, 0, lambda before: _merge(before, patch))


def without(root: Node, path: list[str]) -> Node:
    """A tree from which that is taken out. Raises NoSuchPath."""
    find(root, path)
    if not path:
        raise NoSuchPath("the whole configuration cannot be deleted")
    return _changed(root, path, 0, lambda _before: None)


def with_secrets(node: Node, running: Node | None, file: str, path: str = "") -> Node:
    """The tree with what is hidden in it as it is in `running`. Raises ConfigError where nothing is hidden there."""
    if isinstance(node, Scalar):
        if node.text != HIDDEN:
            return node
        if not isinstance(running, Scalar):
            place = Place(file, node.line, path)
            raise ConfigError(
                [Problem(place, f"{HIDDEN} stands for a secret that runs, and there is none here")]
            )
        return running
    if isinstance(node, Mapping):
        before = running.entries if isinstance(running, Mapping) else {}
        entries = {
            key: with_secrets(child, before.get(key), file, f"{path}.{key}" if path else key)
            for key, child in node.entries.items()
        }
        return _like(node, entries)
    assert isinstance(node, Sequence)
    items = Sequence(node.line, node.tag)
    old = running.items if isinstance(running, Sequence) else []
    for index, child in enumerate(node.items):
        same = _same_entry(child, index, old)
        items.items.append(with_secrets(child, same, file, f"{path}[{index}]"))
    return items


def _same_entry(child: Node, index: int, old: list[Node]) -> Node | None:
    """Which entry of a list that runs this one is about: the one with its name, else the one in its place."""
    name = _name_of(child)
    if name is not None:
        for other in old:
            if _name_of(other) == name:
                return other
    return old[index] if index < len(old) else None


def _child(node: Node, part: str, before: list[str]) -> Node:
    where = "/".join(before) or "the configuration"
    if isinstance(node, Mapping):
        found = node.entries.get(part)
        inner = _inner(node)
        if found is None and inner is not None:
            return _child(inner, part, before)
        if found is None:
            raise NoSuchPath(
                f"{where} has no {shown(part)}, {suggestion(part, list(node.entries))}"
            )
        return found
    if isinstance(node, Sequence):
        return node.items[_index(node, part, where)]
    raise NoSuchPath(f"{where} is a value, so nothing is below it")


def _inner(node: Mapping) -> Mapping | None:
    """The fields of an entry that is a map of its type to them."""
    if len(node.entries) == 1:
        (child,) = node.entries.values()
        if isinstance(child, Mapping) and next(iter(node.entries))[:1].isupper():
            return child
    return None


def _index(node: Sequence, part: str, where: str) -> int:
    if part.isascii() and part.isdecimal():
        if int(part) < len(node.items):
            return int(part)
        raise NoSuchPath(f"{where} has {len(node.items)} entries, the first is 0")
    named = [index for index, child in enumerate(node.items) if _name_of(child) == part]
    typed = [index for index, child in enumerate(node.items) if _type_of(child) == part]
    for found in (named, typed):
        if len(found) == 1:
            return found[0]
        if found:
            raise NoSuchPath(
                f"{where} has {len(found)} entries {shown(part)}: say which by its number"
            )
    known = [name for child in node.items for name in (_name_of(child), _type_of(child)) if name]
    raise NoSuchPath(f"{where} has no entry {shown(part)}, {suggestion(part, known)}")


def _type_of(child: Node) -> str | None:
    if isinstance(child, Scalar):
        return child.text
    if isinstance(child, Mapping) and len(child.entries) == 1:
        return next(iter(child.entries))
    return None


def _name_of(child: Node) -> str | None:
    fields = _inner(child) if isinstance(child, Mapping) else None
    name = fields.entries.get("name") if fields is not None else None
    return name.text if isinstance(name, Scalar) else None


def _changed(
    node: Node, path: list[str], depth: int, change: Callable[[Node | None], Node | None]
) -> Node:
    """A copy of the way to the end of the path, with that changed.

    `change` is given None for what is new, and gives None for what goes.
    """
    if depth == len(path):
        changed = change(node)
        assert changed is not None
        return changed
    part, last = path[depth], depth + 1 == len(path)
    where = "/".join(path[:depth]) or "the configuration"
    if isinstance(node, Mapping):
        inner = _inner(node)
        if part not in node.entries and inner is not None:
            (key,) = node.entries
            return _like(node, {key: _changed(inner, path, depth, change)})
        entries = dict(node.entries)
        if last:
            changed = change(entries.get(part))
            if changed is None:
                del entries[part]
            else:
                entries[part] = changed
        else:
            entries[part] = _changed(_child(node, part, path[:depth]), path, depth + 1, change)
        return _like(node, entries)
    if not isinstance(node, Sequence):
        raise NoSuchPath(f"{where} is a value, so nothing is below it")
    items = Sequence(node.line, node.tag)
    items.items = list(node.items)
    if part == "-" and last:
        changed = change(None)
        assert changed is not None
        items.items.append(changed)
        return items
    index = _index(node, part, where)
    changed = (
        change(items.items[index])
        if last
        else _changed(items.items[index], path, depth + 1, change)
    )
    if changed is None:
        del items.items[index]
    else:
        items.items[index] = changed
    return items


def _like(node: Mapping, entries: dict[str, Node]) -> Mapping:
    copy = Mapping(node.line, node.tag)
    copy.entries = entries
    copy.lines = {key: node.lines.get(key, child.line) for key, child in entries.items()}
    copy.faults = node.faults
    return copy


def _merge(before: Node | None, patch: Node) -> Node:
    if not isinstance(patch, Mapping):
        return patch
    base = before if isinstance(before, Mapping) else Mapping(patch.line)
    inner = _inner(base)
    if inner is not None and not set(patch.entries) & set(
        base.entries
    ):  # the type's key may be left out
        (key,) = base.entries
        return _like(base, {key: _merge(inner, patch)})
    entries = dict(base.entries)
    for key, child in patch.entries.items():
        if isinstance(child, Scalar) and child.is_null:
            entries.pop(key, None)
        else:
            entries[key] = _merge(entries.get(key), child)
    merged_map = _like(base, entries)
    merged_map.lines.update({key: patch.lines[key] for key in entries if key in patch.lines})
    return merged_map
