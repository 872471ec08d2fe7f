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

from libc.stdio cimport snprintf
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset, strlen

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
    CONDUCT_SUBSCRIBE,
    CONDUCT_UNSUBSCRIBE,
    CONDUCT_UNWATCH,
    CONDUCT_WAIT,
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
    POLICY_AGG_MIN,
    POLICY_ALL_NODES,
    POLICY_ALL_SHARDS,
    POLICY_ALL_SUCCEEDED,
    command_blocks,
    command_slot_words,
    command_t,
)
from shotover._codec.fan cimport (
    FAN_CROSS,
    FAN_NO_MEMORY,
    FAN_NOWHERE,
    FAN_SPLIT,
    FAN_TARGET_NONE,
    fan_again,
    fan_all,
    fan_child,
    fan_free,
    fan_leg_t,
    fan_lost,
    fan_part_child,
    fan_part_t,
    fan_reply,
    fan_split,
    fan_take,
)
from shotover._codec.fan_join cimport JOIN_SPECIAL, fan_answer
from shotover._codec.resp cimport resp_words
from shotover._core.debug cimport invariant, likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_ref, chunk_t, pool_take
from shotover._core.request cimport WATCHED_BY_SINK, batch_pop
from shotover._proxy.session cimport session_slots, session_t
from shotover.sinks._redis_holding cimport ALL_BITS
from shotover.sinks._redis_leases cimport SUBSCRIBED, redis_session_t
from shotover.sinks._redis_node cimport (
    BUSY_ALONE,
    BUSY_QUEUEING,
    BUSY_QUITTING,
    BUSY_TIED,
    NO_NODE,
)
from shotover.sinks._redis_state cimport FIELD_PROTOCOL
from shotover.sinks._redis_transaction cimport queue_add, queue_close, queue_free, queue_new, queue_refuses

from shotover._codec.commands import describe

cdef enum:
    SCAN_BITS = 14              # of a cursor: which node; the rest is that node's own
    LEG = 1                     # in the tag of a child, beside the address of its fan_leg_t
    PART = 3                    # ... of its fan_part_t

cdef const char *NO_REPLICATION = b"replication (PSYNC, SYNC, REPLCONF) cannot pass the proxy; let the replica connect to the server"
cdef const char *NO_REPLY_MODE = b"CLIENT REPLY is not supported before several servers"
cdef const char *NO_MONITOR = b"MONITOR shows the commands of one server; connect to that one"
cdef const char *NO_PIN = b"this setting belongs to one connection, and the proxy has several for each client"
cdef const char *ONE_SERVER = b"this command is for one server; connect to the one that is meant"
cdef const char *SEVERAL = b"Keys in request don't hash to the same slot"


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


cdef uint32_t _split_target(void *context, const uint8_t *key, size_t size) noexcept nogil:
    cdef splitting_t *split = <splitting_t *>context
    return _target_of(split, <RedisNodes>split.sink, key, size)


cdef uint32_t _target_of(splitting_t *split, RedisNodes sink, const uint8_t *key, size_t size) noexcept nogil:
    cdef uint32_t place = sink.place_of(key, size)
    split.bits |= <uint64_t>1 << (place & 63)
    if not split.waits and sink.must_wait(place, split.client, split.hold):
        split.waits = True
    if sink.node_of(place, split.request, split.client) == NO_NODE:
        sink.nowhere(place)
        return FAN_TARGET_NONE
    return place


cdef uint32_t _split_home(void *context, uint32_t place) noexcept nogil:
    cdef splitting_t *split = <splitting_t *>context
    return (<RedisNodes>split.sink).node_of(place, split.request, split.client)


