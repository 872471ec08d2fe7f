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

from libc.stdint cimport uint16_t
from libc.string cimport memset, strlen

from shotover._codec.commands cimport (
    CATEGORY_SCRIPTING,
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
    CONDUCT_SUBSCRIBE,
    CONDUCT_UNSUBSCRIBE,
    CONDUCT_UNWATCH,
    CONDUCT_WAIT,
    CONDUCT_WATCH,
    ID_ASKING,
    ID_CLIENT,
    ID_CLIENT_CACHING,
    ID_CLIENT_NO_EVICT,
    ID_CLIENT_NO_TOUCH,
    ID_CLIENT_TRACKING,
    ID_EVAL,
    ID_EVALSHA,
    ID_EVALSHA_RO,
    ID_EVAL_RO,
    ID_READONLY,
    ID_READWRITE,
    ID_SCRIPT_FLUSH,
    ID_SCRIPT_LOAD,
    ID_SUNSUBSCRIBE,
    KEYS_NONE,
    KIND_READ,
    KEYS_RANGE,
    POLICY_AGG_MIN,
    POLICY_ALL_NODES,
    POLICY_ALL_SHARDS,
    POLICY_MULTI_SHARD,
    POLICY_ALL_SUCCEEDED,
    command_blocks,
    command_slot_words,
    command_t,
)
from shotover._core.debug cimport likely, unlikely
from shotover._core.request cimport batch_pop, request_add_reply, request_drop_reply
from shotover._core.slice cimport slice_t
from shotover._proxy.session cimport session_slots, session_t
from shotover.sinks._redis_holding cimport ALL_BITS, BAD_WORDS, KEYLESS_BIT, NO_PLACE, SEVERAL_PLACES, place_bit
from shotover.sinks._redis_leases cimport IN_WATCH, SUBSCRIBED, redis_session_t
from shotover.sinks._redis_node cimport (
    BOUND,
    BUSY_ALONE,
    BUSY_GATED,
    BUSY_LOST,
    BUSY_QUEUEING,
    BUSY_QUITTING,
    BUSY_TIED,
    MADE_WHOLE,
    NO_NODE,
    RedisNode,
)
from shotover.sinks._redis_spread cimport LEG, several_slots
from shotover.sinks._redis_state cimport FIELD_PROTOCOL
from shotover.sinks._redis_transaction cimport queue_add, queue_close, queue_free, queue_new, queue_refuses
from shotover._codec.commands import describe

cdef const char *MULTI_WORDS = b"wrong number of arguments for 'multi' command"
cdef const char *NAME_CHANNELS = b"SUNSUBSCRIBE must name its channels: several nodes have some"
cdef const char *NO_REPLICATION = \
    b"replication (PSYNC, SYNC, REPLCONF) cannot pass the proxy; let the replica connect to the server"
cdef const char *NO_REPLY_MODE = b"CLIENT REPLY is not supported before several servers"
cdef const char *NO_MONITOR = b"MONITOR shows the commands of one server; connect to that one"
cdef const char *NO_PIN = b"this setting belongs to one connection, and the proxy has several for each client"
cdef const char *ONE_SERVER = b"this command is for one server; connect to the one that is meant"


_ANY = """PING ECHO TIME LOLWUT COMMAND INFO CLIENT|LIST CLIENT|INFO CLIENT|GETNAME CLIENT|ID CONFIG|GET PUBLISH PUBSUB
LATENCY|DOCTOR LATENCY|GRAPH LATENCY|HISTOGRAM LATENCY|HISTORY LATENCY|LATEST MEMORY|DOCTOR MEMORY|MALLOC-STATS MEMORY|STATS
FUNCTION|STATS CLUSTER|SLOT-STATS""".split()
_REFUSED = """SHUTDOWN SLAVEOF REPLICAOF FAILOVER DEBUG MODULE|LOAD MODULE|LOADEX MODULE|UNLOAD CLIENT|KILL CLIENT|PAUSE
CLIENT|UNPAUSE CLIENT|UNBLOCK CONFIG|REWRITE SWAPDB CLUSTERSCAN PFSELFTEST""".split()
ROUTES = [
    *((name, <int>ROUTE_ANY, 0) for name in _ANY),
    *((name, <int>ROUTE_REFUSE, 0) for name in _REFUSED),
    ("LASTSAVE", <int>ROUTE_NODES, <int>POLICY_AGG_MIN),
    *((name, <int>ROUTE_NODES, <int>POLICY_ALL_SUCCEEDED) for name in ("SAVE", "BGSAVE", "BGREWRITEAOF")),
    ("SCAN", <int>ROUTE_SCAN, 0),
    ("RANDOMKEY", <int>ROUTE_RANDOM, 0),
]
"""What goes otherwise than the servers' own tips say, or of which they say "special": (command, route, how replies are
joined)."""


