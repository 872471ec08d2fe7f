"""CassandraSinkSingle: which client is in which state, and how it came there.

A client's handshake is the server's to judge: its STARTUP and its credentials go to the server, on a connection that is
shared from then on. Where the server has let in the same STARTUP without asking for credentials, and that connection is
still open, its next client is let in without one. USE travels on a connection of those who are in that keyspace, or on a fresh
one, which they share from then on. Who REGISTERs gets events from one connection for all of its version.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.memory cimport chunk_t, slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._proxy.session cimport session_t
from shotover._proxy.upstream cimport upstream_t
from shotover.sinks._cassandra_pool cimport CassandraPool, cql_state_t


cdef enum:
    VERSIONS = 8                # more than there are

cdef enum:                      # cql_session_t.phase
    PHASE_NEW = 0
    PHASE_STARTING = 1          # STARTUP is on its way
    PHASE_LOGIN = 2             # the server has asked for credentials
    PHASE_OPEN = 3

cdef enum:                      # what can be registered for; bits
    EVENT_TOPOLOGY = 1
    EVENT_STATUS = 2
    EVENT_SCHEMA = 4
    EVENT_UNKNOWN = 128         # or the list is none

cdef struct cql_session_t:
    session_t     *session
    cql_state_t   *state        # from STARTUP on
    upstream_t    *hand         # until PHASE_OPEN; of who has ROLE_ALONE, to the end
    upstream_t    *switching    # its USE is on it
    uint8_t       *auth         # body of the AUTH_RESPONSE under way; NULL: none, or it cannot be said again
    size_t         auth_size
    cql_session_t *next         # of those that want events
    cql_session_t *previous
    uint32_t       uses         # so many USEs has it sent
    uint32_t       used         # ... of which this one, counted from 1, has brought it into its keyspace
    uint8_t        version      # 0: not said yet
    uint8_t        phase        # PHASE_*
    uint8_t        rounds       # AUTH_RESPONSEs so far
    uint8_t        events       # EVENT_* bits
    uint8_t        alone        # everything of it goes over `hand`
    uint8_t        compression  # COMPRESSION_*

cdef struct events_t:           # of one version
    upstream_t    *upstream     # NULL: nobody wants any
    uint8_t        ready        # it has been registered
    batch_t        waiting      # REGISTERs, until it is
    cql_session_t *sessions

cdef class CassandraSinkSingle(CassandraPool):
    cdef:
        slab_t   sessions
        events_t events[VERSIONS]
        uint8_t *supported[VERSIONS]    # what SUPPORTED says, as it is passed on; NULL: nobody has asked
        size_t   supported_sizes[VERSIONS]
        uint64_t events_total, switches_total, handshakes_total

    cdef cql_session_t *_session_of(self, session_t *session) noexcept nogil
    cdef void _plain(self, request_t *request, cql_session_t *cs) noexcept nogil
    cdef void _other(self, request_t *request, session_t *session, cql_session_t *cs) noexcept nogil
    cdef void _options(self, request_t *request) noexcept nogil
    cdef void _asked(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void _forget_supported(self) noexcept nogil
    cdef int _use_in(self, request_t *request, cql_session_t *cs) noexcept nogil
    cdef chunk_t *_unpacked(self, const uint8_t *frame, size_t size, int compression, size_t *plain_size) noexcept nogil
    cdef void _startup(self, request_t *request, cql_session_t *cs) noexcept nogil
    cdef void _started(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void _login(self, request_t *request, cql_session_t *cs) noexcept nogil
    cdef void _logged_in(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void _come_in(self, upstream_t *upstream, cql_session_t *cs) noexcept nogil
    cdef void _begin_anew(self, cql_session_t *cs) noexcept nogil
    cdef void _use(self, request_t *request, cql_session_t *cs) noexcept nogil
    cdef bint _enter(self, request_t *request, cql_session_t *cs) noexcept nogil
    cdef void _used(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void _register(self, request_t *request, cql_session_t *cs) noexcept nogil
    cdef void _watch_events(self, request_t *request, cql_session_t *cs) noexcept nogil
    cdef void _ask_events(self, upstream_t *upstream) noexcept nogil
    cdef bint _open_events(self, cql_session_t *cs) noexcept nogil
    cdef void _registered(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void _want(self, request_t *request, cql_session_t *cs) noexcept nogil
    cdef void _want_no_more(self, cql_session_t *cs) noexcept nogil
    cdef void _answer_ready(self, request_t *request) noexcept nogil
    cdef void _let_through(self, request_t *request) noexcept nogil
