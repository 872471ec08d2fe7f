"""See fan.pxd.

First pass: the target of each key, its part, and how many bytes go there (only this far if all have one target). Second
pass: each key, with the words that belong to it, is copied to where its part has come to. The wire's structure is read
twice instead of kept: lengths are read faster than they are stored and fetched.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from shotover._codec.commands cimport (
    BEGIN_INDEX,
    FIND_KEYNUM,
    FIND_RANGE,
    KEYS_SPECS,
    POLICY_MULTI_SHARD,
    command_slot_words,
    keyspec_t,
    word_is,
)
from shotover._codec.resp cimport resp_frame_size, resp_words
from shotover._codec.resp_edit cimport resp_head_size, resp_put_head
from shotover._core.debug cimport invariant, likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_ref, pool_take

cdef enum:
    ENTRIES_FEW = 64            # of a table without memory of its own
    WORDS_FEW = 32              # words that are looked at without memory being taken

cdef struct plan_t:             # where in a request its keys stand
    uint8_t  *end
    uint8_t  *head              # first word
    uint8_t  *count_head        # the word that says how many keys there are; NULL: none does
    uint8_t  *count_end
    uint8_t  *first             # first key
    uint8_t  *behind            # what follows the last key and its words
    uint32_t  argc
    uint32_t  keys
    uint32_t  step              # words of a key, itself included
    uint32_t  words_fixed       # words that belong to no key
    bint      whole             # each key has all its words: it can be split

cdef struct entry_t:            # of a table; zero: empty
    uint32_t number
    uint32_t index              # plus 1

cdef struct table_t:            # numbers (targets, homes) -> indexes in order of first appearance; open addressing
    entry_t  *entries
    chunk_t  *chunk
    uint32_t  mask
    uint32_t  count
    entry_t   few[ENTRIES_FEW]

# What stands for a reply that is none; the joined reply is then this error.
cdef const char *LOST = b"-ERR shotover: a part of this request was not answered\r\n"
cdef const char *NO_ROOM = b"-ERR shotover: no memory for the replies to the parts of this request\r\n"
cdef enum:
    LOST_SIZE = 56
    NO_ROOM_SIZE = 71


# ---- words ----------------------------------------------------------------------------------------------------------


cdef inline uint8_t *_word(uint8_t *at, uint8_t *end, slice_t *word) noexcept nogil:
    """The bulk string at `at`; returns what follows it. NULL: there is none."""
    cdef:
        uint64_t size
        uint8_t  digit
    if unlikely(end - at < 6 or at[0] != b'$'):
        return NULL
    size = <uint64_t>at[1] - 48
    if unlikely(size > 9):
        return NULL
    at += 2
    digit = at[0] - 48
    while digit <= 9:
        size = size * 10 + digit
        at += 1
        if unlikely(size >= <uint64_t>(end - at)):      # so there is one more byte, and no overflow
            return NULL
        digit = at[0] - 48
    if unlikely(size + 4 > <uint64_t>(end - at) or at[0] != b'\r'):
        return NULL
    at += 2
    word.data = at
    word.size = <size_t>size
    return at + size + 2


cdef inline uint8_t *_skip(uint8_t *at, uint8_t *end, uint32_t words) noexcept nogil:
    cdef slice_t word
    while words and at is not NULL:
        at = _word(at, end, &word)
        words -= 1
    return at


cdef uint32_t _number(const slice_t *word) noexcept nogil:
    """A number of keys as servers read it; 0: none."""
    cdef:
        uint64_t number = 0
        size_t   index
    if word.size == 0 or word.size > 9 or word.data[0] == b'0':
        return 0
    for index in range(word.size):
        if word.data[index] < b'0' or word.data[index] > b'9':
            return 0
        number = number * 10 + (word.data[index] - 48)
    return <uint32_t>number


# ---- where the keys stand -------------------------------------------------------------------------------------------


cdef int _plan(const command_t *command, const slice_t *wire, plan_t *plan) noexcept nogil:
    """FAN_SPLIT: the plan is good (`behind` and `whole` aside: known after the first pass). FAN_NO_KEYS. FAN_CROSS: the keys
    stand in another way."""
    cdef:
        const keyspec_t *spec = command.specs
        slice_t  word
        uint8_t *at
        int64_t  first, last
        int64_t  counted = 0
    if command.key_rule != KEYS_RANGE and (command.key_rule != KEYS_SPECS or command.spec_count != 1
                                           or spec.begin != BEGIN_INDEX or spec.find != FIND_KEYNUM):
        return FAN_CROSS
    plan.argc = resp_words(wire.data, wire.data + wire.size, &word, 1)
    if plan.argc == 0 or spec.step < 1:
        return FAN_NO_KEYS
    plan.end = wire.data + wire.size
    plan.head = word.data - resp_head_size(word.size)
    plan.count_head = NULL
    plan.count_end = NULL
    plan.step = spec.step
    plan.whole = True
    first = spec.begin_at
    if spec.find == FIND_RANGE:
        last = first + spec.last
        if spec.last < 0:
            last = <int64_t>plan.argc + spec.last
            if spec.limit > 1:
                last = first + (<int64_t>plan.argc - first) // spec.limit + spec.last
                plan.whole = False
            elif (last + 1 - first) % spec.step:
                plan.whole = False
    else:
        counted = first + spec.keynum_at
        first += spec.first_at
        if counted < 1 or counted >= first or counted >= plan.argc:
            return FAN_CROSS if counted < plan.argc else FAN_NO_KEYS
        at = _skip(plan.head, plan.end, <uint32_t>counted)
        plan.count_head = at
        at = NULL if at is NULL else _word(at, plan.end, &word)
        if at is NULL:
            return FAN_NO_KEYS
        plan.count_end = at
        last = first + (<int64_t>_number(&word) - 1) * spec.step
    if first < 1 or last < first or last >= plan.argc:
        return FAN_NO_KEYS
    plan.keys = <uint32_t>((last - first) // spec.step + 1)
    if first + <int64_t>plan.keys * spec.step > plan.argc:
        plan.whole = False
    if plan.whole:
        plan.words_fixed = plan.argc - plan.keys * plan.step
    plan.first = _skip(plan.head, plan.end, <uint32_t>first)
    return FAN_NO_KEYS if plan.first is NULL else FAN_SPLIT


cdef bint _conditional(const plan_t *plan) noexcept nogil:
    """Whether NX or XX stands behind the keys: a condition that no part can check for the others."""
    cdef:
        uint8_t *at = plan.behind
        slice_t  word
    while at is not NULL and at < plan.end:
        at = _word(at, plan.end, &word)
        if at is not NULL and (word_is(&word, "NX", 2) or word_is(&word, "XX", 2)):
            return True
    return False


cdef int _one_by_words(pool_t *pool, const command_t *command, const slice_t *wire, fan_target_t target, void *context,
                       uint32_t *one) noexcept nogil:
    """For keys in any other form: whether all have one target. Needs all words at once."""
    cdef:
        slice_t   few[WORDS_FEW]
        uint32_t  few_found[WORDS_FEW]
        slice_t  *argv = few
        uint32_t *found = few_found
        chunk_t  *chunk = NULL
        uint32_t  argc = resp_words(wire.data, wire.data + wire.size, few, WORDS_FEW)
        uint32_t  number
        int       count, index, outcome = FAN_ONE
    if argc == 0 or argc > wire.size:
        return FAN_NO_KEYS
    if argc > WORDS_FEW:
        chunk = pool_take(pool, argc * (sizeof(slice_t) + sizeof(uint32_t)))
        if chunk is NULL:
            return FAN_NO_MEMORY
        argv = <slice_t *>chunk_data(chunk)
        found = <uint32_t *>(argv + argc)
        if resp_words(wire.data, wire.data + wire.size, argv, argc) == 0:
            chunk_put(pool, chunk)
            return FAN_NO_KEYS
    count = command_slot_words(command, argv, argc, found, argc)
    if count <= 0 or <uint32_t>count > argc:
        outcome = FAN_NO_KEYS
        count = 0
    for index in range(count):
        number = target(context, argv[found[index]].data, argv[found[index]].size)
        if number == FAN_TARGET_NONE:
            outcome = FAN_NOWHERE
            break
        if index == 0:
            one[0] = number
        elif number != one[0]:
            outcome = FAN_CROSS
            break
    if chunk is not NULL:
        chunk_put(pool, chunk)
    return outcome


# ---- tables ---------------------------------------------------------------------------------------------------------


cdef inline void _table_init(table_t *table) noexcept nogil:
    memset(table, 0, sizeof(table_t))
    table.entries = table.few
    table.mask = ENTRIES_FEW - 1


cdef inline void _table_free(pool_t *pool, table_t *table) noexcept nogil:
    if table.chunk is not NULL:
        chunk_put(pool, table.chunk)


cdef inline entry_t *_table_entry(table_t *table, uint32_t number) noexcept nogil:
    """Where `number` is, or would be."""
    cdef uint32_t at = <uint32_t>(number * 0x9E3779B1u >> 8) & table.mask
    while table.entries[at].index and table.entries[at].number != number:
        at = (at + 1) & table.mask
    return &table.entries[at]


cdef bint _table_grow(pool_t *pool, table_t *table) noexcept nogil:
    cdef:
        entry_t *before = table.entries
        uint32_t size = table.mask + 1, index
        chunk_t *chunk = pool_take(pool, 2 * size * sizeof(entry_t))
    if chunk is NULL:
        return False
    table.entries = <entry_t *>chunk_data(chunk)
    table.mask = 2 * size - 1
    memset(table.entries, 0, 2 * size * sizeof(entry_t))
    for index in range(size):
        if before[index].index:
            _table_entry(table, before[index].number)[0] = before[index]
    if table.chunk is not NULL:
        chunk_put(pool, table.chunk)
    table.chunk = chunk
    return True


cdef inline int64_t _table_index(pool_t *pool, table_t *table, uint32_t number) noexcept nogil:
    """The index of `number`: a new one when it is not yet there (then it is count - 1). -1: no memory."""
    cdef entry_t *entry = _table_entry(table, number)
    if likely(entry.index):
        return entry.index - 1
    if unlikely(table.count > table.mask // 2):
        if not _table_grow(pool, table):
            return -1
        entry = _table_entry(table, number)
    table.count += 1
    entry.number = number
    entry.index = table.count
    return table.count - 1


# ---- the fan --------------------------------------------------------------------------------------------------------


cdef fan_t *_fan_new(pool_t *pool, const command_t *command, uint32_t keys) noexcept nogil:
    """An empty fan; parts take what room its chunk has left."""
    cdef:
        size_t   size = (sizeof(fan_t) + 4 * <size_t>keys + 7) & ~<size_t>7
        chunk_t *chunk = pool_take(pool, size + 2 * sizeof(fan_part_t))
        fan_t   *fan
    if chunk is NULL:
        return NULL
    fan = <fan_t *>chunk_data(chunk)
    memset(fan, 0, sizeof(fan_t))
    fan.chunk = chunk
    fan.places = <uint32_t *>(fan + 1) if keys else NULL
    fan.keys = keys
    fan.parts = <fan_part_t *>(chunk_data(chunk) + size)
    fan.part_room = <uint32_t>((chunk.size - size) // sizeof(fan_part_t))
    fan.policy = command.response_policy
    return fan


cdef fan_part_t *_part_new(pool_t *pool, fan_t *fan, uint32_t target) noexcept nogil:
    cdef:
        chunk_t    *chunk
        fan_part_t *part
    if unlikely(fan.part_count == fan.part_room):
        chunk = pool_take(pool, 2 * <size_t>fan.part_room * sizeof(fan_part_t))
        if chunk is NULL:
            return NULL
        memcpy(chunk_data(chunk), fan.parts, fan.part_count * sizeof(fan_part_t))
        if fan.parts_chunk is not NULL:
            chunk_put(pool, fan.parts_chunk)
        fan.parts_chunk = chunk
        fan.parts = <fan_part_t *>chunk_data(chunk)
        fan.part_room *= 2
    part = &fan.parts[fan.part_count]
    memset(part, 0, sizeof(fan_part_t))
    part.target = target
    part.leg = fan.part_count
    fan.part_count += 1
    return part


cdef void fan_free(pool_t *pool, fan_t *fan) noexcept nogil:
    """Gives back all of it, replies included. Children keep what they have references to."""
    cdef uint32_t index
    for index in range(fan.part_count):
        if fan.parts[index].reply_owner is not NULL:
            chunk_put(pool, fan.parts[index].reply_owner)
    if fan.parts_chunk is not NULL:
        chunk_put(pool, fan.parts_chunk)
    if fan.wire_chunk is not NULL:
        chunk_put(pool, fan.wire_chunk)
    if fan.shared_chunk is not NULL:
        chunk_put(pool, fan.shared_chunk)
    chunk_put(pool, fan.chunk)


cdef int fan_split(pool_t *pool, const command_t *command, const slice_t *wire, fan_target_t target, fan_home_t home,
                   void *context, fan_t **fan, uint32_t *one) noexcept nogil:
    """Looks where the keys of one whole request go, and splits it if it must and can be.

    FAN_ONE: `one` is set. FAN_SPLIT: `fan` is set, the caller's to free. Otherwise neither. `home` may be NULL.
    """
    cdef:
        plan_t   plan
        slice_t  key
        uint8_t *at
        uint32_t index, number, _
        int      outcome = _plan(command, wire, &plan)
    if outcome == FAN_CROSS:
        return _one_by_words(pool, command, wire, target, context, one)
    if outcome != FAN_SPLIT:
        return outcome
    at = plan.first
    for index in range(plan.keys):
        at = _word(at, plan.end, &key)
        if unlikely(at is NULL):
            return FAN_NO_KEYS
        number = target(context, key.data, key.size)
        if unlikely(number == FAN_TARGET_NONE):
            return FAN_NOWHERE
        if index == 0:
            one[0] = number
        elif number != one[0]:
            if command.request_policy == POLICY_MULTI_SHARD and plan.whole:
                return _split(pool, command, &plan, target, home, context, fan)
            # Words are missing: the server's own complaint is better than one about targets.
            return FAN_ONE if command.request_policy == POLICY_MULTI_SHARD and not plan.whole else FAN_CROSS
        if plan.step > 1 and index + 1 < plan.keys:
            at = _skip(at, plan.end, plan.step - 1)
            if unlikely(at is NULL):
                return FAN_NO_KEYS
    return FAN_ONE


cdef int _split(pool_t *pool, const command_t *command, plan_t *plan, fan_target_t target, fan_home_t home, void *context,
                fan_t **out) noexcept nogil:
    cdef:
        table_t table
        fan_t  *fan = _fan_new(pool, command, plan.keys)
        int     outcome
    if fan is NULL:
        return FAN_NO_MEMORY
    fan.step = plan.step
    fan.words_fixed = plan.words_fixed
    _table_init(&table)
    outcome = _find_parts(pool, fan, &table, plan, target, context)
    _table_free(pool, &table)
    if outcome == FAN_SPLIT and plan.count_head is not NULL and _conditional(plan):
        outcome = FAN_CROSS
    if outcome == FAN_SPLIT and not _lay_out(pool, fan, plan, home, context):
        outcome = FAN_NO_MEMORY
    if outcome != FAN_SPLIT:
        fan_free(pool, fan)
        return outcome
    _write(fan, plan)
    fan.left = fan.part_count
    out[0] = fan
    return FAN_SPLIT


cdef int _find_parts(pool_t *pool, fan_t *fan, table_t *table, plan_t *plan, fan_target_t target,
                     void *context) noexcept nogil:
    """The first pass. Sets `places`, and of each part its keys and (in wire.size) the bytes of these."""
    cdef:
        slice_t     key
        uint8_t    *at = plan.first
        uint8_t    *start
        fan_part_t *part = NULL
        int64_t     place = -1
        uint32_t    index, number
    for index in range(plan.keys):
        start = at
        at = _word(at, plan.end, &key)
        if unlikely(at is NULL):
            return FAN_NO_KEYS
        number = target(context, key.data, key.size)
        if unlikely(number == FAN_TARGET_NONE):
            return FAN_NOWHERE
        if part is NULL or part.target != number:
            place = _table_index(pool, table, number)
            if unlikely(place < 0):
                return FAN_NO_MEMORY
            part = &fan.parts[place]
            if unlikely(place == fan.part_count):
                part = _part_new(pool, fan, number)
                if unlikely(part is NULL):
                    return FAN_NO_MEMORY
        if plan.step > 1:
            at = _skip(at, plan.end, plan.step - 1)
            if unlikely(at is NULL):
                return FAN_NO_KEYS
        fan.places[index] = <uint32_t>place
        part.keys += 1
        part.wire.size += <size_t>(at - start)
    plan.behind = at
    return FAN_SPLIT


cdef bint _lay_out(pool_t *pool, fan_t *fan, const plan_t *plan, fan_home_t home, void *context) noexcept nogil:
    """Takes memory for legs and wires, and gives each part its place there, behind the others of its leg."""
    cdef:
        table_t     table
        fan_part_t *part
        fan_leg_t  *leg
        uint8_t    *at
        size_t      size = 0, fixed
        int64_t     place
        uint32_t    index
    _table_init(&table)
    fixed = <size_t>(plan.first - plan.head) + <size_t>(plan.end - plan.behind)
    if plan.count_head is not NULL:
        fixed -= <size_t>(plan.count_end - plan.count_head)
    for index in range(fan.part_count):
        part = &fan.parts[index]
        if home is not NULL:
            place = _table_index(pool, &table, home(context, part.target))
            if place < 0:
                break
            part.leg = <uint32_t>place
        part.wire.size += fixed + resp_head_size(fan.words_fixed + part.keys * fan.step)
        if plan.count_head is not NULL:
            part.wire.size += _number_size(part.keys)
        size += part.wire.size
        fan.leg_count = max(fan.leg_count, part.leg + 1)
    else:
        fan.wire_chunk = pool_take(pool, fan.leg_count * sizeof(fan_leg_t) + size)
    _table_free(pool, &table)
    if fan.wire_chunk is NULL:
        return False
    fan.legs = <fan_leg_t *>chunk_data(fan.wire_chunk)
    _link_legs(fan)
    at = <uint8_t *>(fan.legs + fan.leg_count)
    for index in range(fan.leg_count):          # legs one behind the other, and their parts within
        leg = &fan.legs[index]
        leg.home = fan.parts[leg.part].target if home is NULL else home(context, fan.parts[leg.part].target)
        leg.wire.data = at
        at += leg.wire.size
        leg.wire.size = 0
    for index in range(fan.part_count):
        part = &fan.parts[index]
        leg = &fan.legs[part.leg]
        part.wire.data = leg.wire.data + leg.wire.size
        leg.wire.size += part.wire.size
    return True


cdef void _link_legs(fan_t *fan) noexcept nogil:
    """Sets up the legs: their parts, and in wire.size the bytes of these."""
    cdef:
        fan_leg_t  *leg
        fan_part_t *part
        uint32_t    index
    memset(fan.legs, 0, fan.leg_count * sizeof(fan_leg_t))
    for index in range(fan.part_count):
        part = &fan.parts[index]
        leg = &fan.legs[part.leg]
        if leg.parts:
            fan.parts[leg.part_last].following = index
        else:
            leg.fan = fan
            leg.index = part.leg
            leg.part = index
        leg.part_last = index
        leg.parts += 1
        leg.wire.size += part.wire.size


cdef size_t _number_size(uint32_t number) noexcept nogil:
    """Bytes of a number as a bulk string."""
    cdef size_t digits = resp_head_size(number) - 3
    return resp_head_size(digits) + digits + 2


cdef uint8_t *_put(uint8_t *to, const uint8_t *start, const uint8_t *end) noexcept nogil:
    memcpy(to, start, <size_t>(end - start))
    return to + (end - start)


cdef void _write(fan_t *fan, const plan_t *plan) noexcept nogil:
    """The second pass: all wires."""
    cdef:
        fan_part_t *part
        slice_t     key
        uint8_t    *at = plan.first
        uint8_t    *start
        size_t      digits
        uint32_t    index
    for index in range(fan.part_count):
        part = &fan.parts[index]
        part.cursor = resp_put_head(part.wire.data, b'*', fan.words_fixed + part.keys * fan.step)
        if plan.count_head is NULL:
            part.cursor = _put(part.cursor, plan.head, plan.first)
        else:
            part.cursor = _put(part.cursor, plan.head, plan.count_head)
            digits = resp_head_size(part.keys) - 3
            part.cursor = resp_put_head(part.cursor, b'$', digits)
            part.cursor = resp_put_head(part.cursor - 1, b'\n', part.keys)     # its sign is the \n before it
            part.cursor = _put(part.cursor, plan.count_end, plan.first)
    for index in range(plan.keys):
        start = at
        at = _word(at, plan.end, &key)
        if plan.step > 1:
            at = _skip(at, plan.end, plan.step - 1)
        part = &fan.parts[fan.places[index]]
        memcpy(part.cursor, start, <size_t>(at - start))
        part.cursor += at - start
    for index in range(fan.part_count):
        part = &fan.parts[index]
        part.cursor = _put(part.cursor, plan.behind, plan.end)
        invariant(part.cursor == part.wire.data + part.wire.size)


cdef fan_t *fan_all(pool_t *pool, const command_t *command, const slice_t *wire, chunk_t *owner,
                    const uint32_t *targets, uint32_t count) noexcept nogil:
    """The same request for each of `count` >= 1 targets: a fan with as many parts, a leg each. NULL: no memory.

    `owner` keeps `wire` alive and gets one more reference; NULL: the bytes are copied.
    """
    cdef:
        fan_t      *fan
        fan_part_t *part
        slice_t     shared = wire[0]
        uint32_t    index
        size_t      size = count * sizeof(fan_leg_t)
    invariant(count > 0)
    fan = _fan_new(pool, command, 0)
    if fan is NULL:
        return NULL
    fan.words_fixed = resp_words(wire.data, wire.data + wire.size, &shared, 0)
    fan.wire_chunk = pool_take(pool, size if owner is not NULL else size + wire.size)
    if fan.wire_chunk is not NULL:
        fan.legs = <fan_leg_t *>chunk_data(fan.wire_chunk)
        fan.leg_count = count
        if owner is NULL:
            shared.data = <uint8_t *>(fan.legs + count)
            memcpy(shared.data, wire.data, wire.size)
        else:
            fan.shared_chunk = chunk_ref(owner)
    for index in range(count):
        part = NULL if fan.wire_chunk is NULL else _part_new(pool, fan, targets[index])
        if part is NULL:
            fan_free(pool, fan)
            return NULL
        part.wire = shared
    _link_legs(fan)
    for index in range(count):
        fan.legs[index].home = targets[index]
        fan.legs[index].wire = shared
    fan.left = count
    return fan


# ---- children -------------------------------------------------------------------------------------------------------


cdef void fan_child(fan_t *fan, uint32_t leg, const request_t *parent, request_t *child) noexcept nogil:
    """Makes `child`, as hub.request_new gives it, the requests of a leg: one run, with `parent`'s facts and session.

    `parent` must stay until the child is answered; should its session end before, the caller sees to it (on_session_end).
    """
    cdef fan_leg_t *its = &fan.legs[leg]
    _child(fan, &its.wire, its.parts, &fan.parts[its.part_last], parent, child)


cdef void fan_part_child(fan_t *fan, uint32_t part, const request_t *parent, request_t *child) noexcept nogil:
    """The same for one part alone, to send it once more somewhere else. Its reply goes to fan_reply."""
    _child(fan, &fan.parts[part].wire, 1, &fan.parts[part], parent, child)


cdef void _child(fan_t *fan, const slice_t *wire, uint32_t count, const fan_part_t *last, const request_t *parent,
                 request_t *child) noexcept nogil:
    cdef slice_t words[2]
    child.wire = wire[0]
    child.owner = chunk_ref(fan.wire_chunk if fan.shared_chunk is NULL else fan.shared_chunk)
    child.parent = <request_t *>parent
    child.session = parent.session
    child.command = parent.command
    child.kind = parent.kind
    child.conduct = parent.conduct
    child.arrived_ns = parent.arrived_ns
    child.count = count
    child.left = count
    child.argc = fan.words_fixed + last.keys * fan.step
    if fan.keys and (<const command_t *>parent.command).first_key == 1 \
            and resp_words(wire.data, wire.data + wire.size, words, 2) > 1:
        child.key_at = <uint32_t>(words[1].data - wire.data)
        child.key_size = <uint32_t>words[1].size


# ---- replies --------------------------------------------------------------------------------------------------------


cdef void _settle(fan_t *fan, fan_part_t *part, const uint8_t *data, size_t size, chunk_t *owner) noexcept nogil:
    invariant(part.reply.data is NULL and fan.left > 0)
    part.reply.data = <uint8_t *>data
    part.reply.size = size
    part.reply_owner = owner
    fan.left -= 1


cdef void fan_reply(pool_t *pool, fan_t *fan, uint32_t part, const slice_t *reply, chunk_t *owner) noexcept nogil:
    """One part's reply. `owner` is taken over; NULL: the bytes are borrowed and copied. Without memory the part has failed."""
    cdef fan_part_t *its = &fan.parts[part]
    if reply.size == 0:
        if owner is not NULL:
            chunk_put(pool, owner)
        _settle(fan, its, <const uint8_t *>LOST, LOST_SIZE, NULL)
        return
    if owner is NULL:
        owner = pool_take(pool, reply.size)
        if owner is NULL:
            _settle(fan, its, <const uint8_t *>NO_ROOM, NO_ROOM_SIZE, NULL)
            return
        memcpy(chunk_data(owner), reply.data, reply.size)
        _settle(fan, its, chunk_data(owner), reply.size, owner)
    else:
        _settle(fan, its, reply.data, reply.size, owner)


