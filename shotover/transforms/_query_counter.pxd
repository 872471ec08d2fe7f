"""QueryCounter: counts requests by command, statements of CQL by type and table."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.cql.facts cimport cql_touch_t
from shotover._core.request cimport request_t
from shotover._proxy.step cimport Step


cdef enum:
    NAME_KEPT = 96              # of keyspaces and tables, in bytes; no server has longer ones
    STATEMENT_COUNTS = 256      # type * 16 + object

cdef struct counted_t:          # statements of one type on one table
    uint64_t hash
    uint64_t count              # 0: the place is free
    uint8_t  type               # STATEMENT_*
    uint8_t  keyspace_size
    uint8_t  table_size
    uint8_t  keyspace[NAME_KEPT]
    uint8_t  table[NAME_KEPT]

cdef class QueryCounter(Step):
    cdef:
        str       counter_name
        uint64_t *counts        # by id of the command's first word; one more, the last, for what is unknown
        uint32_t  known         # commands that have a count of their own
        bint      cql
        uint64_t  statements[STATEMENT_COUNTS]
        counted_t *tables       # an open hash table, never more than half full; NULL: tables are not counted
        uint32_t  table_room    # a power of two
        uint32_t  table_count
        uint32_t  table_most
        uint64_t  table_others  # statements on tables for which there was no place

    cdef void _statements(self, request_t *request) noexcept nogil
    cdef void _table(self, const cql_touch_t *touch) noexcept nogil
