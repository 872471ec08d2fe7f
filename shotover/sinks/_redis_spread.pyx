"""See _redis_spread.pxd."""

from libc.errno cimport ENOMEM
from libc.stdlib cimport free, realloc
from libc.string cimport memset, strlen

from shotover._codec.commands cimport command_t
from shotover._codec.fan cimport (
    FAN_CROSS,
    FAN_NO_MEMORY,
    FAN_NOWHERE,
    FAN_ONE,
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
from shotover._codec.fan_join cimport fan_answer, fan_pick
from shotover._codec.resp cimport resp_words
from shotover._codec.resp_cursor cimport cursor_read, cursor_reply, cursor_request
from shotover._core.debug cimport unlikely
from shotover._core.memory cimport chunk_ref
from shotover._core.request cimport WATCHED_BY_SINK, request_drop_reply
from shotover.sinks._redis_holding cimport ALL_BITS, KEYLESS_BIT, place_bit
from shotover.sinks._redis_node cimport BUSY_ALONE, MADE_SCAN, NO_NODE

cdef enum:
    SCAN_BITS = 14              # of a cursor: which node; the rest is that node's own

cdef uint32_t _split_target(void *context, const uint8_t *key, size_t size) noexcept nogil:
    cdef splitting_t *split = <splitting_t *>context
    return _target_of(split, <SpreadingSink>split.sink, key, size)


cdef uint32_t _target_of(splitting_t *split, SpreadingSink sink, const uint8_t *key, size_t size) noexcept nogil:
    cdef uint32_t place = sink.place_of(key, size)
    split.bits |= place_bit(place)
    if not split.waits and sink.must_wait(place, split.client, split.hold):
        split.waits = True
    if sink.node_of(place, split.request, split.client) == NO_NODE:
        sink.nowhere(place)
        return FAN_TARGET_NONE
    return place


cdef uint32_t _split_home(void *context, uint32_t place) noexcept nogil:
    cdef splitting_t *split = <splitting_t *>context
    return (<SpreadingSink>split.sink).node_of(place, split.request, split.client)


cdef class SpreadingSink(HoldingSink):

    def __cinit__(self, context, *args, **kwargs):
        self.splits = True

    def __dealloc__(self):
        free(self.words)
        free(self.found)
        free(self.numbers_now)

    cdef bint send(self, client_t *client, request_t *request, uint32_t number) noexcept nogil:
        """True, as it is taken over in any case."""
        cdef hold_t hold
        if unlikely(number >= client.place_count) and not self.make_room(client, number):
            memset(&hold, 0, sizeof(hold))
            hold.request = request
            hold.node = number
            hold.error = ENOMEM
            if request is client.alone:
                client.alone = NULL
                client.busy &= ~<uint8_t>BUSY_ALONE
            self.give_up(client, &hold)
        else:
            (<RedisNode>self.nodes[number]).take(request, client)
        return True

    cdef bint try_place(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked,
                        uint32_t place) noexcept nogil:
        cdef uint32_t number
        hold.bits = place_bit(place)
        if hold.bits & blocked:
            return False
        number = self.node_of(place, request, client)
        if unlikely(number == NO_NODE):
            self.nowhere(place)
            return self.nobody(request, hold)
        if unlikely(self.must_wait(place, client, hold)):
            return False
        return self.send(client, request, number)

    cdef bint try_any(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        cdef uint32_t number = self.any_node(client)
        hold.bits = <uint64_t>KEYLESS_BIT
        if blocked == <uint64_t>ALL_BITS:
            return False                    # behind what changes who its client is
        if number == NO_NODE:
            return self.nobody(request, hold)
        return self.send(client, request, number)

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

    # ---- several servers ----------------------------------------------------------------------------------------

    cdef bint try_several(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """Its keys may have several places: splits it then, if it can be."""
        cdef:
            splitting_t split
            fan_t      *fan = NULL
            uint32_t    one = 0
            int         outcome = FAN_CROSS
        if blocked == <uint64_t>ALL_BITS:
            hold.bits = <uint64_t>ALL_BITS  # it may be part of a transaction whose MULTI waits: it must not get a time limit
            return False
        memset(&split, 0, sizeof(split))
        split.sink = <void *>self
        split.client = client
        split.request = request
        split.hold = hold
        if self.splits:
            outcome = fan_split(&self.loop.pool, <const command_t *>request.command, &request.wire, _split_target, _split_home,
                                &split, &fan, &one)
        hold.bits = <uint64_t>ALL_BITS if outcome == FAN_NOWHERE else split.bits    # not all keys have been looked at
        if outcome == FAN_CROSS:
            self.refuse_take(request, b"CROSSSLOT", several_slots(), strlen(several_slots()))
        elif outcome == FAN_NO_MEMORY:
            self.refuse(request, b"no memory")
        elif outcome == FAN_NOWHERE:
            return self.nobody(request, hold)
        elif outcome == FAN_ONE:
            return self.try_place(client, request, hold, blocked, one)
        elif outcome != FAN_SPLIT:
            return self.try_any(client, request, hold, blocked)     # a server shall say what is wrong with it
        elif split.waits or split.bits & blocked:
            fan_free(&self.loop.pool, fan)
            return False
        else:
            self._send_legs(client, request, fan)
        return True

    cdef uint32_t *room_for_nodes(self) noexcept nogil:
        """Room for the numbers of all nodes, as many as there are by now. NULL: no memory."""
        cdef uint32_t *numbers = <uint32_t *>realloc(self.numbers_now, (self.node_count + 1) * sizeof(uint32_t))
        if numbers is not NULL:
            self.numbers_now = numbers
        return numbers

    cdef bint broadcast(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked, bint everyone,
                        uint8_t join) noexcept nogil:
        """To every master, or to every node. `join`: POLICY_* for the replies; 0: the command's own."""
        cdef:
            uint32_t  count
            uint32_t *numbers = self.room_for_nodes()
            fan_t    *fan
        hold.bits = ALL_BITS
        if blocked:
            return False
        if numbers is NULL:
            self.refuse(request, b"no memory")
            return True
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

    cdef bint try_leg(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """A leg without keys that came back: to its node, or to the one that has taken that one's place."""
        cdef:
            fan_leg_t *leg = <fan_leg_t *>(<size_t>request.tags[self.tag] & ~<size_t>3)
            fan_t     *fan = leg.fan
            uint32_t  *numbers = self.room_for_nodes()
            uint32_t   count, index, other
            uint32_t   chosen = NO_NODE
        hold.bits = self.bits_of(request)
        if hold.bits & blocked:
            return False
        count = 0 if numbers is NULL else self.all_nodes(numbers, self.concerns_all(<request_t *>fan.owner))
        for index in range(count):
            if numbers[index] == leg.home:
                return self.send(client, request, leg.home)
            for other in range(fan.leg_count):
                if fan.legs[other].home == numbers[index]:
                    break
            else:
                if chosen == NO_NODE:
                    chosen = numbers[index]
        if chosen == NO_NODE:
            return self.nobody(request, hold)
        leg.home = chosen
        return self.send(client, request, chosen)

    cdef client_t *client_of_tag(self, request_t *request) noexcept nogil:
        cdef size_t tag = <size_t>request.tags[self.tag]
        if tag & 1:
            request = request.parent
        return <client_t *>request.tags[self.tag]

    cdef bint is_split(self, request_t *request) noexcept nogil:
        cdef size_t tag = <size_t>request.tags[self.tag]
        return tag & 3 == LEG and (<fan_leg_t *>(tag & ~<size_t>3)).fan.keys > 0

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
            fan = <fan_t *>child.after
            index = <uint32_t>(<fan_part_t *>(tag & ~<size_t>3) - fan.parts)
            if client.returned_tail is not NULL and not child.failed and child.reply.size and child.reply.data[0] != b'-':
                self.overtaken(client, child, fan.parts[index].target)
            fan_reply(&self.loop.pool, fan, index, &child.reply, child.reply_owner)
            child.reply_owner = NULL
        else:
            fan = (<fan_leg_t *>(tag & ~<size_t>3)).fan
            self._leg_answered(client, fan, (<fan_leg_t *>(tag & ~<size_t>3)).index, child)
        self.hub.request_free(child)
        if fan.left == 0:
            self._fan_done(client, fan)
        elif client.held is not NULL:
            self.go_on(client)

    cdef void _leg_answered(self, client_t *client, fan_t *fan, uint32_t leg, request_t *child) noexcept nogil:
        """Hands out the replies; parts that were refused for now, or are elsewhere by now, go on by themselves."""
        cdef:
            uint32_t part = fan.legs[leg].part
            uint32_t following
            uint8_t  going = client.going
        fan_take(&self.loop.pool, fan, leg, child)
        if fan.keys == 0:
            return
        fan.left += 1
        client.going = 1                    # younger requests must not overtake a part that is not on its way again yet
        while True:
            following = fan.parts[part].following
            if self.retries_reply(&fan.parts[part].reply):
                self._send_part(client, fan, part, <RedisNode>self.nodes[fan.legs[leg].home], True, 0)
            elif client.returned_tail is not NULL and not child.failed and fan.parts[part].reply.data[0] != b'-':
                self.overtaken(client, <request_t *>fan.owner, fan.parts[part].target)
            if following == 0:
                break
            part = following
        client.going = going
        fan.left -= 1

    cdef bint retries_reply(self, slice_t *reply) noexcept nogil:
        """Whether `refused` might take over a request with this reply."""
        return reply.size > 1 and reply.data[0] == b'-' and (
            reply.data[1] == b'M' or reply.data[1] == b'A' or reply.data[1] == b'T' or reply.data[1] == b'C'
            or reply.data[1] == b'L' or reply.data[1] == b'R'
        )

    cdef void _send_part(self, client_t *client, fan_t *fan, uint32_t part, RedisNode node, bint answered,
                         int error) noexcept nogil:
        """One part goes on as a request of its own: as if it had been at `node` by itself, and was answered with the reply
        that the fan has for it, or could not be sent."""
        cdef:
            request_t *parent = <request_t *>fan.owner
            request_t *child = self.hub.request_new(self.chain)
            slice_t    nothing
        if child is NULL:
            if not answered:
                memset(&nothing, 0, sizeof(nothing))
                fan_reply(&self.loop.pool, fan, part, &nothing, NULL)
            return
        fan_part_child(fan, part, parent, child)
        child.session = NULL
        child.after = <request_t *>fan
        child.tags[self.tag] = <void *>(<size_t>&fan.parts[part] | PART)
        client.places[node.number].done -= 1        # as if it were not answered yet: the leg has counted for it
        client.under_way += 1
        if not answered:
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
            uint8_t   going
        if not tag & 1 or tag & 2 or (<fan_leg_t *>(tag & ~<size_t>3)).fan.keys == 0:
            HoldingSink.returned(self, node, request, error)
            return
        fan = (<fan_leg_t *>(tag & ~<size_t>3)).fan
        client = self.uncount(node, request)
        part = (<fan_leg_t *>(tag & ~<size_t>3)).part
        self.hub.request_free(request)
        fan.left += 1
        going = client.going
        client.going = 1
        while True:
            following = fan.parts[part].following
            self._send_part(client, fan, part, node, False, error)
            if following == 0:
                break
            part = following
        client.going = going
        fan.left -= 1
        if fan.left == 0:
            self._fan_done(client, fan)
        elif client.held is not NULL:
            self.go_on(client)

    cdef void _fan_done(self, client_t *client, fan_t *fan) noexcept nogil:
        cdef request_t *request = <request_t *>fan.owner
        if not fan_answer(&self.loop.pool, fan, request):
            fan_pick(&self.loop.pool, fan, request, self.loop.now)
        fan_free(&self.loop.pool, fan)
        request.tags[self.tag] = NULL
        client.under_way -= 1
        self.reply_take(request)
        self.after(client)

    # ---- SCAN ---------------------------------------------------------------------------------------------------

    cdef bint scan(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil:
        """One node after the other. Which one it is stands in the low bits of the cursor, so nothing need be remembered."""
        cdef:
            uint32_t  nodes, index
            uint64_t  cursor = 0
            uint32_t *numbers = self.room_for_nodes()
        hold.bits = <uint64_t>KEYLESS_BIT
        if numbers is NULL:
            self.refuse(request, b"no memory")
            return True
        if blocked == <uint64_t>ALL_BITS:
            return False
        nodes = self.all_nodes(numbers, False)
        if nodes == 0:
            return self.nobody(request, hold)
        if not request.made:
            if not cursor_read(request, 1, &cursor):
                return self.try_any(client, request, hold, blocked)
            if not cursor_request(&self.loop.pool, request, 1, cursor >> SCAN_BITS):
                self.refuse(request, b"no memory")
                return True
            request.made = MADE_SCAN
            request.watched |= WATCHED_BY_SINK
            request.key_at = 0
            request.key_size = <uint32_t>(cursor & ((1 << SCAN_BITS) - 1))
        index = request.key_size
        if index >= nodes:
            self.answer_take(request, b"*2\r\n$1\r\n0\r\n*0\r\n", 15)      # there are fewer nodes than there were
            return True
        return self.send(client, request, numbers[index])

    cdef void edit_reply(self, RedisNode node, request_t *request) noexcept nogil:
        """SCAN's reply: the node's cursor becomes ours. Without memory its client is closed rather than led in circles."""
        cdef:
            uint32_t *numbers = self.room_for_nodes()
            uint32_t  nodes = 0 if numbers is NULL else self.all_nodes(numbers, False)
        if not cursor_reply(&self.loop.pool, request, 1 << SCAN_BITS, request.key_size, nodes):
            request.failed = 1
            request_drop_reply(&self.loop.pool, request)

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

    cdef bint concerns_all(self, request_t *request) noexcept nogil:
        """Whether a request without keys is for every node, not for masters alone."""
        return False

    cdef void nowhere(self, uint32_t place) noexcept nogil:
        """Somebody wants a place that no node serves."""
        pass
