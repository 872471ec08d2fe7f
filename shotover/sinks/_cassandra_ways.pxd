"""CassandraWays: which servers a request may go to.

    rows, key known     a server that has a copy, in this rack if there is one, with the least under way; of a lightweight
                        transaction always the first of them, so that rivals meet there
    other rows          of two servers of this rack the one with less under way
    schema, system      home (see _cassandra_control)
    system.local, system.peers, system.peers_v2     none: the proxy shows its own ring

A rack of which no server answers is stood in for by the data center, and that by all others if the configuration lets them.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from shotover._codec.cql.messages cimport cql_params_t
from shotover._codec.cql.statement cimport cql_item_t, cql_statement_t
from shotover._core.slice cimport slice_t
from shotover.sinks._cassandra_control cimport CassandraControl
from shotover.sinks._cassandra_pool cimport cql_state_t
from shotover.sinks._cassandra_prepared cimport PreparedCache, prepared_t
from shotover.sinks._cassandra_route cimport aim_t, key_room_t
from shotover.sinks._cassandra_schema cimport entry_t


cdef enum:
    ITEMS_MAX = 256             # of a statement that is looked at

cdef struct way_t:
    aim_t         aim
    const uint16_t *copies      # servers that have the row, NO_SERVER behind the last; NULL: nobody knows
    uint32_t        width
    slice_t         unknown     # id of a prepared statement that nobody here knows; borrowed from the frame

cdef class CassandraWays(CassandraControl):
    cdef:
        PreparedCache   prepared
        cql_item_t      items[ITEMS_MAX]
        cql_statement_t statement       # the last that was read, by `items`
        key_room_t      room
        uint16_t       *rack            # numbers of the nodes of this rack that may be sent to,
        uint16_t       *center          # ... of this data center,
        uint16_t       *far             # ... of all others
        uint32_t        rack_count, center_count, far_count
        uint32_t        turn
        uint64_t        by_key_total, out_of_rack_total

    cdef void way_of(self, const cql_state_t *home, const uint8_t *frame, size_t size, way_t *way) noexcept nogil
    cdef void read_statement(self, slice_t text, slice_t keyspace, aim_t *aim) noexcept nogil
    cdef uint32_t node_for(self, const way_t *way, cql_state_t *home, uint64_t number) noexcept nogil
    cdef void _way_of_query(self, slice_t keyspace, slice_t body, int version, way_t *way) noexcept nogil
    cdef void _way_of_execute(self, slice_t body, int version, way_t *way) noexcept nogil
    cdef void _way_of_batch(self, slice_t keyspace, slice_t body, int version, way_t *way) noexcept nogil
    cdef void _copies_of(self, slice_t text, slice_t keyspace, const cql_params_t *params, way_t *way) noexcept nogil
    cdef void _copies_of_prepared(self, const prepared_t *prepared, const cql_params_t *params, way_t *way) noexcept nogil
    cdef void _copies_at(self, const entry_t *entry, slice_t key, way_t *way) noexcept nogil
    cdef uint32_t _node_by_key(self, const way_t *way, cql_state_t *home, uint64_t number) noexcept nogil
    cdef uint32_t _any_node(self) noexcept nogil
    cdef void count_nodes(self) noexcept nogil
