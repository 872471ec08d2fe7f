"""Finds a command's facts by its name, and the keys among its words.

A name is looked up as two numbers, its first and its last eight bytes in upper case, through a perfect hash: one
multiplication each, one slot, one comparison. The generator has proved that no two names share a slot.

Where keys stand is published as *key specs*, each of two halves. Where the keys begin: at an index, or behind a
keyword. How many there are: a range (up to a last one, counted from the first or from the end, in steps, perhaps only a
half or third of the rest), or a number that stands among the words. Four commands need more than that, see key_rule.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy


cdef extern from "shotover/_codec/generated/redis_commands.h" nogil:
    enum:
        COMMAND_COUNT
        COMMAND_SLOTS_SHIFT
        SUBCOMMAND_SLOTS_SHIFT
    uint64_t COMMAND_SLOTS_LOW_BY
    uint64_t COMMAND_SLOTS_HIGH_BY
    uint64_t SUBCOMMAND_SLOTS_LOW_BY
    uint64_t SUBCOMMAND_SLOTS_HIGH_BY
    const uint16_t *COMMAND_SLOTS
    const uint16_t *SUBCOMMAND_SLOTS
    const command_t *COMMANDS

cdef extern from "shotover/_codec/commands.h" nogil:
    uint64_t SHOTOVER_LITTLE64(uint64_t)
    uint32_t SHOTOVER_LITTLE32(uint32_t)

cdef extern from *:
    """
    static const char *FLAG_NAMES[] = COMMAND_NAMES, *CATEGORY_WORDS[] = CATEGORY_NAMES;
    static const char *TIP_WORDS[] = TIP_NAMES, *ACCESS_WORDS[] = ACCESS_NAMES;
    static const char *POLICY_WORDS[] = POLICY_NAMES, *KIND_WORDS[] = KIND_NAMES;
    static const char *CONDUCT_WORDS[] = CONDUCT_NAMES, *KEYS_WORDS[] = KEYS_NAMES;
    /* Keeps a benchmark's loop from being folded: the compiler may assume nothing of x any more. */
    #define FORGET(x) __asm__ volatile("" : "+r"(x) : : "memory")
    """
    void FORGET(void *) nogil
    const char **FLAG_NAMES
    const char **CATEGORY_WORDS
    const char **TIP_WORDS
    const char **ACCESS_WORDS
    const char **POLICY_WORDS
    const char **KIND_WORDS
    const char **CONDUCT_WORDS
    const char **KEYS_WORDS


# ---- by name --------------------------------------------------------------------------------------------------------


cdef inline uint64_t upper8(uint64_t word) noexcept nogil:
    """Eight bytes at once: each of a-z loses its bit 0x20, all others stay."""
    cdef:
        uint64_t low7 = word & <uint64_t>0x7F7F7F7F7F7F7F7F
        uint64_t from_a = low7 + <uint64_t>0x1F1F1F1F1F1F1F1F     # bit 7: the byte is at least 'a'
        uint64_t past_z = low7 + <uint64_t>0x0505050505050505     # bit 7: the byte is above 'z'
    return word ^ (((from_a ^ past_z) & ~word & <uint64_t>0x8080808080808080) >> 2)


cdef inline uint64_t load8(const uint8_t *data) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, data, 8)
    return SHOTOVER_LITTLE64(word)


cdef inline uint64_t load4(const uint8_t *data) noexcept nogil:
    cdef uint32_t word
    memcpy(&word, data, 4)
    return SHOTOVER_LITTLE32(word)


cdef inline uint64_t load_low(const uint8_t *data, size_t size) noexcept nogil:
    """The first 8 of `size` >= 1 bytes, zero padded. Never reads past them: the parts overlap instead."""
    if size >= 8:
        return load8(data)
    if size >= 4:
        return load4(data) | (load4(data + size - 4) << (8 * (size - 4)))
    return data[0] | (<uint64_t>data[size >> 1] << (8 * (size >> 1))) | (<uint64_t>data[size - 1] << (8 * (size - 1)))


cdef inline uint8_t upper1(uint8_t byte) noexcept nogil:
    return byte ^ 0x20 if 97 <= byte <= 122 else byte


cdef bint middle_differs(const command_t *c, const uint8_t *name, size_t size) noexcept nogil:
    """For words above 16 bytes: what the first and last eight bytes do not cover."""
    cdef size_t i
    for i in range(8, size - 8):
        if upper1(name[i]) != <uint8_t>c.name[c.word_at + i]:
            return True
    return False


cdef const command_t *command_find(const uint8_t *name, size_t size) noexcept nogil:
    """The command of that name in any mix of cases, or NULL."""
    cdef:
        uint64_t low, high = 0
        const command_t *c
    if size - 1 >= COMMAND_NAME_SIZE_MAX:       # 0 as well
        return NULL
    low = upper8(load_low(name, size))
    if size > 8:
        high = upper8(load8(name + size - 8))
    c = &COMMANDS[COMMAND_SLOTS[(low * COMMAND_SLOTS_LOW_BY + high * COMMAND_SLOTS_HIGH_BY) >> COMMAND_SLOTS_SHIFT]]
    if c.word_low != low or c.word_high != high or c.word_size != size:
        return NULL
    if size > 16 and middle_differs(c, name, size):
        return NULL
    return c


cdef const command_t *command_find_sub(const command_t *container, const uint8_t *name, size_t size) noexcept nogil:
    """The subcommand of `container` (a static command) with that second word, or NULL."""
    cdef:
        uint64_t low, high = 0, slot
        const command_t *c
    if size - 1 >= COMMAND_NAME_SIZE_MAX:
        return NULL
    low = upper8(load_low(name, size))
    if size > 8:
        high = upper8(load8(name + size - 8))
    slot = low * SUBCOMMAND_SLOTS_LOW_BY + (high + container.id) * SUBCOMMAND_SLOTS_HIGH_BY
    c = &COMMANDS[SUBCOMMAND_SLOTS[slot >> SUBCOMMAND_SLOTS_SHIFT]]
    if c.word_low != low or c.word_high != high or c.word_size != size or c.parent != container.id:
        return NULL
    if size > 16 and middle_differs(c, name, size):
        return NULL
    return c


cdef uint32_t command_count() noexcept nogil:
    """Static commands; ids of learned ones start here."""
    return COMMAND_COUNT


cdef const command_t *command_at(uint32_t index) noexcept nogil:
    """The static command with that id, or NULL."""
    return &COMMANDS[index] if index < COMMAND_COUNT else NULL


# ---- words ----------------------------------------------------------------------------------------------------------


cdef bint word_is(const slice_t *word, const char *upper, size_t size) noexcept nogil:
    """Whether `word`, in any mix of cases, is `upper`."""
    cdef size_t i
    if word.size != size:
        return False
    for i in range(size):
        if upper1(word.data[i]) != <uint8_t>upper[i]:
            return False
    return True


cdef int64_t word_number(const slice_t *word) noexcept nogil:
    """A decimal number from 0 to 2^31 - 1 as servers read numkeys, or -1."""
    cdef:
        int64_t number = 0
        size_t  i
    if word.size == 0 or word.size > 10 or (word.data[0] == c'0' and word.size > 1):
        return -1
    for i in range(word.size):
        if word.data[i] < c'0' or word.data[i] > c'9':
            return -1
        number = number * 10 + (word.data[i] - c'0')
    return number if number <= 0x7FFFFFFF else -1


# ---- keys -----------------------------------------------------------------------------------------------------------

cdef struct found_t:
    uint32_t *out
    uint32_t  max
    uint32_t  count         # may exceed max: then only max were written


cdef inline void found_add(found_t *found, int64_t index) noexcept nogil:
    if found.count < found.max:
        found.out[found.count] = <uint32_t>index
    found.count += 1


cdef bint found_add_range(found_t *found, int64_t first, int64_t last, int64_t step, uint32_t argc) noexcept nogil:
    """False when the range is empty or leaves the words: the server will refuse such a call."""
    if first < 1 or last < first or last >= argc or step < 1:
        return False
    while first <= last:
        found_add(found, first)
        first += step
    return True


cdef int64_t spec_begin(const keyspec_t *spec, const slice_t *argv, uint32_t argc) noexcept nogil:
    """Index where the spec's keys begin; 0: nowhere in this call."""
    cdef:
        int64_t i = spec.begin_at
        int64_t by = 1
    if spec.begin == BEGIN_INDEX:
        return i
    if spec.begin != BEGIN_KEYWORD:
        return 0
    if i < 0:
        i += argc
        by = -1
    while 1 <= i < argc:
        if word_is(&argv[i], spec.word, spec.word_size):
            return i + 1
        i += by
    return 0


