"""Finds every .pyx below shotover/ and compiles it; SHOTOVER_BUILD chooses the flags.

release   what users get: optimised, invariants gone (the default)
debug     invariants abort, objects alive are counted, Cython writes its annotated HTML
profile   release with frame pointers and symbols, for perf
asan      debug under AddressSanitizer and UndefinedBehaviorSanitizer (preload the runtime)
none      nothing is compiled: for installing a link to this folder, whose modules build_ext --inplace makes

SHOTOVER_BUILD_JOBS is how many modules are compiled at a time, by default as many as there are cores.
fuzz      asan that also reports every block of code it enters

SHOTOVER_BUILD_SOURCES names another set of .pyx files, as tests do for the ones of their own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "tools"))

import sbom  # noqa: E402

BUILD = os.environ.get("SHOTOVER_BUILD", "release")
JOBS = int(os.environ.get("SHOTOVER_BUILD_JOBS") or os.cpu_count() or 1)
SOURCES = os.environ.get("SHOTOVER_BUILD_SOURCES", "shotover/**/*.pyx")
NOT_IN_WHEELS = (
    "_sim" if "bdist_wheel" in sys.argv else None
)  # the simulator: of use only with the tests

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "nonecheck": False,
    "embedsignature": True,
}
COMMON = [
    "-fno-strict-aliasing", "-fvisibility=hidden",
    "-Wall", "-Wno-unused-function", "-Wno-unused-but-set-variable",
    # Errors for newer compilers (gcc 14, clang 16), so errors for all.
    "-Werror=incompatible-pointer-types", "-Werror=int-conversion", "-Werror=implicit-function-declaration",
]  # fmt: skip
SANITIZE = ["-fsanitize=address,undefined"]
SANITIZED = ["-O1", "-g", "-DSHOTOVER_DEBUG", "-UNDEBUG", "-fno-omit-frame-pointer", *SANITIZE]
FLAGS = {
    "release": (["-O3", "-g0", "-DNDEBUG", "-fno-plt"], ["-s"] if sys.platform == "linux" else []),
    "debug": (["-O1", "-g", "-DSHOTOVER_DEBUG", "-UNDEBUG"], []),
    "profile": (["-O3", "-g", "-DNDEBUG", "-fno-omit-frame-pointer"], []),
    "asan": (SANITIZED, SANITIZE),
    "fuzz": ([*SANITIZED, "-fsanitize-coverage=trace-pc"], SANITIZE),
}


def extensions() -> list[Extension]:
    if BUILD == "none":
        return []
    if BUILD not in FLAGS:
        sys.exit(f"SHOTOVER_BUILD={BUILD!r}: expected one of {', '.join(FLAGS)}, none")
    compile_args, link_args = FLAGS[BUILD]
    headers = [str(path.relative_to(ROOT)) for path in ROOT.glob("shotover/**/*.h")]
    return [
        Extension(
            ".".join(path.relative_to(ROOT).with_suffix("").parts),
            [str(path.relative_to(ROOT))],
            include_dirs=["."],
            depends=headers,
            extra_compile_args=COMMON + compile_args,
            extra_link_args=link_args,
        )
        for path in sorted(ROOT.glob(SOURCES))
        if path.parent.name != NOT_IN_WHEELS
    ]


class Wheel(bdist_wheel):
    """A wheel that says what is in it, and whose bytes depend on the sources and the tools alone.

    Times come from SOURCE_DATE_EPOCH, as in every build that knows it; permissions must not come from a umask.
    """

    def egg2dist(self, egginfo_path, distinfo_path):
        super().egg2dist(egginfo_path, distinfo_path)
        sbom.write(Path(distinfo_path, "sboms"), self.distribution.get_version())

    def write_wheelfile(self, wheelfile_base, *more, **named):
        super().write_wheelfile(wheelfile_base, *more, **named)
        root = Path(wheelfile_base).parent
        if self.bdist_dir and root.resolve() == Path(self.bdist_dir).resolve():
            for path in root.rglob("*"):
                path.chmod(0o755 if path.is_dir() or path.suffix == ".so" else 0o644)


if __name__ == "__main__":  # cythonize's processes may import this file
    setup(
        ext_modules=cythonize(
            extensions(),
            compiler_directives=DIRECTIVES,
            annotate=BUILD == "debug",
            build_dir=f"build/cython-{BUILD}",
            nthreads=JOBS if JOBS > 1 else 0,
        ),
        cmdclass={"bdist_wheel": Wheel},
        options={"build_ext": {"parallel": JOBS}},
    )
