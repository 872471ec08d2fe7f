"""What all verbs of the command line share: where files are, and how mistakes are told."""

from __future__ import annotations

import argparse
import os

from shotover.config.errors import nearest, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar, NoReturn

TOPOLOGY_FILE = "config/topology.yaml"
CONFIG_FILE = "config/config.yaml"


class Described(Exception):
    """What `Parser.parse` raises while somebody wants to know what a verb takes: `parser`."""

    def __init__(self, parser: Parser) -> None:
        self.parser = parser


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, and where to read on."""

    verbs: ClassVar[tuple[str, ...]] = ()
    describing: ClassVar[bool] = False

    def parse(self, arguments: list[str]) -> argparse.Namespace:
        if self.describing:
            raise Described(self)
        options, strangers = self.parse_known_args(arguments)
        if strangers:
            self.error(self.about(strangers[0]))
        return options

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n`{self.prog} --help` says what there is\n")

    def about(self, word: str) -> str:
        """What a word on the command line that nothing takes was meant to be."""
        if word.startswith("-"):
            flag = word.partition("=")[0]
            near = nearest(flag, [known for known in self._option_string_actions if len(known) > 2])
            return f"unknown flag {shown(flag)}" + (f", did you mean {near}?" if near else "")
        if word in self.verbs:
            return f"{word} is a verb and goes first: shotover {word} ..."
        if os.path.exists(word) or word.endswith((".yaml", ".yml")):
            return f"a topology is named with -t: -t {shown(word)}"
        near = nearest(word, self.verbs)
        return f"unknown verb {shown(word)}, " + (
            f"did you mean {near}?" if near else f"there are {', '.join(self.verbs)}"
        )
