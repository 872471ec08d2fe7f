"""CassandraNode: one server of a cluster; and NodesOwner, what it expects of the sink that has it.

A node has connections by state as any pool of connections has; its states are twins of the owner's, opened when somebody
needs them. A node that cannot be reached is *down*: the owner sends it nothing, and it tries by itself, with OPTIONS after
growing pauses, whether it is back. So no client's request is ever the probe.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.request cimport request_t
from shotover._net.timers cimport timer_t
from shotover._proxy.upstream cimport upstream_t
from shotover.sinks._cassandra_pool cimport CassandraPool, cql_state_t
from shotover.sinks._cassandra_single cimport CassandraSinkSingle


cdef class NodesOwner(CassandraSinkSingle):
    cdef:
        void     **nodes        # PyObject* of the CassandraNode by number
        uint32_t   node_count

    cdef cql_state_t *twin_of(self, cql_state_t *state, CassandraNode node) noexcept nogil
    cdef void answered(self, CassandraNode node, upstream_t *upstream, request_t *request) noexcept nogil
    cdef bint not_answered(self, CassandraNode node, upstream_t *upstream, request_t *request, int error) noexcept nogil
    cdef request_t *overdue(self, CassandraNode node, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void node_changed(self, CassandraNode node) noexcept nogil

cdef class CassandraNode(CassandraPool):
    cdef:
        readonly NodesOwner owner
        readonly uint32_t   number
        readonly str        address
        readonly object     id              # host_id, bytes; None: nobody has told yet
        readonly bint       member          # of the cluster, as it was last told
        readonly bint       in_center       # ... in the data center of this proxy
        readonly bint       in_rack         # ... and in its rack
        readonly bint       down
        readonly bint       watching        # no server but a proxy, of which is known only whether it is there
        bint       talks            # ... and answers OPTIONS; behind TLS it does not
        public object       endpoint
        bint       is_contact       # named in the configuration
        bint       gone             # no member any more: nobody needs to know whether it is back
        bint       untold           # it has not answered yet, nor failed to
        uint32_t   under_way        # requests of clients that are with it
        uint64_t   heartbeat_ns     # 0: none
        int        told_error       # the last that the log has told
        timer_t    probe
        timer_t    beat
        char       text[64]         # its address, for people

    cdef bint take(self, request_t *request, cql_state_t *home, uint64_t number, uint8_t sink_state) noexcept nogil
    cdef bint is_ready_for(self, cql_state_t *home, uint64_t number) noexcept nogil
    cdef bint can(self) noexcept nogil
    cdef void look_for_overdue(self, uint64_t before_ns) noexcept nogil
    cdef void fall(self) noexcept nogil
    cdef void rise(self) noexcept nogil
    cdef void try_again(self) noexcept nogil
    cdef void look(self) noexcept nogil
    cdef void _probe_later(self) noexcept nogil
    cdef bint _has_connection(self) noexcept nogil
