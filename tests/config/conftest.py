"""Helpers for tests of the configuration: a topology in, its models or its error lines out."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from shotover.config.errors import ConfigError
from shotover.runtime import catalogue
from shotover.runtime.assemble import Loaded, load


class Config:
    """Writes topology.yaml (and config.yaml) into a folder of its own and loads them from there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.environ: dict[str, str] = {}
        self.find = catalogue.find
        monkeypatch.chdir(folder)

    def load(self, topology: str, process: str | None = None) -> Loaded:
        (self.folder / "topology.yaml").write_text(dedent(topology))
        if process is not None:
            (self.folder / "config.yaml").write_text(dedent(process))
        return load(
            "topology.yaml", None if process is None else "config.yaml", self.environ, self.find
        )

    def errors(self, topology: str, process: str | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self.load(topology, process)
        return caught.value.lines

    def chain_errors(self, chain: str) -> list[str]:
        """Errors of a chain given as a flow list, in a sound topology."""
        return self.errors(one_chain(chain))

    def step(self, step: str, then: str = "NullSink"):
        """The model of one step, given in flow style, in a sound topology."""
        chain = f"[{step}, {then}]" if then else f"[{step}]"
        return self.load(one_chain(chain)).topology.sources[0].chain.steps[0]


def one_chain(chain: str) -> str:
    return (
        "sources:\n"
        "  - Redis:\n"
        "      name: redis\n"
        "      listen_addr: 127.0.0.1:6379\n"
        f"      chain: {chain}\n"
    )


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    return Config(tmp_path, monkeypatch)
