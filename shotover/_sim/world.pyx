"""See world.pxd. First the world's own movement, then the poller's table, then what Python may do to it."""

from cpython.pycapsule cimport PyCapsule_New
from libc.errno cimport EAGAIN, ECONNREFUSED, ECONNRESET, EMFILE, ENOENT, EPIPE
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

from shotover._net.poller cimport (
    EVENT_ACCEPT,
    EVENT_CONNECTED,
    EVENT_DATA,
    EVENT_DROPPED,
    EVENT_EOF,
    EVENT_ERROR,
    EVENT_SENT,
    EVENT_WAKE,
    EVENT_WRITABLE,
    HANDLE_LISTENER,
    HANDLE_WAKE,
    POLLER_PENDING,
    poller_ops_t,
    system_ops_t,
)

cdef enum:
    NEVER = 0xffffffffffffffff
    LENT_JUNK = 0xdb            # what bytes turn into when they are no longer lent
    TURN_NS = 2000              # a turn takes up to this long


# ---- chance, notes, bytes ---------------------------------------------------------------------------------------

cdef uint64_t chance(world_t *w) noexcept nogil:
    """splitmix64"""
    cdef uint64_t x
    w.random += <uint64_t>0x9e3779b97f4a7c15ULL
    x = w.random
    x = (x ^ (x >> 30)) * <uint64_t>0xbf58476d1ce4e5b9ULL
    x = (x ^ (x >> 27)) * <uint64_t>0x94d049bb133111ebULL
    return x ^ (x >> 31)


cdef inline uint32_t below(world_t *w, uint32_t bound) noexcept nogil:
    return <uint32_t>((chance(w) >> 32) % bound) if bound else 0


cdef inline bint percent(world_t *w, uint32_t share) noexcept nogil:
    return share > 0 and below(w, 100) < share


cdef void note(world_t *w, uint32_t kind, uint32_t conn, int64_t value) noexcept nogil:
    """Everything that happens goes into the digest, and into the trace when one is kept."""
    cdef note_t *grown
    w.digest = (w.digest ^ (<uint64_t>kind << 56) ^ (<uint64_t>conn << 32) ^ <uint64_t>value ^ w.now) * <uint64_t>1099511628211
    if not w.tracing:
        return
    if w.note_count == w.note_room:
        grown = <note_t *>realloc(w.notes, (2 * w.note_room + 1024) * sizeof(note_t))
        if grown is NULL:
            return
        w.notes = grown
        w.note_room = 2 * w.note_room + 1024
    w.notes[w.note_count].at_ns = w.now
    w.notes[w.note_count].kind = kind
    w.notes[w.note_count].conn = conn
    w.notes[w.note_count].value = value
    w.note_count += 1


cdef inline size_t bytes_size(bytes_t *bytes) noexcept nogil:
    return bytes.end - bytes.start


cdef void bytes_add(bytes_t *bytes, const uint8_t *data, size_t size) noexcept nogil:
    cdef size_t have = bytes.end - bytes.start
    if bytes.room - bytes.end < size:
        if bytes.start:
            memmove(bytes.data, bytes.data + bytes.start, have)
            bytes.start = 0
            bytes.end = have
        if bytes.room - have < size:
            bytes.room = 2 * (have + size) + 64
            bytes.data = <uint8_t *>realloc(bytes.data, bytes.room)
    memcpy(bytes.data + bytes.end, data, size)
    bytes.end += size


cdef void bytes_drop(bytes_t *bytes, size_t size) noexcept nogil:
    bytes.start += size
    if bytes.start == bytes.end:
        bytes.start = 0
        bytes.end = 0


# ---- links ------------------------------------------------------------------------------------------------------

