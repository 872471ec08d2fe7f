"""See routes.pxd. What a route misses is put into its journal before any later write, and once it has a journal every write
goes there. What was sent and is not back is waited for before the journal is sent: it comes before all that is in it.
"""

from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strlen

from shotover._core.debug cimport invariant, likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_ref, chunk_t, pool_take
from shotover._core.request cimport LOST, batch_clear, batch_pop, batch_push, request_add_reply, request_own
from shotover._proxy.journal cimport (
    entry_free,
    journal_put,
    journal_remove,
    journal_unsend,
    profile_data,
    profile_put,
    profile_ref,
    profile_same,
)
from shotover._proxy.session cimport Source
from shotover._proxy.step cimport LOG_ERROR, LOG_INFO, LOG_TEXT, LOG_WARNING, Chain

cdef enum:
    WINDOW_MAX = 256            # entries on their way to one route
    WHY_SIZE_MAX = 100          # of a reply that is quoted in the log

cdef const char *GONE_AGAIN = b"-ERR shotover: the route is not there\r\n"


cdef void _on_probing(timer_t *timer) noexcept nogil:
    (<RoutesStep>timer.owner)._probe_all()


cdef void _on_later(task_t *task) noexcept nogil:
    (<RoutesStep>task.owner)._do_later()


