"""Reads a server's COMMAND reply, RESP2 or RESP3, into a table of the commands not known statically.

The reply comes from a peer: lengths and counts are believed only as far as there are bytes, nesting costs no stack,
and a field of an unexpected type ends the reading.
"""

from libc.stdint cimport INT16_MAX, INT16_MIN, int16_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset, strlen

from shotover._codec.commands cimport (
    ACCESS_NOT_KEY, BEGIN_INDEX, BEGIN_KEYWORD, CATEGORY_CONNECTION, CATEGORY_TRANSACTION, COMMAND_ADMIN,
    COMMAND_BLOCKING, COMMAND_MOVABLEKEYS, COMMAND_PUBSUB, COMMAND_READONLY, COMMAND_WRITE, CONDUCT_ALONE,
    CONDUCT_BLOCK, CONDUCT_PIN, CONDUCT_PLAIN, FIND_KEYNUM, FIND_RANGE, KEY_WORD_SIZE_MAX, KEYS_NONE, KEYS_RANGE,
    KEYS_SPECS, KIND_ADMIN, KIND_PUBSUB, KIND_READ, KIND_SESSION, KIND_UNKNOWN, KIND_WRITE, command_count,
    command_find, command_find_sub, command_keys, command_view, word_is,
)
from shotover._core.slice cimport slice_t


cdef extern from *:
    """
    #include "shotover/_codec/generated/redis_enums.h"
    static const char *FLAG_WORDS[] = COMMAND_NAMES, *CATEGORY_WORDS[] = CATEGORY_NAMES;
    static const char *TIP_WORDS[] = TIP_NAMES, *ACCESS_WORDS[] = ACCESS_NAMES, *POLICY_WORDS[] = POLICY_NAMES;
    """
    const char **FLAG_WORDS
    const char **CATEGORY_WORDS
    const char **TIP_WORDS
    const char **ACCESS_WORDS
    const char **POLICY_WORDS


cdef enum:
    FIELDS_MIN = 6      # name, arity, flags, first key, last key, step; Redis 6 adds categories, 7 tips, specs, subs

cdef struct reader_t:
    const uint8_t *at
    const uint8_t *end

cdef struct value_t:
    uint8_t  is_text
    uint8_t  is_number
    uint8_t  is_list
    int64_t  number     # the number; or how many values follow in the list
    slice_t  text


# ---- RESP -----------------------------------------------------------------------------------------------------------


cdef bint line_read(reader_t *reader, slice_t *line) noexcept nogil:
    """What stands before the next CR LF. False: there is none."""
    cdef const uint8_t *at = reader.at
    while at + 1 < reader.end:
        if at[0] == c'\r':
            if at[1] != c'\n':
                return False
            line.data = <uint8_t *>reader.at
            line.size = at - reader.at
            reader.at = at + 2
            return True
        at += 1
    return False


cdef bint number_read(const slice_t *line, int64_t *number) noexcept nogil:
    """A number of at most 18 digits."""
    cdef:
        bint   minus = line.size > 0 and line.data[0] == c'-'
        size_t i = 1 if minus else 0
    number[0] = 0
    if line.size == i or line.size > 18:
        return False
    while i < line.size:
        if line.data[i] < c'0' or line.data[i] > c'9':
            return False
        number[0] = number[0] * 10 + (line.data[i] - c'0')
        i += 1
    if minus:
        number[0] = -number[0]
    return True


cdef bint value_read(reader_t *reader, value_t *value) noexcept nogil:
    """One value; of a list only its head. Nulls are empty texts or lists. False: not RESP, or cut short."""
    cdef:
        slice_t line
        uint8_t mark
    memset(value, 0, sizeof(value_t))
    if reader.end - reader.at < 3:
        return False
    mark = reader.at[0]
    reader.at += 1
    if not line_read(reader, &line):
        return False
    if mark in b"+-,#_(":
        value.is_text = True
        value.text = line
        return True
    if not number_read(&line, &value.number):
        return False
    if mark == c':':
        value.is_number = True
        return True
    if value.number == -1 and mark in b"$*":
        value.number = 0
        value.is_text = mark == c'$'
        value.is_list = mark == c'*'
        return True
    if value.number < 0 or value.number > reader.end - reader.at:   # each takes a byte at least
        return False
    if mark in b"*~>":
        value.is_list = True
        return True
    if mark == c'%':
        value.is_list = True
        value.number *= 2
        return True
    if mark in b"$=!":
        return bulk_read(reader, value)
    return False