cdef size_t cut(world_t *w, size_t size) noexcept nogil:
    """How much of `size` bytes comes as one piece; 1 <= result <= size."""
    cdef uint32_t draw
    if w.settings.cut == CUT_NONE or size <= 1:
        return size
    if w.settings.cut == CUT_SINGLE:
        return 1
    if w.settings.cut == CUT_SMALL:
        return min(size, 1 + below(w, 8))
    draw = below(w, 8)
    if draw < 4:
        return size
    if draw == 4:
        return 1
    return 1 + below(w, <uint32_t>size)


cdef uint64_t later(world_t *w) noexcept nogil:
    """When something that begins now will arrive. Now and then much later: that is what reorders connections."""
    cdef uint64_t delay = below(w, w.settings.latency_ns)
    if below(w, 16) == 0:
        delay *= 1 + below(w, 20)
    return w.now + delay


cdef void link_add(world_t *w, link_t *link, const uint8_t *data, size_t size) noexcept nogil:
    if bytes_size(&link.flight) == 0:
        link.due_ns = later(w)
    bytes_add(&link.flight, data, size)


cdef void link_finish(world_t *w, link_t *link) noexcept nogil:
    if not link.finished:
        link.finished = 1
        if bytes_size(&link.flight) == 0:
            link.due_ns = later(w)


cdef uint64_t link_due(link_t *link) noexcept nogil:
    """When this link moves next; NEVER: not by itself."""
    if bytes_size(&link.flight):
        return link.due_ns if bytes_size(&link.arrived) < link.window else <uint64_t>NEVER
    return link.due_ns if link.finished and not link.ended else <uint64_t>NEVER


cdef size_t link_move(world_t *w, link_t *link) noexcept nogil:
    """What was due arrives. Returns its size; 0: the end."""
    cdef size_t size = bytes_size(&link.flight)
    if size == 0:
        link.ended = 1
        return 0
    size = cut(w, min(size, link.window - bytes_size(&link.arrived)))
    bytes_add(&link.arrived, link.flight.data + link.flight.start, size)
    bytes_drop(&link.flight, size)
    link.due_ns = later(w)
    return size


# ---- connections ------------------------------------------------------------------------------------------------

cdef void tell_peer(world_t *w, conn_t *c, uint32_t bits) noexcept nogil:
    c.peer_state |= bits
    if not c.news:
        c.news = 1
        w.news[w.news_count] = c.id
        w.news_count += 1


cdef conn_t *conn_new(world_t *w, int port) noexcept nogil:
    cdef conn_t *c = <conn_t *>calloc(1, sizeof(conn_t))
    if w.conn_count == w.conn_room:
        w.conn_room = 2 * w.conn_room + 64
        w.conns = <conn_t **>realloc(w.conns, w.conn_room * sizeof(void *))
        w.live = <uint32_t *>realloc(w.live, w.conn_room * sizeof(uint32_t))
        w.news = <uint32_t *>realloc(w.news, w.conn_room * sizeof(uint32_t))
    c.id = w.conn_count
    c.fd = -1
    c.port = port
    c.live = 1
    c.to_proxy.window = 262144
    c.to_peer.window = 262144
    c.send_room = 1 + below(w, w.settings.send_room_max)
    w.conns[c.id] = c
    w.conn_count += 1
    w.live[w.live_count] = c.id
    w.live_count += 1
    return c


cdef int fd_take(world_t *w, int meaning) noexcept nogil:
    """The lowest free descriptor, as a kernel does; -EMFILE."""
    cdef int index
    if w.fds_open >= w.settings.fd_max:
        return -EMFILE
    for index in range(FD_COUNT):
        if w.fds[index] == -1:
            w.fds[index] = meaning
            w.fds_open += 1
            return FD_BASE + index
    return -EMFILE


cdef void fd_give(world_t *w, int fd) noexcept nogil:
    w.fds[fd - FD_BASE] = -1
    w.fds_open -= 1


cdef inline conn_t *conn_of(world_t *w, int fd) noexcept nogil:
    return w.conns[w.fds[fd - FD_BASE]]


