"""CqlRouter: a KeyRouter before Cassandra. Statements go down the chain of the first rule that they fall under.

A client shakes hands with all chains: its STARTUP, its login and USE go to each, as children, and are answered when all have
been, or have had time enough. The default chain decides whether it is let in; where another does not let it in, only what belongs
there is refused.

Where rules ask for partition keys, a statement has not one chain but several that its executions may go to: its PREPARE goes to
all of those, too, as children.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._codec.cql.messages cimport cql_params_t
from shotover._core.memory cimport chunk_t, slab_t
from shotover._core.request cimport request_t
from shotover._net.timers cimport timer_t
from shotover._proxy.identities cimport identities_t
from shotover._proxy.statement_rules cimport statement_rule_t
from shotover._proxy.step cimport Step
from shotover.transforms._key_router_keys cimport KeyShapes, key_note_t, key_room_t, key_rule_t


cdef enum:
    CHAINS_MAX = 33             # the default one, and 32 that are named
    RULES_MAX = 4096

cdef enum:                      # what a chain thinks of a client
    CHAIN_NEW = 0
    CHAIN_LOGIN = 1             # it has asked for credentials
    CHAIN_OPEN = 2
    CHAIN_CLOSED = 3            # it has not let it in, or not into its keyspace

cdef struct routed_t:           # a client
    void    *session            # NULL: gone
    uint32_t joins              # under way
    uint8_t  phases[CHAINS_MAX]
    uint8_t  astray[CHAINS_MAX]     # the chain is not in the client's keyspace

cdef struct join_t:             # what goes to several chains
    routed_t  *client
    request_t *request          # the client's own
    request_t *children[CHAINS_MAX]     # by chain; NULL: none went there
    join_t    *later            # of those under way, oldest first
    join_t    *earlier
    uint64_t   deadline_ns
    uint64_t   out              # bits of the chains that have not answered
    uint8_t    overdue          # only the default chain is waited for; it is in no list then

cdef struct route_t:
    statement_rule_t statement
    key_rule_t  key
    const char *user            # NULL: any
    size_t      user_size
    identities_t identities     # whom its certificate names
    uint32_t    target

cdef class StatementRoutes:
    """The rules of one such step, as they were read; they never change."""
    cdef:
        route_t  *routes
        uint32_t  count
        uint32_t  generation    # so that what is noted with statements is known to be of these
        bint      of_users      # some rule asks for the user: nothing is noted
        bint      of_keys       # some rule asks for a partition key
        list      texts

cdef class CqlRouter(Step):
    cdef:
        void     *routes        # PyObject* of the StatementRoutes in force; replaced as a whole, from any thread
        list      kept          # all there have been: who still looks at old ones may
        list      names
        uint32_t  chain_count
        KeyShapes shapes
        bint      lenient       # partitions that are not known go to the default chain
        key_room_t room         # of the request at hand
        slab_t    clients, joins
        join_t   *first_join
        join_t   *last_join
        timer_t   timer
        uint64_t  handshake_ns  # for which chains but the default one are waited for
        uint64_t  late_total
        uint64_t  refused_total
        uint64_t  sent[CHAINS_MAX]

    cdef routed_t *_client_of(self, void *session) noexcept nogil
    cdef void _forget(self, routed_t *client) noexcept nogil
    cdef int _target(self, request_t *request) noexcept nogil
    cdef int _target_of_text(self, const cql_facts_t *facts, request_t *request) noexcept nogil
    cdef int _target_of(self, const cql_facts_t *facts, request_t *request) noexcept nogil
    cdef const key_note_t *_note_of(self, chunk_t *chunk) noexcept nogil
    cdef int _keyed(self, request_t *request) noexcept nogil
    cdef int _keyed_statement(self, chunk_t *chunk, const cql_params_t *params, request_t *request) noexcept nogil
    cdef int _route(self, const cql_facts_t *facts, int shape, bint known, request_t *request) noexcept nogil
    cdef uint64_t _reach(self, const cql_facts_t *facts, request_t *request) noexcept nogil
    cdef bint _astray(self, const cql_facts_t *facts) noexcept nogil
    cdef void _join(self, request_t *request, routed_t *client, uint64_t chains) noexcept nogil
    cdef void _expire(self) noexcept nogil
    cdef void _unlist(self, join_t *join) noexcept nogil
    cdef void _leave_late(self, join_t *join) noexcept nogil
    cdef void _joined(self, join_t *join) noexcept nogil
    cdef uint32_t _preparing(self, join_t *join) noexcept nogil
    cdef bint _alike(self, join_t *join, uint32_t answering) noexcept nogil
    cdef uint32_t _answering(self, join_t *join) noexcept nogil
    cdef void _refuse(self, request_t *request, const char *code, const char *text) noexcept nogil
