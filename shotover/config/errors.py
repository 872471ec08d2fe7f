"""Where a setting was written, what is wrong with it, and how all of it is reported in one run.

A problem reads `topology.yaml:14: sources[0].chain[2].KeyLimit.key_bytes_max: expected an
integer >= 1, got 0`: file, line, YAML path, expected, found. Whoever reads configuration adds
problems and goes on; only the outermost caller raises, so that a user mends a file once.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHOWN_CHARACTERS_MAX = 60
"""A value quoted in an error is cut to this many characters."""


class Place:
    """A spot in a configuration file: file, line (from 1) and YAML path (may be empty)."""

    __slots__ = ("file", "line", "path")

    def __init__(self, file: str, line: int, path: str = "") -> None:
        self.file = file
        self.line = line
        self.path = path

    def child(self, key: str, line: int | None = None) -> Place:
        """The place of `key` below this one; on this line unless another is given."""
        key = shown(key)
        path = f"{self.path}.{key}" if self.path else key
        return Place(self.file, line or self.line, path)

    def item(self, index: int, line: int | None = None) -> Place:
        """The place of item `index` (from 0) of the list at this place."""
        return Place(self.file, line or self.line, f"{self.path}[{index}]")

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.path}" if self.path else f"{self.file}:{self.line}"

    def __repr__(self) -> str:
        return f"Place({str(self)!r})"


class Problem:
    """One thing that is wrong, where it is, in a line a user can act on."""

    __slots__ = ("message", "place")

    def __init__(self, place: Place, message: str) -> None:
        self.place = place
        self.message = message

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class ConfigError(Exception):
    """Everything that is wrong with the configuration: one line each, in the order of the files."""

    def __init__(self, problems: Iterable[Problem | str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def lines(self) -> list[str]:
        return [str(problem) for problem in self.problems]


class Problems:
    """Collects problems while configuration is read; nothing stops at the first."""

    def __init__(self) -> None:
        self._found: list[Problem] = []
        self._seen: set[str] = set()

    def add(self, place: Place, message: str) -> None:
        """Note a problem; the same line twice (a chain mapped to two sources) counts once."""
        problem = Problem(place, message)
        if str(problem) not in self._seen:
            self._seen.add(str(problem))
            self._found.append(problem)

    def extend(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.add(problem.place, problem.message)

    def __len__(self) -> int:
        return len(self._found)

    def __bool__(self) -> bool:
        return bool(self._found)

    def sorted(self) -> list[Problem]:
        """Problems in the order of the lines of each file; files in the order they were read."""
        files = {problem.place.file: None for problem in self._found}
        order = {name: index for index, name in enumerate(files)}
        return sorted(self._found, key=lambda found: (order[found.place.file], found.place.line))

    def raise_if_any(self) -> None:
        if self._found:
            raise ConfigError(self.sorted())


def shown(text: str) -> str:
    """`text` as an error message quotes it: one line, printable, cut to a bounded length."""
    if len(text) > SHOWN_CHARACTERS_MAX:
        text = text[:SHOWN_CHARACTERS_MAX] + "..."
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` most likely meant, or None; case and separators hardly count."""
    from difflib import get_close_matches  # only needed once something is already wrong

    folded: dict[str, str] = {}
    for name in known:
        folded.setdefault(_folded(name), name)
    if _folded(word) in folded:
        return folded[_folded(word)]
    found = get_close_matches(_folded(word), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def suggestion(word: str, known: Sequence[str]) -> str:
    """`did you mean X?`, or the list of what is known when nothing is near."""
    near = nearest(word, known)
    if near is not None:
        return f"did you mean {near}?"
    return f"expected {one_of(known)}" if known else "none is known here"


def one_of(names: Sequence[str]) -> str:
    """`a`, or `one of a, b, c`: the names as an error message lists them."""
    return names[0] if len(names) == 1 else "one of " + ", ".join(names)


def _folded(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
