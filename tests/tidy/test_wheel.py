"""A wheel: the same bytes from two folders, nothing of the machine in it, and a list of what it is made of.

Only one module is compiled here; `make reproduce` does it with all of them.
"""

from __future__ import annotations

import json
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import shotover
from tidy.sources import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import reproduce
import sbom

ENVIRONMENT = {"SHOTOVER_BUILD_SOURCES": "shotover/_codec/md5.pyx", "SHOTOVER_BUILD_JOBS": "1"}
TIME = "1700000000"  # 2023-11-14 22:13:20


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    place = tmp_path_factory.mktemp("wheels")
    usual = ENVIRONMENT | {"SOURCE_DATE_EPOCH": TIME}
    found = []
    for name, umask, more in reproduce.WAYS:
        reproduce.copy(place / name)
        found.append(reproduce.build(place / name, umask, usual | more))
    return found


@pytest.mark.timeout(240)
def test_two_builds_are_the_same(wheels: list[Path]) -> None:
    assert reproduce.differences(*wheels) == []


@pytest.mark.timeout(240)
def test_what_is_in_it_says_nothing_of_where_it_was_made(wheels: list[Path]) -> None:
    with zipfile.ZipFile(wheels[0]) as archive:
        for info in archive.infolist():
            data = archive.read(info)
            assert str(wheels[0].parents[1]).encode() not in data, info.filename
            assert info.date_time == (2023, 11, 14, 22, 13, 20)
            mode = info.external_attr >> 16 & 0o777
            assert (
                mode == (0o755 if info.filename.endswith(".so") else 0o644)
                or "RECORD" in info.filename
            )
        assert not [
            name for name in archive.namelist() if "_sim" in name or name.startswith("tests")
        ]


@pytest.mark.timeout(240)
def test_the_bill_is_in_it_and_in_its_record(wheels: list[Path]) -> None:
    info = f"shotover-{shotover.__version__}.dist-info"
    with zipfile.ZipFile(wheels[0]) as archive:
        said = json.loads(archive.read(f"{info}/sboms/{sbom.FILE}"))
        record = archive.read(f"{info}/RECORD").decode()
        needs = archive.read(f"{info}/METADATA").decode()
    assert f"{info}/sboms/{sbom.FILE},sha256=" in record
    assert (said["bomFormat"], said["specVersion"]) == ("CycloneDX", "1.6")
    about = said["metadata"]
    assert about["timestamp"] == "2023-11-14T22:13:20Z"
    assert about["component"]["version"] == shotover.__version__
    parts = {part["name"]: part for part in said["components"]}
    assert parts["cython"]["version"] == metadata.version("cython")
    unconditional = [
        line
        for line in needs.splitlines()
        if line.startswith("Requires-Dist:") and "extra" not in line
    ]
    assert [line.split()[1].partition(">")[0] for line in unconditional] == ["pyyaml"]
    assert {name for name, part in parts.items() if part["scope"] == "required"} == {
        "cython",
        "pyyaml",
    }
    references = {about["component"]["bom-ref"], *(part["bom-ref"] for part in parts.values())}
    assert len(references) == len(parts) + 1
    for link in said["dependencies"]:
        assert {link["ref"], *link["dependsOn"]} <= references


def test_a_difference_is_named(tmp_path: Path) -> None:
    files = [tmp_path / "a.whl", tmp_path / "b.whl"]
    for file, text in zip(files, ("x", "y"), strict=True):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo("same"), "1")
            archive.writestr(zipfile.ZipInfo("other"), text)
    assert reproduce.differences(*files) == ["other"]
    assert reproduce.differences(files[0], files[0]) == []


def test_the_time_is_that_of_the_last_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert reproduce.epoch() >= reproduce.EARLIEST
    monkeypatch.setenv("SOURCE_DATE_EPOCH", TIME)
    assert reproduce.epoch() == int(TIME)


def test_wheels_are_made_for_every_python_that_the_classifiers_name() -> None:
    settings = pytest.importorskip("tomllib").loads((ROOT / "pyproject.toml").read_text())
    prefix = "Programming Language :: Python :: 3."
    minors = [
        line.removeprefix(prefix)
        for line in settings["project"]["classifiers"]
        if line.startswith(prefix)
    ]
    wheels = settings["tool"]["cibuildwheel"]
    assert wheels["build"].split() == [f"cp3{minor}-*" for minor in minors]
    assert wheels["linux"]["archs"] == ["x86_64", "aarch64"]
    assert wheels["macos"]["archs"] == ["x86_64", "arm64"]
    assert (ROOT / wheels["test-command"].rpartition("{project}/")[2]).exists()
