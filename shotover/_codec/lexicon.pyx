"""See lexicon.pxd."""

from libc.stdint cimport uint16_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset

from shotover._codec.commands cimport (
    CONDUCT_ALONE, CONDUCT_PLAIN, KIND_UNKNOWN, KIND_WRITE, command_count, command_find, command_view, word_is,
)
from shotover._codec.learned cimport (
    commands_learn, learned_free, learned_t, name_hash, reply_name, upper_copy,
)
from shotover._core.slice cimport slice_t


cdef const command_t *lexicon_find(const lexicon_t *lexicon, const uint8_t *name, size_t size) noexcept nogil:
    """The command of that name in any mix of cases, or NULL."""
    cdef:
        const entry_t *entry
        slice_t        word
    if lexicon.known == 0 or size - 1 >= LEARNED_NAME_SIZE_MAX:
        return NULL
    word.data = <uint8_t *>name
    word.size = size
    entry = lexicon.buckets[name_hash(name, size) % LEXICON_BUCKETS]
    while entry is not NULL:
        if entry.known and word_is(&word, entry.learned.name, entry.learned.facts.name_size):
            return &entry.learned.facts
        entry = entry.next
    return NULL


cdef bint lexicon_teach(lexicon_t *lexicon, const uint8_t *name, size_t name_size,
                        const uint8_t *reply, size_t reply_size) noexcept nogil:
    """Takes in the raw reply to `COMMAND INFO name`. False: it says nothing of it, or there is no room."""
    cdef:
        entry_t  *entry
        entry_t  *other
        entry_t **bucket
        slice_t   word
    if name_size - 1 >= LEARNED_NAME_SIZE_MAX or lexicon_find(lexicon, name, name_size) is not NULL:
        return False
    entry = <entry_t *>calloc(1, sizeof(entry_t))
    if entry is NULL:
        return False
    word.data = <uint8_t *>name
    word.size = name_size
    if not facts_of(reply, reply_size, &entry.learned):
        free(entry)
        return False
    memset(entry.learned.name, 0, sizeof(entry.learned.name))
    upper_copy(entry.learned.name, &word)
    entry.learned.facts.name_size = <uint8_t>name_size
    entry.learned.facts.word_size = <uint8_t>name_size
    entry.learned.facts.word_at = 0
    bucket = &lexicon.buckets[name_hash(name, name_size) % LEXICON_BUCKETS]
    other = bucket[0]
    while other is not NULL:
        if same(&other.learned, &entry.learned):        # met again, after a reconnect to the same server
            free(entry)
            other.known = 1
            lexicon.known += 1
            return True
        other = other.next
    if lexicon.entries >= LEXICON_MAX:
        free(entry)
        return False
    if entry.learned.facts.id >= command_count():
        entry.learned.facts.specs = entry.learned.specs
        entry.learned.facts.id = <uint16_t>(command_count() + lexicon.entries)
        entry.learned.facts.parent = entry.learned.facts.id
    entry.learned.facts.name = entry.learned.name
    entry.known = 1
    entry.next = bucket[0]
    bucket[0] = entry
    lexicon.entries += 1
    lexicon.known += 1
    return True


cdef bint facts_of(const uint8_t *reply, size_t size, learned_command_t *out) noexcept nogil:
    """The facts, without name; those of a module's command have their specs in `out`. A known command under another name
    keeps all of its own facts, id included, so that whoever looks for HELLO or AUTH finds it."""
    cdef:
        learned_t       *table
        const command_t *known
        slice_t          name
        uint32_t         index
        bint             found
    if not reply_name(reply, size, &name):
        return False
    known = command_find(name.data, name.size)
    if known is not NULL:
        out.facts = known[0]
        return True
    table = commands_learn(reply, size)
    if table is NULL:
        return False
    found = table.count > 0 and table.commands[0].facts.word_at == 0
    if found:
        out[0] = table.commands[0]
        for index in range(1, table.count):
            fold(&out.facts, &table.commands[index].facts)
        out.facts.has_subcommands = 0
        if out.facts.kind == KIND_UNKNOWN and out.facts.conduct == CONDUCT_PLAIN:
            out.facts.conduct = CONDUCT_ALONE           # neither reads nor writes: who knows what it does
    learned_free(table)
    return found


cdef void fold(command_t *container, const command_t *sub) noexcept nogil:
    """A container is known as a whole: as its most demanding subcommand."""
    container.flags |= sub.flags
    container.categories |= sub.categories
    if container.kind == KIND_UNKNOWN:
        container.kind = sub.kind
    elif sub.kind != container.kind and sub.kind != KIND_UNKNOWN:
        container.kind = KIND_WRITE
    if sub.conduct != CONDUCT_PLAIN:
        container.conduct = CONDUCT_ALONE


cdef bint same(const learned_command_t *a, const learned_command_t *b) noexcept nogil:
    """`b` is not settled yet: a module's command has no lasting id, and its specs are not linked."""
    if a.facts.name_size != b.facts.name_size or memcmp(a.name, b.name, a.facts.name_size) != 0:
        return False
    if b.facts.id < command_count():
        return a.facts.id == b.facts.id
    return (
        a.facts.id >= command_count() and a.facts.flags == b.facts.flags and a.facts.categories == b.facts.categories
        and a.facts.arity == b.facts.arity and a.facts.kind == b.facts.kind and a.facts.conduct == b.facts.conduct
        and a.facts.key_rule == b.facts.key_rule and a.facts.first_key == b.facts.first_key
        and a.facts.last_key == b.facts.last_key and a.facts.key_step == b.facts.key_step
        and a.facts.spec_count == b.facts.spec_count and memcmp(a.specs, b.specs, sizeof(a.specs)) == 0
    )


cdef void lexicon_forget(lexicon_t *lexicon) noexcept nogil:
    """The server may be another one now: every name is unknown again until it is taught anew."""
    cdef:
        entry_t *entry
        int      index
    if lexicon.known == 0:
        return
    for index in range(LEXICON_BUCKETS):
        entry = lexicon.buckets[index]
        while entry is not NULL:
            entry.known = 0
            entry = entry.next
    lexicon.known = 0


cdef void lexicon_close(lexicon_t *lexicon) noexcept nogil:
    cdef:
        entry_t *entry
        int      index
    for index in range(LEXICON_BUCKETS):
        while lexicon.buckets[index] is not NULL:
            entry = lexicon.buckets[index]
            lexicon.buckets[index] = entry.next
            free(entry)
    lexicon.entries = 0
    lexicon.known = 0


cdef class Lexicon:
    """A lexicon for Python: tests and tools."""
    cdef lexicon_t lexicon

    def __dealloc__(self):
        lexicon_close(&self.lexicon)

    def __len__(self):
        return self.lexicon.known

    @property
    def entries(self):
        return self.lexicon.entries

    def teach(self, bytes name not None, bytes reply not None):
        """Whether the reply to COMMAND INFO `name` taught something."""
        return lexicon_teach(&self.lexicon, <const uint8_t *><const char *>name, len(name),
                             <const uint8_t *><const char *>reply, len(reply))

    def find(self, bytes name not None):
        """The facts, as commands.describe gives them; None: unknown."""
        cdef const command_t *c = lexicon_find(&self.lexicon, <const uint8_t *><const char *>name, len(name))
        return None if c is NULL else command_view(c)

    def forget(self):
        lexicon_forget(&self.lexicon)