cdef inline port_t *port_of(world_t *w, int fd) noexcept nogil:
    return &w.ports[-2 - w.fds[fd - FD_BASE]]


cdef inline size_t send_room(conn_t *c) noexcept nogil:
    cdef size_t used = bytes_size(&c.to_peer.flight)
    return c.send_room - used if c.send_room > used else 0


cdef size_t send_take(world_t *w, conn_t *c, const iovec *vector, int count, size_t most) noexcept nogil:
    """The kernel copies at most `most` bytes."""
    cdef:
        size_t taken = 0, size
        int    index
    for index in range(count):
        if taken == most:
            break
        size = min(vector[index].iov_len, most - taken)
        link_add(w, &c.to_peer, <uint8_t *>vector[index].iov_base, size)
        taken += size
    c.worker_sent += taken
    w.sent_total += taken
    note(w, NOTE_TAKEN, c.id, <int64_t>taken)
    return taken


cdef void conn_break(world_t *w, conn_t *c) noexcept nogil:
    """A reset reaches the worker's side."""
    c.reset_due = 0
    c.reset = 1
    if percent(w, w.settings.lose_percent):
        bytes_drop(&c.to_proxy.arrived, bytes_size(&c.to_proxy.arrived))
    bytes_drop(&c.to_proxy.flight, bytes_size(&c.to_proxy.flight))
    c.to_proxy.finished = 1
    c.to_proxy.ended = 1


cdef void conn_outcome(world_t *w, conn_t *c) noexcept nogil:
    """A connect reaches whom it was meant for."""
    cdef port_t *port = &w.ports[c.port]
    c.connect_ns = NEVER
    if c.from_peer:
        if port.service or port.fd < 0:
            c.gone = 1
            tell_peer(w, c, PEER_REFUSED | PEER_RESET)
            c.live = 0
        else:
            c.known = 1         # in the listener's queue
            tell_peer(w, c, PEER_CONNECTED)
        return
    if port.mode == SERVICE_SILENT:
        return
    c.known = 1
    c.connect_error = ECONNREFUSED if port.mode == SERVICE_REFUSES else 0
    if c.connect_error == 0:
        tell_peer(w, c, PEER_CONNECTED)


cdef void conn_progress(world_t *w, conn_t *c) noexcept nogil:
    """All that is due on one connection."""
    cdef size_t size
    if c.connect_ns <= w.now:
        conn_outcome(w, c)
    if c.reset_due and c.reset_ns <= w.now:
        conn_break(w, c)
    if c.vector_count and c.sent == 0 and not c.reset and c.send_ns <= w.now:
        size = send_room(c)
        if size:
            c.sent = send_take(w, c, c.vector, c.vector_count, min(size, c.vector_size))
    if c.held and c.held_ns <= w.now and c.vector_count:
        send_take(w, c, c.vector, c.vector_count, min(send_room(c), c.vector_size))
        c.vector_count = 0
        link_finish(w, &c.to_peer)
    if c.stalled_ns > w.now:
        return
    while link_due(&c.to_proxy) <= w.now:
        size = link_move(w, &c.to_proxy)
        if c.gone:
            bytes_drop(&c.to_proxy.arrived, size)       # nobody there any more
    while link_due(&c.to_peer) <= w.now:
        size = link_move(w, &c.to_peer)
        note(w, NOTE_ARRIVED, c.id, <int64_t>size)
        if c.peer_state & PEER_CLOSED:
            if size and not c.reset and not c.gone:
                c.reset_due = 1
                c.reset_ns = later(w)
            bytes_drop(&c.to_peer.arrived, size)
        else:
            tell_peer(w, c, 0 if size else PEER_ENDED)
    if c.to_peer.ended and c.gone and not c.held:
        c.live = 0