cdef class RedisNodes(SubscribingSink):

    def __cinit__(self, context, *args, **kwargs):
        self.wants_each = True
        self.book = ScriptBook()
        for name, route, join in ROUTES:
            number = describe(name.encode())["id"]
            self.routes[number] = route
            self.joins[number] = join

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
        if not self.try_send(client, request, &hold, client.held_bits | client.gate_bits):
            self.hold_back(client, request, &hold, False)

    cdef bint try_send(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """Sends or answers the request. False: it must wait, and `hold` says for what. `blocked`: the classes of places in
        which older requests wait."""
        cdef:
            const command_t *command = <const command_t *>request.command
            uint8_t          conduct = request.conduct
            uint32_t         place
        if unlikely(<size_t>request.tags[self.tag] & 3 == LEG):
            return self.try_leg(client, request, hold, blocked)
        if unlikely(client.busy):
            if client.busy & BUSY_LOST and self._waits_for_subscriptions(client, conduct):
                hold.bits = ALL_BITS
                return False
            if hold.returned and not (client.busy & BUSY_TIED and self._only_tied(client, conduct)):
                pass                    # it is older than all that
            elif client.busy & BUSY_QUITTING and not hold.returned:
                request.mute = 1
                self.reply_take(request)
                return True
            elif client.busy & BUSY_ALONE:
                hold.bits = ALL_BITS
                return False
            elif client.busy & BUSY_QUEUEING and conduct != CONDUCT_EXEC and conduct != CONDUCT_RESET \
                    and conduct != CONDUCT_QUIT:
                hold.bits = ALL_BITS
                return blocked == 0 and self._queue(client, request)
            elif client.busy & BUSY_TIED and self._only_tied(client, conduct):
                return self.try_alone(client, request, hold, blocked, client.tied)
        if conduct == CONDUCT_PLAIN and command is not NULL or conduct == CONDUCT_ALONE:
            if command.categories & CATEGORY_SCRIPTING:
                self._note_script(request)
            if command.request_policy == POLICY_MULTI_SHARD and self.splits:
                return self.try_several(client, request, hold, blocked)     # if they have: it looks at each key once
            place = self.place_of_request(request)
            if place == NO_PLACE or place == BAD_WORDS:
                return self.try_keyless(client, request, hold, blocked)
            if place == SEVERAL_PLACES:
                return self.try_several(client, request, hold, blocked)
            if command.id == ID_EVALSHA or command.id == ID_EVALSHA_RO:
                return self._try_script(client, request, hold, blocked, place)
            return self.try_place(client, request, hold, blocked, place)
        return self._try_special(client, request, hold, blocked)

    cdef bint _waits_for_subscriptions(self, client_t *client, uint8_t conduct) noexcept nogil:
        """While they are had again: in RESP2 even the answer to a PING is another one on a connection that has some."""
        if conduct == CONDUCT_QUIT or conduct == CONDUCT_RESET:
            return False
        return (conduct == CONDUCT_SUBSCRIBE or conduct == CONDUCT_UNSUBSCRIBE or client.state is NULL
                or client.state.sizes[FIELD_PROTOCOL] == 0)

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
                if client is not &self.orphan:
                    client.busy |= BUSY_QUITTING
                if request.queued:
                    client.session.leaving = 1
                self.answer_take(request, b"+OK\r\n", 5)
                return True
            if conduct == CONDUCT_MULTI and request.argc > 1:
                self.refuse_take(request, b"ERR", MULTI_WORDS, strlen(MULTI_WORDS))
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
        if conduct == CONDUCT_WAIT:
            return self.broadcast(client, request, hold, blocked, False, 0)
        if (conduct == CONDUCT_RESET or conduct == CONDUCT_UNWATCH) and not blocked and client.under_way == 0:
            client.watching = 0
            if conduct == CONDUCT_RESET:
                self.end_queue(client)
        if conduct == CONDUCT_BLOCK or conduct == CONDUCT_WATCH or conduct == CONDUCT_SUBSCRIBE \
                or conduct == CONDUCT_UNSUBSCRIBE:
            place = self.place_of_request(request)
            if conduct == CONDUCT_BLOCK and self.read_words(request, &count) \
                    and not command_blocks(command, self.words, count):
                request.conduct = CONDUCT_PLAIN
                return self.try_send(client, request, hold, blocked)
            if place == SEVERAL_PLACES:
                self.refuse_take(request, b"CROSSSLOT", several_slots(), strlen(several_slots()))
                return True
            if blocked or client.under_way:         # what it is tied to may be different then
                hold.bits = ALL_BITS
                return False
            if place < BAD_WORDS:
                if conduct == CONDUCT_WATCH and (client.watching and place != client.watch_place or (
                    number != NO_NODE and number != self.node_of(place, request, client)
                )):
                    self.refuse_take(request, b"CROSSSLOT", several_slots(), strlen(several_slots()))
                    return True
                number = self.node_of(place, request, client)
                if number == NO_NODE:
                    return self.try_place(client, request, hold, blocked, place)    # which waits for one
                client.watch_place = place if conduct == CONDUCT_WATCH else client.watch_place
        if command is not NULL and command.id == ID_SUNSUBSCRIBE and request.argc == 1:
            number = self.shard_subscriber(client)
            if number == NO_NODE - 1:
                self.refuse(request, NAME_CHANNELS)
                return True
        if number == NO_NODE:
            number = self.any_node(client)
        return self.try_alone(client, request, hold, blocked, number)

    cdef bint _try_pin(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """What is bound to one connection: there are several."""
        cdef const command_t *command = <const command_t *>request.command
        if command.id == ID_READONLY or command.id == ID_READWRITE or command.id == ID_ASKING:
            self.answer_take(request, b"+OK\r\n", 5)
        elif command.id == ID_CLIENT_CACHING or command.id == ID_CLIENT_NO_EVICT or command.id == ID_CLIENT_NO_TOUCH \
                or command.id == ID_CLIENT_TRACKING or command.id != command.parent and command.parent != ID_CLIENT:
            self.refuse(request, NO_PIN)
        else:
            request.conduct = CONDUCT_ALONE         # of a connection to one of them
            return self.try_any(client, request, hold, blocked)
        return True

    cdef bint try_alone(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked,
                        uint32_t number) noexcept nogil:
        """It must be the only one of its client that is with any node."""
        hold.bits = ALL_BITS
        if blocked or client.under_way:
            return False
        if number == NO_NODE:
            return self.nobody(request, hold)
        if client is not &self.orphan:
            client.alone = request
            client.busy |= BUSY_ALONE
        return self.send(client, request, number)

    cdef uint8_t _route_of(self, const command_t *command) noexcept nogil:
        """ROUTE_* of a request that has no keys."""
        cdef uint8_t route = ROUTE_ANY
        if command is not NULL and command.id < COMMANDS_MAX and command.key_rule == KEYS_NONE:
            route = self.routes[command.id]
            if route == ROUTE_BY_TIPS:
                if command.request_policy == POLICY_ALL_NODES:
                    route = ROUTE_NODES
                elif command.request_policy == POLICY_ALL_SHARDS:
                    route = ROUTE_SHARDS
        return route

    cdef bint concerns_all(self, request_t *request) noexcept nogil:
        return self._route_of(<const command_t *>request.command) == ROUTE_NODES

    cdef bint try_keyless(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """A request without keys (or with words that make no sense, of which a server shall say so)."""
        cdef:
            const command_t *command = <const command_t *>request.command
            uint8_t          route = self._route_of(command)
        if route == ROUTE_SHARDS or route == ROUTE_NODES or route == ROUTE_RANDOM:
            return self.broadcast(client, request, hold, blocked, route == ROUTE_NODES, self.joins[command.id])
        if route == ROUTE_SCAN:
            return self.scan(client, request, hold, blocked)
        if route == ROUTE_REFUSE:
            self.refuse(request, ONE_SERVER)
            return True
        return self.try_any(client, request, hold, blocked)

    cdef void _note_script(self, request_t *request) noexcept nogil:
        cdef:
            uint16_t id = (<const command_t *>request.command).id
            uint32_t count = 0
            uint32_t which = 1 if id == ID_EVAL or id == ID_EVAL_RO else 2 if id == ID_SCRIPT_LOAD else 0
        if id == ID_SCRIPT_FLUSH:
            self.book.forget()
            for which in range(self.node_count):
                (<RedisNode>self.nodes[which]).forget_scripts()
        elif which and self.read_words(request, &count) and count > which:
            self.book.note(&self.words[which])

    cdef bint _try_script(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked,
                          uint32_t place) noexcept nogil:
        """EVALSHA of a script of which it is not known whether the node has it: until that is clear the client's requests
        for the same keys wait, so that it can be sent again before them."""
        cdef:
            uint32_t count = 0
            uint32_t number = self.node_of(place, request, client)
            bint     gated = number != NO_NODE and client is not &self.orphan and self.read_words(request, &count) \
                and count > 1 and not (<RedisNode>self.nodes[number]).knows_script(&self.words[1])
        if not gated:
            return self.try_place(client, request, hold, blocked, place)
        if client.busy & BUSY_GATED:
            hold.bits = ALL_BITS
            return False
        client.gate = request               # before it is sent, which may end at once
        client.gate_bits = place_bit(place)
        client.busy |= BUSY_GATED
        if self.try_place(client, request, hold, blocked, place):
            return True
        self._no_longer(client, request)
        return False

    cdef void passed_gate(self, RedisNode node, request_t *request) noexcept nogil:
        cdef uint32_t count = 0
        if not (request.reply.size and request.reply.data[0] == b'-') and self.read_words(request, &count) and count > 1:
            node.note_script(&self.words[1])

    cdef bint _has_followers(self, request_t *request) noexcept nogil:
        """Whether its client has sent something behind it for the same keys, or what may be."""
        cdef:
            request_t *later = request.after
            uint32_t   place = self.place_of_request(request)
            uint32_t   other
        if not request.queued:
            return True
        while later is not NULL:
            if not later.done and later.tags[self.tag] is not NULL:
                other = self.place_of_request(later)
                if other == place or other == SEVERAL_PLACES:
                    return True
            later = later.after
        return False

    cdef bint restore_script(self, RedisNode node, request_t *request) noexcept nogil:
        """NOSCRIPT: the node does not have a script that others have. True: it has been sent again, with the script."""
        cdef:
            const command_t *command = <const command_t *>request.command
            client_t        *client
            uint32_t         count = 0
        if command is NULL or (command.id != ID_EVALSHA and command.id != ID_EVALSHA_RO) or request.attempts \
                or self._has_followers(request) \
                or not self.read_words(request, &count) \
                or not self.book.restore(&self.loop.pool, request, self.words, count):
            return False
        request.attempts += 1
        client = self.uncount(node, request)
        self.as_new(request)
        client.gate = request
        client.gate_bits = place_bit(self.place_of_request(request))
        client.busy |= BUSY_GATED
        node.take(request, client)
        return True

    # ---- keys ---------------------------------------------------------------------------------------------------

    cdef uint32_t place_of_request(self, request_t *request) noexcept nogil:
        """The place of all its keys, or of the channel that decides; NO_PLACE, SEVERAL_PLACES, BAD_WORDS."""
        cdef:
            const command_t *command = <const command_t *>request.command
            uint32_t         count = 0, index, place, first
            int              keys
        if request.made == MADE_WHOLE:
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

    cdef uint64_t bits_of(self, request_t *request) noexcept nogil:
        cdef uint32_t place
        if <size_t>request.tags[self.tag] & 3 == LEG:
            return <uint64_t>KEYLESS_BIT if request.kind == KIND_READ else <uint64_t>ALL_BITS
        if (request.conduct != CONDUCT_PLAIN or request.command is NULL) and request.conduct != CONDUCT_ALONE \
                and request.made != MADE_WHOLE:
            return <uint64_t>ALL_BITS
        place = self.place_of_request(request)
        if place == SEVERAL_PLACES:
            return <uint64_t>ALL_BITS
        return place_bit(place) if place < BAD_WORDS else <uint64_t>KEYLESS_BIT

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
            self.end_queue(client)
            self._unwatch(client)
            self.answer_take(request, b"+OK\r\n", 5)
            return True
        why = queue_refuses(client.queue, request)
        if why is NULL:
            place = self.place_of_request(request)
            if place == SEVERAL_PLACES or (place < BAD_WORDS and client.queue.place < BAD_WORDS
                                           and place != client.queue.place) \
                    or (client.watching and place < BAD_WORDS and place != client.watch_place):
                code = b"CROSSSLOT"
                why = several_slots()
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

    cdef void _unwatch(self, client_t *client) noexcept nogil:
        client.watching = 0
        if client.busy & BUSY_TIED:
            (<RedisNode>self.nodes[client.tied]).unwatch(client.session)
            self._retie(client)

    cdef void end_queue(self, client_t *client) noexcept nogil:
        if client.busy & BUSY_QUEUEING:
            client.busy &= ~<uint8_t>BUSY_QUEUEING
            queue_free(client.queue, &self.loop.pool)
            client.queue = NULL

    cdef bint _exec(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """All of the transaction becomes one request, whose last reply is the client's."""
        cdef uint32_t place
        if not request.made:
            hold.bits = ALL_BITS
            if blocked:
                return False
            if not client.busy & BUSY_QUEUEING:
                self.refuse_take(request, b"ERR", b"EXEC without MULTI", 18)
                return True
            if client.queue.failed or not queue_close(client.queue, &self.loop.pool, request):
                self.end_queue(client)
                self._unwatch(client)
                self.refuse_take(request, b"EXECABORT", b"Transaction discarded because of previous errors.", 49)
                return True
            self.end_queue(client)
            if client.watching:
                client.watching = 0
                request.attempts = BOUND
        if request.attempts == BOUND:
            return self._exec_bound(client, request, hold, blocked)
        if client.busy & BUSY_TIED:
            return self.try_alone(client, request, hold, blocked, client.tied)
        place = self.place_of_request(request)
        if place == NO_PLACE:
            return self.try_keyless(client, request, hold, blocked)
        return self.try_place(client, request, hold, blocked, place)

    cdef bint _exec_bound(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """Keys are watched for it: on that connection or nowhere."""
        cdef redis_session_t *rs = client.places[client.tied].rs if client.busy & BUSY_TIED else NULL
        if rs is NULL or rs.lease is NULL or not rs.reasons & IN_WATCH:
            self.make_void(request)
            self.reply_take(request)
            return True
        return self.try_alone(client, request, hold, blocked, client.tied)

    cdef void make_void(self, request_t *request) noexcept nogil:
        cdef:
            client_t   *client = &self.orphan
            const char *text = b"*-1\r\n"
        if request.session is not NULL:
            client = <client_t *>session_slots(<session_t *>request.session)[self.slot]
        if client is not NULL and client.state is not NULL and client.state.sizes[FIELD_PROTOCOL]:
            text = b"_\r\n"
        request_drop_reply(&self.loop.pool, request)
        if not request_add_reply(&self.loop.pool, request, <const uint8_t *>text, strlen(text)):
            request.failed = 1
