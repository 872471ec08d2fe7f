"""Starts, watches, drains and stops workers; the only file that knows threads.

    start()   workers -> chains -> listeners -> endpoints -> privileges -> threads -> "now accepting"
    serve()   the main thread sleeps until a signal, the end of a worker, or a look at the logs
    reread    SIGHUP: the configuration, and files beside it (certificates, rules), are read again
    stop      first SIGTERM or SIGINT: drain, bounded, exit 0; a second one: exit at once

The main thread waits in poll() on one pipe and on the sockets of the HTTP endpoints, which it
serves itself. Signals write to the pipe by way of signal.set_wakeup_fd, worker threads when they
end; between those it wakes a few times a second to carry the workers' log lines away. Everything
before the threads start happens on the main thread, so that whatever cannot be had (a port, a
poller, a user's file) ends the start with one clear line.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from time import monotonic

from shotover.config.errors import ConfigError
from shotover.observability import log
from shotover.runtime import listening, privileges
from shotover.runtime.checks import walk
from shotover.runtime.inherited import from_systemd
from shotover.runtime.live import Live
from shotover.runtime.notify import ServiceManager
from shotover.runtime.serving import Served, ledger
from shotover.runtime.watching import Watched, Watcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from shotover.config.steps import SourceConfig
    from shotover.observability.http import HttpServer
    from shotover.runtime.assemble import Loaded
    from shotover.runtime.handover import Predecessor, Retirement
    from shotover.runtime.in_band import InBandDesk

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SIGNALS = (*STOP_SIGNALS, signal.SIGHUP)
LOG_QUIET_SECONDS = 0.25
"""How long a log line may wait when the last look found none."""
LOG_BUSY_SECONDS = 0.05
"""How long it may wait when the last look found some."""
STOP_SECONDS = 2.0
"""What workers get beyond the drain time-out before they are told to return at once."""
ABANDON_SECONDS = 1.0
"""What they get after that before the process leaves without them."""
LOOKS_AGAIN = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds after the end of another process's listeners at which ours are looked at."""
CALL_SECONDS = 10.0
"""How long a worker may take until it does what it is asked to."""
SWITCH_SECONDS = 0.001
"""How long Python code on one thread may keep the GIL from another that asks for it."""

_LEVELS = {10: log.DEBUG, 20: log.INFO, 30: log.WARN, 40: log.ERROR}
"""Levels of workers' log rings (_proxy/step.pxd) as the log has them."""

_log = log.get("shotover")


class WorkerThread:
    """A worker and the thread it runs on; `error` is what ended it, if anything did."""

    def __init__(self, worker: Any, index: int, wake: Callable[[], None]) -> None:
        self.worker = worker
        self.index = index
        self.error: BaseException | None = None
        self._wake = wake
        self.thread = threading.Thread(target=self._run, name=f"worker-{index}", daemon=True)

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:  # reported by the main thread, which ends the process
            self.error = error
        finally:
            self._wake()

    @property
    def alive(self) -> bool:
        return self.thread.is_alive()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `function` returns (or raises) on the worker's thread, between two of its turns; at once where it does not run."""
        if not self.alive:
            return function(*arguments)
        return self.worker.call(function, *arguments).wait(CALL_SECONDS)

    def order(self, function: Callable[..., Any], *arguments: Any) -> None:
        """The same for what cannot fail: a worker that is too busy to come to it in time follows later."""
        if not self.alive:
            function(*arguments)
            return
        try:
            self.worker.call(function, *arguments).wait(CALL_SECONDS, forget=False)
        except TimeoutError:
            _log.warning("a worker is busy and will follow later", worker=self.index)


