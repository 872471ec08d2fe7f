"""The audit of licences and declared dependencies finds what it is there for."""

from __future__ import annotations

import sys
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tidy.sources import ROOT

sys.path.insert(0, str(ROOT / "tools"))
licences = pytest.importorskip("licences")

TEXTS = {"licenses/MIT": "The MIT License (MIT)", "licenses/OTHER": "A licence"}
"""Files that Made has, by how they begin."""
MIT = "License :: OSI Approved :: MIT License"


class Made(metadata.Distribution):
    """A distribution that exists here alone."""

    def __init__(self, name: str, **headers: Any) -> None:
        self._headers = {"Name": name, "Version": "1", **headers}

    @property
    def metadata(self) -> Any:
        message = Message()
        for name, values in self._headers.items():
            for value in values if isinstance(values, list) else [values]:
                message[name.replace("_", "-")] = value
        return message

    def read_text(self, filename: str) -> str | None:
        return f"{TEXTS[filename]}\n\nCopyright" if filename in TEXTS else None

    def locate_file(self, path: Any) -> Path:
        return Path(path)


def test_this_environment_is_in_order() -> None:
    assert list(licences.faults()) == []


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"License_Expression": "MIT OR GPL-3.0-only", "License": "x"}, "MIT OR GPL-3.0-only"),
        ({"Classifier": [MIT], "License": "anything"}, "MIT"),
        (
            {"Classifier": [MIT, "License :: OSI Approved :: GNU General Public License (GPL)"]},
            "GNU General Public License (GPL) AND MIT",
        ),
        ({"License": "Apache 2.0"}, "Apache-2.0"),
        ({"License": "MIT License\n\nCopyright"}, "MIT License"),
        ({"License_File": ["MIT"]}, "MIT"),
        ({"License_File": ["OTHER"]}, "A licence"),
        ({"License_File": ["lost"]}, ""),
        ({}, ""),
    ],
)
def test_what_a_distribution_says(headers: dict[str, Any], said: str) -> None:
    assert licences.licence(Made("x", **headers)) == said


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("MIT", True), ("MIT OR GPL-3.0-only", True), ("Apache-2.0 AND MIT", True), ("GPL-3.0-only AND MIT", False),
        ("GPL-3.0-only AND MIT OR ISC", True), ("", False), ("(MIT)", False), ("MPL-2.0", False), ("LGPL-3.0-or-later", False),
    ],
)  # fmt: skip
def test_what_is_permissive(expression: str, good: bool) -> None:
    assert licences.allowed(expression, licences.PERMISSIVE) == good


def test_a_licence_that_is_not_on_the_list_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Made("pyyaml", License_Expression="MPL-2.0"), Made("tool", License_Expression="MPL-2.0"),
        Made("worse", License_Expression="AGPL-3.0-only"), Made("silent"),
    ]  # fmt: skip
    monkeypatch.setattr(licences, "installed", lambda: found)
    lines = list(licences.faults())
    assert [line.split(",")[0] for line in lines] == [
        "pyyaml is needed at run time under MPL-2.0",
        "worse is installed under AGPL-3.0-only",
        "silent is installed under a licence that it does not name",
    ]


def test_the_wheel_needs_what_it_declares_and_nothing_else() -> None:
    assert licences.declared(licences.RUN) == {"pyyaml"}
    assert licences.needed([("shotover", licences.RUN)]) == {"shotover", "pyyaml"}
    lines = list(licences.undeclared(set(), set()))
    assert any("config/source.py imports yaml, which" in line for line in lines)
    assert any("benchmark" in line and "imports click" in line for line in lines)
