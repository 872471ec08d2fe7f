"""See _redis_nodes.pxd. How a request goes, by what its command does to a connection:

  plain, scripts          to the node of its keys' place; keys of several places are the subclass's affair
  session state           alone: when all before it has been answered, and before all that comes after it. One node is told;
                          what it accepts is told to every connection that the client uses from then on
  blocking, WATCH,        alone too, on a lease of the node that has the key. While it watches keys or has subscriptions a
  subscriptions           client is *tied* to that lease
  MULTI ... EXEC          queued here and sent as a whole with EXEC, so that a node either gets all of it or nothing

Held requests: a request waits behind others of its client that are held and share a place (or one of the 64 classes that
places fall into). What a server refused for now (LOADING, TRYAGAIN ...) goes back to the front of them; a younger request
that was already on its way may then be carried out first, in which case the older one's refusal is its answer.
"""

from libc.stdlib cimport free, realloc
from libc.string cimport memset, strlen

from shotover._codec.commands cimport (
    CONDUCT_ALONE,
    CONDUCT_BLOCK,
    CONDUCT_DISCARD,
    CONDUCT_EXEC,
    CONDUCT_MONITOR,
    CONDUCT_MULTI,
    CONDUCT_PIN,
    CONDUCT_PLAIN,
    CONDUCT_QUIT,
    CONDUCT_REPLICATION,
    CONDUCT_REPLY_MODE,
    CONDUCT_RESET,
    CONDUCT_STATE,
    CONDUCT_SUBSCRIBE,
    CONDUCT_UNSUBSCRIBE,
    CONDUCT_UNWATCH,
    CONDUCT_WATCH,
    ID_ASKING,
    ID_CLIENT_GETREDIR,
    ID_CLIENT_ID,
    ID_CLIENT_INFO,
    ID_CLIENT_TRACKINGINFO,
    ID_READONLY,
    ID_READWRITE,
    KEYS_NONE,
    KEYS_RANGE,
    KIND_READ,
    command_blocks,
    command_slot_words,
)
from shotover._codec.resp cimport resp_words
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport WATCHED_BY_SINK, batch_pop, request_drop_reply, request_own
from shotover._proxy.session cimport PAUSE_SINK, session_pause, session_resume, session_slots
from shotover.sinks._redis_leases cimport IN_WATCH, SUBSCRIBED, redis_session_t
from shotover.sinks._redis_node cimport (
    BUSY_ALONE,
    BUSY_GONE,
    BUSY_HELD,
    BUSY_QUEUEING,
    BUSY_QUITTING,
    BUSY_TIED,
    NO_NODE,
    place_t,
)
from shotover.sinks._redis_state cimport (
    FIELD_COUNT,
    FIELD_PROTOCOL,
    state_fields,
    state_hash,
    state_is,
    state_new,
)
from shotover.sinks._redis_transaction cimport queue_add, queue_close, queue_free, queue_new, queue_refuses

cdef enum:
    TICK_NS = 10000000
    PAUSE_HELD = 1024           # a client with so many held requests is not read

cdef const char *NO_REPLICATION = b"replication (PSYNC, SYNC, REPLCONF) cannot pass the proxy; let the replica connect to the server"
cdef const char *NO_REPLY_MODE = b"CLIENT REPLY is not supported before several servers"
cdef const char *NO_MONITOR = b"MONITOR shows the commands of one server; connect to that one"
cdef const char *NO_PIN = b"this setting belongs to one connection, and the proxy has several for each client"
cdef const char *SEVERAL = b"Keys in request don't hash to the same slot"


cdef void _on_tick(timer_t *timer) noexcept nogil:
    (<RedisNodes>timer.owner).go_on_all()