cdef uint64_t conn_due(conn_t *c) noexcept nogil:
    """When conn_progress has something to do next."""
    cdef uint64_t due = c.connect_ns
    if c.reset_due:
        due = min(due, c.reset_ns)
    if c.vector_count and c.sent == 0 and not c.reset and send_room(c):
        due = min(due, c.send_ns)
    if c.held:
        due = min(due, c.held_ns)
    return min(due, max(c.stalled_ns, min(link_due(&c.to_proxy), link_due(&c.to_peer))))


cdef int conn_event(world_t *w, conn_t *c) noexcept nogil:
    """Which event the worker may be given of this connection now, one of several by chance; 0: none."""
    cdef:
        int       kinds[4]
        uint32_t  count = 0
        handle_t *h = c.handle
    if c.held:
        return EVENT_DROPPED if c.held_ns <= w.now else 0
    if c.from_peer and c.known and c.fd < 0:
        return EVENT_ACCEPT if w.ports[c.port].handle is not NULL and not w.ports[c.port].handle.paused else 0
    if h is NULL:
        return 0
    if c.connecting:
        if not c.known:
            return 0
        return EVENT_ERROR if c.connect_error else EVENT_CONNECTED
    if c.sent:
        kinds[count] = EVENT_SENT
        count += 1
    elif c.vector_count and c.reset:
        kinds[count] = EVENT_ERROR
        count += 1
    if c.blocked and (c.reset or send_room(c)):
        kinds[count] = EVENT_WRITABLE
        count += 1
    if not c.finished and (not h.paused or c.straggler):
        if bytes_size(&c.to_proxy.arrived):
            kinds[count] = EVENT_DATA
            count += 1
        elif h.paused:
            pass
        elif c.reset:
            kinds[count] = EVENT_ERROR
            count += 1
        elif c.to_proxy.ended:
            kinds[count] = EVENT_EOF
            count += 1
    return kinds[below(w, count)] if count > 1 else kinds[0] if count else 0


cdef void world_progress(world_t *w) noexcept nogil:
    cdef uint32_t index = 0
    cdef conn_t  *c
    while index < w.live_count:
        c = w.conns[w.live[index]]
        conn_progress(w, c)
        if c.live:
            index += 1
        else:
            w.live_count -= 1
            w.live[index] = w.live[w.live_count]


cdef bint world_ready(world_t *w) noexcept nogil:
    """There is something for the worker, or for Python."""
    cdef uint32_t index
    cdef int port
    if w.woken or w.news_count:
        return True
    for port in range(w.port_count):
        if w.ports[port].held and w.ports[port].held_ns <= w.now:
            return True
    for index in range(w.live_count):
        if conn_event(w, w.conns[w.live[index]]):
            return True
    return False


cdef uint64_t world_due(world_t *w) noexcept nogil:
    cdef uint64_t due = NEVER
    cdef uint32_t index
    cdef int port
    for index in range(w.live_count):
        due = min(due, conn_due(w.conns[w.live[index]]))
    for port in range(w.port_count):
        if w.ports[port].held:
            due = min(due, w.ports[port].held_ns)
    return due


# ---- the poller's table -----------------------------------------------------------------------------------------

cdef int sim_open(poller_t *p, const char **why) noexcept nogil:
    why[0] = b""
    return 0


cdef void sim_close(poller_t *p) noexcept nogil:
    world_put(<world_t *>p)


cdef int sim_add(poller_t *p, handle_t *h) noexcept nogil:
    cdef world_t *w = <world_t *>p
    if h.kind == HANDLE_LISTENER:
        port_of(w, h.fd).handle = h
    else:
        conn_of(w, h.fd).handle = h
    return 0