cdef bint spec_keys(const keyspec_t *spec, const slice_t *argv, uint32_t argc, found_t *found) noexcept nogil:
    """Adds the keys of one spec. False when the words contradict it."""
    cdef int64_t first = spec_begin(spec, argv, argc), last, count
    if first == 0:
        return True
    if spec.find == FIND_RANGE:
        last = first + spec.last
        if spec.last < 0:
            last = argc + spec.last
            if spec.limit > 1:
                last = first + (argc - first) // spec.limit + spec.last
        return found_add_range(found, first, last, spec.step, argc)
    if spec.find == FIND_KEYNUM:
        if first + spec.keynum_at < 1 or first + spec.keynum_at >= argc:
            return False
        count = word_number(&argv[first + spec.keynum_at])
        first += spec.first_at
        if count <= 0:
            return count == 0
        return found_add_range(found, first, first + (count - 1) * spec.step, spec.step, argc)
    return True


cdef bint specs_keys(const command_t *c, const slice_t *argv, uint32_t argc, uint8_t without,
                     found_t *found) noexcept nogil:
    cdef uint32_t i
    for i in range(c.spec_count):
        if not c.specs[i].access & without and not spec_keys(&c.specs[i], argv, argc, found):
            return False
    return True


cdef bint sort_keys(const slice_t *argv, uint32_t argc, found_t *found) noexcept nogil:
    """SORT key [BY pattern] [LIMIT a b] [GET pattern ...] [STORE key]: the last STORE counts."""
    cdef uint32_t i = 2, stored = 0
    if argc < 2:
        return False
    found_add(found, 1)
    while i < argc:
        if word_is(&argv[i], "LIMIT", 5):
            i += 2
        elif word_is(&argv[i], "GET", 3) or word_is(&argv[i], "BY", 2):
            i += 1
        elif word_is(&argv[i], "STORE", 5) and i + 1 < argc:
            i += 1
            stored = i
        i += 1
    if stored:
        found_add(found, stored)
    return True