cdef bint bulk_read(reader_t *reader, value_t *value) noexcept nogil:
    """The bytes announced by the head just read."""
    if reader.end - reader.at < value.number + 2:
        return False
    value.is_text = True
    value.text.data = <uint8_t *>reader.at
    value.text.size = value.number
    reader.at += value.number
    if reader.at[0] != c'\r' or reader.at[1] != c'\n':
        return False
    reader.at += 2
    return True


cdef bint values_skip(reader_t *reader, uint64_t count) noexcept nogil:
    """Passes over `count` whole values, whatever they nest."""
    cdef value_t value
    while count > 0:
        if not value_read(reader, &value):
            return False
        count -= 1
        if value.is_list:
            count += value.number
    return True


cdef bint short_read(reader_t *reader, int16_t *number) noexcept nogil:
    cdef value_t value
    if not value_read(reader, &value) or not value.is_number or not INT16_MIN <= value.number <= INT16_MAX:
        return False
    number[0] = <int16_t>value.number
    return True


# ---- facts ----------------------------------------------------------------------------------------------------------


cdef bint text_is(const slice_t *text, const char *word) noexcept nogil:
    return text.size == strlen(word) and memcmp(text.data, word, text.size) == 0


cdef bint text_is_any_case(const slice_t *text, const char *word) noexcept nogil:
    """For the published names that servers write in either case (RO beside not_key)."""
    cdef size_t i
    if text.size != strlen(word):
        return False
    for i in range(text.size):
        if (text.data[i] | 0x20) != (<uint8_t>word[i] | 0x20):
            return False
    return True


cdef bint bits_read(reader_t *reader, const char **names, size_t prefix_size, uint32_t *bits) noexcept nogil:
    """A list of words, each behind a prefix to drop, as bits; unknown words are passed over."""
    cdef:
        value_t list_head, value
        int64_t _
        int     bit
    bits[0] = 0
    if not value_read(reader, &list_head) or not list_head.is_list:
        return False
    for _ in range(list_head.number):
        if not value_read(reader, &value) or not value.is_text:
            return False
        if value.text.size <= prefix_size:
            continue
        value.text.data += prefix_size
        value.text.size -= prefix_size
        if text_is(&value.text, "skip_commandlog"):         # Valkey 9's name for it
            value.text.data = <uint8_t *><const char *>"skip_slowlog"
            value.text.size = 12
        bit = 0
        while names[bit] is not NULL:
            if text_is_any_case(&value.text, names[bit]):
                bits[0] |= <uint32_t>1 << bit
            bit += 1
    return True


cdef bint policy_is(const slice_t *text, const char *prefix, uint8_t *policy) noexcept nogil:
    """Sets `policy` when `text` is the prefix and a known one."""
    cdef:
        size_t  size = strlen(prefix)
        slice_t rest
        uint8_t i = 0
    if text.size <= size or memcmp(text.data, prefix, size) != 0:
        return False
    rest.data = text.data + size
    rest.size = text.size - size
    while POLICY_WORDS[i] is not NULL:
        if text_is(&rest, POLICY_WORDS[i]):
            policy[0] = i
        i += 1
    return True


cdef bint tips_read(reader_t *reader, command_t *facts) noexcept nogil:
    cdef:
        value_t list_head, value
        int64_t _
        int     bit
    if not value_read(reader, &list_head) or not list_head.is_list:
        return False
    for _ in range(list_head.number):
        if not value_read(reader, &value) or not value.is_text:
            return False
        if policy_is(&value.text, "request_policy:", &facts.request_policy):
            continue
        if policy_is(&value.text, "response_policy:", &facts.response_policy):
            continue
        bit = 0
        while TIP_WORDS[bit] is not NULL:
            if text_is(&value.text, TIP_WORDS[bit]):
                facts.tips |= 1 << bit
            bit += 1
    return True


# ---- key specs ------------------------------------------------------------------------------------------------------


