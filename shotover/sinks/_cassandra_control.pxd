"""CassandraControl: what a sink before a cluster knows of it, and how.

It is a CassandraSinkSingle before one of the servers, its *home*: there clients shake hands, say USE and have the schema
changed, and there it has a connection of its own, the *control* connection, on which it asks who is in the ring and hears of
changes. When home is lost the next server becomes it. Requests about rows do not go over its connections but over those of
the nodes.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.request cimport batch_t, request_t
from shotover._net.timers cimport timer_t
from shotover._proxy.upstream cimport upstream_t
from shotover.sinks._cassandra_node cimport CassandraNode, NodesOwner
from shotover.sinks._cassandra_pool cimport FIELD_SIZE_MAX
from shotover.sinks._cassandra_schema cimport Schema
from shotover.sinks._cassandra_single cimport cql_session_t


cdef enum:                      # what is asked of the cluster; bits
    ASK_RING = 1
    ASK_SCHEMA = 2

cdef class CassandraControl(NodesOwner):
    cdef:
        object      context
        dict        options             # of a node
        list        node_list
        dict        numbers             # bytes of an address -> number of the node there
        uint32_t    home                # number of the node
        list        proxies             # the ring that clients see: Proxy of cassandra_view
        list        watched             # a CassandraNode for each of the others of them
        int         own                 # index of this proxy among them
        upstream_t *control             # NULL: there is none
        uint8_t     control_version
        bint        control_ready       # it may be asked
        uint64_t    control_due_ns      # not opened before that
        uint8_t     auth[FIELD_SIZE_MAX]    # body of AUTH_RESPONSE for it
        size_t      auth_size
        bint        auth_is_own         # ... from the configuration, not some client's
        bint        locked              # the servers ask for a login that nobody has given yet
        uint8_t     asking              # ASK_* bits under way
        uint8_t     wanted              # ASK_* bits that should be asked once more
        uint32_t    unanswered          # questions
        list        answers             # to each of QUESTIONS: its bodies; None: it was refused
        batch_t     held                # requests that this look at the ring will answer
        batch_t     held_next           # ... that came while it was under way, and need another
        uint64_t    refresh_ns
        uint64_t    refresh_due_ns
        uint64_t    heartbeat_ns
        uint64_t    beat_due_ns
        uint64_t    told_ns             # the log has said what is wrong; not again before that
        timer_t     tick
        object      view                # cassandra_view.View; None: the cluster is not known yet
        object      seen                # the answers that it was made of
        dict        keyspaces
        dict        tables
        list        versions            # of the schema, as the servers that are not down had it at the last look
        bint        agreed              # they all have the same
        uint64_t    changed_ns          # when the schema was last changed, as far as is known here
        bint        known               # schema and nodes are there
        bint        remote              # servers of other data centers serve when no other can
        bint        events_missed       # since the control connection was lost
        readonly Schema schema
        readonly uint64_t generation    # of schema
        uint64_t    refreshes_total

    cdef void _hop(self) noexcept nogil
    cdef void _move_home(self) noexcept nogil
    cdef void _lead_to(self, CassandraNode node) noexcept nogil
    cdef void _go_home(self, uint32_t number) noexcept nogil
    cdef bint _open_control(self) noexcept nogil
    cdef void _ask(self) noexcept nogil
    cdef void want(self, uint8_t what) noexcept nogil
    cdef void _told(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void _not_told(self) noexcept nogil
    cdef void _refused(self) noexcept nogil
    cdef void _close_silent(self, uint32_t place) noexcept nogil
    cdef void _learned(self) noexcept nogil
    cdef void on_tick(self) noexcept nogil
    cdef void hold(self, request_t *request) noexcept nogil
    cdef bint hold_on(self, request_t *request) noexcept nogil
    cdef void _push_event(self, uint8_t bit, const uint8_t *body, size_t size) noexcept nogil
    # to be overridden:
    cdef void answer_held(self, request_t *request) noexcept nogil
    cdef void topology_changed(self) noexcept nogil
