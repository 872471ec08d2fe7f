"""One request for several servers: split by the target of each key, and (fan_join.pxd) the replies made one again.

    fan_split ----> fan_t:  parts   one whole request for each target, with the keys that belong there
                            legs    parts that go the same way, back to back: what is sent as one run
    fan_child ----> request_t's, one for each leg, to be run wherever the leg's `home` says
    fan_take  <---- each of them, once answered
    fan_answer ---> the request has its reply, when `left` is 0
    fan_free

In a step:

    outcome = fan_split(&self.loop.pool, command, &request.wire, _target, NULL, <void *>self, &fan, &target)
    if outcome == FAN_ONE:          send it to `target` as it is
    elif outcome == FAN_NO_KEYS:    send it anywhere: it has no key, or the server will refuse it
    elif outcome == FAN_CROSS:      its keys have several targets, and it cannot be split: refuse
    elif outcome == FAN_NOWHERE:    a key has no target: refuse
    elif outcome == FAN_NO_MEMORY:  refuse
    else:                           # FAN_SPLIT
        fan.owner = request         # the caller's; nothing here looks at it. `request` leaves the batch
        for index in range(fan.leg_count):
            child = self.hub.request_new(chain of fan.legs[index].home)
            if child is NULL:
                fan_lost(fan, index)                        # counts as answered, with an error
                continue
            fan_child(fan, index, request, child)           # wire, count, command, key, parent = request ...
            child.tags[self.tag] = &fan.legs[index]
            child.watched |= WATCHED_BY_STEP
            run it
    on_child(child):
        leg = <fan_leg_t *>child.tags[self.tag]
        fan_take(&self.loop.pool, leg.fan, leg.index, child)    # moves the reply; the child is the caller's to free
        if leg.fan.left == 0:
            fan_answer(&self.loop.pool, leg.fan, request)       # sets reply, reply_owner and failed
            fan_free(&self.loop.pool, leg.fan)
            self.reply_take(request)

A child may be answered within its run, so hold `fan.left` up while they are sent (count one more, take it off at the end),
or look for left == 0 after the loop alone.

Targets and homes. Keys with the same target may stand in one request: a server, or a slot of a cluster. Where several
targets live together (slots at a node), `home` says where; the requests of all parts with the same home lie back to back in
the leg's `wire` and are answered back to back. Without `home` each part is a leg of its own and its home is the target.

What is split: commands whose tip is multi_shard and whose keys stand in one range or behind a number of keys: MGET, MSET,
DEL, UNLINK, EXISTS, TOUCH, MSETEX without NX and XX (a condition over all keys cannot be seen by parts), and learned
commands of this form. Words before and behind the keys go into every part, a number of keys is set right, and what stands
behind a key (MSET's value) goes with it. Within a target the order of keys is kept, and a key always has the same target:
so keys that repeat mean what they mean to one server.

Limits: a request with `streamed` must not come here (its wire is only a head). Whoever splits must clear nothing: its step
reads bodies. Costs one pass when all keys have one target, and allocates nothing; two passes and copies otherwise. All is
linear in the number of keys, whatever the number of targets.
"""

from libc.stdint cimport uint8_t, uint32_t

from shotover._codec.commands cimport KEYS_NONE, KEYS_RANGE, command_t
from shotover._core.memory cimport chunk_t, pool_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t


cdef enum:
    FAN_TARGET_NONE = 0xffffffff    # a target function's word for: nowhere

cdef enum:                          # what fan_split finds
    FAN_ONE = 0                     # all keys have the same target
    FAN_SPLIT = 1
    FAN_NO_KEYS = 2                 # none, or words that contradict the command: any server will say the same
    FAN_CROSS = 3                   # several targets, and no way to split
    FAN_NOWHERE = 4                 # FAN_TARGET_NONE for one of the keys
    FAN_NO_MEMORY = 5

ctypedef uint32_t (*fan_target_t)(void *context, const uint8_t *key, size_t size) noexcept nogil
ctypedef uint32_t (*fan_home_t)(void *context, uint32_t target) noexcept nogil

cdef struct fan_part_t:             # what one target gets: one request, one reply
    slice_t   wire                  # the request, in memory of the fan
    slice_t   reply                 # data NULL: not there yet
    chunk_t  *reply_owner           # keeps reply alive; NULL: it lives as long as the process
    uint8_t  *cursor                # fan's own: where writing or reading has come to
    uint32_t  target
    uint32_t  leg                   # index of the leg it belongs to
    uint32_t  keys                  # how many
    uint32_t  following             # next part of the same leg; 0: it is the last

cdef struct fan_leg_t:              # parts that go the same way, in one run
    fan_t    *fan
    slice_t   wire                  # their requests back to back
    uint32_t  index                 # its own
    uint32_t  home
    uint32_t  part                  # its first part; the others by fan_part_t.following
    uint32_t  part_last
    uint32_t  parts                 # how many: requests in `wire`

cdef struct fan_t:
    void       *owner               # the caller's own
    fan_part_t *parts               # part_count of them, in the order of their first keys
    fan_leg_t  *legs                # leg_count of them, likewise
    uint32_t   *places              # of each key, in the request's order, the part that has it; NULL: no keys
    uint32_t    part_count
    uint32_t    leg_count
    uint32_t    keys
    uint32_t    left                # parts without a reply
    uint32_t    words_fixed         # words of a part that are neither key nor belong to one
    uint32_t    step                # words for each key
    uint8_t     policy              # POLICY_* for joining: the command's; the caller may set another
    uint32_t    part_room           # fan's own: parts that fit
    chunk_t    *chunk               # fan_t itself lies here, with places and (if they fit) parts
    chunk_t    *parts_chunk         # parts, when they are many; or NULL
    chunk_t    *wire_chunk          # legs, and wires unless shared; children have references to it
    chunk_t    *shared_chunk        # of fan_all: the one wire of all parts; or NULL


cdef int fan_split(pool_t *pool, const command_t *command, const slice_t *wire, fan_target_t target, fan_home_t home,
                   void *context, fan_t **fan, uint32_t *one) noexcept nogil
cdef fan_t *fan_all(pool_t *pool, const command_t *command, const slice_t *wire, chunk_t *owner,
                    const uint32_t *targets, uint32_t count) noexcept nogil
cdef void fan_child(fan_t *fan, uint32_t leg, const request_t *parent, request_t *child) noexcept nogil
cdef void fan_part_child(fan_t *fan, uint32_t part, const request_t *parent, request_t *child) noexcept nogil
cdef void fan_take(pool_t *pool, fan_t *fan, uint32_t leg, request_t *child) noexcept nogil
cdef void fan_lost(fan_t *fan, uint32_t leg) noexcept nogil
cdef void fan_reply(pool_t *pool, fan_t *fan, uint32_t part, const slice_t *reply, chunk_t *owner) noexcept nogil
cdef void fan_again(pool_t *pool, fan_t *fan, uint32_t part) noexcept nogil
cdef void fan_free(pool_t *pool, fan_t *fan) noexcept nogil


cdef inline bint fan_may_cross(const command_t *command) noexcept nogil:
    """Whether a request of this command may have more than one key: if not, its own key says all."""
    if command.key_rule == KEYS_NONE:
        return False
    return command.key_rule != KEYS_RANGE or command.specs[0].last != 0