cdef int sim_connect(poller_t *p, handle_t *h, const void *address, uint32_t size) noexcept nogil:
    cdef:
        world_t *w = <world_t *>p
        conn_t  *c = conn_of(w, h.fd)
        int      number = address_port(address)
        int      port = port_find(w, number)
    if port < 0 or not w.ports[port].service:
        return -ENOENT
    c.port = port
    note(w, NOTE_CONNECT, c.id, number)
    if w.ports[port].mode == SERVICE_REFUSES and percent(w, 30):
        return -ECONNREFUSED
    c.handle = h
    h.connecting = 1
    c.connecting = 1
    c.connect_ns = later(w)
    return 0


cdef int sim_drop(poller_t *p, handle_t *h) noexcept nogil:
    cdef:
        world_t *w = <world_t *>p
        conn_t  *c
        bint     unread
        bint     held = percent(w, w.settings.hold_percent)
    h.dropped = 1
    if h.kind == HANDLE_LISTENER:
        return port_drop(w, h, held)
    c = conn_of(w, h.fd)
    note(w, NOTE_DROP, c.id, 0)
    fd_give(w, h.fd)
    h.fd = -1
    c.fd = -1
    c.gone = 1
    c.known = 0
    c.connect_ns = NEVER
    c.blocked = 0
    c.finished = 1
    unread = bytes_size(&c.to_proxy.arrived) > 0 or bytes_size(&c.to_proxy.flight) > 0
    if unread and percent(w, w.settings.lose_percent):
        bytes_drop(&c.to_peer.flight, bytes_size(&c.to_peer.flight))
        c.vector_count = 0
        tell_peer(w, c, PEER_RESET)
    if c.sent:                      # already copied
        c.sent = 0
        c.vector_count = 0
    if c.vector_count == 0:
        link_finish(w, &c.to_peer)
    elif not held and percent(w, 50):
        send_take(w, c, c.vector, c.vector_count, min(send_room(c), c.vector_size))
        c.vector_count = 0
        link_finish(w, &c.to_peer)
    if c.vector_count or held:
        c.held = 1
        c.held_ns = later(w)
        return 0
    c.handle = NULL
    return 1


cdef int port_drop(world_t *w, handle_t *h, bint held) noexcept nogil:
    """A listener closes: who waits in its queue is reset."""
    cdef:
        port_t  *port = port_of(w, h.fd)
        uint32_t index
        conn_t  *c
    fd_give(w, h.fd)
    h.fd = -1
    port.fd = -1
    for index in range(w.live_count):
        c = w.conns[w.live[index]]
        if c.from_peer and c.known and c.fd < 0 and &w.ports[c.port] is port:
            c.known = 0
            c.gone = 1
            tell_peer(w, c, PEER_RESET)
            link_finish(w, &c.to_peer)
    if held:
        port.held = 1
        port.held_ns = later(w)
        return 0
    port.handle = NULL
    return 1


cdef void sim_want(poller_t *p, handle_t *h, int on) noexcept nogil:
    cdef:
        world_t *w = <world_t *>p
        bint     straggler = not on and percent(w, w.settings.straggle_percent)
    h.paused = not on
    if h.kind == HANDLE_LISTENER:
        port_of(w, h.fd).straggler = straggler
    else:
        conn_of(w, h.fd).straggler = straggler
        note(w, NOTE_RESUME if on else NOTE_PAUSE, conn_of(w, h.fd).id, 0)


cdef long sim_send(poller_t *p, handle_t *h, const iovec *vector, int count) noexcept nogil:
    cdef:
        world_t *w = <world_t *>p
        conn_t  *c = conn_of(w, h.fd)
        size_t   size = 0, room = send_room(c)
        int      index
    w.base.sends += 1
    for index in range(count):
        size += vector[index].iov_len
    note(w, NOTE_SEND, c.id, <int64_t>size)
    if w.settings.completion:
        memcpy(c.vector, vector, <size_t>count * sizeof(iovec))
        c.vector_count = count
        c.vector_size = cut(w, size) if percent(w, w.settings.short_percent) else size
        c.send_ns = w.now if percent(w, 50) else later(w)
        h.sending = 1
        return POLLER_PENDING
    if c.reset:
        return -EPIPE if percent(w, 50) else -ECONNRESET
    if size > room:
        c.blocked = 1
        if room == 0:
            return -EAGAIN
        return <long>send_take(w, c, vector, count, room)
    if size > 1 and percent(w, w.settings.short_percent):
        c.blocked = 1
        return <long>send_take(w, c, vector, count, 1 + below(w, <uint32_t>size - 1))
    return <long>send_take(w, c, vector, count, size)


