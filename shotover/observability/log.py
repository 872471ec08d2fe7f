"""Shotover's log: one fact a line, with fields, for people or for machines.

    log.setup(format="json", directives="info,shotover::sinks=debug")
    logger = log.get("shotover::sinks")
    logger.info("connected", address="127.0.0.1:6379")
    logger.limited("refused", per_second=1).warning("connection refused", source="redis")

The standard library's logging would cost 10 ms of start-up and a lock held while it writes; this
writes through logsink.Sink, which never waits for the reader. Values a client chose are escaped, so
that no client can forge a line or steer a terminal, and cut, so that none can make a line long.
What may happen often goes through `limited`, so that none can make the log grow. Fields whose names
speak of secrets are hidden.
"""

from __future__ import annotations

import atexit
import os
import sys
import time

from .filters import (
    DEBUG,
    ERROR,
    INFO,
    LEVEL_NAMES,
    OFF,
    TRACE,
    WARN,
    Filter,
    FilterError,
    parse_filter,
)
from .logformat import human_line, json_line
from .logsink import Sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

__all__ = [
    "DEBUG",
    "ERROR",
    "INFO",
    "OFF",
    "TRACE",
    "WARN",
    "Filter",
    "FilterError",
    "Logger",
    "catch_crashes",
    "check_filter",
    "crash",
    "dropped_total",
    "filter_text",
    "flush",
    "forward",
    "get",
    "set_filter",
    "setup",
]

BUCKETS_MAX = 1024  # keys of `limited`; further ones share a bucket
FORWARD_PER_SECOND = 10.0  # lines of one wording a second out of workers' rings
FORWARD_TOTAL_PER_SECOND = 200.0
CRASHES_PER_SECOND = 1.0
EXIT_FLUSH_SECONDS = 1.0  # what a slow reader of the log may delay the end of the process


class Logger:
    """Logs for one target; get it once with `get`, keep it."""

    __slots__ = ("level", "target")

    def __init__(self, target: str, level: int) -> None:
        self.target = target
        self.level = level  # the most verbose level let through; set_filter changes it

    def trace(self, message: str, /, **fields: object) -> None:
        if self.level >= TRACE:
            _emit(TRACE, self.target, message, fields)

    def debug(self, message: str, /, **fields: object) -> None:
        if self.level >= DEBUG:
            _emit(DEBUG, self.target, message, fields)

    def info(self, message: str, /, **fields: object) -> None:
        if self.level >= INFO:
            _emit(INFO, self.target, message, fields)

    def warning(self, message: str, /, **fields: object) -> None:
        if self.level >= WARN:
            _emit(WARN, self.target, message, fields)

    def error(self, message: str, /, **fields: object) -> None:
        if self.level >= ERROR:
            _emit(ERROR, self.target, message, fields)

    def log(self, level: int, message: str, fields: Mapping[str, object]) -> None:
        """For levels and fields that are data, as those of a worker's ring are."""
        if self.level >= level > OFF:
            _emit(level, self.target, message, fields)

    def limited(self, key: str, per_second: float, burst: float = 1.0) -> Logger:
        """This logger while fewer than `per_second` lines came under `key`, else one that is
        silent.

        Suppressed lines are counted, and the count is told once the rate allows a line again.
        """
        bucket = _bucket(f"{self.target} {key}", per_second, burst)
        if not bucket.take():
            return _SILENT
        bucket.tell(self, key)
        return self


class _Bucket:
    """A token bucket: `burst` lines at once, `per_second` in the long run."""

    __slots__ = ("burst", "key", "last", "logger", "per_second", "suppressed", "tokens")

    def __init__(self, per_second: float, burst: float) -> None:
        self.per_second = per_second
        self.burst = max(burst, 1.0)
        self.tokens = self.burst
        self.last = time.monotonic()
        self.suppressed = 0  # lines not yet told about
        self.logger: Logger | None = None  # who tells when nobody logs under the key any more
        self.key = ""

    def refill(self) -> float:
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + (now - self.last) * self.per_second)
        self.last = now
        return self.tokens

    def take(self) -> bool:
        if self.refill() >= 1.0:
            self.tokens -= 1.0
            return True
        self.suppressed += 1
        return False

    def tell(self, logger: Logger, key: str) -> None:
        self.logger, self.key = logger, key
        if self.suppressed:
            count, self.suppressed = self.suppressed, 0
            logger.warning(f"{count} similar line{'s'[: count - 1]} suppressed", like=key)


_SILENT = Logger("", OFF)
_loggers: dict[str, Logger] = {}
_buckets: dict[str, _Bucket] = {}
_filter = parse_filter(("info", ""))
_format = human_line
_sink: Sink | None = None  # None: standard output, opened by the first line


