"""Builds toy_module.c with the C compiler that built Shotover."""

from __future__ import annotations

import shlex
import subprocess
import sysconfig
from pathlib import Path

SOURCE = Path(__file__).with_name("toy_module.c")


def build(directory: Path) -> Path:
    """The module, in `directory`; to be given to a server by --loadmodule."""
    path = directory / "toy.so"
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    subprocess.run(
        [*compiler, "-shared", "-fPIC", "-O1", "-o", str(path), str(SOURCE)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return path
