"""See worker.pxd. The Python methods are for the main thread; `run` is the worker's own."""

from shotover._core.debug cimport unlikely
from shotover._core.ledger cimport Share
from shotover._proxy.accepting cimport Door
from shotover._proxy.session cimport Source
from shotover._proxy.step cimport LOG_WARNING, Chain, Step, list_item, list_size

from _thread import allocate_lock


cdef void _on_deadline(timer_t *timer) noexcept nogil:
    (<Worker>timer.owner).stopping = 1


RETIRED_MAX = 20_000        # series of sources that are over


class Call:
    """A function that a worker is to call. `wait` gives what it returned, or raises what it raised."""

    def __init__(self, function, arguments):
        self.function = function
        self.arguments = arguments
        self.result = self.error = None
        self.forgotten = False
        self.done = allocate_lock()
        self.done.acquire()

    def run(self):
        if self.forgotten:
            return
        try:
            self.result = self.function(*self.arguments)
        except BaseException as error:      # it is the caller's
            self.error = error
        finally:
            self.function = self.arguments = None
            self.done.release()

    def wait(self, seconds, forget=True):
        """TimeoutError: the worker has not come to it. It will not any more, unless it is not to be forgotten."""
        if not self.done.acquire(timeout=seconds):
            self.forgotten = forget
            raise TimeoutError("a worker is too busy to be changed")
        if self.error is not None:
            raise self.error
        return self.result


