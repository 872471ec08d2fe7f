"""See fan_probe.pxd."""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset

from fuzz_probe cimport Exact

from shotover._codec.commands cimport command_find, command_find_sub, command_t
from shotover._codec.fan cimport (
    FAN_ONE,
    FAN_SPLIT,
    FAN_TARGET_NONE,
    fan_again,
    fan_all,
    fan_child,
    fan_free,
    fan_home_t,
    fan_lost,
    fan_may_cross,
    fan_part_child,
    fan_reply,
    fan_split,
    fan_take,
)
from shotover._codec.fan_join cimport JOIN_SPECIAL, fan_answer, fan_join
from shotover._codec.resp cimport resp_words
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t, pool_close, pool_init, pool_take
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t

OUTCOMES = ("ONE", "SPLIT", "NO_KEYS", "CROSS", "NOWHERE", "NO_MEMORY")
JOINS = ("DONE", "ERROR", "SPECIAL")


cdef uint32_t _target(void *context, const uint8_t *key, size_t size) noexcept nogil:
    cdef:
        route_t *route = <route_t *>context
        uint32_t total = 0
        size_t   index
    route.calls += 1
    if size and key[0] == route.nowhere:
        return FAN_TARGET_NONE
    for index in range(size):
        total += key[index]
    return total % route.targets


cdef uint32_t _home(void *context, uint32_t target) noexcept nogil:
    return target % (<route_t *>context).homes


cdef uint32_t _last_byte(void *context, const uint8_t *key, size_t size) noexcept nogil:
    """As cheap a target as there can be: what is measured is the splitting."""
    return key[size - 1] % (<route_t *>context).targets


cdef const command_t *_command(const slice_t *wire) noexcept nogil:
    cdef:
        slice_t words[2]
        const command_t *command
        const command_t *sub
        uint32_t argc = resp_words(wire.data, wire.data + wire.size, words, 2)
    if argc == 0:
        return NULL
    command = command_find(words[0].data, words[0].size)
    if command is not NULL and command.has_subcommands and argc > 1:
        sub = command_find_sub(command, words[1].data, words[1].size)
        return sub if sub is not NULL else command
    return command


cdef class Pool:

    def __cinit__(self, uint64_t bytes_max=1 << 40):
        pool_init(&self.pool, bytes_max)

    def __dealloc__(self):
        pool_close(&self.pool)

    @property
    def live(self):
        return self.pool.live_count

    def limit(self, uint64_t bytes_max):
        self.pool.bytes_max = bytes_max


