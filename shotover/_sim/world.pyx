"""See world.pxd: what Python may do to the world, and ask of it."""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc

from shotover._net.poller cimport (
    EVENT_ACCEPT,
    EVENT_CONNECTED,
    EVENT_DATA,
    EVENT_DROPPED,
    EVENT_EOF,
    EVENT_ERROR,
    EVENT_SENT,
    EVENT_WRITABLE,
    HANDLE_WAKE,
)
from shotover._sim.network cimport (
    FD_COUNT,
    NEVER,
    NOTE_ARRIVED,
    NOTE_CONNECT,
    NOTE_DROP,
    NOTE_PAUSE,
    NOTE_PEER_CLOSE,
    NOTE_PEER_CONNECT,
    NOTE_PEER_FINISH,
    NOTE_PEER_RESET,
    NOTE_PEER_SEND,
    NOTE_RESUME,
    NOTE_SEND,
    NOTE_TAKEN,
    NOTE_TIMER,
    PEER_CLOSED,
    PORTS_MAX,
    bytes_drop,
    bytes_size,
    bytes_t,
    chance,
    conn_new,
    conn_t,
    later,
    link_add,
    link_finish,
    note,
    port_find,
    port_new,
    world_t,
)
from shotover._sim.poller cimport world_open, world_put


SETTINGS = {
    "completion": 0, "cut": 3, "latency_ns": 50_000, "short_percent": 20, "hold_percent": 30, "straggle_percent": 30,
    "idle_turn_percent": 3, "lose_percent": 30, "full_percent": 5, "events_max": 64, "send_room_max": 65536,
    "read_max": 65536, "fd_max": 4096,
}
"""What a world may be told, with what holds when it is not; see settings_t."""

NOTES = {
    EVENT_DATA: "worker reads", EVENT_EOF: "worker hears the end", EVENT_ERROR: "worker hears error",
    EVENT_CONNECTED: "worker is connected", EVENT_WRITABLE: "worker may write", EVENT_SENT: "worker has sent",
    EVENT_ACCEPT: "worker accepts", EVENT_DROPPED: "handle is free", NOTE_ARRIVED: "peer gets", NOTE_SEND: "worker sends",
    NOTE_TAKEN: "kernel takes", NOTE_DROP: "worker closes", NOTE_CONNECT: "worker connects to", NOTE_PAUSE: "worker pauses",
    NOTE_RESUME: "worker resumes", NOTE_PEER_SEND: "peer sends", NOTE_PEER_FINISH: "peer finishes",
    NOTE_PEER_CLOSE: "peer closes", NOTE_PEER_RESET: "peer resets", NOTE_PEER_CONNECT: "peer connects to",
    NOTE_TIMER: "the clock jumps to a deadline",
}


