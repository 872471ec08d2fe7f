"""Replies of RESP2 as a server would have given them in RESP3, from wherever they are cut to wherever they are cut.

One upgrade_t is one reply on its way. What it needs to know is little, however deep a reply goes: what is within a value
without a shape of its own is only counted. It reads no further than it is given bytes and takes no memory.

    at, end ... of the reply so far        upgrade_begin once, then upgrade_write for each piece until `done`
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef enum:
    LEVELS = 24             # values with a shape within one another; deeper ones are taken as they are
    HEAD_MAX = 32           # bytes of the head of a bulk string, array or integer, its end included
    NAME_MAX = 24           # bytes of a name that is looked up

cdef struct level_t:
    uint64_t left           # elements still to come, as RESP2 counts them
    uint64_t index          # of the next one
    uint8_t  shape
    uint8_t  value          # AS_MAP: shape of the value whose name has passed

cdef struct upgrade_t:
    uint8_t  state
    uint8_t  shape          # of the reply
    uint8_t  done           # it is whole
    uint8_t  drop           # the bulk string that passes is left out
    uint8_t  naming         # the bulk string that passes is a name
    uint8_t  head_size      # bytes of `head`
    uint8_t  name_size
    uint8_t  depth          # levels in use
    uint64_t any            # values without a shape still to come before the current element ends
    uint64_t body           # bytes of a bulk string still to come
    const uint8_t *queued   # AS_QUEUED: shapes of its elements
    uint32_t queued_count
    uint8_t  head[HEAD_MAX]
    uint8_t  name[NAME_MAX]
    level_t  levels[LEVELS]


cdef inline size_t upgrade_room(size_t size) noexcept nogil:
    """Bytes that the upgrade of a piece of `size` may take."""
    return 2 * size + 4 * HEAD_MAX

cdef void upgrade_begin(upgrade_t *upgrade, uint8_t shape, const uint8_t *queued, uint32_t queued_count) noexcept nogil
cdef uint8_t *upgrade_write(upgrade_t *upgrade, const uint8_t **at_io, const uint8_t *end, uint8_t *out) noexcept nogil
