"""The files that belong to the project, and what they import."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = {".venv", "build", "dist", "__pycache__"}
CYTHON = (".pyx", ".pxd")
CYTHON_IMPORT = re.compile(
    r"^\s*(?:from\s+([\w.]+)\s+c?import\s+(\([^)]*\)|[^\n]*)|c?import\s+([\w.]+))", re.MULTILINE
)


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the project: as git knows them, or, in a source archive, all that is there."""
    done = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode == 0 and done.stdout:
        return tuple(
            sorted(
                path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()
            )
        )
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in LEFT_OUT and not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.endswith((".so", ".c", ".html"))]
    return tuple(sorted(found))


def files(*suffixes: str, under: str = "") -> list[Path]:
    return [
        path for path in tracked() if path.suffix in suffixes and path.is_relative_to(ROOT / under)
    ]


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    """ "shotover._codec.resp" of shotover/_codec/resp.pyx."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> frozenset[str]:
    return frozenset(module_of(path) for path in files(".py", *CYTHON, under="shotover"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module of ours) for whatever the file imports or cimports, but for the sake of types."""
    text = path.read_text(encoding="utf-8")
    package = module_of(path) if path.stem == "__init__" else module_of(path).rpartition(".")[0]
    found = _of_cython(text) if path.suffix in CYTHON else _of_python(ast.parse(text), package)
    for line, module, names in found:
        if module.partition(".")[0] == "shotover":
            inner = [f"{module}.{name}" for name in names if f"{module}.{name}" in modules()]
            yield from ((line, each) for each in inner or [module])


def _of_cython(text: str) -> Iterator[tuple[int, str, list[str]]]:
    for match in CYTHON_IMPORT.finditer(text):
        line = text.count("\n", 0, match.start(0) + len(match[0]) - len(match[0].lstrip())) + 1
        yield line, match[1] or match[3], re.findall(r"\w+", match[2] or "")


def _of_python(tree: ast.AST, package: str) -> Iterator[tuple[int, str, list[str]]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            yield (
                node.lineno,
                ".".join([*above, *filter(None, [node.module])]),
                [alias.name for alias in node.names],
            )
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, []
        else:
            yield from _of_python(node, package)
