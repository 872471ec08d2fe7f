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
    SEALINGS_MAX = 256

cdef enum:                      # sealing_t.what
    EDIT_SEAL = 1               # the value is sealed
    EDIT_HASH = 2               # the hash takes its place: it is looked up
    EDIT_ADD_HASH = 4           # the hash follows it, as a value of its own: of INSERT
    EDIT_ADD_SET = 8            # the same, as an assignment
    EDIT_LISTED = 16            # with EDIT_HASH: a bound list of values, of IN
    EDIT_NAME = 32              # a name: the look-up column takes its place
    EDIT_ADD_NAME = 64          # a name: that of the look-up column follows it
    EDIT_JSON = 128             # a row as JSON, literal or bound; `column` is any of its table
    EDIT_ADDS = EDIT_ADD_HASH | EDIT_ADD_SET

cdef struct protected_column_t:
    slice_t  keyspace
    slice_t  table
    slice_t  name
    slice_t  about              # what is vouched for: keyspace, table and name
    slice_t  lookup             # the column beside it that has its hash; empty: none
    slice_t  lookup_quoted      # the same as CQL has it
    slice_t  option             # its declared type as the protocol writes it; empty: it is a blob to clients, too
    const cql_type_t *type      # the same as a tree; NULL: by the literal

cdef struct protected_t:        # all of them
    protected_column_t *columns
    uint32_t count

cdef struct sealing_t:          # a value to be sealed, or something else in the text to be changed
    uint16_t   column
    uint8_t    what             # EDIT_*
    uint8_t    literal          # TOKEN_* of a constant
    bint       shared           # another mark has the same name
    int32_t    bind             # the number of its mark; -1: a literal, or a name
    cql_span_t value            # literal, mark, or name

cdef struct protect_plan_t:
    uint8_t     what            # PROTECT_*
    uint8_t     answers         # its reply may have rows with protected columns
    uint8_t     selects         # `outputs` tells what its rows are made of; else go by names
    uint8_t     seals           # a data key is needed
    uint16_t    adds            # bound values that are added
    const char *why             # PROTECT_REFUSE
    uint32_t    sealing_count
    uint32_t    output_count
    sealing_t  *sealings        # in the order of the text
    int16_t    *outputs         # of each column of its rows: a protected column, or NO_COLUMN


cdef chunk_t *protect_plan_make(pool_t *pool, const protected_t *all, const cql_facts_t *facts) noexcept nogil
cdef int protected_find(
    const protected_t *all, slice_t keyspace, slice_t table, slice_t name
) noexcept nogil


cdef inline uint32_t protect_added_before(const protect_plan_t *plan, uint32_t number) noexcept nogil:
    """How many of the server's bound values before that one are not the client's. Edits stand in the order of their marks."""
    cdef uint32_t index, added = 0
    for index in range(plan.sealing_count):
        if plan.sealings[index].bind < 0 or not plan.sealings[index].what & EDIT_ADDS:
            continue
        if <uint32_t>plan.sealings[index].bind + added + 1 >= number:
            break
        added += 1
    return added

cdef inline const sealing_t *protect_bound(const protect_plan_t *plan, uint32_t number) noexcept nogil:
    """What is done with a bound value of the client's; NULL: nothing."""
    cdef uint32_t index
    for index in range(plan.sealing_count):
        if plan.sealings[index].bind >= 0 and <uint32_t>plan.sealings[index].bind == number:
            return &plan.sealings[index]
    return NULL
