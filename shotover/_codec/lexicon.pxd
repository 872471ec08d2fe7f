"""Commands by the names that one server gives them: what `COMMAND INFO name` said of names the static table lacks.

Names of modules' commands, of newer servers' commands, and those that `rename-command` gave to known ones. One lexicon
belongs to the codec of a source's chain; the chain's sink teaches it, one name at a time, when a client has used a name
that the server knows and we do not. What it hands out lives as long as it does, even after it has been forgotten:
requests point there.
"""

from libc.stdint cimport uint8_t, uint32_t

from shotover._codec.commands cimport command_t
from shotover._codec.learned cimport LEARNED_NAME_SIZE_MAX, learned_command_t


cdef enum:
    LEXICON_MAX = 1024          # entries, forgotten ones included: further names stay unknown
    LEXICON_BUCKETS = 64

cdef struct entry_t:
    entry_t           *next     # of its bucket
    uint8_t            known    # 0: forgotten; another server may mean something else by it
    learned_command_t  learned

cdef struct lexicon_t:          # zero: empty
    entry_t  *buckets[LEXICON_BUCKETS]
    uint32_t  entries
    uint32_t  known


cdef const command_t *lexicon_find(const lexicon_t *lexicon, const uint8_t *name, size_t size) noexcept nogil
cdef bint lexicon_teach(lexicon_t *lexicon, const uint8_t *name, size_t name_size,
                        const uint8_t *reply, size_t reply_size) noexcept nogil
cdef void lexicon_forget(lexicon_t *lexicon) noexcept nogil
cdef void lexicon_close(lexicon_t *lexicon) noexcept nogil
