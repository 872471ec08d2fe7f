"""What the operating system knows of this process, as samples for the metrics page.

Cheap whatever the process does: /proc on Linux, else what every POSIX system has. A process with
10,000 connections is not made to list them.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .metrics import Sample

_start_time: float | None = None


def process_samples() -> list[Sample]:
    """Processor time, memory, descriptors, threads, start; what can not be had is left out."""
    times = os.times()
    found: list[tuple[str, str, float | None]] = [
        ("process_cpu_seconds_total", "counter", round(times.user + times.system, 6)),
        ("process_open_fds", "gauge", _open_fds()),
        ("process_max_fds", "gauge", _max_fds()),
    ]
    found += _from_stat()
    return [(name, {}, kind, value) for name, kind, value in found if value is not None]


def _from_stat() -> list[tuple[str, str, float | None]]:
    """Memory, threads and start from /proc; elsewhere only the start."""
    global _start_time
    try:
        with open("/proc/self/stat", "rb") as file:
            # the name, in parentheses, may hold spaces and parentheses itself
            fields = file.read().rpartition(b")")[2].split()
        page, ticks = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
        if _start_time is None:
            age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / ticks
            _start_time = round(time.time() - age, 2)
        return [
            ("process_resident_memory_bytes", "gauge", int(fields[21]) * page),
            ("process_virtual_memory_bytes", "gauge", int(fields[20])),
            ("process_threads", "gauge", int(fields[17])),
            ("process_start_time_seconds", "gauge", _start_time),
        ]
    except (OSError, ValueError, IndexError, AttributeError):
        if _start_time is None:
            _start_time = round(time.time() - time.process_time(), 2)
        return [("process_start_time_seconds", "gauge", _start_time)]


def _open_fds() -> int | None:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            # Linux 6.2 and later say the number of descriptors as the folder's size
            size = os.stat(folder).st_size if folder == "/proc/self/fd" else 0
            return size or len(os.listdir(folder)) - 1  # - 1: the listing's own
        except OSError:
            continue
    return None


def _max_fds() -> int | None:
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except (ImportError, OSError, ValueError):
        return None
    return None if limit == resource.RLIM_INFINITY else limit
