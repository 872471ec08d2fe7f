"""See worker.pxd. The Python methods are for the main thread; `run` is the worker's own."""

from libc.string cimport memcpy

from shotover._core.ledger cimport Share
from shotover._net.loop cimport CLOSE_LOCAL, stream_close
from shotover._proxy.session cimport Source, session_t
from shotover._proxy.step cimport LOG_WARNING, Chain, list_item, list_size

from shotover._net.address import resolve

cdef enum:
    LISTEN_BACKLOG = 4096


cdef void _on_deadline(timer_t *timer) noexcept nogil:
    (<Worker>timer.owner).stopping = 1


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
        from shotover.config.address import parse_address

        address = parse_address(str(listen_addr), port_min=0, listening=True)
        family, sockaddr = resolve(address.host, address.port, address.path)
        if address.path:
            _remove_dead_socket(address.path)
        cdef:
            Source source = Source(source_name, self.hub, chain, family, options)
            bytes  name = sockaddr
            int    fd
        memcpy(source.address_bytes, <const char *>name, len(name))
        source.address_size = len(name)
        source.shared_port = not address.path
        fd = self.loop.poller.system.listen(
            self.loop.poller, <const void *>source.address_bytes, source.address_size, LISTEN_BACKLOG, source.shared_port)
        if fd < 0:
            raise OSError(-fd, "cannot listen")
        source.address = self.loop.name_of(fd)
        if address.port == 0 and not address.path:
            family, sockaddr = resolve(address.host, int(source.address.rpartition(":")[2]), "")
            name = sockaddr
            memcpy(source.address_bytes, <const char *>name, len(name))
        cdef int result = self.loop.listen(&source.listener, fd)
        if result < 0:
            self.loop.poller.system.close(self.loop.poller, fd)
            raise OSError(-result, "cannot listen")
        source.listening = True
        self.memory.begin(source.memory)
        self.sources.append(source)
        return source.address

    def run(self):
        """Serves until told to stop. Blocks; call it in a thread of its own."""
        cdef int result
        with nogil:
            result = self._run()
        for source in self.sources:
            (<Source>source).chain.close()
            (<Source>source).codec.let_go(&self.loop.pool)
        if result < 0:
            raise OSError(-result, f"the poller {self.loop.poller_name} has failed")

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
            session_t *session
            uint64_t   cut = 0
        for index in range(list_size(self.sources)):
            session = (<Source>list_item(self.sources, index)).sessions
            (<Source>list_item(self.sources, index)).stop()
            while session is not NULL:
                stream_close(&session.stream, CLOSE_LOCAL)
                cut += 1
                session = session.next
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
        for source in self.sources:
            gathered.extend(source.samples())
        return gathered

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