cdef class Worker:
    """One event loop. `poller`: "auto", "io_uring", "epoll" (Linux), "kqueue" (macOS), or a poller made elsewhere (Loop.open).

    `memory`: the process's ledger, one for all workers; none: a limit of its own, memory_bytes_max of chunks.
    """

    def __init__(self, int index=0, object poller="auto", unsigned long long memory_bytes_max=<unsigned long long>1 << 36,
                 Share memory=None):
        self.index = index
        self.loop = Loop(memory_bytes_max)
        self.loop.open(poller)
        self.hub = Hub(self.loop)
        self.sources = []
        self.calls = []
        self.abandoned = []
        self.retired = {}
        self.memory = MemoryWatch(self.hub, self.sources, Share() if memory is None else memory)
        self.deadline.owner = <void *>self
        self.deadline.fire = _on_deadline

    @property
    def poller(self):
        return self.loop.poller_name, self.loop.poller_why

    def codec(self, str protocol):
        """A codec of a protocol, for the chain of one source: it learns what that chain's server knows."""
        if protocol == "cassandra":         # a parser of CQL is no use to those who do not speak it
            from shotover._codec.cql.codec import CqlCodec

            return CqlCodec()
        from shotover._codec.resp import RespCodec

        return RespCodec()

    def listen(self, str source_name, str protocol, listen_addr, Chain chain, **options):
        """Opens a listener for a chain; returns the address it got. OSError: it cannot be had."""
        source = self.source(source_name, chain, options)
        return self.open(source, listen_addr)

    def source(self, str name, Chain chain, options):
        """A source that has no door yet: `open`, `replace` or `discard` says what becomes of it."""
        return Source(name, self.hub, chain, options)

    def open(self, Source source, listen_addr, fds=()):
        """Clients come in by a door of its own; returns the address that got. OSError: it cannot be had.

        `fds`: sockets that listen there already, which it takes over.
        """
        from shotover.config.address import parse_address

        address = parse_address(str(listen_addr), port_min=0, listening=True)
        cdef Door door = Door(self.hub, address)
        cdef Door twin
        door.lead_to(source)
        if fds:
            door.adopt(fds[0])
            for fd in fds[1:]:
                twin = Door(self.hub, address)
                door.add(twin)
                twin.adopt(fd)
        else:
            if address.path:
                _remove_dead_socket(address.path)
            door.open(address)
        self._begin(source)
        return door.address

    def replace(self, Source old, Source source):
        """Who comes in by the door of `old` is a client of `source` from now on; those that are there stay until they go."""
        self._begin(source)
        old.door.lead_to(source)
        self._leave(old, None)

    def remove(self, Source source, drain_ms):
        """Nobody comes in any more, and the clients that are there are answered and disconnected within that time."""
        self._leave(source, drain_ms)

    def end_doors(self):
        """Nobody comes in any more; who is there stays."""
        for source in self.sources:
            if (<Source>source).door is not None and (<Source>source).door.is_of(<Source>source):
                (<Source>source).door.end()

    def look_again(self):
        """See Door.look_again."""
        for source in self.sources:
            if (<Source>source).door is not None and (<Source>source).door.is_of(<Source>source):
                (<Source>source).door.look_again()

    def drain_some(self, int count):
        """So many clients are disconnected, each after the replies to what it has asked. Returns how many are left."""
        cdef uint32_t left = 0
        for source in self.sources:
            count -= (<Source>source).drain_some(count)
            left += (<Source>source).session_count
        return left

    def discard(self, Source source):
        """Nobody has been promised anything by it: its door, if it has one, is closed, who came in by it is disconnected."""
        if source not in self.sources:
            self._begin(source)
        self._leave(source, 0)

    def abandon(self, steps):
        """They were built, but for nothing: what they are part of could not be had. They may wait for others' words (wakers) and
        time by now, or be connecting already."""
        if steps:
            self.abandoned.append(list(steps))
            self.leaving_count += 1

    def _begin(self, Source source):
        self.memory.begin(source.memory)
        self.sources.append(source)

    def _leave(self, Source source, drain_ms):
        if not source.leaving:
            self.leaving_count += 1
        source.leave(drain_ms)

    def call(self, function, *arguments):
        """From any thread: `function` is called on the worker's, between two turns. Returns the Call."""
        call = Call(function, arguments)
        self.calls.append(call)
        self.want_call = 1
        self.loop.wake()
        return call

    def run(self):
        """Serves until told to stop. Blocks; call it in a thread of its own."""
        cdef int result
        with nogil:
            result = self._run()
        for source in self.sources:
            self._end(source)
        for steps in self.abandoned:
            for step in steps:
                step.close()
        if result < 0:
            raise OSError(-result, f"the poller {self.loop.poller_name} has failed")

    def _end(self, Source source):
        source.chain.close()
        source.codec.let_go(&self.loop.pool)

    cdef int _run(self) noexcept nogil:
        cdef int result
        while not self.stopping:
            result = self._turn()
            if result < 0:
                return result
        return 0

    cdef int _turn(self) noexcept nogil:
        """One turn; the last one closes what is left."""
        cdef int result = self.loop.turn(-1)
        if result < 0:
            return result
        self.memory.look()
        if self.want_stop:
            self.stopping = 1
        if self.want_probe:
            self.want_probe = 0
            self._probe()
        if unlikely(self.want_call or (self.leaving_count and self._has_retired())):
            with gil:
                self._attend()
            self.loop.settle()
        if self.want_drain and not self.draining:
            self._begin_drain()
        if self.draining and self._drained():
            self.stopping = 1
        if self.stopping:
            self._close_all()
            self.loop.settle()
        return 0

    def turn(self):
        """One turn of `run`, for a caller that steps the worker itself. False: it was the last one."""
        cdef int result
        with nogil:
            result = self._turn()
        if result < 0:
            raise OSError(-result, f"the poller {self.loop.poller_name} has failed")
        return not self.stopping

    cdef void _begin_drain(self) noexcept nogil:
        cdef Py_ssize_t index
        self.draining = 1
        self.loop.set_timer(&self.deadline, self.drain_ns)
        for index in range(list_size(self.sources)):
            (<Source>list_item(self.sources, index)).drain()
        self.loop.settle()

    cdef void _probe(self) noexcept nogil:
        cdef Py_ssize_t index
        for index in range(list_size(self.sources)):
            (<Source>list_item(self.sources, index)).chain.probe()
        self.loop.settle()

    cdef bint _has_retired(self) noexcept nogil:
        """Of some source that leaves nothing is left."""
        cdef Py_ssize_t index
        cdef bint found = list_size(self.abandoned) > 0
        for index in range(list_size(self.sources)):
            if (<Source>list_item(self.sources, index)).leaving and (<Source>list_item(self.sources, index)).retire():
                found = True
        self.loop.settle()
        return found

    cdef void _attend(self) noexcept:
        """Between two turns: what other threads have asked for, and the burial of sources that have retired."""
        cdef Source source
        if self.want_call:
            self.want_call = 0
            calls, self.calls = self.calls, []
            for call in calls:
                call.run()
        for steps in list(self.abandoned):
            if self._let_go(steps):
                self.abandoned.remove(steps)
                self.leaving_count -= 1
        for source in list(self.sources):
            if source.leaving and source.retire() and source.is_over():
                self._keep_counts(source.samples())
                self.sources.remove(source)
                self.leaving_count -= 1
                self._end(source)

    cdef bint _let_go(self, list steps) noexcept:
        """True: the loop knows nothing of them any more, and they may be freed."""
        cdef Step step
        cdef bint done = True
        for step in steps:
            done = step.on_retire(True) and done
        if done:
            for step in steps:
                step.close()
        return done

    cdef bint _drained(self) noexcept nogil:
        cdef Py_ssize_t index
        for index in range(list_size(self.sources)):
            if (<Source>list_item(self.sources, index)).session_count:
                return False
        return self.hub.requests.live_count == 0        # what sub-chains have under way for clients that are gone

    cdef void _close_all(self) noexcept nogil:
        """What the drain did not finish in time is cut off."""
        cdef:
            Py_ssize_t index
            uint64_t   cut = 0
        for index in range(list_size(self.sources)):
            (<Source>list_item(self.sources, index)).stop()
            cut += (<Source>list_item(self.sources, index)).cut()
        if cut and not self.want_stop:
            self.hub.log(LOG_WARNING, b"the drain time-out has passed; the connections that were left are closed")

    def drain(self, int timeout_ms):
        """From any thread: accepts no more, finishes what is under way, then run() returns; at the latest after timeout_ms."""
        self.drain_ns = <uint64_t>timeout_ms * 1000000
        self.want_drain = 1
        self.loop.wake()

    def probe(self):
        """From any thread: sinks of which it is not known whether they reach their server try to connect."""
        self.want_probe = 1
        self.loop.wake()

    def stop(self):
        """From any thread: run() returns at once."""
        self.want_stop = 1
        self.loop.wake()

    def log_take(self):
        return self.hub.log_take()

    def samples(self):
        labels = {"worker": str(self.index)}
        gathered = [
            ("shotover_loop_turns_count", labels, "counter", self.loop.turns),
            ("shotover_loop_bytes_received_count", labels, "counter", self.loop.bytes_received),
            ("shotover_loop_bytes_sent_count", labels, "counter", self.loop.bytes_sent),
            ("shotover_draining", labels, "gauge", int(self.want_drain)),
            ("shotover_memory_bytes", labels, "gauge", self.loop.pool.live_bytes),
            ("shotover_memory_refused_count", labels, "counter", self.loop.pool.refused_count),
        ] + self.memory.samples(labels)
        for source in list(self.sources):
            gathered.extend(source.samples())
        gathered.extend([(name, labels, kind, value) for (name, _), (labels, kind, value) in list(self.retired.items())])
        return gathered

    def _keep_counts(self, samples):
        for name, labels, kind, value in samples:
            key = name, tuple(labels.items())
            if kind == "gauge" or (key not in self.retired and len(self.retired) >= RETIRED_MAX):
                continue
            before = self.retired.get(key)
            if before is not None and kind == "histogram":
                value = (before[2][0] + value[0], before[2][1] + value[1], [a + b for a, b in zip(before[2][2], value[2])])
            elif before is not None:
                value += before[2]
            self.retired[key] = labels, kind, value

    def census(self):
        """What is alive now, for tests: all zero but upstreams when nothing is under way."""
        return {
            "requests": self.hub.requests.live_count,
            "chunks": self.loop.pool.live_count,
            "facts": self.loop.pool.kept_count,
            "segments": self.loop.segments.live_count,
            "stashes": self.loop.stashes.live_count,
            "streams": self.loop.streams_live,
            "uploads": sum((<Source>source).upload_slab.live_count for source in self.sources),
            "sessions": sum((<Source>source).session_count for source in self.sources),
        }


def _remove_dead_socket(str path):
    """A UNIX socket that nobody listens on any more is in the way of a new one."""
    import socket
    import stat

    import os

    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except OSError:
        return
    probe = socket.socket(socket.AF_UNIX)
    try:
        probe.settimeout(1)
        probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
    except OSError:
        return
    finally:
        probe.close()
