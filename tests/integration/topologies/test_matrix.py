"""The page of commands by topology says what is seen: `python tools/command_table.py` writes it anew."""

from __future__ import annotations

from integration.topologies import matrix
from support.proxy import ROOT


def test_the_page_says_what_is_seen() -> None:
    assert (ROOT / "shotover/docs/commands.md").read_text() == matrix.page()