cdef int sim_wait(poller_t *p, int64_t timeout_ns) noexcept nogil:
    """Never sleeps: the clock jumps to what is due next, be it the world's, the worker's or Python's."""
    cdef:
        world_t *w = <world_t *>p
        uint64_t due
        bint     timer = False
    w.budget = 1 + below(w, w.settings.events_max)
    w.full = 0
    w.idle = 0
    w.now += 1 + below(w, TURN_NS)
    world_progress(w)
    if world_ready(w):
        if percent(w, w.settings.idle_turn_percent):
            w.budget = 0
        return 0
    due = min(world_due(w), w.alarm_ns)
    if timeout_ns >= 0 and w.now + <uint64_t>timeout_ns < due:
        due = w.now + <uint64_t>timeout_ns
        timer = True
    if due == <uint64_t>NEVER:
        w.idle = 1
        return 0
    if due > w.now:
        w.now = due
    if timer:
        note(w, NOTE_TIMER, 0, 0)
    world_progress(w)
    return 0


cdef uint8_t *lend(world_t *w, const uint8_t *data, size_t size) noexcept nogil:
    """Bytes of their own for one event: whoever looks at them after `release` sees junk, or AddressSanitizer sees him."""
    cdef lent_t *lent = <lent_t *>malloc(sizeof(lent_t) + size)
    lent.next = w.lent
    lent.size = size
    w.lent = lent
    memcpy(lent + 1, data, size)
    return <uint8_t *>(lent + 1)


cdef int hand_out(event_t *event, handle_t *handle, int kind) noexcept nogil:
    event.handle = handle
    event.kind = kind
    event.fd = -1
    event.error = 0
    event.data = NULL
    event.size = 0
    return 1


cdef int give_data(world_t *w, conn_t *c, event_t *event) noexcept nogil:
    cdef size_t size = bytes_size(&c.to_proxy.arrived)
    size = cut(w, min(size, w.settings.read_max))
    event.data = lend(w, c.to_proxy.arrived.data + c.to_proxy.arrived.start, size)
    event.size = size
    bytes_drop(&c.to_proxy.arrived, size)
    c.straggler = 0
    c.worker_read += size
    w.read_total += size
    w.base.reads += 1
    if percent(w, w.settings.full_percent):
        w.full = 1
    return 1


cdef int give_error(world_t *w, conn_t *c, event_t *event, int error) noexcept nogil:
    c.finished = 1
    c.vector_count = 0
    c.sent = 0
    c.blocked = 0
    c.handle.sending = 0
    event.error = error
    return 1


cdef int give_accept(world_t *w, conn_t *c, event_t *event) noexcept nogil:
    cdef port_t *port = &w.ports[c.port]
    event.handle = port.handle
    event.fd = fd_take(w, <int>c.id)
    if event.fd < 0:
        event.error = -event.fd
        event.fd = -1
        port.handle.paused = 1
        return 1
    port.straggler = 0
    c.fd = event.fd
    return 1


