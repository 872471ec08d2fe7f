"""Say what is installed under a licence that this project cannot use, and what it uses without saying so.

    licences.py           exit code 1 and a line for each fault
    licences.py --list    every distribution that is looked at, with its licence

What the process needs at run time goes to users with it: permissive licences alone. What only builds, tests and lints stays
here, so it may be under the Mozilla licence, too. Nothing is asked of a network, so faults that are known of dependencies are
not looked for.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
OURS = "shotover"
RUN, BENCH, SERVICES = "", "bench", ("aws", "top", "vault")
"""Extras: none is what the process needs; that of the benchmark is for shotover/benchmark alone; those of services and of
the terminal view are for who uses them, and not part of what the process needs."""
BUILD = ("build", "cython", "setuptools")
PERMISSIVE = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CNRI-Python",
        "ISC",
        "MIT",
        "MIT-0",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "Zlib",
    }
)
TOOLS = PERMISSIVE | {"MPL-2.0"}
CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
OLDER = {
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "MIT License": "MIT",
    "The MIT License (MIT)": "MIT",
    "BSD": "BSD-3-Clause",
}
"""Words of the field License, from before it was an SPDX expression, and headings of licences' own texts."""
CYTHON_IMPORT = re.compile(r"^\s*(?:from\s+(\w+)[\w.]*\s+import|import\s+(\w+))", re.MULTILINE)


def licence(found: metadata.Distribution) -> str:
    """As an SPDX expression, or whatever it says instead; empty when it says nothing."""
    about = found.metadata
    if "License-Expression" in about:
        return str(about["License-Expression"])
    kinds = {
        CLASSIFIERS.get(kind, kind)
        for line in about.get_all("Classifier") or ()
        if line.startswith("License :: OSI Approved :: ")
        for kind in [line.rpartition(" :: ")[2]]
    }
    if kinds:
        return " AND ".join(sorted(kinds))
    text = str((about.get_all("License") or [""])[0]).strip()
    for file in about.get_all("License-File") or () if not text else ():
        text = (found.read_text(f"licenses/{file}") or "").strip().split("\n")[0]
    return OLDER.get(text, text.split("\n")[0])


def allowed(expression: str, words: Iterable[str]) -> bool:
    """Whether an expression of SPDX (AND binds closer than OR; no parentheses) is fulfilled by `words`."""
    choices = [choice.split(" AND ") for choice in expression.split(" OR ")]
    return any(all(word.strip() in words for word in choice) for choice in choices)


def needed(names: Iterable[tuple[str, str]]) -> set[str]:
    """Canonical names of all distributions that (name, extra) pairs need here, they included."""
    found: set[str] = set()
    waiting, seen = list(names), set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another system or Python, or of a group that is not installed
        found.add(canonicalize_name(name))
        for text in distribution.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                extras = requirement.extras or {""}
                waiting += [(requirement.name, each) for each in extras]
    return found


def faults() -> Iterator[str]:
    """What is wrong, a line each."""
    run = needed([(OURS, RUN)])
    for distribution in installed():
        name, said = canonicalize_name(distribution.name), licence(distribution)
        if not allowed(said, PERMISSIVE if name in run else TOOLS):
            use = "is needed at run time" if name in run else "is installed"
            yield f"{name} {use} under {said or 'a licence that it does not name'}, which is not on the list in tools/licences.py"
    services = set().union(*map(declared, SERVICES))
    yield from undeclared(declared(RUN) | services, declared(BENCH))


def installed() -> list[metadata.Distribution]:
    """All that is here because of this project."""
    extras = metadata.metadata(OURS).get_all("Provides-Extra") or []
    names = needed(
        [(OURS, RUN), *((OURS, extra) for extra in extras), *((name, "") for name in BUILD)]
    )
    return [metadata.distribution(name) for name in sorted(names)]


def declared(extra: str) -> set[str]:
    """The distributions that ours names itself, with an extra."""
    found: set[str] = set()
    for text in metadata.requires(OURS) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            found.add(canonicalize_name(requirement.name))
    return found


def undeclared(run: set[str], bench: set[str]) -> Iterator[str]:
    """Imports in what is shipped of packages that it does not declare."""
    owners = metadata.packages_distributions()
    for path in sorted((ROOT / OURS).rglob("*.py*")):
        if path.suffix not in (".py", ".pyx"):
            continue
        benchmark = "benchmark" in path.parts
        for module in imports(path) - set(sys.stdlib_module_names) - {OURS, "cython", "libc"}:
            names = {canonicalize_name(name) for name in owners.get(module, [module])}
            if not names & (bench if benchmark else run):
                yield f"{path.relative_to(ROOT)} imports {module}, which pyproject.toml does not declare"


def imports(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".pyx":
        return {first or second for first, second in CYTHON_IMPORT.findall(text)}
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found


def main() -> int:
    if "--list" in sys.argv[1:]:
        for distribution in installed():
            print(f"{distribution.name} {distribution.version}: {licence(distribution)}")
        return 0
    found = list(faults())
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
