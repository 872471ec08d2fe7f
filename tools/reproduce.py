"""Build the wheel twice, from two copies of the sources, and say whether the bytes are the same.

    reproduce.py [--only SOURCES]    exit code 1 and the names of what differs; SOURCES as for SHOTOVER_BUILD_SOURCES
    reproduce.py --epoch             the time that a build of these sources has: that of the last commit

The copies stand in folders of different names, with other times and permissions, and are built in other time zones, languages and
orders of hashes. The tools are those of this environment: another compiler, Cython or setuptools gives other bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EARLIEST = 315_532_800
"""1980: before it there is no time in a zip file."""
WAYS: tuple[tuple[str, int, dict[str, str]], ...] = (
    ("a", 0o022, {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1"}),
    ("another/place", 0o077, {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2"}),
)


def epoch() -> int:
    """Seconds since 1970, of the last commit; SOURCE_DATE_EPOCH if set; for an archive EARLIEST."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    done = _git("log", "-1", "--format=%ct")
    return max(int(done or 0), EARLIEST)


def _git(*arguments: str) -> str:
    """What git prints of this checkout; nothing where this is none."""
    if not (ROOT / ".git").exists():
        return ""
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""


def copy(target: Path) -> None:
    """The files of the project, as they are in this folder now."""
    names = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    if names == [""]:
        unwanted = shutil.ignore_patterns(
            ".*", "build", "dist", "*.so", "*.c", "__pycache__", "*.egg-info"
        )
        shutil.copytree(ROOT, target, dirs_exist_ok=True, ignore=unwanted)
        return
    for name in names:
        source, to = ROOT / name, target / name
        if name and source.is_file():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, to)


def build(folder: Path, umask: int, environment: dict[str, str]) -> Path:
    """The wheel of the sources in `folder`; they get the permissions of that umask."""
    for path in (folder, *folder.rglob("*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
    before = os.umask(umask)
    try:
        done = subprocess.run(
            [sys.executable, "setup.py", "--quiet", "bdist_wheel", "--dist-dir", "dist"],
            cwd=folder,
            env={**os.environ, "SHOTOVER_BUILD": "release", "LD_PRELOAD": "", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    finally:
        os.umask(before)
    if done.returncode:
        sys.exit(f"the wheel cannot be built:\n{done.stdout[-4000:]}")
    [wheel] = (folder / "dist").glob("*.whl")
    return wheel


def differences(one: Path, other: Path) -> list[str]:
    """Nothing if both files are the same, else what differs in them."""
    if one.name == other.name and one.read_bytes() == other.read_bytes():
        return []
    entries = []
    for wheel in (one, other):
        with zipfile.ZipFile(wheel) as archive:
            entries.append(
                {
                    info.filename: (info.date_time, info.external_attr, digest(archive.read(info)))
                    for info in archive.infolist()
                }
            )
    first, second = entries
    names = sorted(
        name for name in first.keys() | second.keys() if first.get(name) != second.get(name)
    )
    return names or ["order, compression or name of the file"]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", metavar="SOURCES", help="modules to compile, as a pattern")
    parser.add_argument("--epoch", action="store_true")
    options = parser.parse_args()
    if options.epoch:
        print(epoch())
        return 0
    usual = {"SOURCE_DATE_EPOCH": str(epoch())}
    if options.only:
        usual["SHOTOVER_BUILD_SOURCES"] = options.only
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place, name) for name, _umask, _more in WAYS]
        for folder in folders:
            copy(folder)  # both before either is built: this folder may change meanwhile
        wheels = [
            build(folder, umask, usual | more)
            for folder, (_name, umask, more) in zip(folders, WAYS, strict=True)
        ]
        found = differences(*wheels)
        print(*[f"{digest(wheel.read_bytes())}  {wheel.name}" for wheel in wheels], sep="\n")
    for name in found:
        print(f"not the same: {name}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