cdef class Fan:
    """The request `wire`, split by the sum of each key's bytes; with `everywhere`, sent to targets 0 .. everywhere - 1."""

    def __cinit__(self, bytes wire not None, *, Pool pool=None, uint32_t targets=3, uint32_t homes=0, int nowhere=-1,
                  uint32_t everywhere=0, int policy=-1, bint owned=False):
        cdef:
            Exact     exact = Exact(wire)
            slice_t   given
            uint32_t  one = 0, index
            uint32_t  numbers[64]
            chunk_t  *chunk = NULL
            const command_t *command
            fan_home_t home = NULL
        if homes:
            home = _home
        self.owner = Pool() if pool is None else pool
        self.route.targets = targets
        self.route.homes = homes
        self.route.nowhere = nowhere
        given.data = exact.at
        given.size = len(wire)
        command = _command(&given)
        if command is NULL:
            raise ValueError("not a known command")
        if everywhere:
            for index in range(everywhere):
                numbers[index] = index
            if owned:
                chunk = pool_take(&self.owner.pool, len(wire))
                memcpy(chunk_data(chunk), exact.at, len(wire))
                given.data = chunk_data(chunk)
            self.fan = fan_all(&self.owner.pool, command, &given, chunk, numbers, everywhere)
            if chunk is not NULL:
                chunk_put(&self.owner.pool, chunk)
            if self.fan is NULL:
                raise MemoryError
            self.outcome = FAN_SPLIT
        else:
            self.outcome = fan_split(&self.owner.pool, command, &given, _target, home, &self.route,
                                     &self.fan, &one)
        if self.outcome == FAN_ONE:
            self.one = one
        if self.fan is not NULL and policy >= 0:
            self.fan.policy = policy

    def free(self):
        if self.fan is not NULL:
            fan_free(&self.owner.pool, self.fan)
        self.fan = NULL

    def __dealloc__(self):
        self.free()

    @property
    def said(self):
        return OUTCOMES[self.outcome]

    @property
    def left(self):
        return self.fan.left

    @property
    def parts(self):
        """[(target, keys, wire)]"""
        return [
            (self.fan.parts[i].target, self.fan.parts[i].keys, self.fan.parts[i].wire.data[:self.fan.parts[i].wire.size])
            for i in range(self.fan.part_count)
        ]

    @property
    def places(self):
        return [self.fan.places[i] for i in range(self.fan.keys)]

    def legs(self):
        """[(home, parts, wire, argc, key)], as children have them."""
        cdef request_t parent, child
        found = []
        for index in range(self.fan.leg_count):
            self._child(index, &parent, &child)
            assert child.count == child.left == self.fan.legs[index].parts and child.parent is &parent
            found.append((
                self.fan.legs[index].home, child.count, child.wire.data[:child.wire.size], child.argc,
                child.wire.data[child.key_at:child.key_at + child.key_size] if child.key_at else None,
            ))
            chunk_put(&self.owner.pool, child.owner)
        return found

    cdef void _child(self, uint32_t leg, request_t *parent, request_t *child) noexcept:
        memset(parent, 0, sizeof(request_t))
        memset(child, 0, sizeof(request_t))
        parent.command = _command(&self.fan.parts[0].wire)
        fan_child(self.fan, leg, parent, child)

    def part_of_leg(self, uint32_t leg):
        """The indexes of the parts of a leg."""
        cdef uint32_t part = self.fan.legs[leg].part
        found = [part]
        while self.fan.parts[part].following:
            part = self.fan.parts[part].following
            found.append(part)
        return found

    def alone(self, uint32_t part):
        """The wire of a child for one part."""
        cdef request_t parent, child
        memset(&parent, 0, sizeof(request_t))
        memset(&child, 0, sizeof(request_t))
        parent.command = _command(&self.fan.parts[0].wire)
        fan_part_child(self.fan, part, &parent, &child)
        assert child.count == 1
        wire = child.wire.data[:child.wire.size]
        chunk_put(&self.owner.pool, child.owner)
        return wire

    def reply(self, uint32_t part, bytes data not None, bint owned=False):
        cdef:
            Exact   exact = Exact(data)
            slice_t given
            chunk_t *chunk = NULL
        given.data = exact.at
        given.size = len(data)
        if owned:
            chunk = pool_take(&self.owner.pool, len(data))
            memcpy(chunk_data(chunk), exact.at, len(data))
            given.data = chunk_data(chunk)
        fan_reply(&self.owner.pool, self.fan, part, &given, chunk)

    def take(self, uint32_t leg, bytes data not None, bint owned=True):
        """A leg's child comes back with this reply."""
        cdef:
            Exact     exact = Exact(data)
            request_t parent, child
        self._child(leg, &parent, &child)
        child.reply.data = exact.at
        child.reply.size = len(data)
        if owned and data:
            child.reply_owner = pool_take(&self.owner.pool, len(data))
            child.reply.data = chunk_data(child.reply_owner)
            memcpy(child.reply.data, exact.at, len(data))
        fan_take(&self.owner.pool, self.fan, leg, &child)
        assert child.reply_owner is NULL
        chunk_put(&self.owner.pool, child.owner)

    def lost(self, uint32_t leg):
        fan_lost(self.fan, leg)

    def again(self, uint32_t part):
        fan_again(&self.owner.pool, self.fan, part)

    def join(self):
        """(DONE, ERROR or SPECIAL; the reply)"""
        cdef:
            slice_t  reply
            chunk_t *chunk
            int      outcome = fan_join(&self.owner.pool, self.fan, &reply, &chunk)
        data = None if outcome == JOIN_SPECIAL else reply.data[:reply.size]
        if chunk is not NULL:
            chunk_put(&self.owner.pool, chunk)
        return JOINS[outcome], data

    def answer(self, bint mute=False):
        """(the reply, whether it failed) that a request gets; None: it gets none."""
        cdef request_t request
        memset(&request, 0, sizeof(request_t))
        request.mute = mute
        if not fan_answer(&self.owner.pool, self.fan, &request):
            return None
        said = request.reply.data[:request.reply.size] if request.reply.size else b"", bool(request.failed)
        if request.reply_owner is not NULL:
            chunk_put(&self.owner.pool, request.reply_owner)
        return said


def may_cross(bytes wire not None):
    """Whether a request of this command may have several keys."""
    cdef slice_t given
    given.data = <uint8_t *><const char *>wire
    given.size = len(wire)
    return bool(fan_may_cross(_command(&given)))


def split_often(bytes wire not None, uint32_t targets, uint32_t rounds, uint32_t homes=0):
    """Splits a request so often; returns how many parts there were in all (1 when it need not be split)."""
    cdef:
        Pool     pool = Pool()
        route_t  route
        slice_t  given
        fan_t   *fan = NULL
        uint32_t one, parts = 0, _
        int      outcome
        const command_t *command
        fan_home_t home = NULL
    if homes:
        home = _home
    given.data = <uint8_t *><const char *>wire
    given.size = len(wire)
    command = _command(&given)
    route.targets = targets
    route.homes = homes
    for _ in range(rounds):
        outcome = fan_split(&pool.pool, command, &given, _last_byte, home, &route, &fan, &one)
        if outcome == FAN_SPLIT:
            parts += fan.part_count
            fan_free(&pool.pool, fan)
        else:
            parts += outcome == FAN_ONE
    return parts


def join_often(bytes wire not None, uint32_t targets, bytes element not None, uint32_t rounds):
    """Joins the replies to the parts of an MGET, every value being `element`; returns the bytes of one joined reply."""
    cdef:
        Pool     pool = Pool()
        route_t  route
        slice_t  given, reply
        fan_t   *fan = NULL
        chunk_t *chunk
        uint32_t one, part, _
        const command_t *command
    given.data = <uint8_t *><const char *>wire
    given.size = len(wire)
    command = _command(&given)
    route.targets = targets
    if fan_split(&pool.pool, command, &given, _last_byte, NULL, &route, &fan, &one) != FAN_SPLIT:
        raise ValueError("one target")
    for part in range(fan.part_count):
        data = b"*%d\r\n" % fan.parts[part].keys + element * fan.parts[part].keys
        given.data = <uint8_t *><const char *>data
        given.size = len(data)
        fan_reply(&pool.pool, fan, part, &given, NULL)
    for _ in range(rounds):
        fan_join(&pool.pool, fan, &reply, &chunk)
        chunk_put(&pool.pool, chunk)
    size = reply.size
    fan_free(&pool.pool, fan)
    return size
