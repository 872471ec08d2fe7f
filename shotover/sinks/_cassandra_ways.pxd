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
from shotover._core.memory cimport chunk_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover.sinks._cassandra_control cimport CassandraControl
from shotover.sinks._cassandra_pool cimport cql_state_t
from shotover.sinks._cassandra_route cimport aim_t, key_room_t, route_t


cdef struct way_t:
    aim_t           aim
    const uint16_t *copies      # servers that have the row, NO_SERVER behind the last; NULL: nobody knows
    uint32_t        width

cdef class CassandraWays(CassandraControl):
    cdef:
        key_room_t      room
        route_t         once            # of a statement that nobody keeps
        uint16_t       *rack            # numbers of the nodes of this rack that may be sent to,
        uint16_t       *center          # ... of this data center,
        uint16_t       *far             # ... of all others
        uint32_t        rack_count, center_count, far_count
        uint32_t        turn
        uint64_t        by_key_total, out_of_rack_total

    cdef void way_of(self, request_t *request, way_t *way) noexcept nogil
    cdef uint32_t node_for(self, const way_t *way, cql_state_t *home, uint64_t number) noexcept nogil
    cdef const route_t *_route(self, chunk_t *facts) noexcept nogil
    cdef void _way_of_batch(self, request_t *request, slice_t body, way_t *way) noexcept nogil
    cdef void _copies_of(self, const route_t *route, chunk_t *facts, const cql_params_t *params, way_t *way) noexcept nogil
    cdef uint32_t _node_by_key(self, const way_t *way, cql_state_t *home, uint64_t number) noexcept nogil
    cdef uint32_t _any_node(self) noexcept nogil
    cdef void count_nodes(self) noexcept nogil
