"""What can be written on the command line, as data: for completion and the man page.

It is had from the parsers themselves. Each verb makes its own when it runs; it is let run until it would parse.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

from shotover.runtime.flags import Described, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FILE, PATH, FOLDER = "FILE", "PATH", "DIR"
"""What a value is called that names one: of a file, of whatever is there, of a folder."""


@dataclass
class Flag:
    """`names`, the short one first; `value`: how its value is called, None if it takes none; `words`: values there are."""

    names: list[str]
    value: str | None
    words: list[str]
    about: str

    @property
    def long(self) -> str:
        return next((name for name in self.names if name.startswith("--")), "")


@dataclass
class Verb:
    """`words` are what may stand behind it without a dash, called `operand`."""

    name: str
    about: str
    flags: list[Flag] = field(default_factory=list)
    operand: str = ""
    words: list[str] = field(default_factory=list)
    usage: str = ""


def parser_of(verb: Callable[[list[str]], int]) -> Parser:
    """The parser that a verb makes; LookupError: it makes none."""
    Parser.describing = True
    try:
        verb([])
    except Described as found:
        return found.parser
    finally:
        Parser.describing = False
    raise LookupError(f"{verb} parses nothing")


def verbs(known: Mapping[str, Callable[[list[str]], int]]) -> list[Verb]:
    """All of them, in their order."""
    return [described(name, verb) for name, verb in known.items()]


def described(name: str, verb: Callable[[list[str]], int]) -> Verb:
    parser = parser_of(verb)
    found = Verb(name, " ".join((verb.__doc__ or "").split()), usage=usage(parser, name))
    for action in parser._actions:
        about = action.help or ""
        if about == argparse.SUPPRESS:
            continue
        words = [str(word) for word in action.choices or ()]
        if action.option_strings:
            found.flags.append(
                Flag(list(action.option_strings), value_of(action), words, text(parser, action))
            )
        else:
            found.operand, found.words = str(action.metavar or action.dest), words
    if name == "docs":
        from shotover.runtime import catalogue, manual

        found.words = [*catalogue.names(), *manual.GUIDES]
    return found


def value_of(action: argparse.Action) -> str | None:
    if action.nargs == 0:
        return None
    if action.choices:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())


def text(parser: Parser, action: argparse.Action) -> str:
    """The help of a flag as --help prints it, on one line."""
    return " ".join(parser._get_formatter()._expand_help(action).split()) if action.help else ""


def usage(parser: Parser, name: str) -> str:
    """On one line: shotover check [-h] ..."""
    line = " ".join(parser.format_usage().split()).removeprefix("usage: ")
    return line if name == "run" else line.replace(parser.prog, f"shotover {name}", 1)