cdef void fan_take(pool_t *pool, fan_t *fan, uint32_t leg, request_t *child) noexcept nogil:
    """The reply of a leg's child, moved out of it: one to each part. What is missing counts as lost."""
    cdef:
        fan_leg_t  *its = &fan.legs[leg]
        slice_t     left = child.reply
        slice_t     one
        chunk_t    *owner = child.reply_owner
        uint32_t    part = its.part
        uint32_t    _
    child.reply.data = NULL
    child.reply.size = 0
    child.reply_owner = NULL
    child.reply_room = NULL
    if its.parts == 1:
        fan_reply(pool, fan, part, &left, owner)
        return
    for _ in range(its.parts):
        one.data = left.data
        one.size = resp_frame_size(left.data, left.data + left.size) if left.size else 0
        left.data += one.size
        left.size -= one.size
        fan_reply(pool, fan, part, &one, NULL if owner is NULL else chunk_ref(owner))
        part = fan.parts[part].following
    if owner is not NULL:
        chunk_put(pool, owner)


cdef void fan_lost(fan_t *fan, uint32_t leg) noexcept nogil:
    """There will be no reply for this leg."""
    cdef uint32_t part = fan.legs[leg].part, _
    for _ in range(fan.legs[leg].parts):
        _settle(fan, &fan.parts[part], <const uint8_t *>LOST, LOST_SIZE, NULL)
        part = fan.parts[part].following


cdef void fan_again(pool_t *pool, fan_t *fan, uint32_t part) noexcept nogil:
    """Forgets a part's reply (MOVED, say): it is to be had once more, by fan_part_child and fan_reply."""
    cdef fan_part_t *its = &fan.parts[part]
    invariant(its.reply.data is not NULL)
    if its.reply_owner is not NULL:
        chunk_put(pool, its.reply_owner)
    its.reply_owner = NULL
    its.reply.data = NULL
    its.reply.size = 0
    fan.left += 1