class Supervisor:
    """Runs a checked configuration until it is told to stop."""

    def __init__(
        self,
        loaded: Loaded,
        worker_count: int,
        poller: str,
        worker_class: Any,
        watch: bool = False,
        hotreload: tuple[str, float] | None = None,
    ) -> None:
        """`hotreload`: the path where processes meet that follow each other, and the seconds that this one leaves to the
        one before."""
        self.loaded = loaded
        self.watch = watch  # the files of the configuration are read again when they change
        self.worker_count = worker_count
        self.poller = poller
        self.worker_class = worker_class
        self.threads: list[WorkerThread] = []
        self.served: dict[str, Served] = {}  # what runs, by the name of the source
        self.live = Live(self)
        files = [loaded.topology.file, *filter(None, [loaded.config_file])]
        self.own_files = Watched("configuration", files, self.live.read_again, watch)
        self.watcher: Watcher | None = None  # of files; from serve() on
        self.servers: list[HttpServer] = []
        self.desk: InBandDesk | None = None  # once some source answers questions in band
        self.who: privileges.Target | None = None  # who to become when all is open
        self.hotreload = hotreload
        self.inherited = from_systemd()  # listeners
        self.looks: list[float] = []  # when queues are to be looked at again, see look_again
        self.retirement: Retirement | None = None  # another process has taken the place of this one
        self.manager = ServiceManager()
        self.draining = False
        self.exit_code = 0
        self._signals: list[int] = []
        self._reread = False
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._wake_poll = select.poll()
        self._wake_poll.register(self._wake_read, select.POLLIN)

    def run(self) -> int:
        """Start, serve until told to stop, and say how it went: the exit code.

        Raises ConfigError when it cannot start.
        """
        before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._on_reread)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        try:
            self.start()
            return self.serve()
        finally:
            self.release()
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._wake_read)
            os.close(self._wake_write)

    # -- start

    def start(self) -> None:
        """Open every listener, then let the workers run. Raises ConfigError, with nothing left."""
        sys.setswitchinterval(SWITCH_SECONDS)
        listening.raise_file_limit()
        predecessor = self.find_predecessor()
        privileges.apply_umask(self.loaded.process)
        self.who = privileges.target(self.loaded.process)
        self.make_workers()
        for source in self.loaded.topology.sources:
            self.listen(source)
        self.open_endpoints()
        self.open_desk()
        privileges.drop(self.loaded.process, self.who)
        if self.who is not None:
            _log.info("privileges dropped", user=self.who.uid, group=self.who.gid)
        # Signals are the main thread's: a worker must not be woken from its poll by one.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            for thread in self.threads:
                thread.thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self.carry_logs()
        self.inherited.close()
        _log.info("Shotover is up and now accepting inbound connections")
        self.take_over(predecessor)
        self.manager.ready(self.status())

    # -- one process after the other, see handover.py

    def find_predecessor(self) -> Predecessor | None:
        """The process whose place this one is to take; its listeners are inherited."""
        if self.hotreload is None:
            return None
        from shotover.runtime import handover

        predecessor = handover.find(self.hotreload[0])
        if predecessor is not None:
            for fd in predecessor.listeners():
                self.inherited.add(fd)
        return predecessor

    def take_over(self, predecessor: Predecessor | None) -> None:
        """This process serves: the one before may go."""
        if self.hotreload is None:
            return
        from shotover.runtime import handover

        path, seconds = self.hotreload
        heir = handover.Heir(path, self.listeners, self.retire, self.look_soon)
        self.servers.append(heir)  # type: ignore[arg-type]  # it is stepped like one
        if predecessor is not None:
            predecessor.retire(seconds)
            predecessor.close()
            self.look_soon()
            _log.info("this process has taken the place of another", drain_seconds=seconds)

    def look_soon(self) -> None:
        """Another process has just stopped accepting from our queues, or is about to: whoever it was woken for is to be found."""
        now = monotonic()
        self.looks = [now + seconds for seconds in LOOKS_AGAIN]

    def look_again(self) -> None:
        if self.looks and monotonic() >= self.looks[0]:
            del self.looks[0]
            for thread in self.threads:
                thread.order(thread.worker.look_again)

    def listeners(self) -> list[int]:
        """The descriptors of all that it listens on."""
        found = [
            fd
            for served in self.served.values()
            for source in served.sources.values()
            for fd in source.door.fds()
        ]
        return found + [server.listener() for server in self.servers if hasattr(server, "listener")]

    def retire(self, seconds: float) -> None:
        """Another process has taken the place of this one, which has so long to be rid of its clients."""
        from shotover.runtime.handover import Retirement

        if self.retirement is None:
            _log.info("another process has taken the place of this one", drain_seconds=seconds)
            self.retirement = Retirement(seconds)
            for thread in self.threads:
                thread.call(thread.worker.end_doors)

    def go_on_retiring(self) -> bool:
        """Disconnects some more of its clients. True: there is nobody left, or no time."""
        assert self.retirement is not None
        if not self.retirement.due():
            return False
        self.release()  # whoever asks about the service is to ask the other
        clients = sum(int(thread.worker.census()["sessions"]) for thread in self.threads)
        chunk = self.retirement.chunk(clients)
        for thread in self.threads:
            thread.call(thread.worker.drain_some, -(-chunk // len(self.threads)))
        return clients == 0 or self.retirement.over

    def make_workers(self) -> None:
        memory = ledger(self.loaded.process.memory_limit, self.worker_count)
        for index in range(self.worker_count):
            try:
                worker = self.worker_class(index, poller=self.poller, memory=memory)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise ConfigError([f"--poller {self.poller}: {reason}"]) from error
            self.threads.append(WorkerThread(worker, index, self._wake))
        name, why = self.threads[0].worker.poller
        _log.info("poller chosen", poller=name, reason=why, workers=self.worker_count)

    def listen(self, model: SourceConfig) -> None:
        """Build a source and open its listener on every worker."""
        served = Served(model, self.threads)
        served.prepare()
        try:
            served.open(self.who, self.inherited.take(model.listen_addr))
        except BaseException:
            served.discard()
            raise
        self.served[model.name] = served

    @property
    def wake_fd(self) -> int:
        """Who writes a byte there wakes the main thread."""
        return self._wake_write

    def open_desk(self) -> None:
        """Sources may say that clients can ask the proxy (in_band): somebody must answer."""
        sources = self.loaded.topology.sources
        if self.desk is None and any(getattr(source, "in_band", None) for source in sources):
            from shotover.runtime.in_band import InBandDesk

            self.desk = InBandDesk(self)

    @property
    def steps(self) -> dict[str, list[Any]]:
        """Compiled steps of all workers, by transform name; those that new clients meet."""
        found: dict[str, list[Any]] = {}
        for served in self.served.values():
            for name, steps in served.steps.items():
                found.setdefault(name, []).extend(steps)
        return found

    def open_endpoints(self) -> None:
        """Listen for HTTP where the configuration says so; most say nowhere."""
        listens = self.loaded.process.observability_interface is not None or any(
            step.listens() for chain in self.loaded.topology.chains() for step in walk(chain)
        )
        if listens:
            from shotover.runtime.admin import open_servers

            self.servers = open_servers(self)

    def status(self) -> str:
        """In a line, for the service manager."""
        return f"serving {', '.join(self.served)}; configuration {self.live.current.number}"

    # -- another configuration, see live.py

    def prepare_switches(self, loaded: Loaded) -> None:
        """Opens what the switches of new Tees listen on. Raises ConfigError, with nothing changed."""
        before = {s.purpose: s for s in self.servers if isinstance(s.purpose, tuple)}
        if any(step.listens() for chain in loaded.topology.chains() for step in walk(chain)):
            from shotover.runtime.admin import open_switches

            for key, server in open_switches(self, loaded.topology, before).items():
                if key not in before:
                    self.servers.append(server)

    def changed(self, loaded: Loaded) -> None:
        """`loaded` is in force: what follows from it for the main thread."""
        if loaded.process.main_log_level != self.loaded.process.main_log_level:
            log.set_filter(loaded.process.main_log_level)
        self.loaded = loaded
        self.open_desk()
        wanted = {
            (step.name, str(address))
            for source in loaded.topology.sources
            for step in walk(source.steps())
            for address, _attribute in step.listens()
        }
        for server in list(self.servers):
            if isinstance(server.purpose, tuple) and server.purpose not in wanted:
                self.servers.remove(server)
                server.close()
        if self.watcher is not None:
            self.watcher = Watcher(self.loaded.topology, self.steps, self.own_files)

    # -- serve

    def serve(self) -> int:
        """Wait for a signal or the end of a worker; then drain. The exit code."""
        self.watcher = Watcher(self.loaded.topology, self.steps, self.own_files)
        for name, file in self.watcher.unreadable() if self.who is not None else ():
            _log.warning(
                "this user may not read a file that was read before privileges were dropped: "
                "it will not be read again while the process runs",
                file=file,
                name=name,
            )
        while not self._signals and all(thread.alive for thread in self.threads):
            force, self._reread = self._reread, False
            if force:
                self.manager.reloading()
            self.watcher.look(force)
            self.live.look()
            if force:
                self.manager.ready(self.status())
            self.manager.look(self.threads)
            if self.desk is not None:
                self.desk.look()
            self.look_again()
            if self.retirement is not None and self.go_on_retiring():
                break
            busy = self.carry_logs() or bool(self.looks)
            self.wait(LOG_BUSY_SECONDS if busy else LOG_QUIET_SECONDS)
        self.note_ended()
        if self._signals:
            _log.info(
                f"received {signal.Signals(self._signals[0]).name}, draining",
                timeout_seconds=self.loaded.process.drain_timeout_seconds,
            )
        return self.drain()

    def drain(self) -> int:
        """Let the workers finish within the drain time-out; a second signal cuts it short."""
        timeout = self.loaded.process.drain_timeout_seconds
        heard = len(self._signals)
        self.draining = True
        self.manager.stopping("draining", timeout + STOP_SECONDS + ABANDON_SECONDS)
        for thread in self.threads:
            thread.worker.drain(int(timeout * 1000))
        self.await_end(timeout + STOP_SECONDS, heard)
        cut_short = len(self._signals) > heard
        for thread in self.threads:
            if thread.alive:
                thread.worker.stop()
        if not cut_short:
            self.await_end(ABANDON_SECONDS, heard)
        self.carry_logs()
        if cut_short:
            number = self._signals[-1]
            _log.warning(f"received {signal.Signals(number).name} again, leaving at once")
            return 128 + number
        self.note_ended()
        if self.exit_code == 0:
            _log.info("Shotover was shut down cleanly")
        return self.exit_code

    def await_end(self, seconds: float, heard: int) -> None:
        """Wait until every worker has returned, time is up, or another signal came."""
        deadline = monotonic() + seconds
        while any(thread.alive for thread in self.threads) and len(self._signals) == heard:
            left = deadline - monotonic()
            if left <= 0:
                return
            self.wait(min(left, LOG_BUSY_SECONDS))
            self.carry_logs()
            self.manager.look(self.threads)

    def note_ended(self) -> None:
        """A worker that ended by itself or failed makes the exit code 1; said once each."""
        for thread in self.threads:
            if thread.error is not None:
                log.crash(thread.error, worker=thread.index)
                thread.error, self.exit_code = None, 1
            elif not thread.alive and not self.draining and self.exit_code == 0:
                _log.error("a worker ended by itself, shutting down", worker=thread.index)
                self.exit_code = 1

    def wait(self, seconds: float) -> None:
        """Serve the HTTP endpoints until something is written to the pipe, at most `seconds`."""
        if self.servers:
            from shotover.observability.http import turn

            woken = bool(turn(self.servers, seconds, [self._wake_read]))
        else:
            woken = bool(self._wake_poll.poll(seconds * 1000))
        if woken:
            os.read(self._wake_read, 4096)

    def carry_logs(self) -> bool:
        """Move the workers' log lines into the log; whether there were any."""
        found = False
        for thread in self.threads:
            entries = thread.worker.log_take()
            if entries:
                found = True
                log.forward(
                    "shotover::worker",
                    [(_LEVELS[level], message, fields) for level, message, fields in entries],
                )
        log.flush()
        return found

    def release(self) -> None:
        """Close what the main thread listens on."""
        for server in self.servers:
            server.close()
        self.servers = []

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"\0")
        except OSError:
            return  # full, so it wakes anyway; or closed, when the process left without the worker

    def _on_signal(self, number: int, _frame: object) -> None:
        self._signals.append(number)

    def _on_reread(self, _number: int, _frame: object) -> None:
        self._reread = True


def load_worker() -> Any:
    """The compiled Worker; ImportError where it was not built."""
    from shotover._proxy.worker import Worker

    return Worker
