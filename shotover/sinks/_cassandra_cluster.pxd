"""CassandraSinkCluster: requests to the servers of a cluster, and what is done when one of them cannot answer.

A request that was not sent goes to another server; one that was, only if it may be carried out twice, and within a budget. A
server that does not know a prepared statement has it prepared, and the request is sent once more: the client does not notice.

One that takes its time may get a rival (`speculative_delay_ms`): the request waits by itself then, for two *runners*, requests of
the sink's own. One stands in its place where it was sent, the other goes to another server; the first good reply is its reply.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._net.timers cimport timer_t
from shotover._proxy.retry cimport budget_t, keeper_t
from shotover._proxy.upstream cimport upstream_t
from shotover.sinks._cassandra_node cimport CassandraNode
from shotover.sinks._cassandra_pool cimport cql_state_t
from shotover.sinks._cassandra_ways cimport CassandraWays, way_t
from shotover.sinks._cassandra_single cimport cql_session_t


cdef enum:
    ID_MAX = 256                # of a prepared statement whose repair is followed

cdef enum:                      # request_t.made; bits
    MADE_IDEMPOTENT = 1         # it may be sent again though it was sent
    MADE_ORDERED = 2            # it belongs to one server
    MADE_RACED = 4              # it has had runners

cdef struct repair_t:           # a statement that is prepared at a node that did not know it
    repair_t    *next
    request_t   *question       # the PREPARE
    cql_state_t *home           # the state of those that wait, which has one user more
    uint32_t     number         # of the node
    uint8_t      id[ID_MAX]
    uint32_t     id_size
    batch_t      waiting        # what was refused, to be sent once more

cdef struct race_t:
    race_t    *next
    request_t *request          # who waits; in no list meanwhile
    request_t *first            # its runners; NULL: that one is out
    request_t *second

cdef class CassandraSinkCluster(CassandraWays):
    cdef:
        race_t   *races
        uint32_t  race_count
        timer_t   race_timer
        uint64_t  race_delay_ns     # 0: there are none
        int       race_percent
        budget_t  race_budget
        uint64_t  raced_total, overtaken_total
        keeper_t  keeper
        repair_t *repairs
        uint64_t  routed_total, repairs_total
        uint32_t  prepared_most     # statements, if the source lets as many be kept
        char      nobody[400]       # why there is no server for a request
        bint      crowded           # ... it has too many already

    cdef bint _send_off(self, request_t *request, cql_state_t *home, uint64_t number, const way_t *way) noexcept nogil
    cdef void _find_facts(self, request_t *request, cql_state_t *home) noexcept nogil
    cdef void _note_nobody(self, CassandraNode node) noexcept nogil
    cdef void _say_unprepared(self, request_t *request, slice_t id) noexcept nogil
    cdef bint _not_the_last_word(self, CassandraNode node, cql_state_t *home, request_t *request) noexcept nogil
    cdef bint _repair(self, CassandraNode node, cql_state_t *home, request_t *request, slice_t id) noexcept nogil
    cdef bint _prepare_at(self, CassandraNode node, repair_t *repair, const cql_facts_t *prepared) noexcept nogil
    cdef bint _was_prepared(self, request_t *question, cql_state_t *home, slice_t id) noexcept nogil
    cdef void _repaired(self, CassandraNode node, request_t *question, bint good) noexcept nogil
    cdef bint _send_again(self, request_t *request, cql_state_t *home) noexcept nogil
    cdef void look_for_late(self) noexcept nogil
    cdef uint32_t _rival(self, request_t *request, CassandraNode node, cql_state_t *home) noexcept nogil
    cdef void _run_in(self, CassandraNode node, upstream_t *upstream, request_t *runner, bint lost, int error) noexcept nogil
    cdef object _shown(self, request_t *request)
