"""YAML text -> a tree of nodes that know their line.

Read safely: no tags, so nothing is ever constructed but maps, lists and scalars; scalars stay
text until a field says what it expects, so `010`, `1.10` and `yes` arrive as they were written.
Anchors, aliases and merge keys work. An alias costs what it expands to: file size, depth and the
number of nodes after expansion are bounded, so a small hostile file cannot become a large tree.
"""

from __future__ import annotations

from shotover.config.errors import ConfigError, Place, Problem, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

FILE_BYTES_MAX = 4 * 1024 * 1024
"""Longest configuration file read, in bytes."""
NODES_MAX = 100_000
"""Most nodes of a file, each alias counted as often as it is used."""
DEPTH_MAX = 64
"""Deepest nesting of maps and lists, aliases included."""
TOO_DEEP = f"nested deeper than {DEPTH_MAX} levels"

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
MERGE_KEY = "<<"


class Node:
    """A node of the tree; `line` counts from 1, `tag` is the tag somebody wrote, else None."""

    __slots__ = ("depth", "line", "size", "tag")

    def __init__(self, line: int, tag: str | None) -> None:
        self.line = line
        self.tag = tag
        self.size = 1
        self.depth = 1


class Scalar(Node):
    """Text, and whether it was plain (could be a number) or quoted (is text)."""

    __slots__ = ("plain", "text")

    def __init__(self, line: int, text: str, plain: bool, tag: str | None = None) -> None:
        super().__init__(line, tag)
        self.text = text
        self.plain = plain

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in NULLS


class Sequence(Node):
    __slots__ = ("items",)

    def __init__(self, line: int, tag: str | None = None) -> None:
        super().__init__(line, tag)
        self.items: list[Node] = []


class Mapping(Node):
    """Entries in file order; `faults` are (line, message) found while it was put together."""

    __slots__ = ("entries", "faults", "lines")

    def __init__(self, line: int, tag: str | None = None) -> None:
        super().__init__(line, tag)
        self.entries: dict[str, Node] = {}
        self.lines: dict[str, int] = {}
        self.faults: list[tuple[int, str]] = []


def load(file: str) -> Node:
    """The tree of `file`; a ConfigError says in one line why it cannot be had."""
    try:
        with open(file, "rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise ConfigError([f"{file}: no such file"]) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError([f"{file}: cannot be read: {reason}"]) from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError([f"{file}: longer than {FILE_BYTES_MAX} bytes"])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(Place(file, line), "not UTF-8 text")]) from None
    return parse(text, file)


def parse(text: str, file: str) -> Node:
    """The tree of `text`; `file` names it in errors."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Composer(loader(text), file, yaml).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        if "nesting depth" in str(error.problem):  # a bound of the library's own, met before ours
            raise ConfigError([Problem(Place(file, line), TOO_DEEP)]) from None
        what = " ".join(part for part in (error.context, error.problem) if part)
        if "nesting depth" in what:  # the parser's own bound, which newer ones meet before ours
            raise ConfigError([Problem(Place(file, line), TOO_DEEP)]) from None
        raise ConfigError([Problem(Place(file, line), f"not YAML: {what}")]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError([Problem(Place(file, line), f"not YAML: {error.reason}")]) from None


class _Composer:
    """Puts a parser's events together; recursion is bounded by DEPTH_MAX."""

    def __init__(self, loader: Any, file: str, yaml: Any) -> None:
        self.loader = loader
        self.file = file
        self.events = yaml.events
        self.anchors: dict[str, Node | None] = {}
        self.nodes = 0

    def document(self) -> Node:
        self.loader.get_event()  # start of the stream
        event = self.loader.get_event()
        if isinstance(event, self.events.StreamEndEvent):
            self.fail(1, "the file is empty")
        root = self.node(self.loader.get_event(), 1)
        self.loader.get_event()  # end of the document
        event = self.loader.get_event()
        if not isinstance(event, self.events.StreamEndEvent):
            self.fail(event.start_mark.line + 1, "expected one YAML document, found a second")
        return root

    def node(self, event: Any, depth: int) -> Node:
        line = event.start_mark.line + 1
        if isinstance(event, self.events.AliasEvent):
            return self.alias(event.anchor, line, depth)
        if depth > DEPTH_MAX:
            self.fail(line, TOO_DEEP)
        if event.anchor is not None:
            self.anchors[event.anchor] = None  # known, not yet complete
        node: Node
        if isinstance(event, self.events.ScalarEvent):
            node = Scalar(line, event.value, not event.style, event.tag)
        elif isinstance(event, self.events.SequenceStartEvent):
            node = self.sequence(Sequence(line, event.tag), depth)
        else:
            node = self.mapping(Mapping(line, event.tag), depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self.count(1, line)
        return node

    def alias(self, anchor: str, line: int, depth: int) -> Node:
        if anchor not in self.anchors:
            self.fail(line, f"alias *{anchor} has no anchor &{anchor} before it")
        node = self.anchors[anchor]
        if node is None:
            self.fail(line, f"alias *{anchor} stands inside what it names")
        if depth + node.depth > DEPTH_MAX + 1:
            self.fail(line, TOO_DEEP)
        self.count(node.size, line)
        return node

    def count(self, nodes: int, line: int) -> None:
        self.nodes += nodes
        if self.nodes > NODES_MAX:
            self.fail(line, f"more than {NODES_MAX} values, aliases counted as often as used")

    def sequence(self, node: Sequence, depth: int) -> Sequence:
        event = self.loader.get_event()
        while not isinstance(event, self.events.SequenceEndEvent):
            child = self.node(event, depth + 1)
            node.items.append(child)
            _grow(node, child)
            event = self.loader.get_event()
        return node

    def mapping(self, node: Mapping, depth: int) -> Mapping:
        merged: list[Node] = []
        event = self.loader.get_event()
        while not isinstance(event, self.events.MappingEndEvent):
            key = self.node(event, depth + 1)
            child = self.node(self.loader.get_event(), depth + 1)
            _grow(node, child)
            event = self.loader.get_event()
            if not isinstance(key, Scalar) or key.tag is not None:
                node.faults.append((key.line, "expected a plain name as key"))
            elif key.plain and key.text == MERGE_KEY:
                merged.append(child)
            elif key.text in node.entries:
                first = node.lines[key.text]
                fault = f"duplicate key {shown(key.text)}, first given on line {first}"
                node.faults.append((key.line, fault))
            else:
                node.entries[key.text] = child
                node.lines[key.text] = key.line
        for source in merged:
            _merge(node, source)
        return node

    def fail(self, line: int, message: str) -> NoReturn:
        raise ConfigError([Problem(Place(self.file, line), message)])


def _grow(parent: Node, child: Node) -> None:
    parent.size += child.size
    parent.depth = max(parent.depth, child.depth + 1)


def _merge(node: Mapping, source: Node) -> None:
    """Add the entries `<<:` brings; what the map gives itself, or an earlier one gave, wins."""
    for other in source.items if isinstance(source, Sequence) else [source]:
        if not isinstance(other, Mapping):
            node.faults.append((other.line, "<<: expected a map, or a list of maps, to merge"))
            continue
        for key, child in other.entries.items():
            node.entries.setdefault(key, child)
            node.lines.setdefault(key, other.lines[key])
