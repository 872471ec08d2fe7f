"""Every poller back end against one conformance suite, `pollers.c`, under AddressSanitizer and UBSan.

The suite is a C program, as the back ends are C headers; each test runs one of its cases in a process of its own.
io_uring is run four times: as it ships, with buffers that are handed out whole (Linux before 6.12), and each of these
with so few and small buffers that they run out all the time, once with queues that run over, too. kqueue runs over an
imitation of it on epoll.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CASES = re.findall(r"\bCASE\((\w+)\)", (HERE / "pollers.c").read_text().split("cases[] = {")[1])
COMPILER = shutil.which(os.environ.get("CC", "cc"))
NOT_HERE = 77  # exit code of the suite: this back end does not open on this machine

FLAGS = [
    "-std=gnu11",
    "-O1",
    "-g",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-function",
    "-pthread",
    f"-I{ROOT}",
    f"-I{HERE}",
]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
VARIANTS: dict[str, tuple[str, list[str]]] = {
    "epoll": ("epoll", []),
    "io_uring": ("io_uring", []),
    "io_uring, whole buffers": ("io_uring", ["-DURING_PBUF_INC=0"]),
    "io_uring, whole buffers run out": (
        "io_uring",
        [
            "-DURING_PBUF_INC=0",
            "-DURING_WHOLE_SIZE=4096",
            "-DURING_WHOLE_COUNT=4",
            "-DURING_WHOLE_START=1",
        ],
    ),
    "io_uring, all runs out": (
        "io_uring",
        [
            "-DURING_SHARED_SIZE=4096",
            "-DURING_SHARED_COUNT=2",
            "-DURING_SHARED_START=1",
            "-DURING_ENTRIES=4",
            "-DURING_COMPLETIONS=8",
        ],
    ),
    "kqueue, imitated": ("kqueue", ["-DSHOTOVER_KQUEUE", f"-I{HERE / 'kqueue_on_linux'}"]),
}

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the suite counts its fds in /proc"),
    pytest.mark.skipif(COMPILER is None, reason="no C compiler"),
]


def compile_c(*arguments: str) -> None:
    done = subprocess.run(
        [str(COMPILER), *FLAGS, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def build(directory: Path, name: str) -> Path:
    program = directory / re.sub(r"\W+", "_", name)
    compile_c(*SANITIZE, *VARIANTS[name][1], str(HERE / "pollers.c"), "-o", str(program))
    return program


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Future[Path]]:
    """The suite, compiled once for each variant, all at the same time."""
    directory = tmp_path_factory.mktemp("pollers")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {name: pool.submit(build, directory, name) for name in VARIANTS}


def run(program: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *arguments], cwd=cwd, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_poller_keeps_its_contract(
    programs: dict[str, Future[Path]], tmp_path: Path, variant: str, case: str
) -> None:
    done = run(programs[variant].result(), VARIANTS[variant][0], case, cwd=tmp_path)
    if done.returncode == NOT_HERE:
        pytest.skip(done.stderr.strip())
    assert (done.returncode, done.stderr) == (0, "")


def test_no_reset_is_lost_at_full_speed(tmp_path: Path) -> None:
    """The same case without sanitizers, which make the loop too slow to be caught in the act."""
    program = tmp_path / "race"
    compile_c("-O2", "-DRACE_CLIENTS=20000", str(HERE / "pollers.c"), "-o", str(program))
    done = run(program, "auto", "a_reset_right_behind_data", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_case_of_the_suite_is_run(programs: dict[str, Future[Path]], tmp_path: Path) -> None:
    assert run(programs["epoll"].result(), "epoll", cwd=tmp_path).stdout.split() == CASES
    assert len(CASES) >= 25


def test_an_unknown_poller_is_refused_by_name(
    programs: dict[str, Future[Path]], tmp_path: Path
) -> None:
    done = run(programs["epoll"].result(), "libevent", "echo", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "there is no poller 'libevent' here; there are: auto, io_uring, epoll\n"


def test_auto_falls_back_to_epoll_and_says_why(tmp_path: Path) -> None:
    """Where io_uring is forbidden: here by a seccomp filter, as in many containers."""
    program = tmp_path / "fallback"
    compile_c(*SANITIZE, str(HERE / "poller_fallback.c"), "-o", str(program))
    done = run(program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "auto: epoll: io_uring cannot be used: io_uring is forbidden here (sysctl kernel.io_uring_disabled or a "
        "seccomp filter) (Operation not permitted); using epoll\n"
        "io_uring: -1: io_uring cannot be used: io_uring is forbidden here (sysctl kernel.io_uring_disabled or a "
        "seccomp filter) (Operation not permitted)\n"
        "epoll: epoll: epoll: asked for\n"
    )


def test_each_back_end_compiles_alone_and_in_strict_c() -> None:
    headers = sorted((ROOT / "shotover" / "_net").glob("*.h"))
    assert len(headers) >= 5
    for header in headers:
        compile_c("-fsyntax-only", f"-I{HERE / 'kqueue_on_linux'}", "-x", "c", str(header))


def test_headers_too_old_for_io_uring_still_build(tmp_path: Path) -> None:
    """A <linux/io_uring.h> from before Linux 6.1 leaves the back end out, with the reason."""
    (tmp_path / "linux").mkdir()
    (tmp_path / "linux" / "io_uring.h").write_text("/* as old as can be */\n")
    program = tmp_path / "old"
    compile_c(f"-I{tmp_path}", str(HERE / "poller_fallback.c"), "-DNO_FILTER", "-o", str(program))
    done = run(program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "built without it: the kernel headers of the build were older than Linux 6.1" in done.stdout
    )
    assert "; using epoll\n" in done.stdout
