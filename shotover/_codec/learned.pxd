"""Commands that the generated table does not know (modules, newer servers), learned from a server's COMMAND reply.

The reader of such replies. A table is written once and then only read; what it hands out lives until learned_free. Ids
continue those of the static commands. What a running proxy has learned stands in its codec's lexicon (lexicon.pxd).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from shotover._codec.commands cimport command_t, keyspec_t
from shotover._core.slice cimport slice_t


cdef enum:
    LEARNED_COMMANDS_MAX = 4096     # further ones stay unknown
    LEARNED_NAME_SIZE_MAX = 64      # with the container's; longer ones stay unknown
    LEARNED_SPECS_MAX = 4           # key specs a command; with more its incomplete_keys is set

cdef struct learned_command_t:
    command_t  facts
    keyspec_t  specs[LEARNED_SPECS_MAX]
    char       name[LEARNED_NAME_SIZE_MAX + 1]

cdef struct learned_t:
    learned_command_t *commands
    uint16_t *slots                 # slot_mask + 1 of them: index + 1 of a command, 0: empty
    uint32_t  slot_mask
    uint32_t  count
    uint32_t  room                  # commands allocated
    uint32_t  left_out              # beyond a limit above


cdef learned_t *commands_learn(const uint8_t *reply, size_t size) noexcept nogil
cdef void learned_free(learned_t *table) noexcept nogil
cdef const command_t *learned_find(const learned_t *table, const uint8_t *name, size_t size) noexcept nogil
cdef const command_t *learned_find_sub(const learned_t *table, const command_t *container,
                                       const uint8_t *name, size_t size) noexcept nogil
cdef bint reply_name(const uint8_t *reply, size_t size, slice_t *name) noexcept nogil
cdef uint32_t name_hash(const uint8_t *name, size_t size) noexcept nogil
cdef void upper_copy(char *out, const slice_t *text) noexcept nogil
