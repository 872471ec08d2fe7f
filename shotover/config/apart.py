"""Reads YAML files in a child process, while this one gets on with starting.

The YAML library takes 20 ms to import and 1.8 MiB that are never given back; a serving process
parses two small files once. So a child forked at the very start imports it, sends the trees through
a pipe and ends. Where that fails for any reason, the files are read here, as `check` does anyway.

While workers serve nothing may be forked: they would stand still while their memory is marked. `read` starts a fresh Python
instead, which does the same.
"""

from __future__ import annotations

import marshal
import os
import sys

from shotover.config.errors import ConfigError
from shotover.config.source import Mapping, Node, Scalar, Sequence, load
from shotover.config.source import parse as parse_here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

READ_BYTES = 65_536


class Apart:
    """Files being read by a child; `load` waits for it. Make one only while no thread runs."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files = list(files)
        self._trees: dict[str, Any] | None = None
        self._read_fd, write_fd = os.pipe()
        try:
            self._pid = os.fork()
        except OSError:
            self._pid, self._trees = -1, {}
            os.close(self._read_fd)
            os.close(write_fd)
            return
        if self._pid == 0:
            _serve(self._files, write_fd)
        os.close(write_fd)

    def load(self, file: str) -> Node:
        """As source.load: the tree of `file`, or ConfigError."""
        if self._trees is None:
            self._trees = self._collect()
        packed = self._trees.get(file)
        if packed is None:
            return load(file)
        if isinstance(packed, list):
            raise ConfigError(packed)
        return _unpacked(packed)

    def _collect(self) -> dict[str, Any]:
        """What the child sent, by file; empty when it did not end well."""
        pieces = []
        while piece := os.read(self._read_fd, READ_BYTES):
            pieces.append(piece)
        os.close(self._read_fd)
        _, status = os.waitpid(self._pid, 0)
        if status != 0:
            return {}
        trees: dict[str, Any] = marshal.loads(b"".join(pieces))  # written by our own child
        return trees


def read(file: str) -> Node:
    """As source.load, while workers serve."""
    return _from_child([file], None) or load(file)


def parse(text: str, name: str) -> Node:
    """As source.parse, while workers serve."""
    return _from_child(["-", name], text.encode()) or parse_here(text, name)


def _from_child(arguments: list[str], text: bytes | None) -> Node | None:
    """The tree that a fresh Python makes of a file or of `text`; None: it could not be had so. Raises ConfigError."""
    into, text_fd = os.pipe()
    from_fd, out = os.pipe()
    command = [sys.executable, "-c", "from shotover.config.apart import main; main()", *arguments]
    actions = [
        (os.POSIX_SPAWN_DUP2, into, 0),
        (os.POSIX_SPAWN_DUP2, out, 1),
        *((os.POSIX_SPAWN_CLOSE, fd) for fd in (into, text_fd, from_fd, out)),
    ]
    path = os.pathsep.join(filter(None, sys.path))
    try:
        environ = {**os.environ, "PYTHONPATH": path}
        pid = os.posix_spawn(sys.executable, command, environ, file_actions=actions)
    except (OSError, ValueError):
        for fd in (into, text_fd, from_fd, out):
            os.close(fd)
        return None
    os.close(into)
    os.close(out)
    try:
        left = memoryview(text or b"")
        while left:
            left = left[os.write(text_fd, left) :]
    except BrokenPipeError:
        pass  # its status says the rest
    os.close(text_fd)
    pieces = []
    while piece := os.read(from_fd, READ_BYTES):
        pieces.append(piece)
    os.close(from_fd)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        return None
    packed = marshal.loads(b"".join(pieces))  # written by our own child
    if isinstance(packed, list):
        raise ConfigError(packed)
    return _unpacked(packed)


def main() -> None:
    """The child of `_from_child`: FILE, or - NAME with the text on standard input; the tree goes to standard output."""
    if sys.argv[1] == "-":
        packed = _packed_or_errors(lambda: parse_here(sys.stdin.read(), sys.argv[2]))
    else:
        packed = _packed_or_errors(lambda: load(sys.argv[1]))
    sys.stdout.buffer.write(marshal.dumps(packed))


def _serve(files: list[str], write_fd: int) -> None:
    """The child's whole life. Leaves without running anything of the parent's."""
    status = 1
    try:
        data = marshal.dumps({file: _packed_file(file) for file in files})
        while data:
            data = data[os.write(write_fd, data) :]
        status = 0
    finally:
        os._exit(status)


def _packed_file(file: str) -> Any:
    return _packed_or_errors(lambda: load(file))


def _packed_or_errors(tree: Callable[[], Node]) -> Any:
    """A tree as a tuple, or error lines as a list."""
    try:
        return _packed(tree())
    except ConfigError as error:
        return error.lines


def _packed(node: Node) -> tuple[Any, ...]:
    if isinstance(node, Scalar):
        return (node.line, node.tag, node.text, node.plain)
    if isinstance(node, Sequence):
        return (node.line, node.tag, [_packed(item) for item in node.items])
    assert isinstance(node, Mapping)
    entries = {key: _packed(child) for key, child in node.entries.items()}
    return (node.line, node.tag, entries, node.lines, node.faults)


def _unpacked(packed: tuple[Any, ...]) -> Node:
    line, tag, content, *rest = packed
    if isinstance(content, str):
        return Scalar(line, content, rest[0], tag)
    if isinstance(content, list):
        sequence = Sequence(line, tag)
        sequence.items = [_unpacked(item) for item in content]
        return sequence
    mapping = Mapping(line, tag)
    mapping.entries = {key: _unpacked(child) for key, child in content.items()}
    mapping.lines, mapping.faults = rest
    return mapping
