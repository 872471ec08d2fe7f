"""What the observability tests share: logs that end in a pipe, and waiting with a deadline."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from support.wait import wait_until

from shotover.observability import log


class PipeLog:
    """A log whose reader is the test."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def text(self) -> str:
        """What was written since last asked."""
        data = b""
        while True:
            try:
                piece = os.read(self.reader, 1 << 16)
            except BlockingIOError:
                break
            if not piece:
                break
            data += piece
        return data.decode()

    def lines(self) -> list[str]:
        return self.text().splitlines()

    def close_reader(self) -> None:
        if self.reader >= 0:
            os.close(self.reader)
            self.reader = -1


@pytest.fixture
def pipe_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[PipeLog]:
    """The log in human form at level info, into a pipe; everything is put back afterwards."""
    for name in ("RUST_LOG", "SHOTOVER_LOG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(log, "_buckets", {})
    monkeypatch.setattr(log, "_loggers", {})
    pipe = PipeLog()
    log.setup("human", "info", pipe.writer)
    yield pipe
    pipe.close_reader()
    os.close(pipe.writer)
    for name in ("RUST_LOG", "SHOTOVER_LOG"):  # a test may have set them
        monkeypatch.delenv(name, raising=False)
    log.setup("human", "info", None)


def eventually(condition: Callable[[], object], seconds: float = 5.0) -> object:
    """The first true value of `condition`; fails when there is none within `seconds`."""
    return wait_until(condition, "what the test waits for", deadline_s=seconds, poll_s=0.001)
