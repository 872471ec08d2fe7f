"""What Protect does about a statement, worked out once for each text: kept with the facts of the statement."""

from libc.stdint cimport int16_t, int32_t, uint8_t, uint16_t, uint32_t

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._codec.cql.lexer cimport cql_span_t
from shotover._codec.cql.types cimport cql_type_t
from shotover._core.memory cimport chunk_t, pool_t
from shotover._core.slice cimport slice_t


cdef enum:
    PROTECT_PASS = 0            # no protected table is concerned
    PROTECT_WORK = 1
    PROTECT_REFUSE = 2
    NO_COLUMN = -1

cdef struct protected_column_t:
    slice_t  keyspace
    slice_t  table
    slice_t  name
    slice_t  about              # what is vouched for: keyspace, table and name
    slice_t  option             # its declared type as the protocol writes it; empty: it is a blob to clients, too
    const cql_type_t *type      # the same as a tree; NULL: by the literal

cdef struct protected_t:        # all of them
    protected_column_t *columns
    uint32_t count

cdef struct sealing_t:          # a value to be sealed
    uint16_t   column
    uint8_t    literal          # TOKEN_* of a constant
    int32_t    bind             # the number of its mark; -1: a literal
    cql_span_t value            # literal, or mark

cdef struct protect_plan_t:
    uint8_t     what            # PROTECT_*
    uint8_t     answers         # its reply may have rows with protected columns
    uint8_t     selects         # `outputs` tells what its rows are made of; else go by names
    const char *why             # PROTECT_REFUSE
    uint32_t    sealing_count
    uint32_t    output_count
    sealing_t  *sealings        # in the order of the text
    int16_t    *outputs         # of each column of its rows: a protected column, or NO_COLUMN


cdef chunk_t *protect_plan_make(pool_t *pool, const protected_t *all, const cql_facts_t *facts) noexcept nogil
cdef int protected_find(
    const protected_t *all, slice_t keyspace, slice_t table, slice_t name
) noexcept nogil
