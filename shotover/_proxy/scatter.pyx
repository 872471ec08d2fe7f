"""See scatter.pxd. Children of a client go down each route in the order of its requests, those of a batch together."""

from libc.stdlib cimport free
from libc.string cimport memcpy, memset, strlen

from shotover._core.debug cimport invariant, likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_ref, pool_take, slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport (
    ABANDONED,
    LOST,
    batch_clear,
    request_drop_reply,
    request_like,
    request_own_reply,
)
from shotover._proxy.journal cimport profile_data, profile_put, profile_ref
from shotover._proxy.routes cimport (
    CHILD_CLIENT,
    CHILD_ENTRY,
    CHILD_GHOST,
    CHILD_ITEM,
    CHILD_PROBE,
    ROUTE_CLOSING,
    ROUTE_UP,
    WORTH_AWAY,
    WORTH_ERROR,
    WORTH_EXCUSE,
    WORTH_GOOD,
    bits,
    lowest,
)
from shotover._proxy.session cimport session_slots
from shotover._proxy.step cimport Chain


cdef void _on_deadline(timer_t *timer) noexcept nogil:
    (<ScatterStep>timer.owner)._expire()


cdef class ScatterStep(RoutesStep):

    def __cinit__(self, context, *args, **kwargs):
        slab_init(&self.items, sizeof(item_t))
        slab_init(&self.clients, sizeof(client_t))
        self.orphans.what = CHILD_CLIENT
        self.tag = 0
        self.wants_each = True
        self.wants_slot = True
        self.wants_end = True
        self.deadline.fire = _on_deadline
        self.deadline.owner = <void *>self

    def __dealloc__(self):
        slab_close(&self.items)
        slab_close(&self.clients)

    # ---- clients ------------------------------------------------------------------------------------------------

    cdef client_t *client_of(self, request_t *request) noexcept nogil:
        """NULL: no memory."""
        cdef:
            void    **slot
            client_t *client
        if unlikely(request.session is NULL):
            return &self.orphans
        slot = session_slots(<session_t *>request.session) + self.slot
        client = <client_t *>slot[0]
        if unlikely(client is NULL):
            client = <client_t *>slab_take(&self.clients)
            if client is not NULL:
                memset(client, 0, sizeof(client_t))
                client.what = CHILD_CLIENT
                client.session = <session_t *>request.session
                self.source = client.session.source
                slot[0] = client
        return client

    cdef void client_drop(self, client_t *client) noexcept nogil:
        """One pointer to it less; of a client that is gone the last one frees it."""
        client.refs -= 1
        if client.refs == 0 and client.session is NULL and client is not &self.orphans:
            profile_put(client.profile)
            slab_give(&self.clients, client)

    cdef void on_session_end(self, void *session) noexcept nogil:
        cdef:
            client_t  *client = <client_t *>session_slots(<session_t *>session)[self.slot]
            request_t *held
            uint32_t   route
        if client is NULL:
            return
        session_slots(<session_t *>session)[self.slot] = NULL
        for route in range(self.route_count):
            held = self.routes[route].held.head
            while held is not NULL:
                if held.session is session:
                    held.session = NULL
                held = held.next
        client.session = NULL
        free(client.tx)
        client.tx = NULL
        client.refs += 1
        self.client_drop(client)

    cdef void on_child_leave(self, void *chain, void *session) noexcept nogil:
        """What its session was to one route is lost. Only of its home the client must hear."""
        cdef:
            client_t *client = <client_t *>session_slots(<session_t *>session)[self.slot]
            uint32_t  route = 0
        if client is NULL:
            return                              # a ghost: what it has sent comes back as lost
        while self.routes[route].chain is not chain:
            route += 1
        if client.bound and client.home == route:
            self.up.on_leave(session)
            return
        client.tx_routes &= ~(<uint32_t>1 << route)
        client.behind |= <uint32_t>1 << route
        client.reset |= <uint32_t>1 << route
        if client.watching:
            client.tx_skip |= <uint32_t>1 << route

    cdef void on_child_push(self, void *chain, void *session, const uint8_t *data, size_t size) noexcept nogil:
        cdef client_t *client = <client_t *>session_slots(<session_t *>session)[self.slot]
        if client is not NULL and client.bound and self.routes[client.home].chain is chain:
            self.up.on_push(session, data, size)

    cdef void sync(self, client_t *client, uint32_t route) noexcept nogil:
        """Its session's state has been missed there: it is told anew, ahead of what it sends next."""
        cdef:
            slice_t  wire
            chunk_t *chunk
            uint32_t bit = <uint32_t>1 << route
        client.behind &= ~bit
        if client.reset & bit:
            client.reset &= ~bit
            self.tell(client, route, self.reset_wire, strlen(self.reset_wire))
        if client.profile is NULL:
            return
        chunk = pool_take(&self.loop.pool, client.profile.size)
        if chunk is NULL:
            client.behind |= bit
            return
        memcpy(chunk_data(chunk), profile_data(client.profile), client.profile.size)
        wire.data = chunk_data(chunk)
        wire.size = client.profile.size
        self._send_wire(route, client.session, chunk, &wire, client, &client.refs)
        chunk_put(&self.loop.pool, chunk)

    cdef void tell(self, client_t *client, uint32_t route, const char *wire, size_t size) noexcept nogil:
        """A request of the proxy's own, on a client's session; nobody waits for it."""
        cdef:
            chunk_t *chunk = pool_take(&self.loop.pool, size)
            slice_t  told
        if chunk is NULL:
            return
        memcpy(chunk_data(chunk), wire, size)
        told.data = chunk_data(chunk)
        told.size = size
        self._send_wire(route, client.session, chunk, &told, client, &client.refs)
        chunk_put(&self.loop.pool, chunk)

    cdef void _client_back(self, client_t *client, request_t *child, uint32_t route) noexcept nogil:
        self.routes[route].outstanding -= 1
        if child.failed == LOST:
            client.behind |= <uint32_t>1 << route
            client.reset |= <uint32_t>1 << route
            self._away(route, <const char *>child.reply.data, child.reply.size)
        self.hub.request_free(child)
        self.client_drop(client)

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            client_t  *client
        while batch.head is not NULL:
            request = batch.head
            batch.head = request.next
            request.next = NULL
            client = self.client_of(request)
            if unlikely(client is NULL):
                self.refuse_take(request, b"ERR", b"shotover: no memory", 19)
            else:
                self.take(request, client)
        batch_clear(batch)
        self.run_downs()

    cdef uint32_t routes_open(self) noexcept nogil:
        """Those that a write may be sent to: it will come behind all that they have missed."""
        cdef uint32_t route, mask = 0
        for route in range(self.route_count):
            if likely(self.routes[route].state <= ROUTE_CLOSING):
                mask |= <uint32_t>1 << route
        return mask

    cdef item_t *item_new(self, request_t *request, client_t *client) noexcept nogil:
        cdef item_t *item = <item_t *>slab_take(&self.items)
        if item is not NULL:
            memset(item, 0, sizeof(item_t))
            item.what = CHILD_ITEM
            item.request = request
            item.client = client
            client.refs += 1
            item.before = profile_ref(client.profile)
            self.order += 1
            item.order = self.order
        return item

    cdef bint item_keep(self, item_t *item, uint8_t *data, size_t size) noexcept nogil:
        """What a route that misses this is to get. False: no memory."""
        cdef chunk_t *chunk
        if item.request.owner is not NULL and data == item.request.wire.data:
            item.owner = chunk_ref(item.request.owner)
            item.wire = item.request.wire
            return True
        chunk = pool_take(&self.loop.pool, size)
        if chunk is NULL:
            return False
        memcpy(chunk_data(chunk), data, size)
        item.owner = chunk
        item.wire.data = chunk_data(chunk)
        item.wire.size = size
        return True

    cdef void item_send(self, item_t *item, uint32_t routes) noexcept nogil:
        """To these routes, with the next run_downs."""
        cdef:
            request_t *child
            uint32_t   route, bit
        item.untimed = item.waits or item.client.waiting
        if item.waits:
            item.counted = 1
            item.client.waiting += 1
        for route in range(self.route_count):
            bit = <uint32_t>1 << route
            if not routes & bit:
                continue
            if unlikely(item.client.behind & bit):
                self.sync(item.client, route)
            child = self._child(route, item.client, item.request)
            if child is NULL:
                if item.owner is not NULL:
                    self.item_miss(item, bit)
                continue
            child.tags[self.tag] = item
            item.left += 1
            item.out |= bit
            if not item.untimed:
                self.routes[route].outstanding += 1
            self.send_down(route, child)
        if item.left == 0:
            self._settle(item, False)
            self._finish(item)
        elif not item.untimed:
            self._time(item)
        elif item.waits and item.request.queued:
            item.blocks = 1
            item.client.session.blocking += 1

    cdef void send_home(self, request_t *request, client_t *client) noexcept nogil:
        """The client's own request, to its home alone: its reply goes up as it is."""
        if unlikely(client.behind >> client.home & 1):
            self.sync(client, client.home)
        self.send_down(client.home, request)

    cdef request_t *_child(self, uint32_t route, client_t *client, request_t *request) noexcept nogil:
        cdef request_t *child = self.hub.request_new(<Chain>self.routes[route].chain)
        if child is NULL:
            return NULL
        child.session = client.session
        request_like(child, request)
        child.parent = request
        return child

    cdef void item_miss(self, item_t *item, uint32_t routes) noexcept nogil:
        """These routes do not get it now: their journals do."""
        cdef uint32_t route
        if routes:
            item.applied = 1                    # it will be, there
        for route in range(self.route_count):
            if routes >> route & 1:
                self.miss(route, item.order, &item.wire, item.before, item.changes)

    # ---- up -----------------------------------------------------------------------------------------------------

    cdef void on_child(self, request_t *child) noexcept nogil:
        cdef:
            uint8_t *tag = <uint8_t *>child.tags[self.tag]
            uint32_t route
        if tag is NULL:
            self.pass_up(child)                 # a client's own, which went home
            return
        route = self._route_of(child)
        if likely(tag[0] == CHILD_ITEM):
            self._back(<item_t *>tag, child, route)
        elif tag[0] == CHILD_ENTRY:
            self._entry_back(<entry_t *>tag, child, route)
        elif tag[0] == CHILD_PROBE:
            self._probe_back(child, route)
        elif tag[0] == CHILD_GHOST:
            self._ghost_back(child, route)
        else:
            self._client_back(<client_t *>tag, child, route)

    cdef void _back(self, item_t *item, request_t *child, uint32_t route) noexcept nogil:
        cdef:
            uint32_t bit = <uint32_t>1 << route
            bint     left = child.failed == ABANDONED
            bint     lost = child.failed == LOST or child.reply.size == 0 or left
            int      worth
        item.left -= 1
        item.out &= ~bit
        if not item.untimed:
            self.routes[route].outstanding -= 1
            if unlikely(self.routes[route].hurry and self.routes[route].outstanding == 0):
                self.loop.defer(&self.later)
        if left:
            worth = WORTH_EXCUSE                # that is not the route's fault
        else:
            worth = WORTH_AWAY if lost else self.judge(child)
            if item.reads and worth == WORTH_GOOD and self.routes[route].state != ROUTE_UP:
                lost = True
                worth = WORTH_ERROR
        if worth == WORTH_GOOD:
            item.good |= bit
            if not item.conditional:
                item.applied = 1
            elif self.applied(item, child):
                item.done |= bit
                item.applied = bits(item.done) >= item.needed
            elif not item.waits:
                if item.changes:                # the state of its session, too, is another here
                    item.client.behind |= bit
                    item.client.reset |= bit
                if item.owner is not NULL:
                    item.late |= bit            # what others have done it must do, too
        elif not lost:
            item.bad |= bit
        if worth == WORTH_AWAY:
            self._away(route, <const char *>child.reply.data, child.reply.size)
            item.client.tx_routes &= ~bit
            if item.changes:
                item.client.behind |= bit
                item.client.reset |= bit
        if item.owner is not NULL and worth != WORTH_GOOD and worth != WORTH_ERROR:
            if lost and not left and not item.conditional:
                self.item_miss(item, bit)
            else:
                item.late |= bit
        if item.applied and item.late:
            self.item_miss(item, item.late)
            item.late = 0
        if item.answered or lost or not request_own_reply(&self.loop.pool, child):
            self.hub.request_free(child)
        else:
            item.children[route] = child
        if not item.answered:
            self._settle(item, False)
        if item.left == 0:
            self._finish(item)

    cdef void _settle(self, item_t *item, bint late) noexcept nogil:
        """Answers the client if that can be done. `late`: it must be."""
        cdef:
            uint32_t good = bits(item.good)
            bint     over = late or item.left == 0
            session_t *session
        if item.all:
            if not over:
                return
            if item.bad == 0 and good:
                if item.changes and item.client.profile is item.after:
                    self.changed(item.client)
                self._answer(item, self.merge(item, item.good))
                return
            self.unchanged(item)
            session = item.client.session if good else NULL
            if item.bad:
                self._answer(item, self.merge(item, item.bad))
            else:
                self.too_few(item, late)
            if session is not NULL and item.client.session is session:
                self.up.on_leave(session)       # its routes are of two minds about its state
            return
        if good >= item.needed or (good >= item.enough and (over or good + item.left < item.needed)):
            self._answer(item, self.merge(item, item.good))
        elif over or good + item.left < item.enough:
            if item.bad and (good == 0 or bits(item.bad) >= item.enough):
                self._answer(item, self.merge(item, item.bad))
            else:
                self.too_few(item, late)

    cdef void unchanged(self, item_t *item) noexcept nogil:
        """What the item should have done to its client's state was not done."""
        if item.changes and item.client.profile is item.after:
            profile_put(item.client.profile)
            item.client.profile = profile_ref(item.before)
        elif item.changes and item.all and item.client.profile is not NULL:
            self.not_changed(item.client, &item.request.wire)

    cdef void _answer(self, item_t *item, request_t *child) noexcept nogil:
        """The child's reply becomes the client's."""
        cdef request_t *request = item.request
        if child is NULL:
            self.too_few(item, False)
            return
        item.request = NULL
        item.answered = 1
        self._waited(item, request)
        request_drop_reply(&self.loop.pool, request)
        request.reply = child.reply
        request.reply_owner = child.reply_owner
        request.failed = child.failed
        request.stamp = child.stamp
        child.reply_owner = NULL
        child.reply.size = 0
        child.reply_room = NULL
        self._free_children(item)
        self.reply_take(request)

    cdef void refuse_item(self, item_t *item, const char *text) noexcept nogil:
        cdef request_t *request = item.request
        item.request = NULL
        item.answered = 1
        self._waited(item, request)
        self._free_children(item)
        self.refuse_take(request, b"ERR", text, strlen(text))

    cdef void _free_children(self, item_t *item) noexcept nogil:
        cdef uint32_t route
        for route in range(self.route_count):
            if item.children[route] is not NULL:
                self.hub.request_free(item.children[route])
                item.children[route] = NULL

    cdef void _finish(self, item_t *item) noexcept nogil:
        """No child of it is out any more, and its client has been answered."""
        invariant(item.answered)
        self._untime(item)
        profile_put(item.before)
        profile_put(item.after)
        if item.owner is not NULL:
            chunk_put(&self.loop.pool, item.owner)
        self.client_drop(item.client)
        slab_give(&self.items, item)

    cdef void _waited(self, item_t *item, request_t *request) noexcept nogil:
        """Its client waits no more; where it has not been served yet, it soon must be."""
        if item.blocks and request.queued:
            item.client.session.blocking -= 1
        if item.counted:
            item.client.waiting -= 1
            if item.left:
                self._time(item)

    cdef void _time(self, item_t *item) noexcept nogil:
        item.timed = 1
        item.later = NULL
        item.deadline_ns = self.loop.now + self.timeout_ns
        item.earlier = self.last_timed
        if self.last_timed is NULL:
            self.first_timed = item
            self.loop.set_timer(&self.deadline, self.timeout_ns)
        else:
            self.last_timed.later = item
        self.last_timed = item

    cdef void _untime(self, item_t *item) noexcept nogil:
        if not item.timed:
            return
        if item.earlier is NULL:
            self.first_timed = item.later
        else:
            item.earlier.later = item.later
        if item.later is NULL:
            self.last_timed = item.earlier
        else:
            item.later.earlier = item.earlier
        item.timed = 0

    cdef void _cut_waits(self, client_t *client, uint32_t routes) noexcept nogil:
        """The client has been answered and still waits on these routes, where nobody else can end it: as if it had left them,
        and come back."""
        cdef uint32_t route
        client.refs += 1                        # what it waits for comes back, and may be the last to know of it
        for route in range(self.route_count):
            if routes >> route & 1 and client.session is not NULL and not (client.bound and client.home == route):
                client.behind |= <uint32_t>1 << route
                (<Chain>self.routes[route].chain).session_end(client.session)
        self.client_drop(client)

    cdef void _expire(self) noexcept nogil:
        """The timer: who has not answered by now is away, even if the client needed no more answers."""
        cdef:
            item_t  *item
            uint32_t route
        while self.first_timed is not NULL and self.first_timed.deadline_ns <= self.loop.now:
            item = self.first_timed
            self._untime(item)
            self.timeouts_total += 1
            if item.waits:
                self._cut_waits(item.client, item.out)
                continue
            for route in range(self.route_count):
                if item.out >> route & 1:
                    self._away(route, b"no reply within timeout_ms", 26)
            if not item.answered:
                self._settle(item, True)
        if self.first_timed is not NULL:
            self.loop.set_timer(&self.deadline, self.first_timed.deadline_ns - self.loop.now)

    cdef bint on_retire(self, bint force) noexcept nogil:
        if not RoutesStep.on_retire(self, force) or self.items.live_count or self.clients.live_count:
            return False
        self.loop.cancel_timer(&self.deadline)
        return True

    # ---- for subclasses -----------------------------------------------------------------------------------------

    cdef void take(self, request_t *request, client_t *client) noexcept nogil:
        """Takes over a request: makes an item of it, answers it, or sends it to one route."""
        self.refuse_take(request, b"ERR", b"shotover: nothing takes this", 28)

    cdef request_t *merge(self, item_t *item, uint32_t routes) noexcept nogil:
        """Which of the children in item.children, of these routes, has the reply for the client; it may be changed."""
        cdef uint32_t route = lowest(routes)
        return item.children[route] if route < ROUTES_MAX else NULL

    cdef bint applied(self, item_t *item, request_t *child) noexcept nogil:
        """A good reply to something conditional: has this route carried it out?"""
        return True

    cdef void not_changed(self, client_t *client, slice_t *wire) noexcept nogil:
        """Its profile has this in the midst of it, and that has failed."""
        pass

    cdef void changed(self, client_t *client) noexcept nogil:
        """All that its profile says has been done."""
        pass

    cdef void too_few(self, item_t *item, bint late) noexcept nogil:
        """Answers a client that must not wait any longer, by refuse_item."""
        self.refuse_item(item, b"shotover: too few replies")

    # ---- control plane ------------------------------------------------------------------------------------------

    def close(self):
        self.loop.cancel_timer(&self.deadline)
        RoutesStep.close(self)

    def samples(self):
        labels = {"transform": self.type_name, "chain": self.chain.name, "name": self.name}
        return RoutesStep.samples(self) + [
            ("shotover_scatter_not_enough_count", labels, "counter", self.not_enough_total),
            ("shotover_scatter_timeouts_count", labels, "counter", self.timeouts_total),
        ]
