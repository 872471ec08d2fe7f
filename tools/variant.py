"""Build a variant of the compiled part beside the usual one and run a command with it.

    variant.py debug .venv/bin/pytest        invariants abort
    variant.py profile .venv/bin/shotover ...  what users get, with symbols for perf
    variant.py asan .venv/bin/pytest         the same under AddressSanitizer and UndefinedBehaviorSanitizer
    variant.py fuzz .venv/bin/python ...     the same, and the blocks of code that are entered are told

The variant (see setup.py) goes to build/VARIANT/, a copy of the package; the command finds it before any other
through PYTHONPATH. What lies beside the sources is not touched. Exits as the command does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SANITIZERS = "-fsanitize=address,undefined"
PROBE = "int main(void) { return 0; }\n"
TRACE = ROOT / "tests" / "fuzz" / "trace.c"
REPORT = "report"
"""AddressSanitizer writes to files of this name: a test keeps what its processes print, and may not notice that one
has ended. UndefinedBehaviorSanitizer knows only stderr beside it."""
VARIANTS = ("debug", "profile", "asan", "fuzz")


def main(variant: str, command: list[str]) -> int:
    if variant not in VARIANTS or not command:
        sys.exit(f"usage: variant.py {'|'.join(VARIANTS)} COMMAND...")
    target = ROOT / "build" / variant
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    preload = [] if variant in ("debug", "profile") else runtime(compiler)
    build(variant, target)
    if variant == "fuzz":
        preload.insert(0, str(compile_trace(compiler, target)))
    environment = {
        **os.environ,
        "SHOTOVER_BUILD": variant,
        "PYTHONPATH": str(target),
        "PYTHONSAFEPATH": "1",
    }
    if not preload:
        return subprocess.run(command, env=environment, check=False).returncode
    for path in target.glob(f"{REPORT}.*"):
        path.unlink()
    environment |= sanitized(preload, target / REPORT)
    if variant == "asan":
        environment["PYTHONMALLOC"] = "malloc"  # so that bytes beyond a Python object are seen, too
    done = subprocess.run(command, env=environment, check=False)
    reports = sorted(target.glob(f"{REPORT}.*"))
    for path in reports:
        print(f"---- {path.name}", path.read_text(errors="replace"), sep="\n", file=sys.stderr)
    return done.returncode or bool(reports)


def build(variant: str, target: Path) -> None:
    """The package in `target`, up to date; compiled modules are made anew only where their sources changed."""
    for path in [*target.glob("shotover/**/*.py"), *target.glob("shotover/**/*.so")]:
        source = ROOT / path.relative_to(target)
        if path.suffix == ".so":
            source = source.with_name(path.name.partition(".")[0] + ".pyx")
        if not source.exists():
            path.unlink()
    print(f"building the variant {variant} in {target.relative_to(ROOT)}", flush=True)
    command = [sys.executable, "setup.py", "--quiet", "build", "--build-lib", str(target)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "SHOTOVER_BUILD": variant},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout[-4000:]}\nthe variant {variant} does not build")


def runtime(compiler: list[str]) -> list[str]:
    """The sanitizer's library, to be loaded before all else. Ends the program where the compiler has none."""
    if sys.platform != "linux":
        sys.exit("the sanitizers are preloaded into Python, which works on Linux only")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(PROBE)
        done = subprocess.run(
            [*compiler, SANITIZERS, str(source), "-o", str(source.with_suffix(""))],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(
            f"{' '.join(compiler)} cannot build with {SANITIZERS}:\n{done.stderr[-1000:]}\n"
            "install a gcc with its sanitizers (Debian: apt-get install gcc libasan8 libubsan1), "
            "or choose another compiler: make CC=gcc-12 asan"
        )
    paths = [library(compiler, name) for name in ("libasan.so", "libclang_rt.asan-x86_64.so")]
    found = [path for path in paths if path]
    if not found:
        sys.exit(
            f"{' '.join(compiler)} builds with {SANITIZERS}, but has no shared runtime to preload; use gcc"
        )
    return found[:1]


def library(compiler: list[str], name: str) -> str:
    """Where the compiler has that library; empty: it has not."""
    done = subprocess.run(
        [*compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=False
    )
    path = done.stdout.strip()
    return os.path.realpath(path) if os.path.isabs(path) else ""


def compile_trace(compiler: list[str], target: Path) -> Path:
    """The library that hears of every block entered; it is no part of what is tested, so no sanitizer looks at it."""
    library_path = target / "trace.so"
    if not library_path.exists() or library_path.stat().st_mtime < TRACE.stat().st_mtime:
        subprocess.run(
            [*compiler, "-O2", "-Wall", "-fPIC", "-shared", str(TRACE), "-o", str(library_path)],
            check=True,
        )
    return library_path


def sanitized(preload: list[str], report: Path) -> dict[str, str]:
    """What a process needs so that each finding ends it with a report."""
    both = ["abort_on_error=1"]
    asan = [
        f"log_path={report}",
        "detect_leaks=0",  # CPython keeps much until the process ends
        "verify_asan_link_order=0",  # trace.so may stand before it
        "allocator_may_return_null=1",
    ]  # some tests ask for more than there is
    return {
        "LD_PRELOAD": " ".join(preload),
        "ASAN_OPTIONS": ":".join([*both, *asan, os.environ.get("ASAN_OPTIONS", "")]).strip(":"),
        "UBSAN_OPTIONS": ":".join(
            [*both, "halt_on_error=1", "print_stacktrace=1", os.environ.get("UBSAN_OPTIONS", "")]
        ),
    }


if __name__ == "__main__":
    sys.exit(main([*sys.argv, ""][1], sys.argv[2:]))
