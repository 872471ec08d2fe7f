"""RedisNode: one server of a sink that has several; and NodesOwner, what it expects of that sink.

A node is a RedisSinkSingle with shared connections, leases and states of its own. What differs: it finds what it knows of a
session in the owner's client_t; it shows the owner error replies before a client sees them; and what it cannot send goes
back to the owner.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover._net.timers cimport timer_t
from shotover._proxy.session cimport session_t
from shotover._proxy.step cimport Step
from shotover._proxy.upstream cimport upstream_t
from shotover.sinks._redis_leases cimport redis_session_t
from shotover.sinks._redis_single cimport RedisSinkSingle
from shotover.sinks._redis_state cimport redis_state_t


cdef enum:
    NO_NODE = 0xffffffff

cdef enum:                      # request_t.sink_state, beside those of _redis_leases
    S_CHECK = 32                # answered by an error that the owner wants to see
    S_TOPOLOGY = 33             # the proxy's own: who is who?
    S_PROBE = 34                # the proxy's own: are you back?
    S_TIMING = 35               # the proxy's own: how far are you?

cdef enum:                      # client_t.busy: why its requests take the long way
    BUSY_HELD = 1               # requests of it are held
    BUSY_ALONE = 2              # one runs that must run alone
    BUSY_TIED = 4               # it has a subscription, or watches keys
    BUSY_QUEUEING = 8           # between MULTI and EXEC
    BUSY_GONE = 16              # its session has ended
    BUSY_QUITTING = 32          # it has said QUIT: nothing is answered any more
    BUSY_GATED = 64             # what shares a place with `gate` waits for it
    BUSY_LOST = 128             # some of its subscriptions have to be had again

cdef enum:                      # request_t.made; its reply is the owner's to put right
    MADE_WHOLE = 1              # an EXEC: MULTI, all commands and EXEC in one
    MADE_SCAN = 2               # with another cursor

cdef enum:
    BOUND = 255                 # request_t.attempts of an EXEC that keys are watched for: no other connection will do
    SCRIPTS_KNOWN = 1024

cdef struct place_t:            # of one client at one node
    redis_session_t *rs         # NULL: in the default state, without a lease
    uint32_t sent               # requests, ever
    uint32_t done               # answered; replies of a node come in the order of requests

cdef struct hold_t:             # a request that cannot go yet
    hold_t    *next
    hold_t    *previous
    request_t *request
    uint64_t   bits             # of the places of its keys: 64 classes, within which order is kept
    uint32_t   node             # wait until this node has answered `seq` requests of the client; NO_NODE: for nothing
    uint32_t   seq
    uint64_t   not_before_ns
    uint64_t   deadline_ns      # 0: it only waits for others
    uint8_t    returned         # a server refused it for now; `reply` is what it said (empty: it could not be reached)
    int        error            # of the connection, then

cdef enum:                      # what is subscribed to
    SUB_CHANNEL = 0
    SUB_PATTERN = 1
    SUB_SHARD = 2

cdef struct queue_t             # of a transaction: _redis_transaction
cdef struct subscription_t      # _redis_subscribing

cdef struct client_t:           # a session, as a sink of several nodes knows it
    session_t     *session      # NULL: it has ended, but requests of it are under way
    redis_state_t *state        # of the owner's: what SELECT, AUTH, HELLO ... have said; NULL: nothing
    place_t       *places       # by node number
    uint32_t       place_count
    uint32_t       under_way    # requests with nodes
    uint8_t        busy         # BUSY_*
    uint8_t        going        # its held requests are being looked through
    uint8_t        again        # ... and must be once more
    uint8_t        buried       # nothing is known of it but to those who name it in this turn
    uint32_t       astray       # the node, plus 1, that got requests for slots of which nobody knew whose they are
    uint32_t       watching     # WATCHes that count for its next EXEC
    uint32_t       watch_place  # ... of this place
    request_t     *alone        # with BUSY_ALONE
    request_t     *gate         # with BUSY_GATED: a request that may have to be sent again
    uint64_t       gate_bits
    uint32_t       tied         # with BUSY_TIED: the node whose lease it needs
    hold_t        *held
    hold_t        *held_tail
    hold_t        *returned_tail    # those that came back stand before all others; NULL: there are none
    uint32_t       held_count
    uint64_t       held_bits    # of all that are held, or were since there was none
    queue_t       *queue        # with BUSY_QUEUEING
    subscription_t *subscriptions
    uint32_t       subscription_count
    uint64_t       lost_until_ns    # with BUSY_LOST: after that it is disconnected
    uint64_t       lost_again_ns    # ... and not tried again before that
    client_t      *next_loser   # of those with BUSY_LOST
    client_t      *next         # of the owner's clients with held requests
    client_t      *previous

cdef class NodesOwner(Step):
    cdef:
        void     **nodes        # PyObject* of the RedisNode by number; NULL: none
        uint32_t   node_count

    cdef client_t *client_of(self, session_t *session) noexcept nogil
    cdef bint make_room(self, client_t *client, uint32_t number) noexcept nogil
    cdef bint refused(self, RedisNode node, request_t *request) noexcept nogil
    cdef void returned(self, RedisNode node, request_t *request, int error) noexcept nogil
    cdef void before(self, RedisNode node, request_t *request, client_t *client) noexcept nogil
    cdef void after(self, client_t *client) noexcept nogil
    cdef void child_answered(self, RedisNode node, request_t *child) noexcept nogil
    cdef void edit_reply(self, RedisNode node, request_t *request) noexcept nogil
    cdef void edit_hello(self, request_t *request) noexcept nogil
    cdef bint is_split(self, request_t *request) noexcept nogil
    cdef void make_void(self, request_t *request) noexcept nogil
    cdef void state_changed(self, RedisNode node, session_t *session, redis_state_t *state) noexcept nogil
    cdef bint subscription_changed(self, RedisNode node, session_t *session, uint8_t kind, bint adds, const slice_t *name,
                                   bint asked) noexcept nogil
    cdef bint lost_subscriptions(self, RedisNode node, session_t *session) noexcept nogil
    cdef void subscribing_failed(self, RedisNode node, session_t *session) noexcept nogil
    cdef void free_subscriptions(self, client_t *client) noexcept nogil
    cdef void node_lost(self, RedisNode node, int error) noexcept nogil
    cdef void node_back(self, RedisNode node) noexcept nogil
    cdef void on_topology(self, RedisNode node, request_t *answer) noexcept nogil
    cdef void no_topology(self, RedisNode node) noexcept nogil

cdef class RedisNode(RedisSinkSingle):
    cdef:
        readonly NodesOwner owner
        readonly uint32_t   number
        readonly str        address
        bint       down             # it did not answer, or cannot be reached: only probes go there
        uint64_t   down_ns          # since when
        bint       readonly         # READONLY is part of every greeting: it may be a replica
        uint64_t   round_trip_ns    # of a PING on a connection that is there; smoothed. 0: not timed yet
        timer_t    probe
        uint64_t   scripts[SCRIPTS_KNOWN]   # the beginnings of SHA-1s that EVALSHA has found there

    cdef void take(self, request_t *request, client_t *client) noexcept nogil
    cdef bint ask(self, redis_state_t *state, const char *wire, size_t size, uint8_t sink_state) noexcept nogil
    cdef bint subscribe(self, session_t *session, request_t *request) noexcept nogil
    cdef void try_again(self) noexcept nogil
    cdef bint knows_script(self, const slice_t *sha) noexcept nogil
    cdef void forget_scripts(self) noexcept nogil
    cdef void note_script(self, const slice_t *sha) noexcept nogil
    cdef void time(self) noexcept nogil
    cdef void _note_time(self, uint64_t taken_ns) noexcept nogil
    cdef void take_asking(self, request_t *request, client_t *client) noexcept nogil
    cdef bint _lost_subscriber(self, upstream_t *upstream, int error) noexcept nogil
    cdef void _subscribed(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void unwatch(self, session_t *session) noexcept nogil
    cdef bint _looked_at(self, request_t *request) noexcept nogil
    cdef void _barrier_lost(self, redis_session_t *rs) noexcept nogil
    cdef void _probe_later(self) noexcept nogil
    cdef void _answered_probe(self, request_t *request) noexcept nogil
    cdef void _part(self, redis_session_t *rs, bint was_reset) noexcept nogil
    cdef void follow_state(self, redis_session_t *rs, slice_t *fields) noexcept nogil