cdef bint georadius_keys(const slice_t *argv, uint32_t argc, found_t *found) noexcept nogil:
    """GEORADIUS key ... [STORE key] [STOREDIST key]: of the two options the last one counts."""
    cdef uint32_t i = 5, stored = 0
    if argc < 5:
        return False
    found_add(found, 1)
    while i + 1 < argc:
        if word_is(&argv[i], "STORE", 5) or word_is(&argv[i], "STOREDIST", 9):
            i += 1
            stored = i
        i += 1
    if stored:
        found_add(found, stored)
    return True


cdef bint migrate_keys(const slice_t *argv, uint32_t argc, found_t *found) noexcept nogil:
    """MIGRATE host port key|"" db timeout [AUTH a] [AUTH2 a b] ... [KEYS key ...]; KEYS needs "" for the key."""
    cdef uint32_t i = 6
    if argc < 6:
        return False
    while i < argc:
        if word_is(&argv[i], "KEYS", 4):
            return argv[3].size == 0 and found_add_range(found, i + 1, <int64_t>argc - 1, 1, argc)
        if word_is(&argv[i], "AUTH", 4):
            i += 1
        elif word_is(&argv[i], "AUTH2", 5):
            i += 2
        i += 1
    found_add(found, 3)
    return True


cdef uint32_t streams_at(const slice_t *argv, uint32_t argc, bint *blocks) noexcept nogil:
    """Index of STREAMS among the words of XREAD or XREADGROUP, 0: none; and whether BLOCK stands before it."""
    cdef uint32_t i = 1
    blocks[0] = False
    while i < argc:
        if word_is(&argv[i], "STREAMS", 7):
            return i
        if word_is(&argv[i], "BLOCK", 5):
            blocks[0] = True
            i += 1
        elif word_is(&argv[i], "COUNT", 5):
            i += 1
        elif word_is(&argv[i], "GROUP", 5):
            i += 2
        i += 1
    return 0


