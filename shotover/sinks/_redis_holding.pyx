"""See _redis_holding.pxd.

A request waits behind others of its client that are held and share a place, or one of the 63 classes that places fall into.
What a server refused for now (LOADING, TRYAGAIN ...), or sends on while such a one waits, goes back to the front of them, in
order of age. A younger request that was already on its way may then be carried out first; in that case the older one's
refusal is its answer.
"""

from libc.stdint cimport uint8_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, realloc
from libc.string cimport memset, strlen

from shotover._codec.commands cimport KIND_READ
from shotover._core.memory cimport slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport WATCHED_BY_SINK, request_add_reply, request_drop_reply, request_own
from shotover._net.loop cimport CLOSE_EOF
from shotover._proxy.session cimport PAUSE_SINK, session_pause, session_resume, session_slots
from shotover.sinks._redis_leases cimport IN_WATCH, SUBSCRIBED, redis_session_t
from shotover.sinks._redis_node cimport (
    BUSY_ALONE,
    BUSY_GATED,
    BUSY_GONE,
    BUSY_HELD,
    BUSY_TIED,
    MADE_WHOLE,
    NO_NODE,
    place_t,
)
from shotover.sinks._redis_state cimport FIELD_COUNT, state_fields, state_hash, state_is, state_new

cdef enum:
    PAUSE_HELD = 1024           # a client with so many held requests is not read


cdef const char *OVERTAKEN = b"-TRYAGAIN A younger request for this slot, which is moving, was carried out before\r\n"


cdef void _on_tick(timer_t *timer) noexcept nogil:
    (<HoldingSink>timer.owner).go_on_all()


cdef void _on_burial(task_t *task) noexcept nogil:
    (<HoldingSink>task.owner).bury()


cdef bint _is_older(request_t *request, request_t *other) noexcept nogil:
    """Whether its client has sent `request` before `other`; both wait for an answer."""
    if request.parent is not NULL:
        request = request.parent
    if other.parent is not NULL:
        other = other.parent
    if request is other or not request.queued or not other.queued:
        return False
    while other is not NULL and other is not request:   # as a rule it is among the next ones
        other = other.after
    return other is NULL