cdef int give(world_t *w, conn_t *c, int kind, event_t *event) noexcept nogil:
    hand_out(event, c.handle, kind)
    if kind == EVENT_DATA:
        give_data(w, c, event)
    elif kind == EVENT_ACCEPT:
        give_accept(w, c, event)
    elif kind == EVENT_CONNECTED:
        c.connecting = 0
        c.handle.connecting = 0
    elif kind == EVENT_ERROR:
        if c.connecting:
            c.connecting = 0
            c.handle.connecting = 0
            give_error(w, c, event, c.connect_error)
        else:
            give_error(w, c, event, ECONNRESET)
    elif kind == EVENT_EOF:
        c.finished = 1
    elif kind == EVENT_WRITABLE:
        c.blocked = 0
    elif kind == EVENT_SENT:
        event.size = c.sent
        c.sent = 0
        c.vector_count = 0
        c.handle.sending = 0
    elif kind == EVENT_DROPPED:
        c.held = 0
        c.handle = NULL
    note(w, <uint32_t>kind, c.id, event.fd if kind == EVENT_ACCEPT else event.error if event.error else <int64_t>event.size)
    return 1


cdef int sim_next(poller_t *p, event_t *event) noexcept nogil:
    cdef:
        world_t *w = <world_t *>p
        uint32_t index, start
        int      kind, port
        conn_t  *c
    if w.full:
        w.full = 0
        return 2
    if w.budget == 0:
        return 0
    w.budget -= 1
    if w.woken:
        w.woken = 0
        return hand_out(event, &w.waker, EVENT_WAKE)
    for port in range(w.port_count):
        if w.ports[port].held and w.ports[port].held_ns <= w.now:
            w.ports[port].held = 0
            hand_out(event, w.ports[port].handle, EVENT_DROPPED)
            w.ports[port].handle = NULL
            return 1
    start = below(w, w.live_count)
    for index in range(w.live_count):
        c = w.conns[w.live[(start + index) % w.live_count]]
        kind = conn_event(w, c)
        if kind:
            return give(w, c, kind, event)
    return 0


cdef void sim_release(poller_t *p) noexcept nogil:
    cdef world_t *w = <world_t *>p
    cdef lent_t  *lent
    while w.lent is not NULL:
        lent = w.lent
        w.lent = lent.next
        memset(lent + 1, LENT_JUNK, lent.size)
        free(lent)


cdef uint64_t sim_now(poller_t *p) noexcept nogil:
    return (<world_t *>p).now


cdef void sim_wake(poller_t *p) noexcept nogil:
    (<world_t *>p).woken = 1


cdef int sim_socket(poller_t *p, int family) noexcept nogil:
    cdef:
        world_t *w = <world_t *>p
        int      fd = fd_take(w, <int>w.conn_count)
        conn_t  *c
    if fd < 0:
        return fd
    c = conn_new(w, 0)
    c.connect_ns = NEVER
    c.fd = fd
    return fd


cdef int sim_listen(poller_t *p, const void *address, uint32_t size, int backlog, int shared) noexcept nogil:
    cdef:
        world_t *w = <world_t *>p
        int      number = address_port(address)
        int      port = port_find(w, number)
    if port < 0:
        port = port_new(w, number, 0)
    w.ports[port].fd = fd_take(w, -2 - port)
    return w.ports[port].fd


cdef void sim_tune(poller_t *p, int fd, int family) noexcept nogil:
    pass


cdef void sim_close_fd(poller_t *p, int fd) noexcept nogil:
    """A descriptor without a handle: a connection that was accepted and not wanted, or a connect that failed at once."""
    cdef:
        world_t *w = <world_t *>p
        conn_t  *c
    if w.fds[fd - FD_BASE] < -1:
        port_of(w, fd).fd = -1
        fd_give(w, fd)
        return
    c = conn_of(w, fd)
    fd_give(w, fd)
    c.fd = -1
    c.gone = 1
    c.known = 0
    c.finished = 1
    if c.from_peer:
        link_finish(w, &c.to_peer)
    else:
        c.to_peer.ended = 1


cdef void sim_name(poller_t *p, int fd, int peer, char *out, size_t room) noexcept nogil:
    cdef world_t *w = <world_t *>p
    if w.fds[fd - FD_BASE] < -1:
        snprintf(out, room, b"127.0.0.1:%d", port_of(w, fd).number)
    else:
        snprintf(out, room, b"127.0.0.1:%d", 50000 + <int>conn_of(w, fd).id)


