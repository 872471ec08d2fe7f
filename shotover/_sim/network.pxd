"""A network and a clock in memory, behind the poller's seam. Whatever happens in it is drawn from one seed.

world_t is a poller: the loop of a Worker waits on it, reads and sends through it. The other end of every connection, the
*peer*, is played from Python: clients that connect to the worker's listeners, services that the worker connects to.

  peer --send--> [flight] --arrival--> [arrived] --EVENT_DATA--> worker       link_t to_proxy
  worker --ops.send--> [flight] --arrival--> [arrived] --read--> peer         link_t to_peer

Bytes arrive in pieces, after latencies, in order on each link and in any order across links. The clock stands still while
there is something to do, and jumps to the next thing that is due when there is not.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from shotover._net.poller cimport event_t, handle_t, iovec, poller_t


cdef enum:
    NEVER = 0xffffffffffffffff
    FD_BASE = 1 << 20           # far from every real descriptor
    FD_COUNT = 4096
    PORTS_MAX = 32
    VECTOR_MAX = 64

cdef enum:                      # how bytes are cut: settings_t.cut
    CUT_NONE = 0
    CUT_SINGLE = 1              # one byte at a time
    CUT_SMALL = 2               # up to eight
    CUT_MIXED = 3

cdef enum:                      # what a service does with a connect
    SERVICE_ACCEPTS = 0
    SERVICE_REFUSES = 1
    SERVICE_SILENT = 2          # neither answers nor refuses: the worker's time-out decides

cdef enum:                      # conn_t.peer_state, bits; what Python asks for
    PEER_CONNECTED = 1
    PEER_ENDED = 2              # the worker has closed: all it sent has arrived
    PEER_RESET = 4              # the connection broke
    PEER_REFUSED = 8            # nobody listened
    PEER_CLOSED = 16            # we closed it ourselves

cdef enum:                      # what is written down, besides EVENT_* (below 32)
    NOTE_ARRIVED = 32           # bytes at the peer
    NOTE_SEND = 33              # bytes the worker gave to send
    NOTE_TAKEN = 34             # bytes taken of them
    NOTE_DROP = 35
    NOTE_CONNECT = 36
    NOTE_PAUSE = 37
    NOTE_RESUME = 38
    NOTE_PEER_SEND = 39
    NOTE_PEER_FINISH = 40
    NOTE_PEER_CLOSE = 41
    NOTE_PEER_RESET = 42
    NOTE_PEER_CONNECT = 43
    NOTE_TIMER = 44             # the clock jumped to a deadline of the worker
    NOTE_REFUSED = 45

cdef struct bytes_t:            # a queue of bytes
    uint8_t *data
    size_t   start
    size_t   end
    size_t   room

cdef struct link_t:             # one direction of a connection
    bytes_t  flight             # sent, not arrived
    bytes_t  arrived
    uint64_t due_ns             # when the next piece, or the end, arrives
    size_t   window             # most bytes in `arrived`
    uint8_t  finished           # the sender sends no more
    uint8_t  ended              # ... and that has arrived

cdef struct conn_t:
    uint32_t  id
    int       fd                # -1: the worker has none (any more)
    int       port
    handle_t *handle            # NULL: not watched
    link_t    to_proxy
    link_t    to_peer
    uint32_t  peer_state        # PEER_* bits
    uint8_t   news              # listed for Python
    uint8_t   live              # some of it may still happen
    uint8_t   gone              # the worker has closed its side
    uint8_t   from_peer         # a client's connection
    uint8_t   connecting        # the worker's connect is under way
    int       connect_error     # its outcome, drawn early; 0: it will succeed
    uint64_t  connect_ns        # when it is known; also when a client's connect reaches the listener
    uint8_t   known             # the outcome is known: an event is owed
    uint8_t   reset_due
    uint8_t   reset             # the worker's side is broken
    uint64_t  reset_ns
    uint8_t   finished          # the worker has heard of the end or of an error: nothing is read any more
    uint8_t   blocked           # EVENT_WRITABLE is owed when there is room
    uint8_t   straggler         # one more piece is handed out although reading is paused
    uint8_t   held              # EVENT_DROPPED is owed
    uint64_t  held_ns
    size_t    send_room         # the kernel's send buffer
    iovec     vector[VECTOR_MAX]    # completion: the send in flight
    int       vector_count
    size_t    vector_size
    uint64_t  send_ns
    size_t    sent              # completion: EVENT_SENT of so many bytes is owed
    uint64_t  stalled_ns        # nothing arrives before
    uint64_t  worker_read       # bytes handed to the worker, in all
    uint64_t  worker_sent       # bytes taken from it, in all

cdef struct port_t:             # a listener of the worker, or a service
    int       number
    uint8_t   service
    uint8_t   mode              # SERVICE_*
    handle_t *handle            # listener
    int       fd
    uint8_t   straggler
    uint8_t   held
    uint64_t  held_ns

cdef struct lent_t:
    lent_t  *next
    size_t   size

cdef struct note_t:
    uint64_t at_ns
    uint32_t kind
    uint32_t conn
    int64_t  value

cdef struct settings_t:
    uint8_t  completion         # as io_uring; else as epoll
    uint8_t  cut                # CUT_*
    uint32_t latency_ns         # a piece arrives within this
    uint32_t short_percent      # a send takes less than it could
    uint32_t hold_percent       # a dropped handle is not free at once
    uint32_t straggle_percent   # reading goes on after a pause
    uint32_t idle_turn_percent  # a wait returns with nothing
    uint32_t lose_percent       # a reset takes unread bytes with it
    uint32_t full_percent       # the arena is full after an event
    uint32_t events_max         # events a turn
    uint32_t send_room_max      # bytes in a send buffer
    uint32_t read_max           # bytes of one EVENT_DATA
    uint32_t fd_max             # descriptors there are

cdef struct world_t:
    poller_t   base             # first
    int        owners           # the World object and the Loop
    settings_t settings
    uint64_t   random
    uint64_t   now
    uint64_t   alarm_ns         # Python wants to act then
    uint8_t    woken
    uint8_t    idle             # the last wait had nothing to wait for
    uint8_t    tracing
    uint32_t   budget           # events left in this turn
    uint8_t    full             # the next `next` says so
    conn_t   **conns            # by id
    uint32_t   conn_count
    uint32_t   conn_room
    uint32_t  *live             # ids of those where something may still happen
    uint32_t   live_count
    uint32_t  *news
    uint32_t   news_count
    port_t     ports[PORTS_MAX]
    int        port_count
    int        fds[FD_COUNT]    # conn id, -(port + 2), -1: free
    uint32_t   fds_open
    handle_t   waker            # stands for the wake-up itself
    lent_t    *lent
    uint64_t   read_total
    uint64_t   sent_total
    uint64_t   digest           # of everything that happened
    note_t    *notes
    uint32_t   note_count
    uint32_t   note_room


cdef uint64_t chance(world_t *w) noexcept nogil
cdef void note(world_t *w, uint32_t kind, uint32_t conn, int64_t value) noexcept nogil
cdef void bytes_add(bytes_t *bytes, const uint8_t *data, size_t size) noexcept nogil
cdef void bytes_drop(bytes_t *bytes, size_t size) noexcept nogil
cdef size_t cut(world_t *w, size_t size) noexcept nogil
cdef uint64_t later(world_t *w) noexcept nogil
cdef void link_add(world_t *w, link_t *link, const uint8_t *data, size_t size) noexcept nogil
cdef void link_finish(world_t *w, link_t *link) noexcept nogil
cdef uint64_t link_due(link_t *link) noexcept nogil
cdef size_t link_move(world_t *w, link_t *link) noexcept nogil
cdef void tell_peer(world_t *w, conn_t *c, uint32_t bits) noexcept nogil
cdef conn_t *conn_new(world_t *w, int port) noexcept nogil
cdef int fd_take(world_t *w, int meaning) noexcept nogil
cdef void fd_give(world_t *w, int fd) noexcept nogil
cdef int port_find(world_t *w, int number) noexcept nogil
cdef int port_new(world_t *w, int number, bint service) noexcept nogil
cdef size_t send_take(world_t *w, conn_t *c, const iovec *vector, int count, size_t most) noexcept nogil
cdef void conn_break(world_t *w, conn_t *c) noexcept nogil
cdef void conn_outcome(world_t *w, conn_t *c) noexcept nogil
cdef void conn_progress(world_t *w, conn_t *c) noexcept nogil
cdef uint64_t conn_due(conn_t *c) noexcept nogil
cdef int conn_event(world_t *w, conn_t *c) noexcept nogil
cdef void world_progress(world_t *w) noexcept nogil
cdef bint world_ready(world_t *w) noexcept nogil
cdef uint64_t world_due(world_t *w) noexcept nogil


cdef inline uint32_t below(world_t *w, uint32_t bound) noexcept nogil:
    return <uint32_t>((chance(w) >> 32) % bound) if bound else 0


cdef inline bint percent(world_t *w, uint32_t share) noexcept nogil:
    return share > 0 and below(w, 100) < share


cdef inline size_t bytes_size(bytes_t *bytes) noexcept nogil:
    return bytes.end - bytes.start


cdef inline conn_t *conn_of(world_t *w, int fd) noexcept nogil:
    return w.conns[w.fds[fd - FD_BASE]]


cdef inline port_t *port_of(world_t *w, int fd) noexcept nogil:
    return &w.ports[-2 - w.fds[fd - FD_BASE]]


cdef inline size_t send_room(conn_t *c) noexcept nogil:
    cdef size_t used = bytes_size(&c.to_peer.flight)
    return c.send_room - used if c.send_room > used else 0