cdef bint spec_field_read(reader_t *reader, const slice_t *field, keyspec_t *spec) noexcept nogil:
    """One entry of the inner "spec" map of begin_search or find_keys; the value is still to be read."""
    cdef value_t value
    if text_is(field, "index") or text_is(field, "startfrom"):
        return short_read(reader, &spec.begin_at)
    if text_is(field, "lastkey"):
        return short_read(reader, &spec.last)
    if text_is(field, "limit"):
        return short_read(reader, &spec.limit)
    if text_is(field, "keynumidx"):
        return short_read(reader, &spec.keynum_at)
    if text_is(field, "firstkey"):
        return short_read(reader, &spec.first_at)
    if text_is(field, "keystep"):
        return short_read(reader, &spec.step)
    if not text_is(field, "keyword"):
        return values_skip(reader, 1)
    if not value_read(reader, &value) or not value.is_text:
        return False
    if 0 < value.text.size <= KEY_WORD_SIZE_MAX:
        upper_copy(spec.word, &value.text)
        spec.word_size = <uint8_t>value.text.size
    return True


cdef bint spec_half_read(reader_t *reader, keyspec_t *spec) noexcept nogil:
    """begin_search or find_keys: a map of "type" and "spec". Only the type unknown belongs to both."""
    cdef:
        value_t head, field, value, inner
        int64_t _i, _j
    if not value_read(reader, &head) or not head.is_list:
        return False
    for _i in range(head.number // 2):
        if not value_read(reader, &field) or not field.is_text or not value_read(reader, &value):
            return False
        if text_is(&field.text, "type"):
            if text_is(&value.text, "index"):
                spec.begin = BEGIN_INDEX
            elif text_is(&value.text, "keyword"):
                spec.begin = BEGIN_KEYWORD
            elif text_is(&value.text, "range"):
                spec.find = FIND_RANGE
            elif text_is(&value.text, "keynum"):
                spec.find = FIND_KEYNUM
        elif value.is_list and text_is(&field.text, "spec"):
            for _j in range(value.number // 2):
                if not value_read(reader, &inner) or not spec_field_read(reader, &inner.text, spec):
                    return False
        elif value.is_list and not values_skip(reader, value.number):
            return False
    return True


cdef bint spec_read(reader_t *reader, keyspec_t *spec) noexcept nogil:
    cdef:
        value_t  head, field
        uint32_t access = 0
        int64_t  _
    memset(spec, 0, sizeof(keyspec_t))
    if not value_read(reader, &head) or not head.is_list:
        return False
    for _ in range(head.number // 2):
        if not value_read(reader, &field):
            return False
        if text_is(&field.text, "flags"):
            if not bits_read(reader, ACCESS_WORDS, 0, &access):
                return False
        elif text_is(&field.text, "begin_search") or text_is(&field.text, "find_keys"):
            if not spec_half_read(reader, spec):
                return False
        elif not values_skip(reader, 1):
            return False
    spec.access = <uint8_t>access
    return True


cdef bint specs_read(reader_t *reader, learned_command_t *command) noexcept nogil:
    cdef:
        value_t head
        int64_t i
        keyspec_t *spec
    if not value_read(reader, &head) or not head.is_list:
        return False
    for i in range(head.number):
        if i >= LEARNED_SPECS_MAX:
            command.facts.incomplete_keys = True
            return values_skip(reader, head.number - i)
        spec = &command.specs[i]
        if not spec_read(reader, spec):
            return False
        command.facts.spec_count += 1
        if spec.begin == BEGIN_KEYWORD and spec.word_size == 0:
            spec.begin = 0
        if spec.begin == 0 or spec.find == 0:
            command.facts.incomplete_keys = True
    return True


cdef void keys_settle(learned_command_t *command) noexcept nogil:
    """Chooses the rule by which the command's keys are found."""
    cdef:
        command_t *facts = &command.facts
        keyspec_t *spec = &command.specs[0]
    if facts.spec_count == 0 and facts.flags & COMMAND_MOVABLEKEYS:
        facts.incomplete_keys = True
    if facts.spec_count == 0 and facts.first_key > 0:       # Redis before 7 has no specs
        spec.begin = BEGIN_INDEX
        spec.find = FIND_RANGE
        spec.begin_at = facts.first_key
        spec.last = facts.last_key if facts.last_key < 0 else facts.last_key - facts.first_key
        spec.step = facts.key_step
        facts.spec_count = 1
    facts.key_rule = KEYS_NONE
    if facts.spec_count == 0:
        return
    facts.key_rule = KEYS_SPECS
    if facts.spec_count == 1 and spec.begin == BEGIN_INDEX and spec.find == FIND_RANGE:
        if not spec.access & ACCESS_NOT_KEY:
            facts.key_rule = KEYS_RANGE
            facts.first_key = spec.begin_at


# ---- commands -------------------------------------------------------------------------------------------------------


cdef void upper_copy(char *out, const slice_t *text) noexcept nogil:
    cdef size_t i
    for i in range(text.size):
        out[i] = <char>(text.data[i] ^ 0x20 if 97 <= text.data[i] <= 122 else text.data[i])


cdef void command_judge(command_t *facts, bint of_client) noexcept nogil:
    """Kind and conduct by the generator's rules; where those look a command up by name, the careful answer."""
    cdef bint connection = facts.categories & (CATEGORY_CONNECTION | CATEGORY_TRANSACTION) != 0
    if facts.flags & COMMAND_WRITE:
        facts.kind = KIND_WRITE
    elif facts.flags & COMMAND_READONLY:
        facts.kind = KIND_READ
    elif facts.flags & COMMAND_PUBSUB:
        facts.kind = KIND_PUBSUB
    elif facts.flags & COMMAND_ADMIN:
        facts.kind = KIND_ADMIN
    else:
        facts.kind = KIND_SESSION if connection else KIND_UNKNOWN
    if facts.flags & COMMAND_BLOCKING:
        facts.conduct = CONDUCT_BLOCK
    elif facts.flags & COMMAND_ADMIN:
        facts.conduct = CONDUCT_ALONE
    elif facts.flags & COMMAND_PUBSUB or connection or of_client:
        facts.conduct = CONDUCT_PIN
    else:
        facts.conduct = CONDUCT_PLAIN


cdef bint known_already(const slice_t *name, size_t bar, const command_t **container) noexcept nogil:
    """Whether the static tables have it. `bar`: offset of the | of a subcommand's name, 0: none."""
    container[0] = NULL
    if bar == 0:
        return command_find(name.data, name.size) is not NULL
    container[0] = command_find(name.data, bar)
    if container[0] is NULL:
        return False
    return command_find_sub(container[0], name.data + bar + 1, name.size - bar - 1) is not NULL


cdef learned_command_t *table_grow(learned_t *table) noexcept nogil:
    """Room for one more command, zeroed, not yet counted; or NULL."""
    cdef:
        uint32_t room = table.room * 2 if table.room else 32
        learned_command_t *commands
    if table.count == table.room:
        commands = <learned_command_t *>realloc(table.commands, room * sizeof(learned_command_t))
        if commands is NULL:
            return NULL
        table.commands = commands
        table.room = room
    memset(&table.commands[table.count], 0, sizeof(learned_command_t))
    return &table.commands[table.count]


cdef bint name_settle(learned_t *table, learned_command_t *command, const slice_t *name) noexcept nogil:
    """Sets name, id and parent. False: nothing to learn here (known, or too long)."""
    cdef:
        command_t *facts = &command.facts
        const command_t *container
        size_t bar = 0, i
    for i in range(1, name.size):
        if name.data[i] == c'|':
            bar = i
            break
    if known_already(name, bar, &container):
        return False
    if name.size == 0 or name.size > LEARNED_NAME_SIZE_MAX or table.count >= LEARNED_COMMANDS_MAX:
        table.left_out += 1
        return False
    upper_copy(command.name, name)
    facts.name_size = <uint8_t>name.size
    facts.word_at = <uint8_t>(bar + 1 if bar else 0)
    facts.word_size = facts.name_size - facts.word_at
    facts.id = <uint16_t>(command_count() + table.count)
    facts.parent = facts.id if container is NULL else container.id
    return True


cdef bint facts_read(reader_t *reader, learned_command_t *command, int64_t fields) noexcept nogil:
    """The fields behind the name, up to the subcommands."""
    cdef command_t *facts = &command.facts
    if not (short_read(reader, &facts.arity) and bits_read(reader, FLAG_WORDS, 0, &facts.flags)
            and short_read(reader, &facts.first_key) and short_read(reader, &facts.last_key)
            and short_read(reader, &facts.key_step)):
        return False
    if fields > 6 and not bits_read(reader, CATEGORY_WORDS, 1, &facts.categories):
        return False
    if fields > 7 and not tips_read(reader, facts):
        return False
    return fields <= 8 or specs_read(reader, command)


cdef bint command_read(reader_t *reader, learned_t *table, const learned_command_t *container) noexcept nogil:
    """One entry of the reply, with its subcommands unless it is one itself (`container` is given)."""
    cdef:
        learned_command_t *command = table_grow(table)
        learned_command_t  parent
        value_t head, name, subs
        bint    unknown
        int64_t _
    if command is NULL or not value_read(reader, &head) or not head.is_list or head.number < FIELDS_MIN:
        return False
    if not value_read(reader, &name) or not name.is_text:
        return False
    unknown = name_settle(table, command, &name.text)
    if not facts_read(reader, command, head.number):
        return False
    keys_settle(command)
    command_judge(&command.facts, command.facts.word_at == 7 and memcmp(command.name, b"CLIENT|", 7) == 0)
    if container is not NULL and command.facts.parent == command.facts.id:
        command.facts.parent = container.facts.id
    parent = command[0]                 # the table moves when it grows
    if unknown:
        table.count += 1
    if head.number < 10 or container is not NULL:
        return head.number <= 9 or values_skip(reader, head.number - 9)
    if not value_read(reader, &subs) or not subs.is_list:
        return False
    if unknown:
        table.commands[table.count - 1].facts.has_subcommands = subs.number > 0
    for _ in range(subs.number):
        if not command_read(reader, table, &parent):
            return False
    return values_skip(reader, head.number - 10)


# ---- the table ------------------------------------------------------------------------------------------------------


cdef uint32_t name_hash(const uint8_t *name, size_t size) noexcept nogil:
    """FNV-1a of the upper-case name."""
    cdef:
        uint32_t hashed = 2166136261
        size_t   i
    for i in range(size):
        hashed = (hashed ^ (name[i] ^ 0x20 if 97 <= name[i] <= 122 else name[i])) * <uint32_t>16777619
    return hashed


cdef uint32_t slot_find(const learned_t *table, const uint8_t *name, size_t size) noexcept nogil:
    """The slot that holds that name, or the empty one where it belongs. There is always an empty one."""
    cdef:
        uint32_t slot = name_hash(name, size) & table.slot_mask
        slice_t  word
        const learned_command_t *command
    word.data = <uint8_t *>name
    word.size = size
    while table.slots[slot] != 0:
        command = &table.commands[table.slots[slot] - 1]
        if word_is(&word, command.name, command.facts.name_size):
            break
        slot = (slot + 1) & table.slot_mask
    return slot


cdef bint table_settle(learned_t *table) noexcept nogil:
    """Commands stay where they are from here on: sets their pointers and fills the slots."""
    cdef:
        uint32_t slot_count = 8, i, slot
        learned_command_t *command
    while slot_count < 2 * table.count:
        slot_count *= 2
    table.slots = <uint16_t *>calloc(slot_count, sizeof(uint16_t))
    if table.slots is NULL:
        return False
    table.slot_mask = slot_count - 1
    for i in range(table.count):
        command = &table.commands[i]
        command.facts.name = command.name
        command.facts.specs = command.specs
        slot = slot_find(table, <const uint8_t *>command.name, command.facts.name_size)
        if table.slots[slot] == 0:      # of two with one name the first counts
            table.slots[slot] = <uint16_t>(i + 1)
    return True


cdef learned_t *commands_learn(const uint8_t *reply, size_t size) noexcept nogil:
    """The commands of a whole COMMAND reply that the static tables lack: a table to be given to learned_free.

    NULL: the reply is not one, or there is no memory. Borrows `reply`. Takes about 300 bytes a command.
    """
    cdef:
        learned_t *table = <learned_t *>calloc(1, sizeof(learned_t))
        reader_t   reader
        value_t    head
        bint       good
        int64_t    _
    if table is NULL:
        return NULL
    reader.at = reply
    reader.end = reply + size
    good = value_read(&reader, &head) and head.is_list
    if good:
        for _ in range(head.number):
            if not command_read(&reader, table, NULL):
                good = False
                break
    if good and reader.at == reader.end and table_settle(table):
        return table
    learned_free(table)
    return NULL


cdef bint reply_name(const uint8_t *reply, size_t size, slice_t *name) noexcept nogil:
    """The name of the first command of a COMMAND or COMMAND INFO reply; it points into the reply. False: there is none."""
    cdef:
        reader_t reader
        value_t  head, entry, text
    reader.at = reply
    reader.end = reply + size
    if not value_read(&reader, &head) or not head.is_list or head.number < 1:
        return False
    if not value_read(&reader, &entry) or not entry.is_list or entry.number < FIELDS_MIN:
        return False
    if not value_read(&reader, &text) or not text.is_text or text.text.size == 0:
        return False
    name[0] = text.text
    return True


cdef void learned_free(learned_t *table) noexcept nogil:
    """NULL is fine."""
    if table is not NULL:
        free(table.commands)
        free(table.slots)
        free(table)


cdef const command_t *learned_find(const learned_t *table, const uint8_t *name, size_t size) noexcept nogil:
    """The command of that name in any mix of cases, or NULL. `table` may be NULL."""
    cdef uint32_t index
    if table is NULL or size - 1 >= LEARNED_NAME_SIZE_MAX:
        return NULL
    index = table.slots[slot_find(table, name, size)]
    if index == 0 or table.commands[index - 1].facts.word_at:      # no command is called CONTAINER|SUB by a client
        return NULL
    return &table.commands[index - 1].facts


cdef const command_t *learned_find_sub(const learned_t *table, const command_t *container,
                                       const uint8_t *name, size_t size) noexcept nogil:
    """The subcommand of `container`, static or learned, with that second word; or NULL. `table` may be NULL."""
    cdef:
        uint8_t  whole[LEARNED_NAME_SIZE_MAX]
        uint32_t index
        size_t   whole_size = container.name_size + 1 + size
    if table is NULL or size > LEARNED_NAME_SIZE_MAX or whole_size > LEARNED_NAME_SIZE_MAX:
        return NULL
    memcpy(whole, container.name, container.name_size)
    whole[container.name_size] = c'|'
    memcpy(whole + container.name_size + 1, name, size)
    index = table.slots[slot_find(table, whole, whole_size)]
    return NULL if index == 0 else &table.commands[index - 1].facts


# ---- the Python view: for tests and tools ---------------------------------------------------------------------------


cdef class Learned:
    """The table made from the raw bytes of a COMMAND reply. ValueError when they are not one."""
    cdef learned_t *table

    def __cinit__(self, bytes reply not None):
        self.table = commands_learn(<const uint8_t *><const char *>reply, len(reply))
        if self.table is NULL:
            raise ValueError("not a COMMAND reply")

    def __dealloc__(self):
        learned_free(self.table)

    def __len__(self):
        return self.table.count

    @property
    def left_out(self):
        return self.table.left_out

    def names(self):
        cdef uint32_t i
        return [self.table.commands[i].name[:self.table.commands[i].facts.name_size] for i in range(self.table.count)]

    cdef const command_t *find_words(self, list words) noexcept:
        cdef:
            bytes name = words[0]
            bytes second
            const command_t *c = learned_find(self.table, <const uint8_t *><const char *>name, len(name))
            const command_t *sub
        if len(words) < 2:
            return c
        second = words[1]
        if c is NULL:
            c = command_find(<const uint8_t *><const char *>name, len(name))
        if c is NULL or not c.has_subcommands:
            return c
        sub = learned_find_sub(self.table, c, <const uint8_t *><const char *>second, len(second))
        return c if sub is NULL else sub

    def find(self, *words):
        """The facts of a command by its one or two words, as describe gives them, or None when not learned here."""
        cdef const command_t *c = self.find_words(list(words))
        if c is NULL or c.id < command_count() or (len(words) > 1 and not c.word_at):
            return None
        return command_view(c)

    def keys(self, words):
        """Indexes of the keys among the words (at most 64) of a learned command, or None."""
        cdef:
            slice_t  argv[64]
            uint32_t out[64]
            list     held = list(words)[:64]
            bytes    word
            int      count
            const command_t *c = self.find_words(held)
        if c is NULL:
            return None
        for i in range(len(held)):
            word = held[i]
            argv[i].data = <uint8_t *><char *>word
            argv[i].size = len(word)
        count = command_keys(c, argv, <uint32_t>len(held), out, 64)
        return None if count < 0 else [out[i] for i in range(min(count, 64))]
