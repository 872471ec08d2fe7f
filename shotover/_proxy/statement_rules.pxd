"""Conditions on statements of CQL: type, keyspace, table and consistency. For steps whose rules name requests by them."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t


cdef enum:
    STATEMENT_WORDS = 4         # of 64 bits: type * 16 + object

cdef struct statement_rule_t:   # zero: no condition
    bint      says              # there is one
    bint      says_type
    uint64_t  types[STATEMENT_WORDS]
    slice_t  *keyspaces         # NULL: it does not say
    uint32_t  keyspace_count
    slice_t  *tables            # pairs: keyspace (of size 0: any) and table; NULL: it does not say
    uint32_t  table_count
    uint32_t  levels            # bits of consistencies; 0: it does not say


cdef int statement_rule_set(statement_rule_t *rule, object row, list texts) except -1
cdef void statement_rule_free(statement_rule_t *rule) noexcept nogil
cdef bint statement_rule_fits(const statement_rule_t *rule, const cql_facts_t *facts) noexcept nogil
cdef bint statement_rule_level(const statement_rule_t *rule, const request_t *request) noexcept nogil
