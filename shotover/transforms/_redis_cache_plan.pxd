"""What RedisCache does about a statement, worked out once for each text: a plan, kept with the facts of the statement.

A plan knows names alone, so it never goes stale: which cached tables a statement reads or writes, and where in it the columns
of their partition keys are. Types of those columns come from the server, see _redis_cache_tables.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._codec.cql.keys cimport KEY_COLUMNS_MAX, cql_key_plan_t
from shotover._codec.cql.statement cimport cql_item_t, cql_statement_t
from shotover._core.memory cimport chunk_t, pool_t
from shotover._core.slice cimport slice_t


cdef enum:
    PLAN_NOTHING = 0            # no cached table is concerned, or it is a read that is not cached
    PLAN_READ = 1               # of one partition of a cached table
    PLAN_WRITE = 2

cdef struct cached_names_t:     # of a table in caching_schema
    slice_t  keyspace
    slice_t  table
    uint32_t column_count
    slice_t  columns[KEY_COLUMNS_MAX]   # of its partition key

cdef struct touched_t:          # a cached table that a statement reads or writes
    uint16_t table              # index in caching_schema
    uint8_t  whole              # any partition of it
    cql_key_plan_t key          # if not `whole`

cdef struct plan_t:
    uint8_t     what            # PLAN_*
    uint8_t     schema          # it may change what columns a table has
    uint16_t    count           # of `touched`
    touched_t  *touched
    cql_statement_t statement   # of the facts' text, with the items that `key` refers to


cdef chunk_t *plan_make(
    pool_t *pool, const cached_names_t *tables, uint32_t table_count, const cql_facts_t *facts
) noexcept nogil
