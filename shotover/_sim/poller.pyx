"""See poller.pxd."""

from libc.errno cimport EAGAIN, ECONNREFUSED, ECONNRESET, ENOENT, EPIPE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

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
    POLLER_PENDING,
    event_t,
    handle_t,
    iovec,
    poller_ops_t,
    poller_t,
    system_ops_t,
)
from shotover._sim.network cimport (
    FD_BASE,
    NEVER,
    NOTE_CONNECT,
    NOTE_DROP,
    NOTE_PAUSE,
    NOTE_RESUME,
    NOTE_SEND,
    NOTE_TIMER,
    PEER_RESET,
    SERVICE_REFUSES,
    below,
    bytes_drop,
    bytes_size,
    chance,
    conn_event,
    conn_new,
    conn_of,
    conn_t,
    cut,
    fd_give,
    fd_take,
    later,
    lent_t,
    link_finish,
    note,
    percent,
    port_find,
    port_new,
    port_of,
    port_t,
    send_room,
    send_take,
    tell_peer,
    world_due,
    world_progress,
    world_ready,
    world_t,
)

cdef enum:
    LENT_JUNK = 0xdb            # what bytes turn into when they are no longer lent
    TURN_NS = 2000              # a turn takes up to this long


cdef int address_port(const void *address) noexcept nogil:
    """The port of an IPv4 or IPv6 sockaddr: bytes 2 and 3."""
    cdef const uint8_t *at = <const uint8_t *>address
    return at[2] * 256 + at[3]


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


cdef void world_open(world_t *w) noexcept nogil:
    """Makes it a poller; the caller owns it from here on (world_put)."""
    w.base.ops = &SIM_OPS
    w.base.system = &SIM_SYSTEM
    w.owners = 1