cdef class HoldingSink(NodesOwner):

    def __cinit__(self, context, *args, **kwargs):
        self.context = context
        self.node_list = []
        slab_init(&self.clients, sizeof(client_t))
        slab_init(&self.holds, sizeof(hold_t))
        self.tick.fire = _on_tick
        self.tick.owner = <void *>self
        self.burial.run = _on_burial
        self.burial.owner = <void *>self
        self.wants_slot = True
        self.wants_end = True
        self.tag = 0

    def __dealloc__(self):
        cdef redis_state_t *state
        while self.states is not NULL:
            state = self.states
            self.states = state.next
            free(state)
        free(self.orphan.places)
        slab_close(&self.clients)
        slab_close(&self.holds)
        free(self.nodes)

    def add_node(self, address):
        """A new node, which gets the next number. MemoryError; OSError: its name cannot be resolved."""
        cdef:
            RedisNode node
            void    **nodes
        node = RedisNode(self.context, self, self.node_count, address, **self.options)
        nodes = <void **>realloc(self.nodes, (self.node_count + 1) * sizeof(void *))
        if nodes is NULL:
            raise MemoryError()
        self.nodes = nodes
        nodes[self.node_count] = <void *>node
        self.node_count += 1
        self.node_list.append(node)
        if self.chain is not None:
            node.link(self.chain, self.index, None, self)
        return node

    def on_linked(self):
        for node in self.node_list:
            node.link(self.chain, self.index, None, self)

    # ---- held requests ------------------------------------------------------------------------------------------

    cdef void hold_back(self, client_t *client, request_t *request, hold_t *like, bint returned) noexcept nogil:
        """Takes over a request that cannot go now."""
        cdef:
            hold_t *hold = NULL
            hold_t *before
        if self.hold_count < self.holds_max and (request.owner is not NULL or request_own(&self.loop.pool, request)):
            hold = <hold_t *>slab_take(&self.holds)
        if hold is NULL or client is &self.orphan or client.session is NULL:
            if hold is not NULL:
                slab_give(&self.holds, hold)
            self.over_holds += 1
            like.request = request
            self.give_up(client, like)
            return
        hold[0] = like[0]
        hold.request = request
        hold.returned = returned
        before = client.returned_tail if returned else client.held_tail
        while returned and before is not NULL and _is_older(request, before.request):
            before = before.previous
        hold.previous = before
        hold.next = client.held if before is NULL else before.next
        if returned and before is client.returned_tail:
            client.returned_tail = hold
        if hold.next is not NULL:
            hold.next.previous = hold
        else:
            client.held_tail = hold
        if before is NULL:
            client.held = hold
        else:
            before.next = hold
        client.held_bits |= hold.bits
        client.busy |= BUSY_HELD
        client.held_count += 1
        self.hold_count += 1
        self.held_total += 1
        client.again = 1
        if client.held_count == 1:
            client.previous = NULL
            client.next = self.holders
            if self.holders is not NULL:
                self.holders.previous = client
            self.holders = client
        if client.held_count == PAUSE_HELD and not client.session.blocking:
            session_pause(client.session, PAUSE_SINK)
        if (hold.deadline_ns or hold.not_before_ns) and self.tick.home is NULL:
            self.loop.set_timer(&self.tick, TICK_NS)

    cdef void unhold(self, client_t *client, hold_t *hold) noexcept nogil:
        if client.returned_tail is hold:
            client.returned_tail = hold.previous
        if hold.previous is NULL:
            client.held = hold.next
        else:
            hold.previous.next = hold.next
        if hold.next is NULL:
            client.held_tail = hold.previous
        else:
            hold.next.previous = hold.previous
        slab_give(&self.holds, hold)
        client.held_count -= 1
        client.again = 1
        self.hold_count -= 1
        if client.held_count:
            return
        client.held_bits = 0
        client.busy &= ~<uint8_t>BUSY_HELD
        if client.next is not NULL:
            client.next.previous = client.previous
        if client.previous is not NULL:
            client.previous.next = client.next
        else:
            self.holders = client.next
        if client.session is not NULL:
            session_resume(client.session, PAUSE_SINK)

    cdef void give_up(self, client_t *client, hold_t *hold) noexcept nogil:
        """Its request is answered with what kept it from being sent."""
        cdef:
            request_t *request = hold.request
            char       text[400]
            uint8_t    out[500]
            size_t     size
        self.expired_total += 1
        if request.reply.size == 0:
            if hold.node < self.node_count and (hold.error == 0 or hold.error == CLOSE_EOF):
                snprintf(text, sizeof(text), b"shotover: upstream connection lost (%s)", (<RedisNode>self.nodes[hold.node]).place)
            elif hold.node < self.node_count:
                snprintf(text, sizeof(text), b"shotover: upstream unavailable: %s (%s)",
                         (<RedisNode>self.nodes[hold.node]).reason(hold.error), (<RedisNode>self.nodes[hold.node]).place)
            else:
                snprintf(text, sizeof(text), b"shotover: no server is known for this request")
            size = self.codec.error(out, sizeof(out), b"ERR", text, strlen(text))
            request_add_reply(&self.loop.pool, request, out, size)
        request.failed = 1
        request.left = 0
        self.failures_total += 1
        if request.tags[self.tag] is not NULL:
            self.child_answered(None, request)
        else:
            self.reply_take(request)

    cdef bint nobody(self, request_t *request, hold_t *hold) noexcept nogil:
        """There is no node for it: says to `hold` how long it waits for one. False, as try_send returns."""
        hold.not_before_ns = self.loop.now + TICK_NS
        if hold.deadline_ns == 0:
            hold.deadline_ns = request.arrived_ns + self.hold_ns
        return False

    cdef void refuse(self, request_t *request, const char *text) noexcept nogil:
        cdef char full[300]
        snprintf(full, sizeof(full), b"shotover: %s", text)
        self.refuse_take(request, b"ERR", full, strlen(full))

    cdef inline bint _due(self, client_t *client, hold_t *hold) noexcept nogil:
        return hold.not_before_ns <= self.loop.now and (
            hold.node == NO_NODE or hold.node >= client.place_count
            or <int>(client.places[hold.node].done - hold.seq) >= 0
        )

    cdef void go_on(self, client_t *client) noexcept nogil:
        """Sends what need not be held any longer."""
        cdef:
            hold_t    *hold
            request_t *request
            uint64_t   blocked
        client.again = 1
        if client.going:
            return
        client.going = 1
        while client.again and client.held is not NULL:
            client.again = 0
            blocked = client.gate_bits
            hold = client.held
            while hold is not NULL and not client.again:
                request = hold.request
                if hold.deadline_ns and hold.deadline_ns <= self.loop.now:
                    self._expire(client, hold)
                    break
                if hold.bits & blocked and hold.bits != ALL_BITS or not self._due(client, hold):
                    blocked |= hold.bits
                    hold = hold.next
                    continue
                if hold.returned:
                    self.as_new(request)
                hold.node = NO_NODE
                hold.not_before_ns = 0
                if self.try_send(client, request, hold, blocked):
                    self.unhold(client, hold)
                    break
                blocked |= hold.bits
                client.held_bits |= hold.bits
                if (hold.deadline_ns or hold.not_before_ns) and self.tick.home is NULL:
                    self.loop.set_timer(&self.tick, TICK_NS)
                hold = hold.next
        client.going = 0

    cdef void _expire(self, client_t *client, hold_t *hold) noexcept nogil:
        cdef hold_t gone = hold[0]
        self.unhold(client, hold)
        self.give_up(client, &gone)

    cdef void as_new(self, request_t *request) noexcept nogil:
        request_drop_reply(&self.loop.pool, request)
        request.failed = 0
        request.begun = 0
        request.left = request.count
        if request.made:
            request.watched |= WATCHED_BY_SINK
        if request.made == MADE_WHOLE:
            request.left = request.argc

    cdef void go_on_all(self) noexcept nogil:
        """The tick, or news of a node: everybody's held requests are looked at."""
        cdef:
            client_t *client = self.holders
            client_t *following
            bint      timed = False
        while client is not NULL:
            following = client.next
            self.go_on(client)
            if client.held is not NULL:
                timed = True
            client = following
        if timed and self.tick.home is NULL:
            self.loop.set_timer(&self.tick, TICK_NS)

    # ---- what nodes tell ----------------------------------------------------------------------------------------

    cdef client_t *uncount(self, RedisNode node, request_t *request) noexcept nogil:
        """It is not with the node any more, though not answered."""
        cdef client_t *client = self.client_of_tag(request)
        if not <size_t>request.tags[self.tag] & 1:
            request.tags[self.tag] = NULL
        client.places[node.number].done += 1
        client.under_way -= 1
        if client.busy:
            self._no_longer(client, request)
        return client

    cdef void _no_longer(self, client_t *client, request_t *request) noexcept nogil:
        """It is not what others wait for any more."""
        if request is client.alone:
            client.alone = NULL
            client.busy &= ~<uint8_t>BUSY_ALONE
        elif request is client.gate:
            client.gate = NULL
            client.gate_bits = 0
            client.busy &= ~<uint8_t>BUSY_GATED

    cdef client_t *client_of_tag(self, request_t *request) noexcept nogil:
        """The client of a request that is with a node; a child is a subclass's own."""
        return <client_t *>request.tags[self.tag]

    cdef void returned(self, RedisNode node, request_t *request, int error) noexcept nogil:
        self.as_new(request)
        self.later(node, request, error, TICK_NS if error else 0)

    cdef void later(self, RedisNode node, request_t *request, int error, uint64_t delay_ns) noexcept nogil:
        """Takes over a request that this node would not or could not take now: it is held, or given up."""
        cdef:
            hold_t    hold
            client_t *client = self.uncount(node, request)
            uint64_t  since = request.arrived_ns
        memset(&hold, 0, sizeof(hold))
        if node.down and node.down_ns < since and not self.in_doubt(node):
            since = node.down_ns                # it had its time
        hold.request = request
        hold.bits = self.bits_of(request)
        hold.node = node.number
        hold.seq = client.places[node.number].sent
        hold.error = error
        hold.deadline_ns = since + self.hold_ns
        hold.not_before_ns = self.loop.now + delay_ns
        if error == 0 and request.reply.size == 0 and hold.deadline_ns <= self.loop.now:
            hold.deadline_ns = self.loop.now + 1        # a read whose connection was lost: once more it may be tried
        if hold.deadline_ns <= self.loop.now:
            self.give_up(client, &hold)
        else:
            self.hold_back(client, request, &hold, True)
            if delay_ns == 0:
                self.go_on(client)
        if client.session is NULL:
            self.after(client)

    cdef bint goes_behind(self, client_t *client, RedisNode node, request_t *request) noexcept nogil:
        """A node has sent this request on, or it was to go there: if an older one for its place has come back, it waits for
        that, and True is returned."""
        cdef:
            hold_t   hold
            hold_t  *older = client.held
            uint64_t bits
        if client.returned_tail is NULL:
            return False
        bits = self.bits_of(request)
        while older is not NULL and older.returned and (not older.bits & bits or _is_older(request, older.request)):
            older = older.next
        if older is NULL or not older.returned:
            return False
        self.uncount(node, request)
        self.as_new(request)
        memset(&hold, 0, sizeof(hold))
        hold.node = NO_NODE
        self.stand_behind(client, request, &hold)
        return True

    cdef void stand_behind(self, client_t *client, request_t *request, hold_t *hold) noexcept nogil:
        """Holds a request that was sent on and is with no node now, at the front: for what `hold` says, or for older ones."""
        hold.bits = self.bits_of(request)
        request_add_reply(&self.loop.pool, request, <const uint8_t *>OVERTAKEN, strlen(OVERTAKEN))     # should it be
        self.hold_back(client, request, hold, True)

    cdef void before(self, RedisNode node, request_t *request, client_t *client) noexcept nogil:
        if request is client.gate:
            self.passed_gate(node, request)
        self._no_longer(client, request)
        if client.returned_tail is not NULL and not request.failed \
                and not (request.reply.size and request.reply.data[0] == b'-'):
            self.overtaken(client, request, self.place_of_request(request))

    cdef void overtaken(self, client_t *client, request_t *request, uint32_t place) noexcept nogil:
        """The request has been carried out: older ones for that place which were refused must not be any more."""
        cdef:
            hold_t  *hold = client.held
            uint8_t  going = client.going
        client.going = 1                    # what waits behind them is looked at by whoever has called
        while hold is not NULL and hold.returned:
            if hold.request.reply.size and place < BAD_WORDS \
                    and not (request.kind == KIND_READ and hold.request.kind == KIND_READ) \
                    and self.place_of_request(hold.request) == place and not _is_older(request, hold.request):
                self._expire(client, hold)
                hold = client.held          # the answer may have changed the list
            else:
                hold = hold.next
        client.going = going

    cdef void after(self, client_t *client) noexcept nogil:
        if client.session is NULL:
            if client.under_way == 0 and client is not &self.orphan:
                self._free_client(client)
            return
        self._retie(client)
        if client.held is not NULL:
            self.go_on(client)

    cdef void _retie(self, client_t *client) noexcept nogil:
        """Whether it still needs the lease of one node."""
        cdef:
            uint32_t         number
            redis_session_t *rs
        client.busy &= ~<uint8_t>BUSY_TIED
        for number in range(client.place_count):
            rs = client.places[number].rs
            if rs is not NULL and rs.lease is not NULL and rs.reasons & (SUBSCRIBED | IN_WATCH) and not (
                rs.channels + rs.patterns == 0 and rs.shard_channels
            ):
                client.tied = number
                client.busy |= BUSY_TIED
                return

    cdef void state_changed(self, RedisNode node, session_t *session, redis_state_t *state) noexcept nogil:
        """A client has logged in, named itself or the like: wherever it goes from here on, it does so as that."""
        cdef:
            client_t *client = self.client_of(session)
            slice_t   fields[FIELD_COUNT]
            uint32_t  number
        if client is NULL:
            return
        state_fields(state, fields)
        if client.state is not NULL:
            self._drop_canonical(client.state)
        client.state = NULL if state is node.fresh else self._canonical(fields)
        if client.state is NULL and state is not node.fresh:
            self.up.on_leave(session)       # no memory: it must not be taken for what it was before
        for number in range(client.place_count):
            if number != node.number and client.places[number].rs is not NULL:
                (<RedisNode>self.nodes[number]).follow_state(client.places[number].rs, fields)

    cdef redis_state_t *_canonical(self, slice_t *fields) noexcept nogil:
        cdef:
            uint64_t       hash = state_hash(fields)
            redis_state_t *state = self.states
        while state is not NULL and not state_is(state, fields, hash):
            state = state.next
        if state is NULL:
            state = state_new(fields)
            if state is NULL:
                return NULL
            state.next = self.states
            self.states = state
        state.users += 1
        return state

    cdef void _drop_canonical(self, redis_state_t *state) noexcept nogil:
        cdef redis_state_t **link = &self.states
        state.users -= 1
        if state.users:
            return
        while link[0] is not state:
            link = &link[0].next
        link[0] = state.next
        free(state)

    cdef void node_back(self, RedisNode node) noexcept nogil:
        self.go_on_all()

    # ---- clients ------------------------------------------------------------------------------------------------

    cdef client_t *client_of(self, session_t *session) noexcept nogil:
        cdef client_t *client = <client_t *>session_slots(session)[self.slot]
        if client is not NULL:
            return client
        client = <client_t *>slab_take(&self.clients)
        if client is NULL:
            return NULL
        memset(client, 0, sizeof(client_t))
        client.session = session
        session_slots(session)[self.slot] = client
        return client

    cdef bint make_room(self, client_t *client, uint32_t number) noexcept nogil:
        cdef:
            uint32_t count = max(self.node_count, number + 1)
            place_t *places
        if number < client.place_count:
            return True
        places = <place_t *>realloc(client.places, count * sizeof(place_t))
        if places is NULL:
            return False
        memset(places + client.place_count, 0, (count - client.place_count) * sizeof(place_t))
        client.places = places
        client.place_count = count
        return True

    cdef void on_session_end(self, void *ended) noexcept nogil:
        cdef:
            session_t *session = <session_t *>ended
            client_t  *client = <client_t *>session_slots(session)[self.slot]
            uint32_t   number
            hold_t     gone
        if client is NULL:
            return
        client.going = 1                    # nothing more of it is sent
        while client.held is not NULL:
            gone = client.held[0]
            self.unhold(client, client.held)
            gone.request.session = NULL
            self.give_up(client, &gone)
        for number in range(client.place_count):
            if client.places[number].rs is not NULL:
                (<RedisNode>self.nodes[number]).on_session_end(session)
        self.end_queue(client)
        self.free_subscriptions(client)
        if client.state is not NULL:
            self._drop_canonical(client.state)
            client.state = NULL
        session_slots(session)[self.slot] = NULL
        client.session = NULL
        client.busy |= BUSY_GONE
        if client.under_way == 0:
            self._free_client(client)

    cdef void _free_client(self, client_t *client) noexcept nogil:
        """At the end of the turn: who has come here by way of a request may still hold a pointer to its client."""
        if not client.buried:
            client.buried = 1
            client.next = self.gone
            self.gone = client
            self.loop.defer(&self.burial)

    cdef void bury(self) noexcept nogil:
        cdef client_t *client
        while self.gone is not NULL:
            client = self.gone
            self.gone = client.next
            client.buried = 0
            if client.under_way == 0:       # else `after` comes back
                free(client.places)
                slab_give(&self.clients, client)

    cdef void on_session_eof(self, void *session) noexcept nogil:
        cdef:
            client_t *client = <client_t *>session_slots(<session_t *>session)[self.slot]
            uint32_t  number
        if client is NULL:
            return
        for number in range(client.place_count):
            if client.places[number].rs is not NULL:
                (<RedisNode>self.nodes[number]).on_session_eof(session)

    cdef void on_session_drained(self, void *session) noexcept nogil:
        cdef:
            client_t *client = <client_t *>session_slots(<session_t *>session)[self.slot]
            uint32_t  number
        if client is NULL:
            return
        for number in range(client.place_count):
            if client.places[number].rs is not NULL:
                (<RedisNode>self.nodes[number]).on_session_drained(session)

    cdef void on_probe(self) noexcept nogil:
        cdef uint32_t number
        for number in range(self.node_count):
            (<RedisNode>self.nodes[number]).on_probe()

    cdef bint on_retire(self, bint force) noexcept nogil:
        cdef uint32_t number
        cdef bint done = self.orphan.under_way == 0 and self.holds.live_count == 0
        for number in range(self.node_count):
            done = (<RedisNode>self.nodes[number]).on_retire(force) and done
        if self.holds.live_count == 0:
            self.loop.cancel_timer(&self.tick)
        return done and self.clients.live_count == 0

    def census(self):
        """What is alive now, for tests: all zero but states and sessions when nothing is under way and nobody is connected."""
        return {
            "clients": self.clients.live_count,
            "held": self.holds.live_count,
            "under_way": self.orphan.under_way,
            "leases": sum([(<RedisNode>node).leases for node in self.node_list]),
            "sessions": sum([(<RedisNode>node).sessions.live_count for node in self.node_list]),
        }

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        gathered = NodesOwner.samples(self) + [
            ("shotover_held_requests", labels, "gauge", self.hold_count),
            ("shotover_held_requests_count", labels, "counter", self.held_total),
            ("shotover_held_requests_given_up_count", labels, "counter", self.expired_total),
            ("shotover_limits_hit_count", labels | {"limit": "max_held_requests"}, "counter", self.over_holds),
        ]
        for node in self.node_list:
            gathered.extend(node.samples())
        return gathered

    # ---- for subclasses -----------------------------------------------------------------------------------------

    cdef bint try_send(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """Sends or answers the request. False: it must wait, and `hold` says for what. `blocked`: the classes of places in
        which older requests wait."""
        return False

    cdef void passed_gate(self, RedisNode node, request_t *request) noexcept nogil:
        """The request for which others waited has its reply."""
        pass

    cdef void end_queue(self, client_t *client) noexcept nogil:
        """The client has ended: what it had queued since MULTI is not wanted any more."""
        pass

    cdef uint32_t place_of_request(self, request_t *request) noexcept nogil:
        """The place of all its keys, or of the channel that decides; NO_PLACE, SEVERAL_PLACES, BAD_WORDS."""
        return NO_PLACE

    cdef bint in_doubt(self, RedisNode node) noexcept nogil:
        """The node is down, and nobody could be asked yet who has its place now."""
        return False

    cdef uint64_t bits_of(self, request_t *request) noexcept nogil:
        """The classes of places in which younger requests wait while this one is held."""
        return ALL_BITS
