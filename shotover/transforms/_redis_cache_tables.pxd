"""CachedTables: the tables of caching_schema, and the types of their partition keys, as the server has them.

The same row is named by a literal in one statement and by a bound value in another. To know them for the same, both are turned
into the server's bytes, and for that the types of the columns must be known. Until they are, nothing of the table is cached,
and every write concerns all of it.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.cql.keys cimport KEY_COLUMNS_MAX
from shotover._codec.cql.results cimport cql_result_t
from shotover._codec.cql.types cimport cql_type_t
from shotover._core.slice cimport slice_t
from shotover.transforms._redis_cache_plan cimport cached_names_t


cdef enum:                      # cached_table_t.known
    TABLE_UNKNOWN = 0           # to be asked for
    TABLE_KNOWN = 1
    TABLE_ABSENT = 2            # there is none, or its key is another one than caching_schema says

cdef enum:                      # what CachedTables.learn says
    LEARNED = 0
    LEARNED_ABSENT = 1
    LEARNED_OTHER = 2           # the key is made of other columns

cdef struct cached_table_t:
    slice_t     name            # keyspace.table, as in caching_schema
    slice_t     question        # CQL: what its columns are
    uint8_t     known           # TABLE_*
    uint8_t     asking          # the question is under way
    uint8_t     outdated        # ... and its answer will be that of before a change
    uint64_t    asked_ns        # when it was last asked; 0: never
    cql_type_t *nodes           # of all columns of its key
    uint8_t    *texts           # what the nodes borrow from
    const cql_type_t *types[KEY_COLUMNS_MAX]
    uint32_t    unmarked        # writes under way of which Redis does not know
    uint8_t     distrusted      # what Redis has of it may be old
    uint8_t     mending         # Redis is being told so
    uint64_t    mended_ns       # when that was last begun
    uint64_t    open_until_ns   # until then a write of which Redis does not know may still be carried out
    uint32_t    doubts          # how often that was found

cdef class CachedTables:
    cdef:
        list            kept    # bytes that the names are in
        cached_names_t *names
        cached_table_t *tables
        uint32_t        count

    cdef slice_t keep(self, str text)
    cdef int learn(self, uint32_t table, const cql_result_t *rows) noexcept nogil
    cdef void forget(self, uint32_t table) noexcept nogil