cdef uint64_t sim_chance(poller_t *p) noexcept nogil:
    return chance(<world_t *>p)


cdef poller_ops_t SIM_OPS
SIM_OPS.name = b"simulated"
SIM_OPS.open = sim_open
SIM_OPS.close = sim_close
SIM_OPS.add = sim_add
(<void **>&SIM_OPS.connect)[0] = <void *>sim_connect     # takes a sockaddr, which Cython knows as bytes
SIM_OPS.drop = sim_drop
SIM_OPS.want = sim_want
SIM_OPS.send = sim_send
SIM_OPS.wait = sim_wait
SIM_OPS.next = sim_next
SIM_OPS.release = sim_release
SIM_OPS.now = sim_now
SIM_OPS.wake = sim_wake

cdef system_ops_t SIM_SYSTEM
SIM_SYSTEM.open = sim_socket
(<void **>&SIM_SYSTEM.listen)[0] = <void *>sim_listen
SIM_SYSTEM.tune = sim_tune
SIM_SYSTEM.close = sim_close_fd
SIM_SYSTEM.name = sim_name
SIM_SYSTEM.chance = sim_chance


# ---- addresses, ports, the end ----------------------------------------------------------------------------------

cdef int address_port(const void *address) noexcept nogil:
    """The port of an IPv4 or IPv6 sockaddr: bytes 2 and 3."""
    cdef const uint8_t *at = <const uint8_t *>address
    return at[2] * 256 + at[3]


cdef int port_find(world_t *w, int number) noexcept nogil:
    cdef int index
    for index in range(w.port_count):
        if w.ports[index].number == number:
            return index
    return -1


cdef int port_new(world_t *w, int number, bint service) noexcept nogil:
    cdef int index = w.port_count
    w.port_count += 1
    w.ports[index].number = number
    w.ports[index].service = service
    w.ports[index].fd = -1
    return index


cdef void world_put(world_t *w) noexcept nogil:
    """One owner less; the last one frees it."""
    cdef uint32_t index
    w.owners -= 1
    if w.owners:
        return
    sim_release(&w.base)
    for index in range(w.conn_count):
        free(w.conns[index].to_proxy.flight.data)
        free(w.conns[index].to_proxy.arrived.data)
        free(w.conns[index].to_peer.flight.data)
        free(w.conns[index].to_peer.arrived.data)
        free(w.conns[index])
    free(w.conns)
    free(w.live)
    free(w.news)
    free(w.notes)
    free(w)


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
    NOTE_RESUME: "worker resumes", NOTE_PEER_SEND: "peer sends", NOTE_PEER_FINISH: "peer finishes", NOTE_PEER_CLOSE: "peer closes",
    NOTE_PEER_RESET: "peer resets", NOTE_PEER_CONNECT: "peer connects to", NOTE_TIMER: "the clock jumps to a deadline",
}


cdef class World:
    """A world drawn from `seed`; `settings` as in SETTINGS. Its poller serves one Worker."""

    def __cinit__(self, unsigned long long seed, **settings):
        cdef int index
        chosen = SETTINGS | settings
        if len(chosen) != len(SETTINGS):
            raise TypeError(f"no such setting: {sorted(set(settings) - set(SETTINGS))}")
        self.w = <world_t *>calloc(1, sizeof(world_t))
        self.w.owners = 1
        self.w.waker.kind = HANDLE_WAKE
        self.w.base.ops = &SIM_OPS
        self.w.base.system = &SIM_SYSTEM
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
            (self.w.notes[index].at_ns, self.w.notes[index].conn, NOTES.get(self.w.notes[index].kind, "?"), self.w.notes[index].value)
            for index in range(self.w.note_count)
        ]