cdef class RedisNodes(HoldingSink):

    def __cinit__(self, context, *args, **kwargs):
        self.wants_each = True
        self.splits = True
        for name, route, join in ROUTES:
            number = describe(name.encode())["id"]
            self.routes[number] = route
            self.joins[number] = join

    def __dealloc__(self):
        free(self.words)
        free(self.found)
        free(self.numbers_now)

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
            if hold.returned:
                pass                    # it is older than all that
            elif client.busy & BUSY_QUITTING:
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
        if conduct == CONDUCT_WAIT:
            return self._broadcast(client, request, hold, blocked, False)
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
            return self.nobody(request, hold)
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
            return self.nobody(request, hold)
        if client is not &self.orphan:
            client.alone = request
            client.busy |= BUSY_ALONE
        return self.send(client, request, number)

    cdef bint try_keyless(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """A request without keys (or with words that make no sense, of which a server shall say so)."""
        cdef:
            const command_t *command = <const command_t *>request.command
            uint8_t          route = ROUTE_ANY
        if command is not NULL and command.id < COMMANDS_MAX and command.key_rule == KEYS_NONE:
            route = self.routes[command.id]
            if route == ROUTE_BY_TIPS:
                if command.request_policy == POLICY_ALL_NODES:
                    route = ROUTE_NODES
                elif command.request_policy == POLICY_ALL_SHARDS:
                    route = ROUTE_SHARDS
        if route == ROUTE_SHARDS or route == ROUTE_NODES or route == ROUTE_RANDOM:
            return self._broadcast(client, request, hold, blocked, route == ROUTE_NODES)
        if route == ROUTE_SCAN:
            return self._scan(client, request, hold)
        if route == ROUTE_REFUSE:
            self.refuse(request, ONE_SERVER)
            return True
        return self.try_any(client, request, hold)

    cdef bint try_any(self, client_t *client, request_t *request, hold_t *hold) noexcept nogil:
        cdef uint32_t number = self.any_node(client)
        hold.bits = 0
        if number == NO_NODE:
            return self.nobody(request, hold)
        return self.send(client, request, number)

    # ---- several servers ----------------------------------------------------------------------------------------

    cdef bint try_several(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """Its keys have several places: split it, if it can be."""
        cdef:
            splitting_t split
            fan_t      *fan = NULL
            uint32_t    one = 0
            int         outcome = FAN_CROSS
        memset(&split, 0, sizeof(split))
        split.sink = <void *>self
        split.client = client
        split.request = request
        split.hold = hold
        if self.splits:
            outcome = fan_split(&self.loop.pool, <const command_t *>request.command, &request.wire, _split_target, _split_home,
                                &split, &fan, &one)
        hold.bits = split.bits
        if outcome == FAN_CROSS:
            self.refuse_take(request, b"CROSSSLOT", SEVERAL, strlen(SEVERAL))
        elif outcome == FAN_NO_MEMORY:
            self.refuse(request, b"no memory")
        elif outcome == FAN_NOWHERE:
            return self.nobody(request, hold)
        elif outcome != FAN_SPLIT:
            return self.try_any(client, request, hold)      # a server shall say what is wrong with it
        elif split.waits or split.bits & blocked:
            fan_free(&self.loop.pool, fan)
            return False
        else:
            self._send_legs(client, request, fan)
        return True

    cdef bint _broadcast(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked,
                         bint everyone) noexcept nogil:
        """To every master, or to every node."""
        cdef:
            uint32_t  count
            uint8_t   join = self.joins[(<const command_t *>request.command).id]
            uint32_t *numbers = <uint32_t *>realloc(self.numbers_now, (self.node_count + 1) * sizeof(uint32_t))
            fan_t    *fan
        hold.bits = ALL_BITS
        if blocked:
            return False
        if numbers is NULL:
            self.refuse(request, b"no memory")
            return True
        self.numbers_now = numbers
        count = self.all_nodes(numbers, everyone)
        if count == 0:
            return self.nobody(request, hold)
        fan = fan_all(&self.loop.pool, <const command_t *>request.command, &request.wire, request.owner, numbers, count)
        if fan is NULL:
            self.refuse(request, b"no memory")
            return True
        if join:
            fan.policy = join
        self._send_legs(client, request, fan)
        return True

    cdef void _send_legs(self, client_t *client, request_t *request, fan_t *fan) noexcept nogil:
        cdef:
            uint32_t   index, number
            request_t *child
        self.fans_total += 1
        fan.owner = request
        request.tags[self.tag] = client
        client.under_way += 1
        fan.left += 1                       # until all are sent
        for index in range(fan.leg_count):
            number = fan.legs[index].home
            child = self.hub.request_new(self.chain)
            if child is NULL or not self.make_room(client, number):
                if child is not NULL:
                    self.hub.request_free(child)
                fan_lost(fan, index)
                continue
            fan_child(fan, index, request, child)
            child.session = NULL
            child.tags[self.tag] = <void *>(<size_t>&fan.legs[index] | LEG)
            (<RedisNode>self.nodes[number]).take(child, client)
        fan.left -= 1
        if fan.left == 0:
            self._fan_done(client, fan)

    cdef client_t *client_of_tag(self, request_t *request) noexcept nogil:
        cdef size_t tag = <size_t>request.tags[self.tag]
        if tag & 1:
            request = request.parent
        return <client_t *>request.tags[self.tag]

    cdef void child_answered(self, RedisNode node, request_t *child) noexcept nogil:
        """`node` is None for one that was held and is given up."""
        cdef:
            size_t    tag = <size_t>child.tags[self.tag]
            client_t *client = self.client_of_tag(child)
            fan_t    *fan
            uint32_t  index
        if <void *>node is not <void *>None:
            self.uncount(node, child)
        if tag & 2:
            fan = self._fan_of(child)
            index = <uint32_t>(<fan_part_t *>(tag & ~<size_t>3) - fan.parts)
            fan_reply(&self.loop.pool, fan, index, &child.reply, child.reply_owner)
            child.reply_owner = NULL
        else:
            fan = (<fan_leg_t *>(tag & ~<size_t>3)).fan
            self._leg_answered(client, fan, (<fan_leg_t *>(tag & ~<size_t>3)).index, child)
        self.hub.request_free(child)
        if fan.left == 0:
            self._fan_done(client, fan)

    cdef inline fan_t *_fan_of(self, request_t *part_child) noexcept nogil:
        """The child of one part says so in `after`: it is in no session's order."""
        return <fan_t *>part_child.after

    cdef void _leg_answered(self, client_t *client, fan_t *fan, uint32_t leg, request_t *child) noexcept nogil:
        """Hands out the replies; parts that were refused for now, or are elsewhere by now, go on by themselves."""
        cdef:
            uint32_t part = fan.legs[leg].part
            uint32_t following
        fan_take(&self.loop.pool, fan, leg, child)
        if fan.keys == 0:
            return
        fan.left += 1
        while True:
            following = fan.parts[part].following
            if self.retries_reply(&fan.parts[part].reply):
                self._send_part(client, fan, part, <RedisNode>self.nodes[fan.legs[leg].home], -1)
            if following == 0:
                break
            part = following
        fan.left -= 1

    cdef bint retries_reply(self, slice_t *reply) noexcept nogil:
        """Whether `refused` might take over a request with this reply."""
        return reply.size > 1 and reply.data[0] == b'-' and (
            reply.data[1] == b'M' or reply.data[1] == b'A' or reply.data[1] == b'T' or reply.data[1] == b'C'
            or reply.data[1] == b'L' or reply.data[1] == b'R'
        )

    cdef void _send_part(self, client_t *client, fan_t *fan, uint32_t part, RedisNode node, int error) noexcept nogil:
        """One part goes on as a request of its own: as if it had been at `node` by itself, and was answered with the reply
        that the fan has for it (error -1), or could not be sent."""
        cdef:
            request_t *parent = <request_t *>fan.owner
            request_t *child = self.hub.request_new(self.chain)
        if child is NULL:
            if error != -1:
                fan_reply(&self.loop.pool, fan, part, &child.reply, NULL)
            return
        fan_part_child(fan, part, parent, child)
        child.session = NULL
        child.after = <request_t *>fan
        child.tags[self.tag] = <void *>(<size_t>&fan.parts[part] | PART)
        client.places[node.number].sent += 1
        client.under_way += 1
        if error != -1:
            self.later(node, child, error, 0)
            return
        child.left = 0
        child.reply = fan.parts[part].reply
        child.reply_owner = chunk_ref(fan.parts[part].reply_owner) if fan.parts[part].reply_owner is not NULL else NULL
        fan_again(&self.loop.pool, fan, part)
        if not self.refused(node, child):
            self.child_answered(node, child)

    cdef void returned(self, RedisNode node, request_t *request, int error) noexcept nogil:
        cdef:
            size_t    tag = <size_t>request.tags[self.tag]
            fan_t    *fan
            client_t *client
            uint32_t  part, following
        if not tag & 1 or tag & 2:
            HoldingSink.returned(self, node, request, error)
            return
        fan = (<fan_leg_t *>(tag & ~<size_t>3)).fan
        if fan.keys == 0:                   # for this node, and no other
            node.fail_errno(request, b"upstream unavailable", error)
            return
        client = self.uncount(node, request)
        part = (<fan_leg_t *>(tag & ~<size_t>3)).part
        self.hub.request_free(request)
        fan.left += 1
        while True:
            following = fan.parts[part].following
            self._send_part(client, fan, part, node, error)
            if following == 0:
                break
            part = following
        fan.left -= 1
        if fan.left == 0:
            self._fan_done(client, fan)

    cdef void _fan_done(self, client_t *client, fan_t *fan) noexcept nogil:
        cdef request_t *request = <request_t *>fan.owner
        if not fan_answer(&self.loop.pool, fan, request):
            self._pick(fan, request)
        fan_free(&self.loop.pool, fan)
        request.tags[self.tag] = NULL
        client.under_way -= 1
        self.reply_take(request)
        self.after(client)

    cdef void _pick(self, fan_t *fan, request_t *request) noexcept nogil:
        """RANDOMKEY: one of those that have a key."""
        cdef:
            uint32_t    index, chosen = 0, found = 0
            fan_part_t *part
        for index in range(fan.part_count):
            part = &fan.parts[index]
            if part.reply.size > 1 and part.reply.data[0] == b'$' and part.reply.data[1] != b'-':
                found += 1
                self.random_state = self.random_state * 6364136223846793005u + 1442695040888963407u
                if (self.random_state >> 33) % found == 0:
                    chosen = index
        part = &fan.parts[chosen]
        request.reply = part.reply
        request.reply_owner = part.reply_owner
        part.reply_owner = NULL

    # ---- SCAN ---------------------------------------------------------------------------------------------------

    cdef bint _scan(self, client_t *client, request_t *request, hold_t *hold) noexcept nogil:
        """One node after the other. Which one it is stands in the low bits of the cursor, so nothing need be remembered."""
        cdef:
            uint32_t  count = 0, nodes, index = 0
            uint64_t  cursor = 0
            size_t    at
            uint32_t *numbers = <uint32_t *>realloc(self.numbers_now, (self.node_count + 1) * sizeof(uint32_t))
        hold.bits = 0
        if numbers is NULL:
            self.refuse(request, b"no memory")
            return True
        self.numbers_now = numbers
        nodes = self.all_nodes(numbers, False)
        if nodes == 0:
            return self.nobody(request, hold)
        if not request.edited:
            if not self.read_words(request, &count) or count < 2 or self.words[1].size == 0 or self.words[1].size > 19:
                return self.try_any(client, request, hold)
            for at in range(self.words[1].size):
                if not 48 <= self.words[1].data[at] <= 57:
                    return self.try_any(client, request, hold)
                cursor = cursor * 10 + self.words[1].data[at] - 48
            if not self._edit_cursor(request, count, cursor >> SCAN_BITS):
                self.refuse(request, b"no memory")
                return True
            request.key_size = <uint32_t>(cursor & ((1 << SCAN_BITS) - 1))
        index = request.key_size
        if index >= nodes:
            self.answer_take(request, b"*2\r\n$1\r\n0\r\n*0\r\n", 15)      # there are fewer nodes than there were
            return True
        return self.send(client, request, numbers[index])

    cdef bint _edit_cursor(self, request_t *request, uint32_t count, uint64_t cursor) noexcept nogil:
        """Puts another cursor into SCAN, whose words are in `words`. False: no memory."""
        cdef:
            char     head[96]
            char     digits[24]
            uint8_t *rest = self.words[1].data + self.words[1].size + 2
            size_t   rest_size = <size_t>(request.wire.data + request.wire.size - rest)
            int      length = snprintf(digits, sizeof(digits), b"%llu", <unsigned long long>cursor)
            int      size = snprintf(head, sizeof(head), b"*%u\r\n$4\r\nSCAN\r\n$%d\r\n%s\r\n", count, length, digits)
            chunk_t *chunk
        if request.wire.data[0] != b'*':
            rest_size = 0                   # inline: options are left out
        chunk = pool_take(&self.loop.pool, <size_t>size + rest_size)
        if chunk is NULL:
            return False
        memcpy(chunk_data(chunk), head, size)
        memcpy(chunk_data(chunk) + size, rest, rest_size)
        if request.owner is not NULL:
            chunk_put(&self.loop.pool, request.owner)
        request.owner = chunk
        request.wire.data = chunk_data(chunk)
        request.wire.size = <size_t>size + rest_size
        request.key_at = 0
        request.edited = 1
        request.watched |= WATCHED_BY_SINK
        return True

    cdef void edit_reply(self, RedisNode node, request_t *request) noexcept nogil:
        """SCAN's reply: the node's cursor becomes ours."""
        cdef:
            uint8_t *at = request.reply.data
            uint8_t *end = at + request.reply.size
            uint8_t *rest
            uint64_t cursor = 0
            uint32_t index = request.key_size
            char     head[64]
            char     digits[24]
            int      size, length
            chunk_t *chunk
        if request.reply.size < 8 or at[0] != b'*':
            return
        at += 4                             # "*2\r\n"
        while at < end and at[0] != b'\n':
            at += 1
        at += 1
        while at < end and 48 <= at[0] <= 57:
            cursor = cursor * 10 + at[0] - 48
            at += 1
        rest = at + 2
        if rest > end:
            return
        if cursor == 0:
            index += 1
            if index >= self.all_nodes(self.numbers_now, False):
                index = 0
        length = snprintf(digits, sizeof(digits), b"%llu", <unsigned long long>(cursor << SCAN_BITS | index))
        size = snprintf(head, sizeof(head), b"*2\r\n$%d\r\n%s\r\n", length, digits)
        chunk = pool_take(&self.loop.pool, <size_t>size + <size_t>(end - rest))
        if chunk is NULL:
            return
        memcpy(chunk_data(chunk), head, size)
        memcpy(chunk_data(chunk) + size, rest, <size_t>(end - rest))
        chunk_put(&self.loop.pool, request.reply_owner)
        request.reply_owner = chunk
        request.reply_room = NULL
        request.reply.data = chunk_data(chunk)
        request.reply.size = <size_t>size + <size_t>(end - rest)

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
            self.end_queue(client)
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

    cdef void end_queue(self, client_t *client) noexcept nogil:
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
                self.end_queue(client)
                if client.busy & BUSY_TIED:
                    hold.deadline_ns = 0        # its watch ends, too: an empty transaction sees to that
                self.refuse_take(request, b"EXECABORT", b"Transaction discarded because of previous errors.", 49)
                return True
            self.end_queue(client)
        if client.busy & BUSY_TIED:
            return self.try_alone(client, request, hold, blocked, client.tied)
        place = self.place_of_request(request)
        if place == NO_PLACE:
            return self.try_keyless(client, request, hold, blocked)
        return self.try_place(client, request, hold, blocked, place)

    # ---- for subclasses -----------------------------------------------------------------------------------------

    cdef uint32_t place_of(self, const uint8_t *key, size_t size) noexcept nogil:
        return 0

    cdef uint32_t node_of(self, uint32_t place, request_t *request, client_t *client) noexcept nogil:
        """The node that serves this place; NO_NODE: none is known."""
        return NO_NODE

    cdef uint32_t any_node(self, client_t *client) noexcept nogil:
        """A node for what has no keys: the same one for a client while nothing changes."""
        return NO_NODE

    cdef uint32_t all_nodes(self, uint32_t *numbers, bint everyone) noexcept nogil:
        """The numbers of all masters (or of replicas, too), in a lasting order; there is room for all nodes. Returns how many."""
        return 0

    cdef bint must_wait(self, uint32_t place, client_t *client, hold_t *hold) noexcept nogil:
        """The place has moved, and the client has requests under way where it was. `hold` (or NULL) is told for what."""
        return False

    cdef void nowhere(self, uint32_t place) noexcept nogil:
        """Somebody wants a place that no node serves."""
        pass
