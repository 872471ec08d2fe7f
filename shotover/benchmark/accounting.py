"""What processes cost, by the operating system's own accounting: CPU time, memory, system calls.

On Linux CPU time is the sum over all threads of the process and its children of /proc/PID/task/*/schedstat (ns); the
split into user and system comes from /proc/PID/task/*/stat, in ticks of 10 ms, so it is rough for short turns.
Elsewhere both come from ps.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LINUX = sys.platform.startswith("linux")
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """CPU microseconds since the processes began."""

    total_us: float
    user_us: float
    system_us: float

    def since(self, before: Usage) -> Usage:
        return Usage(
            self.total_us - before.total_us,
            self.user_us - before.user_us,
            self.system_us - before.system_us,
        )


@dataclass(frozen=True)
class Memory:
    """Resident MiB: now, and the most since the process began (now, where the system does not say)."""

    rss_mib: float
    peak_mib: float


def descendants(pid: int) -> list[int]:
    """The process and all that descend from it, parents first; a process that has ended is left out."""
    if not LINUX:
        return descendants_by_ps(pid)
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found.extend(int(word) for word in children.read_text().split())
            except OSError:
                continue
    return found


def descendants_by_ps(pid: int) -> list[int]:
    rows = [line.split() for line in run_ps("-axo", "pid=,ppid=")]
    found = [pid]
    for parent in found:
        found.extend(int(row[0]) for row in rows if len(row) == 2 and int(row[1]) == parent)
    return found


def run_ps(*args: str) -> list[str]:
    return subprocess.run(
        ["ps", *args], capture_output=True, text=True, check=False
    ).stdout.splitlines()


def read_usage(pid: int) -> Usage:
    """CPU time of the process and its descendants, all threads that live now."""
    total_us = user_us = system_us = 0.0
    for one in descendants(pid):
        usage = usage_linux(one) if LINUX else usage_ps(one)
        total_us += usage.total_us
        user_us += usage.user_us
        system_us += usage.system_us
    return Usage(total_us, user_us, system_us)


def usage_linux(pid: int) -> Usage:
    total_ns = 0
    user = system = 0
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            total_ns += int((task / "schedstat").read_text().split()[0])
            fields = (task / "stat").read_text().rpartition(")")[2].split()
        except (OSError, IndexError):
            continue  # the thread has just ended
        user += int(fields[11])
        system += int(fields[12])
    return Usage(total_ns / 1e3, user * TICK_US, system * TICK_US)


def usage_ps(pid: int) -> Usage:
    rows = run_ps("-o", "time=,utime=", "-p", str(pid))
    words = rows[0].split() if rows else []
    if len(words) != 2:
        return Usage(0.0, 0.0, 0.0)
    total_us, user_us = (clock_us(word) for word in words)
    return Usage(total_us, user_us, total_us - user_us)


def clock_us(text: str) -> float:
    """Microseconds from ps's [[dd-]hh:]mm:ss[.cc]."""
    days, _, rest = text.rpartition("-")
    seconds = 0.0
    for part in rest.split(":"):
        seconds = seconds * 60 + float(part)
    return (seconds + 86400 * int(days or 0)) * 1e6


def read_memory(pid: int) -> Memory:
    """Resident memory of the process and its descendants. Pages they share are counted once for each."""
    rss = peak = 0.0
    for one in descendants(pid):
        memory = memory_linux(one) if LINUX else memory_ps(one)
        rss += memory.rss_mib
        peak += memory.peak_mib
    return Memory(rss, peak)


def memory_linux(pid: int) -> Memory:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return Memory(0.0, 0.0)
    kib = {
        name: int(value)
        for name, value in re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", text, re.MULTILINE)
    }
    return Memory(kib.get("VmRSS", 0) / 1024, kib.get("VmHWM", 0) / 1024)


def memory_ps(pid: int) -> Memory:
    rows = run_ps("-o", "rss=", "-p", str(pid))
    mib = float(rows[0]) / 1024 if rows and rows[0].strip() else 0.0
    return Memory(mib, mib)


def machine_busy_us() -> float | None:
    """CPU microseconds of the whole machine since it began, all cores, idle and stolen time left out. Linux only."""
    if not LINUX:
        return None
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq = (int(word) for word in words[:7])
    return (user + nice + system + irq + softirq) * TICK_US


class SystemCalls:
    """Counts the system calls of a process tree while it is entered: `count` afterwards, None where nobody can count.

    perf's tracepoint costs the process next to nothing; strace, the fallback, slows it some tenfold, which leaves the
    number of calls a request about right only where nothing is batched by time.
    """

    def __init__(self, pid: int, place: Path) -> None:
        self.pids = descendants(pid)
        self.report = place / f"syscalls-{pid}.txt"
        self.count: int | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.parse = parse_perf

    def __enter__(self) -> SystemCalls:
        pids = ",".join(str(pid) for pid in self.pids)
        if shutil.which("perf"):
            self.start(
                "perf",
                "stat",
                "-x,",
                "-e",
                "raw_syscalls:sys_enter",
                "-o",
                str(self.report),
                "-p",
                pids,
            )
        if self.process is None and shutil.which("strace"):
            self.parse = parse_strace
            self.start(
                "strace",
                "-c",
                "-f",
                "-o",
                str(self.report),
                *[f"--attach={pid}" for pid in self.pids],
            )
        return self

    def start(self, *command: str) -> None:
        """Leaves `process` None when the tool ends at once, as it does without permission."""
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=0.3)
        except subprocess.TimeoutExpired:
            self.process = process

    def __exit__(self, *exc: object) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.report.exists():
            self.count = self.parse(self.report.read_text())


def parse_perf(text: str) -> int | None:
    """The count in the report of `perf stat -x,`."""
    found = re.search(r"^(\d+),[^,]*,raw_syscalls:sys_enter", text, re.MULTILINE)
    return int(found[1]) if found else None


def parse_strace(text: str) -> int | None:
    """The total of the table of `strace -c`: "100.00  0.1  2  1234  [errors] total"."""
    for line in text.splitlines():
        words = line.split()
        if words and words[-1] == "total" and len(words) >= 5:
            return int(words[3])
    return None
