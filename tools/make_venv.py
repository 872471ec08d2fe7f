"""Make the virtual environment that `make` works in: make_venv.py FOLDER GROUP.

GROUP `run` creates it, with what builds and runs Shotover; the other groups are the extras of
pyproject.toml. A stamp FOLDER/.with-GROUP says that a group is there. Whatever is missing is said
in a few lines; on Debian and its kin it is installed, where this process may do so.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile

if sys.version_info < (3, 10):  # noqa: UP036  # any python3 may start this
    sys.exit(
        "Shotover needs Python 3.10 or newer; %s is %d.%d.\n"
        "With a newer one installed: make PYTHON=python3.12"
        % (sys.executable, sys.version_info[0], sys.version_info[1])
    )

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUTPUT_LINES = 12
"""Lines of a failed program's output that are shown."""
PROBE = "#include <Python.h>\nint main(void) { return 0; }\n"


def main(folder: str, group: str) -> None:
    if group == "run":
        make(folder)
    print(f"installing packages to {group} it into {folder}", flush=True)
    if group == "run":
        install(folder, ["--upgrade", "pip", *build_requirements()])
        # The package itself, as a link to this folder: what it needs and its commands.
        install(
            folder,
            [
                "--no-build-isolation",
                "--config-settings",
                "editable_mode=compat",
                "--editable",
                ROOT,
            ],
            SHOTOVER_BUILD="none",
        )
    elif group == "wheel":
        install(folder, ["build"])
    else:
        install(folder, extra(group))
    with open(os.path.join(folder, ".with-" + group), "w", encoding="ascii"):
        pass


def make(folder: str) -> None:
    """Create the environment, or keep one of this same Python."""
    have_build_tools()
    python = os.path.join(folder, "bin", "python")
    if os.path.exists(python) and version_of(python) == version_of(sys.executable):
        return
    print(f"making {folder} with Python {sys.version.split()[0]}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "venv", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        fail(f"python -m venv {folder} failed", done.stdout + done.stderr)


def version_of(python: str) -> str:
    """The version and build of an interpreter; empty if it does not run."""
    code = "import sys, sysconfig; print(sys.version, sysconfig.get_config_var('EXT_SUFFIX'))"
    try:
        return subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return ""


def have_build_tools() -> None:
    """A C compiler, Python's headers and the module venv, installed if that is possible."""
    missing = missing_tools()
    if not missing:
        return
    packages = " ".join(sorted({package for _what, package in missing}))
    if shutil.which("apt-get") and os.geteuid() == 0:
        apt_install(packages.split())
        missing = missing_tools()
        if not missing:
            return
    for what, _package in missing:
        print(what, file=sys.stderr)
    if sys.platform == "darwin":
        sys.exit("install the command line tools: xcode-select --install")
    if shutil.which("apt-get"):
        sys.exit(f"install what is missing: sudo apt-get install {packages}")
    sys.exit(f"install what is missing with your system's package manager (on Debian: {packages})")


def missing_tools() -> list[tuple[str, str]]:
    """(what is missing, the Debian package that brings it)."""
    missing = []
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    if shutil.which(compiler[0]) is None:
        missing.append((f"there is no C compiler ({compiler[0]})", "build-essential"))
    elif not compiles(compiler):
        missing.append(
            (
                f"{compiler[0]} cannot compile against Python.h",
                f"build-essential python{version}-dev",
            )
        )
    try:
        import ensurepip  # noqa: F401  # what Debian leaves out of its Python
        import venv  # noqa: F401
    except ImportError:
        missing.append((f"{sys.executable} lacks the module venv", f"python{version}-venv"))
    return missing


def compiles(compiler: list[str]) -> bool:
    """Whether a C file that includes Python.h compiles."""
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "probe.c")
        with open(source, "w", encoding="ascii") as stream:
            stream.write(PROBE)
        include = "-I" + sysconfig.get_paths()["include"]
        done = subprocess.run(
            [*compiler, include, "-c", source, "-o", source + ".o"],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0


def apt_install(packages: list[str]) -> None:
    """Install Debian packages; a failure shows later, by what is still missing."""
    print("installing", *packages, flush=True)
    # RUNLEVEL: installing a server must not start it.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    command = ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages]
    for step in (["apt-get", "-qq", "update"], command):
        subprocess.run(step, env=environment, stdout=subprocess.DEVNULL, check=False)


def build_requirements() -> list[str]:
    """What pyproject.toml says that building needs."""
    found = re.search(r"^requires = \[(.*?)\]$", pyproject(), re.MULTILINE)
    assert found, "pyproject.toml has no build requirements"
    return re.findall(r'"([^"]+)"', found[1])


def extra(group: str) -> list[str]:
    """The packages of an extra of pyproject.toml; each stands on one line."""
    section = pyproject().split("[project.optional-dependencies]")[1].split("\n[")[0]
    found = re.search(rf"^{re.escape(group)} = \[(.*?)\]$", section, re.MULTILINE | re.DOTALL)
    assert found, f"pyproject.toml has no extra {group}"
    return re.findall(r'"([^"]+)"', found[1])


def pyproject() -> str:
    with open(os.path.join(ROOT, "pyproject.toml"), encoding="utf-8") as stream:
        return stream.read()


def install(folder: str, arguments: list[str], **environment: str) -> None:
    """pip install; an error is told with the end of pip's own words."""
    command = [
        os.path.join(folder, "bin", "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *arguments,
    ]
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        fail(
            "pip could not install " + " ".join(arguments),
            done.stdout,
            "Is there a network? The packages come from the index that pip is set up to use; "
            "`pip config list` shows it.",
        )


def fail(what: str, output: str, hint: str = "") -> None:
    """End with what went wrong and the last lines that the program printed."""
    lines = [line for line in output.splitlines() if line.strip()]
    print(*lines[-OUTPUT_LINES:], sep="\n", file=sys.stderr)
    sys.exit("\n".join(filter(None, [what, hint])))


if __name__ == "__main__":
    main(*sys.argv[1:])