cdef bint streams_keys(const slice_t *argv, uint32_t argc, found_t *found) noexcept nogil:
    """XREAD ... STREAMS key ... id ...: as many ids as keys."""
    cdef:
        bint     blocks
        uint32_t at = streams_at(argv, argc, &blocks)
        uint32_t rest = argc - at - 1
    if at == 0 or rest == 0 or rest & 1:
        return False
    return found_add_range(found, at + 1, at + rest // 2, 1, argc)


cdef int keys_find(const command_t *c, const slice_t *argv, uint32_t argc, uint32_t *out, uint32_t out_max,
                   uint8_t without) noexcept nogil:
    cdef:
        found_t found
        bint    good = True
    found.out = out
    found.max = out_max
    found.count = 0
    if c.key_rule == KEYS_RANGE or c.key_rule == KEYS_SPECS:
        good = specs_keys(c, argv, argc, without, &found)
    elif c.key_rule == KEYS_SORT:
        good = sort_keys(argv, argc, &found)
    elif c.key_rule == KEYS_GEORADIUS:
        good = georadius_keys(argv, argc, &found)
    elif c.key_rule == KEYS_MIGRATE:
        good = migrate_keys(argv, argc, &found)
    elif c.key_rule == KEYS_STREAMS:
        good = streams_keys(argv, argc, &found)
    return <int>found.count if good else -1


cdef int command_keys(const command_t *c, const slice_t *argv, uint32_t argc,
                      uint32_t *out, uint32_t out_max) noexcept nogil:
    """Writes the indexes of the keys among the `argc` words (container's word included) and returns their number.

    When that is above `out_max`, only `out_max` were written. -1: the words contradict the command's form, so that the
    server will refuse them too; what `out` holds is then without meaning. SORT's BY and GET patterns name keys that no
    index can tell: see incomplete_keys.
    """
    return keys_find(c, argv, argc, out, out_max, ACCESS_NOT_KEY)


cdef int command_slot_words(const command_t *c, const slice_t *argv, uint32_t argc,
                            uint32_t *out, uint32_t out_max) noexcept nogil:
    """As command_keys, with the words that decide the slot in a cluster without being keys (SSUBSCRIBE's channels)."""
    return keys_find(c, argv, argc, out, out_max, 0)


cdef bint command_blocks(const command_t *c, const slice_t *argv, uint32_t argc) noexcept nogil:
    """Whether this call of a command of conduct BLOCK may wait: always, or because of its BLOCK argument."""
    cdef bint blocks
    if not c.blocks_by_keyword:
        return c.conduct == CONDUCT_BLOCK
    streams_at(argv, argc, &blocks)
    return blocks


# ---- the Python view: for tests and tools ---------------------------------------------------------------------------


cdef list bit_names(const char **names, uint32_t bits):
    cdef int i = 0
    found = []
    while names[i] is not NULL:
        if bits >> i & 1:
            found.append(names[i].decode())
        i += 1
    return found


cdef dict command_view(const command_t *c):
    return {
        "id": c.id, "name": c.name[:c.name_size].decode("latin-1"), "parent": c.parent, "arity": c.arity,
        "flags": bit_names(FLAG_NAMES, c.flags), "categories": bit_names(CATEGORY_WORDS, c.categories),
        "kind": KIND_WORDS[c.kind].decode(), "conduct": CONDUCT_WORDS[c.conduct].decode(),
        "first_key": c.first_key, "last_key": c.last_key, "key_step": c.key_step, "keynum_at": c.keynum_at,
        "key_rule": KEYS_WORDS[c.key_rule].decode(),
        "key_access": [bit_names(ACCESS_WORDS, c.specs[i].access) for i in range(c.spec_count)],
        "request_policy": POLICY_WORDS[c.request_policy].decode(),
        "response_policy": POLICY_WORDS[c.response_policy].decode(), "tips": bit_names(TIP_WORDS, c.tips),
        "has_subcommands": bool(c.has_subcommands), "blocks_by_keyword": bool(c.blocks_by_keyword),
        "incomplete_keys": bool(c.incomplete_keys),
    }


cdef const command_t *find_words(list words) noexcept:
    """The most special command that the first one or two words name."""
    cdef:
        const command_t *c
        const command_t *sub
        bytes first = words[0]
        bytes second
    c = command_find(<const uint8_t *><const char *>first, len(first))
    if c is not NULL and c.has_subcommands and len(words) > 1:
        second = words[1]
        sub = command_find_sub(c, <const uint8_t *><const char *>second, len(second))
        if sub is not NULL:
            return sub
    return c


def describe(bytes name not None):
    """The facts of a command, b"GET" or b"CLIENT|ID", as a dict, or None for an unknown one."""
    cdef const command_t *c = find_words(name.split(b"|", 1))
    if c is NULL or c.name_size != len(name):
        return None
    return command_view(c)


def names():
    """The names of all commands, in the order of their ids."""
    return [COMMANDS[i].name.decode() for i in range(COMMAND_COUNT)]


cdef class Words:
    """A request as the functions above take it. Holds the bytes objects that its slices borrow from."""
    cdef:
        list     words
        slice_t  argv[256]
        uint32_t argc

    def __cinit__(self, words):
        cdef bytes word
        self.words = list(words)
        if not 1 <= len(self.words) <= 256:
            raise ValueError("1 to 256 words")
        self.argc = len(self.words)
        for i in range(self.argc):
            word = self.words[i]
            self.argv[i].data = <uint8_t *><char *>word
            self.argv[i].size = len(word)


def categories():
    """The ACL categories, in the order of their bits."""
    return bit_names(CATEGORY_WORDS, 0xffffffff)


def keys(words, *, slot_words=False):
    """Indexes of the keys among the words (bytes) of a request; None: unknown command, or words it does not fit."""
    cdef:
        Words    request = Words(words)
        uint32_t out[256]
        const command_t *c = find_words(request.words)
        int      count
    if c is NULL:
        return None
    if slot_words:
        count = command_slot_words(c, request.argv, request.argc, out, 256)
    else:
        count = command_keys(c, request.argv, request.argc, out, 256)
    return None if count < 0 else [out[i] for i in range(count)]


def first_key(words):
    """Index of the first key among the words of a request, 0: none."""
    cdef:
        Words request = Words(words)
        const command_t *c = find_words(request.words)
    return 0 if c is NULL else command_first_key(c, request.argv, request.argc)


def blocks(words):
    """Whether this request may keep its connection waiting."""
    cdef:
        Words request = Words(words)
        const command_t *c = find_words(request.words)
    return c is not NULL and command_blocks(c, request.argv, request.argc)


def find_often(bytes name not None, uint32_t rounds):
    """Looks `name` up `rounds` times, for benchmarks; returns how often it was found."""
    cdef:
        list     parts = name.split(b"|", 1)
        bytes    first = parts[0]
        bytes    second = parts[1] if len(parts) > 1 else b""
        const uint8_t *data = <const uint8_t *><const char *>first
        const uint8_t *sub = <const uint8_t *><const char *>second
        size_t   size = len(first), sub_size = len(second)
        uint32_t _, found = 0
        const command_t *c
        const command_t *(*find)(const uint8_t *, size_t) noexcept nogil
    find = command_find         # called as other modules call it: through a pointer
    with nogil:
        for _ in range(rounds):
            FORGET(find)
            FORGET(data)
            c = find(data, size)
            if c is not NULL and sub_size:
                FORGET(sub)
                c = command_find_sub(c, sub, sub_size)
            found += c is not NULL
    return found
