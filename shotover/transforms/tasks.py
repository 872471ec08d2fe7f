"""Runs coroutines of Python transforms on an asyncio loop of their own, beside the worker.

The worker hands over Jobs; when one has ended, `finish` is called with it on the loop's thread,
and sends a letter back to the worker. Imported only when a transform has an async hook.
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

    from shotover import Request

CLOSE_SECONDS = 1.0
"""How long coroutines may take to end once they are cancelled because the worker has stopped."""


class Job:
    """One coroutine and the requests it has."""

    __slots__ = ("cancelled", "coroutine", "task", "views")

    def __init__(self, views: list[Request], coroutine: Coroutine[Any, Any, None]) -> None:
        self.views = views
        self.coroutine = coroutine
        self.task: asyncio.Task[None] | None = None
        self.cancelled = False


class Tasks:
    """`count` is how many coroutines have not ended, whatever became of their requests."""

    job = Job

    def __init__(self, name: str, finish: Callable[[Job, BaseException | None], None]) -> None:
        self.count = 0
        self._finish = finish
        self._live: set[Job] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"async {name}", daemon=True)
        self._thread.start()

    def start(self, jobs: Iterable[Job]) -> None:
        """From the worker: run these."""
        jobs = tuple(jobs)
        self.count += len(jobs)
        self._loop.call_soon_threadsafe(self._start, jobs)

    def cancel(self, job: Job) -> None:
        """From the worker: nobody waits for this any more."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel, job)

    def close(self) -> None:
        """From the worker: cancel what runs and end the thread; coroutines that hang are left."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end)
            self._thread.join(CLOSE_SECONDS)

    # -- on the loop's thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _start(self, jobs: tuple[Job, ...]) -> None:
        for job in jobs:
            if job.cancelled:
                job.coroutine.close()
                self.count -= 1
                continue
            job.task = asyncio.ensure_future(job.coroutine, loop=self._loop)
            self._live.add(job)
            job.task.add_done_callback(partial(self._ended, job))

    def _cancel(self, job: Job) -> None:
        job.cancelled = True
        if job.task is not None:
            job.task.cancel()

    def _ended(self, job: Job, task: asyncio.Task[None]) -> None:
        self._live.discard(job)
        self.count -= 1
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._finish(job, error)
        job.task = None

    def _end(self) -> None:
        for job in self._live:
            if job.task is not None:
                job.task.cancel()
        waiting = [job.task for job in self._live if job.task is not None]
        if waiting:
            asyncio.gather(*waiting, return_exceptions=True).add_done_callback(
                lambda _all: self._loop.stop()
            )
        else:
            self._loop.stop()
