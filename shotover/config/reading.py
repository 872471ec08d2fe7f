"""Reads nodes as what a setting expects; expands variables and files of secrets; notes what is wrong.

`${NAME}` and `${NAME:-default}` are expanded in values, never in keys. The default stands in when
the variable is unset or empty; `$${` writes a literal `${`. What a variable holds is text: it can
become a number or a word, never more YAML.

`${file:/path}` is what a file holds, for secrets alone: a field that is shown somewhere refuses it.
"""

from __future__ import annotations

import os
import stat

from shotover.config.errors import Place, Problems, shown
from shotover.config.source import Mapping, Node, Scalar, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as Environment

    from shotover.config.models import Model

DIGITS_MAX = 40
"""Numbers longer than this are not numbers of ours; bounds what int() is asked to do."""


SECRET_BYTES_MAX = 64 * 1024
"""Longest file of a secret, in bytes."""
HIDDEN = "<hidden>"
FILE = "${file:"


class Secret(str):
    """Text out of a file of a secret, where no field says that it is one: `repr` does not tell it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


class Invalid:
    """What a read gives back after it noted a problem; falsy."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "INVALID"


INVALID = Invalid()


class Reader:
    """One run over the configuration: the problems found, the environment, the known types.

    `find(kind, name)` gives the model of a source or step named in YAML, or raises LookupError
    with the sentence to show; kinds are "source" and "transform".
    """

    def __init__(
        self,
        problems: Problems,
        environ: Environment[str, str],
        find: Callable[[str, str], type[Model]],
    ) -> None:
        self.problems = problems
        self.environ = environ
        self.find = find

    def add(self, place: Place, message: str) -> Invalid:
        self.problems.add(place, message)
        return INVALID

    def expected(self, what: str, node: Node, place: Place) -> Invalid:
        return self.add(place, f"expected {what}, got {describe(node)}")

    def mapping(self, node: Node, place: Place, what: str = "a map") -> Mapping | Invalid:
        """`node` as a map; its own faults (duplicate keys) are noted on the way."""
        self.refuse_tag(node, place)
        if not isinstance(node, Mapping):
            return self.expected(what, node, place)
        for line, fault in node.faults:
            self.add(Place(place.file, line, place.path), fault)
        return node

    def sequence(self, node: Node, place: Place, what: str = "a list") -> Sequence | Invalid:
        self.refuse_tag(node, place)
        return node if isinstance(node, Sequence) else self.expected(what, node, place)

    def scalar(self, node: Node, place: Place, what: str, secret: bool = False) -> Scalar | Invalid:
        """`node` as a scalar with its variables expanded; `what` says what was expected.

        `secret`: what is read will never be shown, so files may be part of it.
        """
        self.refuse_tag(node, place)
        if not isinstance(node, Scalar):
            return self.expected(what, node, place)
        if "${" not in node.text:
            return node
        text = self.expanded(node.text, place, secret)
        if isinstance(text, Invalid):
            return INVALID
        return Scalar(node.line, text, plain=True)  # "${PORT}" in quotes is a number all the same

    def text(self, node: Node, place: Place, what: str, secret: bool = False) -> str | Invalid:
        """`node` as text: anything written but nothing (`~`, `null`) and an empty plain value."""
        scalar = self.scalar(node, place, what, secret)
        if isinstance(scalar, Invalid):
            return scalar
        expanded = scalar is not node
        if scalar.is_null and not (expanded and scalar.text):
            return self.expected(what, scalar, place)
        return scalar.text

    def refuse_tag(self, node: Node, place: Place) -> None:
        if node.tag is not None:
            self.add(place, f"YAML tags are not allowed here, got {shown(node.tag)}")

    def expanded(self, text: str, place: Place, secret: bool = False) -> str | Invalid:
        """`text` with every reference replaced, or INVALID after noting each that cannot be."""
        parts: list[str] = []
        failed = False
        at = 0
        while (start := text.find("${", at)) >= 0:
            if text[max(start - 1, at) : start] == "$":  # $${ is a literal ${
                parts += [text[at : start - 1], "${"]
                at = start + 2
                continue
            end = _end(text, start)
            reference = text[start:] if end < 0 else text[start : end + 1]
            if _is_file(reference):
                value = self._file(reference, place, secret)
            else:
                value = self._variable(reference, place)
            failed = failed or value is None
            parts += [text[at:start], value or ""]
            at = start + len(reference)
        return INVALID if failed else "".join(parts) + text[at:]

    def _variable(self, reference: str, place: Place) -> str | None:
        """What `${NAME}` or `${NAME:-default}` stands for; None after noting why it is nothing."""
        name, separator, default = reference[2:].removesuffix("}").partition(":-")
        sound = name.isascii() and name.isidentifier() and "${" not in default
        if not reference.endswith("}") or not sound:
            message = f"expected ${{NAME}} or ${{NAME:-default}}, got {shown(reference)}"
            self.add(place, message + " (write $${ for a literal ${)")
            return None
        found = self.environ.get(name)
        if separator:
            return found or default
        if found is None:
            self.add(
                place,
                f"environment variable {name} is not set, and {reference} has no "
                f"default (${{{name}:-default}})",
            )
        return found

    def _file(self, reference: str, place: Place, secret: bool) -> str | None:
        """What the file of `${file:PATH}` holds; None after noting why it cannot be had."""
        if not secret:
            self.add(
                place,
                f"{shown(reference)}: files are for secrets, and this field is no secret; "
                "use ${NAME}, a variable of the environment",
            )
            return None
        path = reference[len(FILE) :].removesuffix("}")
        if not reference.endswith("}") or not path or FILE in path:
            self.add(place, f"expected ${{file:/path}}, got {shown(reference)}")
            return None
        found = self.expanded(path, place)
        if isinstance(found, Invalid):
            return None
        try:
            return read_secret(found)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
        except ValueError as error:
            reason = str(error)
        self.add(place, f"{shown(reference)}: {reason}")
        return None

    def plain(self, node: Node, place: Place, secret: bool = False) -> object:
        """`node` as plain Python values (None, bool, int, float, str, list, dict), or INVALID.

        `secret`: files may be part of it; what is read from one is a Secret.
        """
        if isinstance(node, Mapping):
            self.mapping(node, place)
            items = {
                key: self.plain(child, place.child(key, node.lines[key]), secret)
                for key, child in node.entries.items()
            }
            return INVALID if INVALID in items.values() else items
        if isinstance(node, Sequence):
            self.sequence(node, place)
            values = [
                self.plain(child, place.item(index, child.line), secret)
                for index, child in enumerate(node.items)
            ]
            return INVALID if INVALID in values else values
        scalar = self.scalar(node, place, "a value", secret)
        if isinstance(scalar, Invalid):
            return scalar
        if secret and isinstance(node, Scalar) and FILE in node.text:
            return Secret(scalar.text)
        quoted = isinstance(node, Scalar) and not node.plain
        return scalar.text if quoted else scalar_value(scalar)  # a quoted password stays text