def setup(format: str = "human", directives: str = "info", stream: Any = None) -> None:
    """Chooses form, filter and stream. RUST_LOG, then SHOTOVER_LOG are appended and win on
    conflict.

    Raises FilterError, which names the first bad directive and where it stands.
    """
    global _format, _sink
    if format not in ("human", "json"):
        raise ValueError(f"log format {format!r}: expected human or json")
    sources = [(directives, "main_log_level")]
    for name in ("RUST_LOG", "SHOTOVER_LOG"):
        if os.environ.get(name):
            sources.append((os.environ[name], f"the environment variable {name}"))
    chosen = parse_filter(*sources)
    if _sink is None:
        atexit.register(flush, EXIT_FLUSH_SECONDS)
    else:
        _sink.flush()
    _format = json_line if format == "json" else human_line
    _sink = Sink(sys.stdout if stream is None else stream, _dropped_line)
    _apply(chosen)


def catch_crashes() -> None:
    """In JSON form an exception that nobody caught becomes an entry, so that the log stays JSON.

    In the human form Python prints it to standard error, as always. Call after `setup`.
    """
    if _format is not json_line:
        return
    sys.excepthook = lambda kind, error, trace: crash(error)
    if "threading" in sys.modules:
        sys.modules["threading"].excepthook = _thread_crash  # type: ignore[attr-defined]


def _thread_crash(hook: Any) -> None:
    if hook.exc_type is not SystemExit:  # how a thread may end on purpose
        crash(hook.exc_value, thread=hook.thread.name if hook.thread else "")


def crash(error: BaseException, /, **fields: object) -> None:
    """Logs an exception with its traceback, at a bounded rate for each place it comes from."""
    import traceback  # 5 ms: only when something is broken

    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is not None:
        fields = {"file": frame.tb_frame.f_code.co_filename, "line": frame.tb_lineno, **fields}
    logger = get("shotover::crash").limited(
        f"{fields.get('file')}:{fields.get('line')}", CRASHES_PER_SECOND, 5.0
    )
    logger.error(
        f"{type(error).__name__}: {error}",
        **fields,
        traceback="".join(traceback.format_exception(type(error), error, error.__traceback__)),
    )


def get(target: str) -> Logger:
    """The logger of `target`, such as "shotover::sinks"; the same object each time."""
    logger = _loggers.get(target)
    if logger is None:
        logger = _loggers.setdefault(target, Logger(target, _filter.level_of(target)))
    return logger


def check_filter(text: str) -> None:
    """Raises FilterError when `text` is not a filter; changes nothing."""
    parse_filter((text, ""))


def set_filter(text: str) -> None:
    """Replaces the filter, environment variables and all; FilterError leaves it as it was."""
    _apply(parse_filter((text, "")))


def filter_text() -> str:
    """The filter in force, as it was written."""
    return _filter.text


def forward(target: str, entries: Iterable[tuple[int, str, Mapping[str, object]]]) -> None:
    """Logs what a worker's ring held, each wording and all together at a bounded rate."""
    logger = get(target)
    for level, message, fields in entries:
        if logger.level < level:
            continue
        if logger.limited(message, FORWARD_PER_SECOND, 2 * FORWARD_PER_SECOND) is _SILENT:
            continue
        if (
            level == ERROR
            or logger.limited("all of these", FORWARD_TOTAL_PER_SECOND, FORWARD_TOTAL_PER_SECOND)
            is logger
        ):
            logger.log(level, message, fields)


def flush(timeout: float = 0.0) -> bool:
    """Tells of suppressed lines and writes what waits; the supervisor calls it every turn, and at
    exit.

    Whether everything was written within `timeout` seconds.
    """
    for bucket in list(_buckets.values()):
        if bucket.suppressed and bucket.logger is not None and bucket.refill() >= 1.0:
            bucket.tokens -= 1.0
            bucket.tell(bucket.logger, bucket.key)
    return _sink.flush(timeout) if _sink is not None else True


def dropped_total() -> int:
    """Lines lost since start because nobody read them."""
    return _sink.dropped_total if _sink is not None else 0


def _apply(chosen: Filter) -> None:
    global _filter
    _filter = chosen
    for logger in list(_loggers.values()):
        logger.level = chosen.level_of(logger.target)
    if chosen.ignored:
        _emit(
            WARN,
            "shotover::log",
            "log directives on spans or fields have no effect here",
            {"ignored": ", ".join(chosen.ignored)},
        )


def _bucket(key: str, per_second: float, burst: float) -> _Bucket:
    bucket = _buckets.get(key)
    if bucket is None:
        if len(_buckets) >= BUCKETS_MAX:
            key = "others"
            bucket = _buckets.get(key)
        if bucket is None:
            bucket = _buckets.setdefault(key, _Bucket(per_second, burst))
    return bucket


def _emit(level: int, target: str, message: str, fields: Mapping[str, object]) -> None:
    global _sink
    if _sink is None:
        _sink = Sink(sys.stdout, _dropped_line)
    _sink.write(_format(time.time_ns(), LEVEL_NAMES[min(level, TRACE)], target, message, fields))


def _dropped_line(count: int) -> bytes:
    return _format(
        time.time_ns(),
        LEVEL_NAMES[WARN],
        "shotover::log",
        f"{count} line{'s'[: count - 1]} lost: nobody read them in time",
        {"count": count},
    )
