"""Write the tables of fields in shotover/docs/ from the models: they say what the program accepts.

A page holds its table below the line "## Fields"; a test fails when one is not as this writes it.
"""

from __future__ import annotations

import re
from pathlib import Path

from shotover.config.process import ProcessConfig
from shotover.runtime import catalogue, manual

DOCS = Path(manual.DOCS)
TABLE = re.compile(r"(?<=^## Fields\n\n)\|.*?\|$(?!\n\|)", re.MULTILINE | re.DOTALL)


def models() -> dict[str, type]:
    """The model whose fields each page shows, by the page's name."""
    built_in = {**catalogue.SOURCES, **catalogue.STEPS}
    found = {model.tags[0]: model for model in map(catalogue.load, built_in.values())}
    return {**found, "process": ProcessConfig}


def written(text: str, model: type) -> str:
    """A page's text with the table as it must be; ValueError: it has no place for one."""
    if not TABLE.search(text):
        raise ValueError('there is no table below a line "## Fields"')
    return TABLE.sub(lambda _found: manual.field_table(model), text, count=1)


if __name__ == "__main__":
    for name, model in models().items():
        page = DOCS / f"{name}.md"
        page.write_text(written(page.read_text(), model))