cdef class RoutesStep(Step):

    def __cinit__(self, context, *args, **kwargs):
        self.probing.fire = _on_probing
        self.probing.owner = <void *>self
        self.later.run = _on_later
        self.later.owner = <void *>self

    def add_route(self, str name, Chain chain, uint64_t journal_requests, uint64_t journal_bytes):
        """In the order in which they shall be preferred."""
        cdef:
            route_t *route = &self.routes[self.route_count]
            bytes    text = name.encode()[:sizeof(route.name) - 1]
        memset(route, 0, sizeof(route_t))
        memcpy(route.name, <const char *>text, len(text))
        route.chain = <void *>chain
        route.journal.count_max = journal_requests
        route.journal.bytes_max = journal_bytes
        route.probe_mark.what = CHILD_PROBE
        route.ghost_mark.what = CHILD_GHOST
        self.adopt(chain)
        self.route_count += 1

    cdef uint32_t all_routes(self) noexcept nogil:
        return (<uint32_t>1 << self.route_count) - 1

    cdef uint32_t routes_up(self) noexcept nogil:
        """Those that have every write."""
        cdef uint32_t route, mask = 0
        for route in range(self.route_count):
            if likely(self.routes[route].state == ROUTE_UP):
                mask |= <uint32_t>1 << route
        return mask

    cdef uint32_t _route_of(self, request_t *child) noexcept nogil:
        cdef uint32_t route = 0
        while self.routes[route].chain is not child.chain:
            route += 1
            invariant(route < self.route_count)
        return route

    cdef void run_downs(self) noexcept nogil:
        """What this batch has for each route goes there."""
        cdef:
            batch_t  down
            uint32_t route
        for route in range(self.route_count):
            if self.downs[route].head is not NULL:
                down = self.downs[route]
                batch_clear(&self.downs[route])
                (<Chain>self.routes[route].chain).run(&down)

    cdef void send_down(self, uint32_t index, request_t *child) noexcept nogil:
        """With the next run_downs; while the last of the journal is on its way, once that has been answered."""
        if unlikely(self.routes[index].state == ROUTE_CLOSING) and request_own(&self.loop.pool, child):
            batch_push(&self.routes[index].held, child)
        else:
            batch_push(&self.downs[index], child)
    # ---- health -------------------------------------------------------------------------------------------------

    cdef void miss(self, uint32_t index, uint64_t order, slice_t *wire, profile_t *profile, bint stirs) noexcept nogil:
        """The route does not get these requests now: its journal does. `stirs`: they leave their session in another state."""
        cdef:
            route_t *route = &self.routes[index]
            entry_t *entry
        if route.state == ROUTE_STALE:
            return
        entry = journal_put(&route.journal, order, wire, profile)
        if entry is NULL:
            self._overflow(index)
            return
        entry.what = CHILD_ENTRY
        entry.stirs = stirs
        route.missed_total += 1
        if route.state == ROUTE_UP or route.state == ROUTE_CLOSING:
            self._away(index, b"it has missed a write", 21)
            route.hurry = 1                     # as far as is known it is there
            self.loop.defer(&self.later)

    cdef void _away(self, uint32_t index, const char *why, size_t why_size) noexcept nogil:
        cdef:
            route_t *route = &self.routes[index]
            char     line[LOG_TEXT]
            char     quoted[WHY_SIZE_MAX + 1]
            size_t   at = 0
        if route.state == ROUTE_AWAY or route.state == ROUTE_STALE:
            return
        route.state = ROUTE_AWAY
        if route.held.head is not NULL:
            self.loop.defer(&self.later)
        if self.probing.home is NULL:
            self.loop.set_timer(&self.probing, self.probe_ns)
        if route.said:
            return                              # it tried to come back
        route.said = 1
        route.away_total += 1
        while at < min(why_size, <size_t>WHY_SIZE_MAX) and why[at] != b'\r':
            quoted[at] = why[at]
            at += 1
        quoted[at] = 0
        snprintf(line, sizeof(line), b"route %s is away, what it misses is kept: %s", route.name, quoted)
        self.hub.log(LOG_WARNING, line)

    cdef void _overflow(self, uint32_t index) noexcept nogil:
        """It has missed more than may be kept. What is on its way goes when it comes back."""
        cdef:
            route_t *route = &self.routes[index]
            entry_t *entry = route.journal.head
            entry_t *following
            char     line[LOG_TEXT]
        if route.state == ROUTE_STALE:
            return
        self._away(index, b"its journal is full", 19)
        route.state = ROUTE_STALE
        route.overflows_total += 1
        while entry is not NULL:
            following = entry.next
            if not entry.sent:
                journal_remove(&route.journal, entry)
                entry_free(entry)
            entry = following
        snprintf(line, sizeof(line), b"route %s is STALE: it has missed more than journal_requests and journal_bytes allow. "
                 b"It serves nobody until it has been made a copy of another route (how: shotover docs)", route.name)
        self.hub.log(LOG_ERROR, line)

    cdef void _all_there(self, uint32_t index) noexcept nogil:
        """Every entry has been answered. What has been held since the last of them was sent goes now."""
        cdef:
            route_t *route = &self.routes[index]
            batch_t  held = route.held
            char     line[LOG_TEXT]
        batch_clear(&route.held)
        route.state = ROUTE_UP
        route.said = 0
        self._end_ghost(index)
        snprintf(line, sizeof(line), b"route %s is back and has every write", route.name)
        self.hub.log(LOG_INFO, line)
        if held.head is not NULL:
            (<Chain>route.chain).run(&held)

    cdef void _fail_held(self, uint32_t index) noexcept nogil:
        """It has gone again before what was held could be sent."""
        cdef:
            route_t   *route = &self.routes[index]
            request_t *child
            batch_t    held = route.held
        batch_clear(&route.held)
        while held.head is not NULL:
            child = batch_pop(&held)
            child.failed = LOST
            child.left = 0
            request_add_reply(&self.loop.pool, child, <const uint8_t *>GONE_AGAIN, strlen(GONE_AGAIN))
            self.on_child(child)
    cdef void _probe_all(self) noexcept nogil:
        """The timer: those that are away are asked whether they are back."""
        cdef:
            uint32_t index
            bint     again = False
        for index in range(self.route_count):
            if self.routes[index].state == ROUTE_AWAY or self.routes[index].state == ROUTE_STALE:
                again = True
                self._probe(index)
        if again and self.probing.home is NULL:
            self.loop.set_timer(&self.probing, self.probe_ns)

    cdef void _probe(self, uint32_t index) noexcept nogil:
        """Asks one of them, unless it has been asked and has not answered."""
        cdef:
            route_t   *route = &self.routes[index]
            request_t *child
            batch_t    batch
        if route.probing or (route.state != ROUTE_AWAY and route.state != ROUTE_STALE):
            return
        child = self.hub.request_new(<Chain>route.chain)
        if child is NULL:
            return
        if not self.probe(child, route.state == ROUTE_STALE):
            self.hub.request_free(child)
            return
        child.tags[self.tag] = &route.probe_mark
        route.probing = 1
        batch_clear(&batch)
        batch_push(&batch, child)
        (<Chain>route.chain).run(&batch)

    cdef void _probe_back(self, request_t *child, uint32_t index) noexcept nogil:
        cdef:
            route_t *route = &self.routes[index]
            int      found = PROBE_FAILED if child.failed == LOST else self.probed(child)
            char     line[LOG_TEXT]
        route.probing = 0
        self.hub.request_free(child)
        if route.state == ROUTE_STALE and found == PROBE_MENDING:
            route.state = ROUTE_AWAY
            snprintf(line, sizeof(line), b"route %s is being mended: what it misses from now on is kept", route.name)
            self.hub.log(LOG_INFO, line)
        elif route.state == ROUTE_AWAY and found != PROBE_FAILED and route.outstanding == 0 and route.replaying == 0 \
                and route.ghost_left == 0:
            self._end_ghost(index)
            route.state = ROUTE_CATCHING
            route.window = 1                    # the first by itself: it may be refused for all that come
            route.grumbled = 0
            self._replay(index)

    # ---- what was missed ----------------------------------------------------------------------------------------

    cdef void _replay(self, uint32_t index) noexcept nogil:
        """Sends what the window allows. Once all is on its way, new requests are held: they must come behind it."""
        cdef:
            route_t *route = &self.routes[index]
            entry_t *entry
        while route.state == ROUTE_CATCHING or route.state == ROUTE_CLOSING:
            entry = route.journal.unsent
            if entry is NULL:
                route.state = ROUTE_CLOSING
                if route.replaying == 0 and route.ghost_left == 0:
                    self.loop.defer(&self.later)        # whoever has brought the last reply is still at work
                return
            if route.replaying >= route.window:
                return
            if (route.ghost is NULL or route.ghost_stirred or not profile_same(route.ghost_profile, entry.profile)) \
                    and not self._ghost(index, entry.profile):
                self._away(index, b"no memory", 9)
                return
            self._send_entry(index, entry)
    cdef bint _ghost(self, uint32_t index, profile_t *profile) noexcept nogil:
        """A session in the state of an entry's client, with a connection of its own: whoever the clients were, their requests
        stay in order without waiting for each other. False: no memory."""
        cdef:
            route_t *route = &self.routes[index]
            size_t   size = sizeof(session_t) + (<Source>self.source).slot_count * sizeof(void *)
            size_t   reset_size = 0, profile_size = 0 if profile is NULL else profile.size, pin_size = strlen(self.pin_wire)
            slice_t  wire
            chunk_t *chunk
            bint     whole
        if route.ghost is NULL:
            route.ghost = <session_t *>calloc(1, size)
            if route.ghost is NULL:
                return False
            route.ghost.source = self.source
            route.ghost.stream.closed = 1       # nobody reads from it
            route.ghost.stream.handle.fd = -1
        else:
            reset_size = strlen(self.reset_wire)
        chunk = pool_take(&self.loop.pool, reset_size + profile_size + pin_size)
        if chunk is NULL:
            return False
        profile_put(route.ghost_profile)
        route.ghost_profile = profile_ref(profile)
        route.ghost_stirred = 0
        wire.data = chunk_data(chunk)
        wire.size = reset_size + profile_size + pin_size
        memcpy(wire.data, self.reset_wire, reset_size)
        if profile is not NULL:
            memcpy(wire.data + reset_size, profile_data(profile), profile_size)
        memcpy(wire.data + reset_size + profile_size, self.pin_wire, pin_size)
        whole = self._send_wire(index, route.ghost, chunk, &wire, &route.ghost_mark, &route.ghost_left)
        chunk_put(&self.loop.pool, chunk)
        self.run_downs()
        return whole
    cdef void _end_ghost(self, uint32_t index) noexcept nogil:
        """It is buried once whoever is at work with it now has done: like a session, never in the middle of a turn."""
        cdef route_t *route = &self.routes[index]
        if route.ghost is NULL:
            return
        route.ghost.pending = index
        route.ghost.next = self.dead
        self.dead = route.ghost
        self.loop.defer(&self.later)
        route.ghost = NULL
        profile_put(route.ghost_profile)
        route.ghost_profile = NULL

    cdef void _do_later(self) noexcept nogil:
        """At the end of what is going on now: nothing is freed, and no request brought on its way, in the middle of it."""
        cdef:
            session_t *ghost
            route_t   *route
            uint32_t   index
        for index in range(self.route_count):
            route = &self.routes[index]
            if route.state == ROUTE_CLOSING and route.journal.count == 0 and route.replaying == 0 and route.ghost_left == 0:
                self._all_there(index)
            elif route.held.head is not NULL and route.state != ROUTE_CLOSING:
                self._fail_held(index)
            if route.hurry and route.outstanding == 0:
                route.hurry = 0
                self._probe(index)
        while self.dead is not NULL:
            ghost = self.dead
            self.dead = ghost.next
            (<Chain>self.routes[ghost.pending].chain).session_end(ghost)
            free(ghost)
    cdef void _ghost_back(self, request_t *child, uint32_t index) noexcept nogil:
        """An error is no obstacle: the client, too, went on after it, and what came of that is what came of it elsewhere."""
        cdef route_t *route = &self.routes[index]
        route.ghost_left -= 1
        if child.failed or self.judge(child) == WORTH_AWAY:
            self._away(index, <const char *>child.reply.data, child.reply.size)
        self.hub.request_free(child)
        if route.ghost_left == 0:
            self._replay(index)
    cdef void _send_entry(self, uint32_t index, entry_t *entry) noexcept nogil:
        cdef:
            route_t *route = &self.routes[index]
            chunk_t *chunk = pool_take(&self.loop.pool, entry.wire.size)
            slice_t  wire
        if chunk is NULL:
            self._away(index, b"no memory", 9)
            return
        wire.data = chunk_data(chunk)
        wire.size = entry.wire.size
        memcpy(wire.data, entry.wire.data, wire.size)
        route.ghost_stirred = entry.stirs
        entry.sent = 1
        entry.left = 1                          # until all of it has been sent
        while route.journal.unsent is not NULL and route.journal.unsent.sent:
            route.journal.unsent = route.journal.unsent.next
        route.replaying += 1
        if not self._send_wire(index, route.ghost, chunk, &wire, entry, &entry.left):
            entry.lost = 1
            self._away(index, b"no memory", 9)
        chunk_put(&self.loop.pool, chunk)
        self.run_downs()
        self._entry_back(entry, NULL, index)

    cdef bint _send_wire(self, uint32_t index, session_t *session, chunk_t *owner, slice_t *wire, void *tag,
                         uint32_t *left) noexcept nogil:
        """The requests in `wire`, each a child that comes back with `tag`, with the next run_downs. *left counts them.
        False: no memory for all of them."""
        cdef:
            request_t *child
            uint8_t   *at = wire.data
            uint8_t   *end = wire.data + wire.size
            size_t     size
        while at < end:
            child = self.hub.request_new(<Chain>self.routes[index].chain)
            if child is NULL:
                break
            size = self.cut(child, at, end)
            if size == 0:
                self.hub.request_free(child)
                break
            child.owner = chunk_ref(owner)
            child.session = session
            child.tags[self.tag] = tag
            left[0] += 1
            if (<uint8_t *>tag)[0] == CHILD_CLIENT:
                self.routes[index].outstanding += 1
                self.send_down(index, child)
            else:
                batch_push(&self.downs[index], child)
            at += size
        return at == end

    cdef void _entry_back(self, entry_t *entry, request_t *child, uint32_t index) noexcept nogil:
        """A part of an entry has its reply; child NULL: all of it has been sent."""
        cdef:
            route_t *route = &self.routes[index]
            int      worth
            char     line[LOG_TEXT]
        entry.left -= 1
        if child is not NULL:
            worth = WORTH_AWAY if child.failed >= LOST or child.reply.size == 0 else self.judge(child)
            if worth == WORTH_EXCUSE or worth == WORTH_AWAY:
                entry.lost = 1
                self._away(index, <const char *>child.reply.data, child.reply.size)
            elif worth == WORTH_ERROR:
                route.refused_total += 1
                if not route.grumbled:
                    route.grumbled = 1
                    child.reply.data[min(child.reply.size, <size_t>WHY_SIZE_MAX) - 1] = 0
                    snprintf(line, sizeof(line), b"route %s has refused something that it had missed: %s", route.name,
                             <const char *>child.reply.data)
                    self.hub.log(LOG_WARNING, line)
            self.hub.request_free(child)
        if entry.left:
            return
        route.replaying -= 1
        if entry.lost and route.state != ROUTE_STALE:
            journal_unsend(&route.journal, entry)
        else:
            if not entry.lost:
                route.replayed_total += 1
                route.window = min(2 * route.window, <uint32_t>WINDOW_MAX)
            journal_remove(&route.journal, entry)
            entry_free(entry)
        if child is not NULL:
            self._replay(index)

    cdef bint on_retire(self, bint force) noexcept nogil:
        """What a route has missed is sent again as long as there is hope; then it is lost, which `close` says."""
        cdef uint32_t index
        cdef bint done = True
        for index in range(self.route_count):
            if self.routes[index].outstanding or self.routes[index].probing or self.routes[index].replaying \
                    or self.routes[index].ghost_left or (self.routes[index].journal.count and not force):
                done = False
        if done:
            self.loop.cancel_timer(&self.probing)
        return done

    # ---- for subclasses -----------------------------------------------------------------------------------------

    cdef int judge(self, request_t *child) noexcept nogil:
        """WORTH_* of a child's whole reply."""
        return WORTH_GOOD

    cdef size_t cut(self, request_t *child, uint8_t *at, uint8_t *end) noexcept nogil:
        """Makes the child the first request of those in [at, end), all facts told. Returns its size; 0: there is none."""
        return 0

    cdef bint probe(self, request_t *child, bint stale) noexcept nogil:
        """Makes the child a question whether the server is there. False: no memory."""
        return False

    cdef int probed(self, request_t *child) noexcept nogil:
        """PROBE_* of its answer."""
        return PROBE_ANSWERED

    def owed(self):
        return sum([self.routes[index].journal.count for index in range(self.route_count)])

    # ---- control plane ------------------------------------------------------------------------------------------

    def close(self):
        cdef:
            route_t *route
            entry_t *entry
            uint32_t index
            char     line[LOG_TEXT]
            session_t *ghost
        for index in range(self.route_count):
            route = &self.routes[index]
            if route.journal.count:
                snprintf(line, sizeof(line), b"route %s: %llu writes that it has missed go with the process", route.name,
                         <unsigned long long>route.journal.count)
                self.hub.log(LOG_ERROR, line)
            while route.journal.head is not NULL:
                entry = route.journal.head
                journal_remove(&route.journal, entry)
                entry_free(entry)
            self._end_ghost(index)
        while self.dead is not NULL:            # the sinks have let go of all sessions
            ghost = self.dead
            self.dead = ghost.next
            free(ghost)
        self.loop.cancel_timer(&self.probing)

    def samples(self):
        cdef:
            route_t *route
            uint32_t index
        labels = {"transform": self.type_name, "chain": self.chain.name, "name": self.name}
        gathered = Step.samples(self)
        for index in range(self.route_count):
            route = &self.routes[index]
            own = labels | {"route": (<bytes>route.name).decode()}
            gathered += [
                ("shotover_scatter_route_up", own, "gauge", int(route.state == ROUTE_UP)),
                ("shotover_scatter_route_stale", own, "gauge", int(route.state == ROUTE_STALE)),
                ("shotover_scatter_journal_requests", own, "gauge", route.journal.count),
                ("shotover_scatter_journal_bytes", own, "gauge", route.journal.bytes),
                ("shotover_scatter_missed_count", own, "counter", route.missed_total),
                ("shotover_scatter_replayed_count", own, "counter", route.replayed_total),
                ("shotover_scatter_refused_count", own, "counter", route.refused_total),
                ("shotover_scatter_away_count", own, "counter", route.away_total),
                ("shotover_scatter_overflows_count", own, "counter", route.overflows_total),
            ]
        return gathered