cdef class RedisNodes(NodesOwner):

    def __cinit__(self, context, *args, **kwargs):
        self.context = context
        self.node_list = []
        slab_init(&self.clients, sizeof(client_t))
        slab_init(&self.holds, sizeof(hold_t))
        self.tick.fire = _on_tick
        self.tick.owner = <void *>self
        self.wants_each = True
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
        free(self.words)
        free(self.found)

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

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t       *request
            client_t        *client
            const command_t *command
            uint32_t         place, number
        while batch.head is not NULL:
            request = batch_pop(batch)
            if unlikely(request.session is NULL):
                client = &self.orphan
            else:
                client = <client_t *>session_slots(<session_t *>request.session)[self.slot]
                if unlikely(client is NULL):
                    client = self.client_of(<session_t *>request.session)
                    if client is NULL:
                        self.refuse(request, b"no memory")
                        continue
            command = <const command_t *>request.command
            if likely(client.busy == 0 and request.conduct == CONDUCT_PLAIN and command is not NULL
                      and command.key_rule == KEYS_RANGE and command.first_key == command.last_key and request.key_at):
                place = self.place_of(request.wire.data + request.key_at, request.key_size)
                number = self.node_of(place, request, client)
                if likely(number != NO_NODE) and likely(not self.must_wait(place, client, NULL)):
                    self.send(client, request, number)
                    continue
            self._take(request, client)

    cdef void _take(self, request_t *request, client_t *client) noexcept nogil:
        cdef hold_t hold
        memset(&hold, 0, sizeof(hold))
        hold.node = NO_NODE
        if not self.try_send(client, request, &hold, client.held_bits):
            self.hold_back(client, request, &hold, False)

    cdef bint send(self, client_t *client, request_t *request, uint32_t number) noexcept nogil:
        """True, as it is taken over in any case."""
        if unlikely(number >= client.place_count) and not self.make_room(client, number):
            self.refuse(request, b"no memory")
        else:
            (<RedisNode>self.nodes[number]).take(request, client)
        return True

    cdef bint try_send(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """Sends or answers the request. False: it must wait, and `hold` says for what. `blocked`: the classes of places in
        which older requests wait."""
        cdef:
            const command_t *command = <const command_t *>request.command
            uint8_t          conduct = request.conduct
            uint32_t         place
        if unlikely(client.busy):
            if client.busy & BUSY_QUITTING:
                request.mute = 1
                self.reply_take(request)
                return True
            if client.busy & BUSY_ALONE:
                hold.bits = ALL_BITS
                return False
            if client.busy & BUSY_QUEUEING and conduct != CONDUCT_EXEC and conduct != CONDUCT_RESET \
                    and conduct != CONDUCT_QUIT:
                hold.bits = ALL_BITS
                return blocked == 0 and self._queue(client, request)
            if client.busy & BUSY_TIED and self._only_tied(client, conduct):
                return self.try_alone(client, request, hold, blocked, client.tied)
        if conduct == CONDUCT_PLAIN and command is not NULL or conduct == CONDUCT_ALONE:
            place = self.place_of_request(request)
            if place == NO_PLACE or place == BAD_WORDS:
                return self.try_keyless(client, request, hold, blocked)
            if place == SEVERAL_PLACES:
                return self.try_several(client, request, hold, blocked)
            return self.try_place(client, request, hold, blocked, place)
        return self._try_special(client, request, hold, blocked)

    cdef bint _only_tied(self, client_t *client, uint8_t conduct) noexcept nogil:
        """In RESP2 a client with subscriptions may do little else, and the server tells it so."""
        cdef redis_session_t *rs = client.places[client.tied].rs
        return (rs is not NULL and rs.reasons & SUBSCRIBED and conduct != CONDUCT_QUIT and conduct != CONDUCT_RESET
                and (client.state is NULL or client.state.sizes[FIELD_PROTOCOL] == 0))

    cdef bint _try_special(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        cdef:
            const command_t *command = <const command_t *>request.command
            uint8_t          conduct = request.conduct
            uint32_t         place, count = 0
            uint32_t         number = client.tied if client.busy & BUSY_TIED else NO_NODE
        if conduct == CONDUCT_EXEC:
            return self._exec(client, request, hold, blocked)
        if conduct == CONDUCT_MULTI or conduct == CONDUCT_QUIT or conduct == CONDUCT_DISCARD:
            hold.bits = ALL_BITS
            if blocked:
                return False
            if conduct == CONDUCT_QUIT:
                client.busy |= BUSY_QUITTING
                if request.queued:
                    client.session.leaving = 1
                self.answer_take(request, b"+OK\r\n", 5)
                return True
            if conduct == CONDUCT_MULTI:
                return self._multi(client, request)
            self.refuse_take(request, b"ERR", b"DISCARD without MULTI", 21)
            return True
        if conduct == CONDUCT_REPLICATION:
            self.refuse(request, NO_REPLICATION)
            return True
        if conduct == CONDUCT_REPLY_MODE:
            self.refuse(request, NO_REPLY_MODE)
            return True
        if conduct == CONDUCT_MONITOR:
            self.refuse(request, NO_MONITOR)
            return True
        if conduct == CONDUCT_PIN:
            return self._try_pin(client, request, hold, blocked)
        if conduct == CONDUCT_RESET:
            self._end_queue(client)
        if conduct == CONDUCT_BLOCK or conduct == CONDUCT_WATCH or conduct == CONDUCT_SUBSCRIBE \
                or conduct == CONDUCT_UNSUBSCRIBE:
            place = self.place_of_request(request)
            if conduct == CONDUCT_BLOCK and self.read_words(request, &count) \
                    and not command_blocks(command, self.words, count):
                request.conduct = CONDUCT_PLAIN
                return self.try_send(client, request, hold, blocked)
            if place == SEVERAL_PLACES:
                self.refuse_take(request, b"CROSSSLOT", SEVERAL, strlen(SEVERAL))
                return True
            if place < BAD_WORDS:
                if number != NO_NODE and conduct == CONDUCT_WATCH and number != self.node_of(place, request, client):
                    self.refuse_take(request, b"CROSSSLOT", SEVERAL, strlen(SEVERAL))
                    return True
                number = self.node_of(place, request, client)
                if number == NO_NODE:
                    return self.try_place(client, request, hold, blocked, place)    # which waits for one
        if number == NO_NODE:
            number = self.any_node(client)
        return self.try_alone(client, request, hold, blocked, number)

    cdef bint _try_pin(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """What is bound to one connection: there are several."""
        cdef const command_t *command = <const command_t *>request.command
        if command.id == ID_READONLY or command.id == ID_READWRITE or command.id == ID_ASKING:
            self.answer_take(request, b"+OK\r\n", 5)
        elif command.id == ID_CLIENT_ID or command.id == ID_CLIENT_INFO or command.id == ID_CLIENT_GETREDIR \
                or command.id == ID_CLIENT_TRACKINGINFO:
            request.conduct = CONDUCT_ALONE         # of a connection to one of them
            return self.try_keyless(client, request, hold, blocked)
        else:
            self.refuse(request, NO_PIN)
        return True

    cdef bint try_place(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked,
                        uint32_t place) noexcept nogil:
        cdef uint32_t number
        hold.bits = <uint64_t>1 << (place & 63)
        if hold.bits & blocked:
            return False
        number = self.node_of(place, request, client)
        if unlikely(number == NO_NODE):
            self.nowhere(place)
            hold.not_before_ns = self.loop.now + TICK_NS
            if hold.deadline_ns == 0:
                hold.deadline_ns = request.arrived_ns + self.hold_ns
            return False
        if unlikely(self.must_wait(place, client, hold)):
            return False
        return self.send(client, request, number)

    cdef bint try_alone(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked,
                        uint32_t number) noexcept nogil:
        """It must be the only one of its client that is with any node."""
        hold.bits = ALL_BITS
        if blocked or client.under_way:
            return False
        if number == NO_NODE:
            hold.not_before_ns = self.loop.now + TICK_NS
            if hold.deadline_ns == 0:
                hold.deadline_ns = request.arrived_ns + self.hold_ns
            return False
        if client is not &self.orphan:
            client.alone = request
            client.busy |= BUSY_ALONE
        return self.send(client, request, number)

    cdef bint try_keyless(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """A request without keys (or with words that make no sense, of which a server shall say so)."""
        cdef uint32_t number = self.any_node(client)
        if number == NO_NODE:
            hold.bits = 0
            hold.not_before_ns = self.loop.now + TICK_NS
            if hold.deadline_ns == 0:
                hold.deadline_ns = request.arrived_ns + self.hold_ns
            return False
        return self.send(client, request, number)

    cdef bint try_several(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """Its keys have several places."""
        self.refuse_take(request, b"CROSSSLOT", SEVERAL, strlen(SEVERAL))
        return True

    cdef void refuse(self, request_t *request, const char *text) noexcept nogil:
        self.refuse_take(request, b"ERR", text, strlen(text))

    # ---- keys ---------------------------------------------------------------------------------------------------

    cdef bint read_words(self, request_t *request, uint32_t *count) noexcept nogil:
        """The words of the request, in `words`. False: no memory."""
        cdef:
            uint32_t  room
            void     *words
            void     *found
        if request.argc > self.words_max:
            room = request.argc + 64
            words = realloc(self.words, room * sizeof(slice_t))
            if words is not NULL:
                self.words = <slice_t *>words
            found = realloc(self.found, room * sizeof(uint32_t))
            if found is not NULL:
                self.found = <uint32_t *>found
            if words is NULL or found is NULL:
                return False
            self.words_max = room
        count[0] = resp_words(request.wire.data, request.wire.data + request.wire.size, self.words, self.words_max)
        return True

    cdef uint32_t place_of_request(self, request_t *request) noexcept nogil:
        """The place of all its keys, or of the channel that decides; NO_PLACE, SEVERAL_PLACES, BAD_WORDS."""
        cdef:
            const command_t *command = <const command_t *>request.command
            uint32_t         count = 0, index, place, first
            int              keys
        if request.edited and request.conduct == CONDUCT_EXEC:
            return self.place_of(request.wire.data + request.key_at, request.key_size) if request.key_at else <uint32_t>NO_PLACE
        if command is NULL or (command.key_rule == KEYS_NONE and command.spec_count == 0):
            return NO_PLACE
        if command.key_rule == KEYS_RANGE and command.first_key == command.last_key and request.key_at:
            return self.place_of(request.wire.data + request.key_at, request.key_size)
        if not self.read_words(request, &count):
            return BAD_WORDS
        keys = command_slot_words(command, self.words, count, self.found, self.words_max)
        if keys <= 0:
            return BAD_WORDS if keys < 0 else NO_PLACE
        first = self.place_of(self.words[self.found[0]].data, self.words[self.found[0]].size)
        for index in range(1, <uint32_t>keys):
            place = self.place_of(self.words[self.found[index]].data, self.words[self.found[index]].size)
            if place != first:
                return SEVERAL_PLACES
        return first

    # ---- transactions -------------------------------------------------------------------------------------------

    cdef bint _multi(self, client_t *client, request_t *request) noexcept nogil:
        client.queue = queue_new(&self.loop.pool) if client is not &self.orphan else NULL
        if client.queue is NULL:
            self.refuse(request, b"no memory")
        else:
            client.busy |= BUSY_QUEUEING
            self.answer_take(request, b"+OK\r\n", 5)
        return True

    cdef bint _queue(self, client_t *client, request_t *request) noexcept nogil:
        """A command between MULTI and EXEC. True: it is answered."""
        cdef:
            const char *code = b"ERR"
            const char *why
            uint32_t    place
        if request.conduct == CONDUCT_DISCARD:
            self._end_queue(client)
            if not client.busy & BUSY_TIED:
                self.answer_take(request, b"+OK\r\n", 5)
                return True
            request.conduct = CONDUCT_UNWATCH       # the watch ends, too; both are answered alike
            return self._unwatch(client, request)
        why = queue_refuses(client.queue, request)
        if why is NULL:
            place = self.place_of_request(request)
            if place == SEVERAL_PLACES or (place < BAD_WORDS and client.queue.place < BAD_WORDS
                                           and place != client.queue.place):
                code = b"CROSSSLOT"
                why = SEVERAL
                client.queue.failed = 1
            elif not queue_add(client.queue, &self.loop.pool, request):
                why = b"no room for so large a transaction"
                client.queue.failed = 1
            elif place < BAD_WORDS and client.queue.place == NO_PLACE:
                client.queue.place = place
                self._note_key(client, request)
        if why is NULL:
            self.answer_take(request, b"+QUEUED\r\n", 9)
        else:
            self.refuse_take(request, code, why, strlen(why))
        return True

    cdef void _note_key(self, client_t *client, request_t *request) noexcept nogil:
        """Where in the queued bytes a key stands by which the node can be found again."""
        cdef:
            slice_t  *key
            uint32_t  count = 0
        if request.key_at:
            client.queue.key_at = <uint32_t>(client.queue.size - request.wire.size + request.key_at)
            client.queue.key_size = request.key_size
        elif self.read_words(request, &count) and command_slot_words(
            <const command_t *>request.command, self.words, count, self.found, self.words_max
        ) > 0:
            key = &self.words[self.found[0]]
            client.queue.key_at = <uint32_t>(client.queue.size - request.wire.size + <size_t>(key.data - request.wire.data))
            client.queue.key_size = <uint32_t>key.size

    cdef bint _unwatch(self, client_t *client, request_t *request) noexcept nogil:
        cdef hold_t hold
        memset(&hold, 0, sizeof(hold))
        hold.node = NO_NODE
        request.wire.data = <uint8_t *>b"*1\r\n$7\r\nUNWATCH\r\n"
        request.wire.size = 17
        request.key_at = 0
        if not self.try_alone(client, request, &hold, client.held_bits, client.tied):
            self.hold_back(client, request, &hold, False)
        return True

    cdef void _end_queue(self, client_t *client) noexcept nogil:
        if client.busy & BUSY_QUEUEING:
            client.busy &= ~<uint8_t>BUSY_QUEUEING
            queue_free(client.queue, &self.loop.pool)
            client.queue = NULL

    cdef bint _exec(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """All of the transaction becomes one request, whose last reply is the client's."""
        cdef uint32_t place
        if not request.edited:
            hold.bits = ALL_BITS
            if blocked:
                return False
            if not client.busy & BUSY_QUEUEING:
                self.refuse_take(request, b"ERR", b"EXEC without MULTI", 18)
                return True
            if client.queue.failed or not queue_close(client.queue, &self.loop.pool, request):
                self._end_queue(client)
                if client.busy & BUSY_TIED:
                    hold.deadline_ns = 0        # its watch ends, too: an empty transaction sees to that
                self.refuse_take(request, b"EXECABORT", b"Transaction discarded because of previous errors.", 49)
                return True
            self._end_queue(client)
        if client.busy & BUSY_TIED:
            return self.try_alone(client, request, hold, blocked, client.tied)
        place = self.place_of_request(request)
        if place == NO_PLACE:
            return self.try_keyless(client, request, hold, blocked)
        return self.try_place(client, request, hold, blocked, place)

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
        hold.previous = before
        hold.next = client.held if before is NULL else before.next
        if hold.next is not NULL:
            hold.next.previous = hold
        else:
            client.held_tail = hold
        if before is NULL:
            client.held = hold
        else:
            before.next = hold
        if returned:
            client.returned_tail = hold
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
        cdef request_t *request = hold.request
        self.expired_total += 1
        if request.reply.size:
            request.failed = 1
            request.left = 0
        elif hold.node < self.node_count:
            request.left = request.count
            (<RedisNode>self.nodes[hold.node]).fail_errno(request, b"upstream unavailable", hold.error)
            return
        if request.tags[self.tag] is not NULL:
            self.child_answered(None, request)
        elif request.reply.size:
            self.reply_take(request)
        else:
            self.refuse(request, b"no server is known for this request")

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
            blocked = 0
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
                    self._as_new(request)
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

    cdef void _as_new(self, request_t *request) noexcept nogil:
        request_drop_reply(&self.loop.pool, request)
        request.failed = 0
        request.begun = 0
        request.left = request.count
        if request.edited and request.conduct == CONDUCT_EXEC:
            request.left = request.argc
            request.watched |= WATCHED_BY_SINK

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
        cdef client_t *client = <client_t *>request.tags[self.tag]
        request.tags[self.tag] = NULL
        client.places[node.number].done += 1
        client.under_way -= 1
        if request is client.alone:
            client.alone = NULL
            client.busy &= ~<uint8_t>BUSY_ALONE
        return client

    cdef void returned(self, RedisNode node, request_t *request, int error) noexcept nogil:
        self._as_new(request)
        self.later(node, request, error, TICK_NS if error else 0)

    cdef void later(self, RedisNode node, request_t *request, int error, uint64_t delay_ns) noexcept nogil:
        """Takes over a request that this node would not or could not take now: it is held, or given up."""
        cdef:
            hold_t    hold
            client_t *client = self.uncount(node, request)
            uint64_t  since = request.arrived_ns
        memset(&hold, 0, sizeof(hold))
        if node.down and node.down_ns < since:
            since = node.down_ns                # it had its time
        hold.request = request
        hold.bits = ALL_BITS
        hold.node = node.number
        hold.seq = client.places[node.number].sent
        hold.error = error
        hold.deadline_ns = since + self.hold_ns
        hold.not_before_ns = self.loop.now + delay_ns
        if hold.deadline_ns <= self.loop.now:
            self.give_up(client, &hold)
        else:
            self.hold_back(client, request, &hold, True)
            if delay_ns == 0:
                self.go_on(client)
        if client.session is NULL:
            self.after(client)

    cdef void before(self, RedisNode node, request_t *request, client_t *client) noexcept nogil:
        """A request that was sent after one that came back has been carried out before it: then that one must not be."""
        cdef:
            hold_t *hold = client.held
            hold_t *following
        if request is client.alone:
            client.alone = NULL
            client.busy &= ~<uint8_t>BUSY_ALONE
        if client.returned_tail is NULL or request.failed or (request.reply.size and request.reply.data[0] == b'-'):
            return
        while hold is not NULL and hold.returned:
            following = hold.next
            if hold.node == node.number and <int>(client.places[node.number].done - hold.seq) <= 0 \
                    and not (request.kind == KIND_READ and hold.request.kind == KIND_READ) \
                    and hold.request.reply.size:
                self._expire(client, hold)
            hold = following

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
        self._end_queue(client)
        if client.state is not NULL:
            self._drop_canonical(client.state)
            client.state = NULL
        session_slots(session)[self.slot] = NULL
        client.session = NULL
        client.busy |= BUSY_GONE
        if client.under_way == 0:
            self._free_client(client)

    cdef void _free_client(self, client_t *client) noexcept nogil:
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

    cdef uint32_t place_of(self, const uint8_t *key, size_t size) noexcept nogil:
        return 0

    cdef uint32_t node_of(self, uint32_t place, request_t *request, client_t *client) noexcept nogil:
        """The node that serves this place; NO_NODE: none is known."""
        return NO_NODE

    cdef uint32_t any_node(self, client_t *client) noexcept nogil:
        """A node for what has no keys: the same one for a client while nothing changes."""
        return NO_NODE

    cdef bint must_wait(self, uint32_t place, client_t *client, hold_t *hold) noexcept nogil:
        """The place has moved, and the client has requests under way where it was. `hold` (or NULL) is told for what."""
        return False

    cdef void nowhere(self, uint32_t place) noexcept nogil:
        """Somebody wants a place that no node serves."""
        pass
