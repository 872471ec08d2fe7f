"""See network.pxd: chance and notes, bytes on links, connections, and what moves when."""

from libc.errno cimport ECONNREFUSED, EMFILE
from libc.stdlib cimport calloc, realloc
from libc.string cimport memcpy, memmove

from shotover._net.poller cimport (
    EVENT_ACCEPT,
    EVENT_CONNECTED,
    EVENT_DATA,
    EVENT_DROPPED,
    EVENT_EOF,
    EVENT_ERROR,
    EVENT_SENT,
    EVENT_WRITABLE,
    handle_t,
    iovec,
)


# ---- chance, notes, bytes ---------------------------------------------------------------------------------------

cdef uint64_t chance(world_t *w) noexcept nogil:
    """splitmix64"""
    cdef uint64_t x
    w.random += <uint64_t>0x9e3779b97f4a7c15ULL
    x = w.random
    x = (x ^ (x >> 30)) * <uint64_t>0xbf58476d1ce4e5b9ULL
    x = (x ^ (x >> 27)) * <uint64_t>0x94d049bb133111ebULL
    return x ^ (x >> 31)


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


# ---- links ------------------------------------------------------------------------------------------------------------

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


# ---- connections and ports --------------------------------------------------------------------------------------------

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
    if c.vector_count and c.sent == 0 and not c.reset and not c.gone and c.send_ns <= w.now:
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
    if c.vector_count and c.sent == 0 and not c.reset and not c.gone and send_room(c):
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
