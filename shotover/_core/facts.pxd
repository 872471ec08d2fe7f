"""facts_t: what a codec knows of a statement, in counted memory, so that every request that says the same may point to it.

It is the beginning of the codec's own struct, and lies at the beginning of a chunk_t. Once made it does not change, but for
`notes`: what a step has worked out of this statement and would otherwise work out again with each request (a plan, a route),
in a chunk of its own that ends with the facts.
"""

from libc.stdint cimport uint32_t

from shotover._core.memory cimport chunk_data, chunk_t, pool_t


cdef enum:
    FACTS_NOTES = 8             # that steps of one source may keep

cdef struct facts_t:
    chunk_t  *notes[FACTS_NOTES]    # by Step.note; NULL: nothing yet
    chunk_t **parts             # facts of the statements that it is made of, a reference each, in memory of the facts' own
    uint32_t  part_count


cdef void facts_end(pool_t *pool, chunk_t *facts) noexcept nogil

cdef inline void facts_put(pool_t *pool, chunk_t *facts) noexcept nogil:
    """Gives back a reference."""
    if facts.refs > 1:
        facts.refs -= 1
    else:
        facts_end(pool, facts)

cdef inline facts_t *facts_of(chunk_t *chunk) noexcept nogil:
    return <facts_t *>chunk_data(chunk)
