"""`shotover service install`: what it writes below a folder is what a host would get."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from shotover.cli import main
from shotover.config.errors import ConfigError
from shotover.runtime import service, service_unit

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "/opt/shotover/bin/shotover"
UNIT = "etc/systemd/system/shotover.service"
LINUX = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    place.mkdir()
    return place


def install(place: Path, *more: str) -> int:
    return main(["service", "install", "--root", str(place), "--program", PROGRAM, *more])


def written(place: Path) -> dict[str, int]:
    """Permissions of files of ours, by path."""
    return {
        str(path.relative_to(place)): stat.S_IMODE(path.stat().st_mode)
        for path in place.rglob("*")
        if path.is_file() and "shotover" in str(path.relative_to(place))
    }


def test_what_a_host_gets(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(place) == 0
    assert written(place) == {
        "etc/shotover/config.yaml": 0o644,
        "etc/shotover/topology.yaml": 0o644,
        "etc/sysusers.d/shotover.conf": 0o644,
        UNIT: 0o644,
        "usr/local/share/bash-completion/completions/shotover": 0o644,
        "usr/local/share/fish/vendor_completions.d/shotover.fish": 0o644,
        "usr/local/share/man/man1/shotover.1": 0o644,
        "usr/local/share/zsh/site-functions/_shotover": 0o644,
    }
    assert "systemctl enable --now shotover" in capsys.readouterr().out
    unit = (place / UNIT).read_text()
    started = f"{PROGRAM} -t /etc/shotover/topology.yaml -c /etc/shotover/config.yaml"
    assert f"\nExecStart={started}\n" in unit
    assert "\nUser=shotover\nGroup=shotover\n" in unit and "\nDynamicUser" not in unit


def test_what_it_starts_with_is_sound(place: Path) -> None:
    install(place)
    files = [str(place / "etc/shotover" / name) for name in ("topology.yaml", "config.yaml")]
    assert main(["check", "-t", files[0], "-c", files[1]]) == 0


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="no systemd here")
def test_the_user_is_made(place: Path) -> None:
    install(place, "--user", "cache-proxy")
    accounts = (place / "etc/passwd").read_text()
    assert re.search(r"^cache-proxy:x:\d+:\d+:.*:/usr/sbin/nologin$", accounts, re.MULTILINE)
    assert "\nUser=cache-proxy\n" in (place / UNIT).read_text()


def test_files_of_yours_are_left_as_they_are(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(place)
    mine = place / "etc/shotover/topology.yaml"
    mine.write_text("mine")
    (place / UNIT).write_text("of an older version")
    capsys.readouterr()
    assert install(place, "--core-threads", "3") == 0
    assert mine.read_text() == "mine"
    assert "left as it is: /etc/shotover/topology.yaml" in capsys.readouterr().out
    assert "--core-threads 3\n" in (place / UNIT).read_text()
    assert not [path for path in place.rglob("*.new")]


def test_a_dry_run_writes_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(place, "--dry-run") == 0
    assert not list(place.iterdir())
    out = capsys.readouterr().out
    assert "# file /etc/systemd/system/shotover.service (0644)" in out
    assert "[Service]" in out and "u shotover - " in out


def test_only_root_may(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["service", "install", "--program", PROGRAM]) == 1
    assert "only root may install a service" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (["--user", "root"], "--user: root cannot be the service's own user"),
        (["--user", "a\nb"], "--user: expected small letters, digits, - and _, got"),
        (["--user", "x" * 32], "cannot be the service's own user"),
        (["--program", "bin/shotover"], "--program: expected an absolute path, got bin/shotover"),
        (["--program", "/run/user/1/shotover"], "/run/user/1/shotover is in somebody's home"),
    ],
)
def test_mistakes_are_told_and_nothing_is_done(
    place: Path, capsys: pytest.CaptureFixture[str], more: list[str], error: str
) -> None:
    assert install(place, *more) == 1
    assert error in capsys.readouterr().err
    assert not list(place.iterdir())


def test_a_folder_that_cannot_be_written_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "etc").write_text("a file")
    assert install(place) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{place}/etc" in line


def test_the_unit_in_the_source_is_the_same() -> None:
    line = f"{PROGRAM} -t /etc/shotover/topology.yaml -c /etc/shotover/config.yaml"
    assert (ROOT / "configs/shotover.service").read_text() == service_unit.unit(line, None)


@LINUX
@pytest.mark.parametrize(("user", "version"), [(None, None), ("shotover", 252)])
def test_systemd_finds_nothing_to_complain_of(
    tmp_path: Path, user: str | None, version: int | None
) -> None:
    file = tmp_path / "shotover.service"
    file.write_text(service_unit.unit("/bin/true", user, version))
    environment = {**os.environ, "SYSTEMD_LOG_LEVEL": "notice"}
    verify = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (verify.returncode, verify.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout[-300:]


def test_reloading_is_waited_for_where_systemd_can() -> None:
    old, new = (service_unit.unit("/bin/true", "shotover", version) for version in (252, 253))
    assert "\nType=notify\n" in old and "\nExecReload=" in old
    assert "\nType=notify-reload\n" in new and "\nExecReload=" not in new


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["/a/b", "-t", "c"], "/a/b -t c"),
        (["/with space/b"], '"/with space/b"'),
        (["/50%/$HOME"], "/50%%/$$HOME"),
        (['/quo"ted'], '"/quo\\"ted"'),
    ],
)
def test_words_of_a_command_stay_what_they_are(words: list[str], line: str) -> None:
    assert service_unit.quoted(words) == line


def test_a_user_that_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/false")
    with pytest.raises(ConfigError) as error:
        service.register("shotover", str(place))
    assert "exit code 1" in error.value.lines[0]