def read_secret(path: str) -> str:
    """What a file holds, without the newline at its end. Raises OSError or ValueError, which never quote it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        data = stream.read(SECRET_BYTES_MAX + 1)
    if len(data) > SECRET_BYTES_MAX:
        raise ValueError(f"longer than {SECRET_BYTES_MAX} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError("the file is empty")
    if "\0" in text:
        raise ValueError("not text: there is a zero byte in it")
    return text


def _is_file(reference: str) -> bool:
    """Whether it names a file; `${file:-x}` is a variable called file."""
    return reference.startswith(FILE) and not reference.startswith(FILE + "-")


def _end(text: str, start: int) -> int:
    """Where the reference at `start` ends, -1 if nowhere. The path of a file may have variables."""
    end = text.find("}", start)
    if _is_file(text[start : start + len(FILE) + 1]):
        inner = text.find("${", start + 2)
        while 0 <= inner < end:
            inner = text.find("${", inner + 2)
            end = text.find("}", end + 1)
    return end


def scalar_value(scalar: Scalar) -> object:
    """What a scalar means by YAML 1.2's core rules: `yes` and `1:30` are text, `0x10` is 16."""
    if not scalar.plain:
        return scalar.text
    if scalar.is_null:
        return None
    if scalar.text in ("true", "True", "TRUE"):
        return True
    if scalar.text in ("false", "False", "FALSE"):
        return False
    integer = parse_integer(scalar.text)
    if integer is not None:
        return integer
    number = parse_number(scalar.text)
    return scalar.text if number is None else number


def parse_integer(text: str) -> int | None:
    """Decimal, 0x or 0o digits with an optional sign; None when `text` is not an integer."""
    if len(text) > DIGITS_MAX or not text.isascii():
        return None
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits.isdecimal():
        return int(text)
    if digits[:2] in ("0x", "0o") and digits[2:].isalnum():
        try:
            return int(text, 0)
        except ValueError:
            return None
    return None


def parse_number(text: str) -> float | None:
    """A finite decimal number; None for anything else (`inf`, `nan` and `1_000` included)."""
    if len(text) > DIGITS_MAX or text.strip("+-0123456789.eE") != "":
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) != float("inf") else None


def describe(node: Node) -> str:
    """What was found, as an error message names it."""
    if isinstance(node, Mapping):
        return "a map" if node.entries else "an empty map"
    if isinstance(node, Sequence):
        return "a list" if node.items else "an empty list"
    assert isinstance(node, Scalar)
    if node.is_null:
        return "nothing"
    return shown(node.text) if node.plain else f'"{shown(node.text)}"'
