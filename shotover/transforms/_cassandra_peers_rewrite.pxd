"""CassandraPeersRewrite: what a server says of its peers' ports, with another port in place of each."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._codec.cql.results cimport cql_result_t
from shotover._codec.cql.statement cimport cql_item_t, cql_statement_t
from shotover._core.request cimport request_t
from shotover._proxy.step cimport Step


cdef enum:
    ITEMS_MAX = 256             # of a SELECT that is looked at
    COLUMNS_MAX = 128

cdef class CassandraPeersRewrite(Step):
    cdef:
        uint32_t        port
        cql_item_t      items[ITEMS_MAX]
        cql_statement_t statement
        uint64_t        rewritten_total     # replies and events

    cdef bint _plain_reply(self, request_t *request) noexcept nogil
    cdef void _rewrite(self, request_t *request, const cql_facts_t *facts) noexcept nogil
    cdef bint _ports_in(self, const cql_facts_t *facts, const cql_result_t *result, bint *is_port) noexcept nogil