cdef class World:
    """A world drawn from `seed`; `settings` as in SETTINGS. Its poller serves one Worker."""

    def __cinit__(self, unsigned long long seed, **settings):
        cdef int index
        chosen = SETTINGS | settings
        if len(chosen) != len(SETTINGS):
            raise TypeError(f"no such setting: {sorted(set(settings) - set(SETTINGS))}")
        self.w = <world_t *>calloc(1, sizeof(world_t))
        world_open(self.w)
        self.w.waker.kind = HANDLE_WAKE
        self.w.base.read_size = chosen["read_max"]
        self.w.base.arena_size = 1 << 20
        self.w.base.completion = chosen["completion"]
        self.w.settings = chosen
        self.w.random = seed
        self.w.digest = seed
        self.w.alarm_ns = NEVER
        self.w.now = 1_000_000_000 + chance(self.w) % 100_000_000_000
        for index in range(FD_COUNT):
            self.w.fds[index] = -1

    def __dealloc__(self):
        world_put(self.w)

    def poller(self):
        """For Worker(poller=...), once."""
        self.w.owners += 1
        return PyCapsule_New(self.w, b"shotover.poller", NULL)

    # -- the clock

    @property
    def now(self):
        return self.w.now

    @property
    def idle(self):
        """The worker's last wait would have lasted for ever."""
        return bool(self.w.idle)

    def alarm(self, at_ns):
        """The clock does not jump past this time; None: no alarm."""
        self.w.alarm_ns = <uint64_t>NEVER if at_ns is None else at_ns

    # -- peers

    def serve(self, int number):
        """From now on there is a service at this port."""
        if self.w.port_count == PORTS_MAX:
            raise ValueError("too many ports")
        port_new(self.w, number, 1)

    def service_mode(self, int number, int mode):
        """0: connects succeed, 1: they are refused, 2: nothing answers."""
        self.w.ports[port_find(self.w, number)].mode = <uint8_t>mode

    def connect(self, int number):
        """A client begins to connect to a listener of the worker. Returns the connection."""
        cdef int port = port_find(self.w, number)
        cdef conn_t *c = conn_new(self.w, port)
        c.from_peer = 1
        c.connect_ns = later(self.w)
        note(self.w, NOTE_PEER_CONNECT, c.id, number)
        return c.id

    def news(self):
        """Connections of which a peer may want to know something new, each once."""
        cdef uint32_t index
        if self.w.news_count == 0:
            return ()
        found = [self.w.news[index] for index in range(self.w.news_count)]
        for conn in found:
            self.w.conns[conn].news = 0
        self.w.news_count = 0
        return found

    def port_of(self, uint32_t conn):
        return self.w.ports[self.w.conns[conn].port].number

    def state(self, uint32_t conn):
        """PEER_* bits; PEER_ENDED only counts once everything that arrived has been read."""
        return self.w.conns[conn].peer_state

    def read(self, uint32_t conn, size_t most=1 << 30):
        """Takes what has arrived at the peer."""
        cdef:
            bytes_t *arrived = &self.w.conns[conn].to_peer.arrived
            size_t   size = min(bytes_size(arrived), most)
        if size == 0:
            return b""
        data = arrived.data[arrived.start:arrived.start + size]
        bytes_drop(arrived, size)
        return data

    def send(self, uint32_t conn, bytes data):
        cdef conn_t *c = self.w.conns[conn]
        if c.reset or c.reset_due or c.to_proxy.finished or not data:
            return
        note(self.w, NOTE_PEER_SEND, conn, len(data))
        link_add(self.w, &c.to_proxy, data, len(data))

    def finish(self, uint32_t conn):
        """The peer sends no more, but still reads."""
        note(self.w, NOTE_PEER_FINISH, conn, 0)
        link_finish(self.w, &self.w.conns[conn].to_proxy)

    def close(self, uint32_t conn):
        """The peer closes: what the worker still sends is answered with a reset."""
        cdef conn_t *c = self.w.conns[conn]
        if c.peer_state & PEER_CLOSED:
            return
        if bytes_size(&c.to_peer.arrived):
            self.reset(conn)
            return
        note(self.w, NOTE_PEER_CLOSE, conn, 0)
        c.peer_state |= PEER_CLOSED
        link_finish(self.w, &c.to_proxy)

    def reset(self, uint32_t conn):
        """The peer breaks the connection."""
        cdef conn_t *c = self.w.conns[conn]
        if c.peer_state & PEER_CLOSED:
            return
        note(self.w, NOTE_PEER_RESET, conn, 0)
        c.peer_state |= PEER_CLOSED
        bytes_drop(&c.to_peer.arrived, bytes_size(&c.to_peer.arrived))
        if not c.reset:
            c.reset_due = 1
            c.reset_ns = later(self.w)

    def stall(self, uint32_t conn, uint64_t delay_ns):
        """Nothing arrives on this connection, either way, for so long."""
        self.w.conns[conn].stalled_ns = max(self.w.conns[conn].stalled_ns, self.w.now + delay_ns)

    def window(self, uint32_t conn, size_t size):
        """At most so many bytes wait at the peer to be read; 0: it takes none."""
        self.w.conns[conn].to_peer.window = size

    def fd_limit(self, uint32_t most):
        self.w.settings.fd_max = most

    # -- what there is

    @property
    def fds_open(self):
        return self.w.fds_open

    @property
    def digest(self):
        """Equal for runs in which the same things happened at the same times."""
        return self.w.digest

    @property
    def totals(self):
        """(bytes the worker was handed, bytes that were taken from it)."""
        return self.w.read_total, self.w.sent_total

    def traffic(self, uint32_t conn):
        """(bytes the worker was handed of this connection, bytes that were taken from it)."""
        return self.w.conns[conn].worker_read, self.w.conns[conn].worker_sent

    def trace(self):
        """Keeps notes from now on; see `notes`."""
        self.w.tracing = 1

    def notes(self):
        """What has happened: (ns, connection, what, value)."""
        cdef uint32_t index
        return [
            (self.w.notes[index].at_ns, self.w.notes[index].conn, NOTES.get(self.w.notes[index].kind, "?"),
             self.w.notes[index].value)
            for index in range(self.w.note_count)
        ]
