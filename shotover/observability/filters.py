"""Log filters: `level`, `target=level` and lists of them, as main_log_level has them.

A filter is text such as `info, shotover::sinks=debug`. For each log target the longest directive
that the target begins with decides; of two for the same target the later one wins. A target that no
directive covers is silent, and an empty filter lets errors through. `::` and `.` separate alike,
and `shotover_proxy` names the same targets as `shotover`.

Directives on spans or fields (`[connection]=debug`, `shotover[{id=1}]=trace`) are understood by the
Rust program only: they are accepted, have no effect, and are listed in `Filter.ignored` for one
warning.
"""

from __future__ import annotations

OFF, ERROR, WARN, INFO, DEBUG, TRACE = range(6)
LEVEL_NAMES = ("OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE")
LEVELS = "off, error, warn, info, debug, trace"

TEXT_MAX = 4096  # characters in a filter
DIRECTIVES_MAX = 128  # directives in a filter

_LEVEL_OF = {name.lower(): level for level, name in enumerate(LEVEL_NAMES)}
_LEVEL_OF["warning"] = WARN
_LEVEL_OF.update({str(level): level for level in range(6)})
_TARGET_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:.-/")


class FilterError(ValueError):
    """Names the first directive that can not be understood, and what is valid."""


class Filter:
    """What may be logged. Immutable; `set_filter` replaces the whole."""

    __slots__ = ("ignored", "levels", "text")

    def __init__(self, text: str, levels: dict[str, int], ignored: tuple[str, ...]) -> None:
        self.text = text  # as given, for GET /filter
        self.levels = levels  # normal form of the target ("" is the default) -> level
        self.ignored = ignored  # directives on spans or fields

    def level_of(self, target: str) -> int:
        """The most verbose level that `target` may log at."""
        normal, best, level = _normal(target), -1, OFF
        for prefix, allowed in self.levels.items():
            if len(prefix) > best and normal.startswith(prefix):
                best, level = len(prefix), allowed
        return level


def parse_filter(*sources: tuple[str, str]) -> Filter:
    """Reads `(text, origin)` pairs in order, later ones winning; origin "" is left out of errors.

    Raises FilterError for the first directive that is wrong.
    """
    levels: dict[str, int] = {}
    ignored: list[str] = []
    for text, origin in sources:
        if len(text) > TEXT_MAX:
            raise FilterError(
                f"log filter of {len(text)} characters{_where(origin)}:"
                f" at most {TEXT_MAX} are allowed"
            )
        for directive in _split(text):
            _add(directive, origin, levels, ignored)
            if len(levels) + len(ignored) > DIRECTIVES_MAX:
                raise FilterError(
                    f"log filter{_where(origin)}: at most {DIRECTIVES_MAX} directives are allowed"
                )
    if not levels:
        levels[""] = ERROR
    return Filter(",".join(text for text, _ in sources if text.strip()), levels, tuple(ignored))


def _add(directive: str, origin: str, levels: dict[str, int], ignored: list[str]) -> None:
    head, equals, tail = directive.rpartition("=")
    if "[" in directive or "]" in directive or "{" in directive:
        if not _is_span_form(directive):
            raise _bad(
                directive, origin, "the brackets of a span do not close, or no level follows `]=`"
            )
        ignored.append(directive)
    elif equals:
        target, level = head.strip(), _LEVEL_OF.get(tail.strip().lower())
        if not target or not _TARGET_SIGNS.issuperset(target):
            raise _bad(
                directive, origin, f"{target!r} is not a log target, such as shotover::sinks"
            )
        if level is None:
            raise _bad(
                directive,
                origin,
                f"{tail.strip()!r} is not a level ({LEVELS}){_nearest(tail.strip())}",
            )
        levels[_normal(target)] = level
    elif directive.lower() in _LEVEL_OF:
        levels[""] = _LEVEL_OF[directive.lower()]
    elif _TARGET_SIGNS.issuperset(directive) and (
        directive.startswith("shotover") or "::" in directive
    ):
        levels[_normal(directive)] = TRACE  # a target alone: all of it, as in the Rust program
    else:
        raise _bad(
            directive, origin, f"expected a level ({LEVELS}) or target=level{_nearest(directive)}"
        )


def _split(text: str) -> list[str]:
    """The directives of `text`, trimmed, without empty ones; commas in brackets do not separate."""
    if "[" not in text and "{" not in text:
        return [part.strip() for part in text.split(",") if part.strip()]
    parts, depth, start = [], 0, 0
    for index, sign in enumerate(text):
        if sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        elif sign == "," and depth <= 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _is_span_form(directive: str) -> bool:
    """`target[span{field=value}]=level`, of which all but the brackets may be missing."""
    target, opens, rest = directive.partition("[")
    inside, closes, level = rest.rpartition("]")
    if not opens or not closes or not _TARGET_SIGNS.issuperset(target):
        return False
    if inside.count("{") != inside.count("}"):
        return False
    return not level or (level.startswith("=") and level[1:].strip().lower() in _LEVEL_OF)


def _normal(target: str) -> str:
    target = target.replace("::", ".")
    if target == "shotover_proxy" or target.startswith("shotover_proxy."):
        target = "shotover" + target[14:]
    return target


def _bad(directive: str, origin: str, why: str) -> FilterError:
    if len(directive) > 64:
        directive = directive[:64] + "…"
    return FilterError(f"bad log directive {directive!r}{_where(origin)}: {why}")


def _where(origin: str) -> str:
    return f" in {origin}" if origin else ""


def _nearest(word: str) -> str:
    import difflib  # only when there is an error to explain: it costs 5 ms

    near = difflib.get_close_matches(word.lower(), LEVELS.split(", "), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
