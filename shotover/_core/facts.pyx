"""See facts.pxd."""

from shotover._core.memory cimport chunk_put


cdef void facts_end(pool_t *pool, chunk_t *facts) noexcept nogil:
    """The last reference goes, and with it what it holds. Parts have no parts."""
    cdef:
        facts_t *head = facts_of(facts)
        uint32_t index
    for index in range(FACTS_NOTES):
        if head.notes[index] is not NULL:
            chunk_put(pool, head.notes[index])
    for index in range(head.part_count):
        facts_put(pool, head.parts[index])
    chunk_put(pool, facts)
