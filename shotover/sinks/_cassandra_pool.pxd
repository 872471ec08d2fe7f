"""CassandraPool: connections to one Cassandra server, shared by all clients in the same state.

A *state* is what the server knows of a connection and can be told on another: version, options of STARTUP, credentials,
keyspace. It is also the greeting that brings a fresh connection there. A connection is greeted step by step: STARTUP,
AUTH_RESPONSE if the server asks for it, USE. `_cassandra_single` says which client is in which state.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from shotover._core.memory cimport slab_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover._net.timers cimport timer_t
from shotover._proxy.numbered cimport NumberedSink
from shotover._proxy.upstream cimport upstream_t


cdef enum:
    SHARED_MAX = 64             # connection_count at most
    FIELD_SIZE_MAX = 4096       # of STARTUP's options, or of credentials that are kept

cdef enum:                      # fields of a state
    FIELD_STARTUP = 0           # body of STARTUP
    FIELD_AUTH = 1              # body of AUTH_RESPONSE; empty: the server has not asked
    FIELD_KEYSPACE = 2          # as the server spells it
    FIELD_COUNT = 3

cdef enum:                      # upstream_t.role
    ROLE_SHARED = 0             # upstream.state: its state
    ROLE_HAND = 1               # with it a client shakes hands; tenant: that
    ROLE_ALONE = 2              # serves one client, whose credentials cannot be said again; tenant: that
    ROLE_SWITCH = 3             # brings a client into another keyspace; tenant: that
    ROLE_ASK = 4                # is asked what the server can do
    ROLE_EVENTS = 5             # on which events come
    ROLE_LEAVING = 6            # closes when all is answered
    ROLE_CONTROL = 7            # a cluster's own: tells of its servers

cdef enum:                      # request_t.sink_state
    S_GREETING = 1              # the pool's own
    S_STARTUP = 2
    S_AUTH = 3
    S_USE = 4
    S_OPTIONS = 5
    S_EVENTS = 6                # the pool's own: REGISTER
    S_BEAT = 7                  # the pool's own: are you still there?
    S_USE_THERE = 8             # USE of a keyspace that the connection is in
    S_FIRST_FREE = 16           # from here on: those of a cluster

cdef struct cql_state_t:
    cql_state_t *next           # of the pool's states
    uint32_t     users          # sessions, and connections that are not shared
    uint64_t     idle_ns        # since when there have been none
    uint64_t     hash
    uint8_t      version
    uint16_t     sizes[FIELD_COUNT]
    uint8_t     *fields[FIELD_COUNT]    # into the memory behind this struct
    cql_state_t **twins         # of a cluster's state: the same at each of its servers, by number
    uint32_t     twin_count
    cql_state_t *home           # of one at a server: whose twin it is; NULL: of none any more
    upstream_t  *shared[SHARED_MAX]

cdef class CassandraPool(NumberedSink):
    cdef:
        cql_state_t *states
        uint32_t     connection_count
        timer_t      trim               # of states that nobody is in
        char         refusal[256]       # what the server said to the last greeting that it refused
        uint64_t     over_pending

    cdef cql_state_t *_state_for(self, uint8_t version, slice_t *fields) noexcept nogil
    cdef void _leave_state(self, cql_state_t *state) noexcept nogil
    cdef void trim_idle(self) noexcept nogil
    cdef upstream_t *_peek_shared(self, uint64_t number, cql_state_t *state) noexcept nogil
    cdef upstream_t *_known_shared(self, uint64_t number, uint8_t version, slice_t *fields) noexcept nogil
    cdef upstream_t *_shared(self, uint64_t number, cql_state_t *state) noexcept nogil
    cdef void _pass(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void _adopt(self, upstream_t *upstream, cql_state_t *state, uint64_t number) noexcept nogil
    cdef void _greet(self, upstream_t *upstream, cql_state_t *state, uint8_t opcode) noexcept nogil
    cdef void _greeted(self, upstream_t *upstream, request_t *greeting) noexcept nogil
    cdef void _refuse(self, request_t *request, const char *code, const char *text) noexcept nogil
    cdef void _beat(self, uint64_t silence_ns, uint8_t version) noexcept nogil
    cdef bint _ask_options(self, upstream_t *upstream, uint8_t version) noexcept nogil
    # to be overridden:
    cdef void _forgotten(self, cql_state_t *state) noexcept nogil
    cdef void _opened(self, upstream_t *upstream) noexcept nogil


cdef void state_fields(cql_state_t *state, slice_t *fields) noexcept nogil
