"""Compiled views of the data plane for tests: built when first asked for, kept out of the package."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "tests" / "native"
BUILD = os.environ.get("SHOTOVER_BUILD", "release")
TARGET = ROOT / "build" / f"native-{BUILD}"


def load(name: str) -> ModuleType:
    """The module tests/native/NAME.pyx, built with the flags of SHOTOVER_BUILD."""
    path = TARGET / "tests" / "native" / (name + sysconfig.get_config_var("EXT_SUFFIX"))
    TARGET.mkdir(parents=True, exist_ok=True)
    with (TARGET / "lock").open("w") as lock:
        fcntl.flock(
            lock, fcntl.LOCK_EX
        )  # the tests' processes ask for the same modules at the same time
        if not path.exists() or path.stat().st_mtime < _newest_source():
            build()
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
    return module


def build() -> None:
    """Compiles every tests/native/*.pyx."""
    environment = {**os.environ, "SHOTOVER_BUILD_SOURCES": "tests/native/*.pyx"}
    environment.pop("LD_PRELOAD", None)  # a sanitizer is for the tests, not for the compiler
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", f"--build-lib={TARGET}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"tests/native does not compile:\n{done.stdout}{done.stderr}")
    for path in TARGET.rglob("*.so"):
        path.touch()  # up to date, even where nothing had to be done


def _newest_source() -> float:
    found = [ROOT / "setup.py", *SOURCES.glob("*.p*"), *(ROOT / "shotover").rglob("*.pxd")]
    return max(path.stat().st_mtime for path in [*found, *(ROOT / "shotover").rglob("*.h")])
