"""LeasingSink: connections to one Redis server, shared by all clients in the same state, or leased to one for a while.

`_redis_single` says which command needs what; here is how it is had: the shared connection of a state, a lease in a
state, and the barrier between the two.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.commands cimport command_t
from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._net.timers cimport timer_t
from shotover._proxy.retry cimport keeper_t
from shotover._proxy.session cimport session_t
from shotover._proxy.upstream cimport upstream_t
from shotover.sinks._redis_learn cimport LearningSink
from shotover.sinks._redis_state cimport redis_state_t


cdef enum:                      # reasons to keep a lease; bits of redis_session_t.reasons
    IN_MULTI = 1
    IN_WATCH = 2
    PINNED = 4                  # until RESET or the client's end
    SUBSCRIBED = 8
    MONITORING = 16
    SILENT = 32                 # CLIENT REPLY OFF
    SKIP_NEXT = 64              # CLIENT REPLY SKIP
    STATE_IN_MULTI = 128        # a queued command will change the state unseen
    QUITTING = 256              # after QUIT nothing is answered
    UNSURE = 512                # it has used a command that may have done anything: until that is known
    UNPROVEN = 1024             # pinned by commands that have not been answered yet: errors would undo it

cdef enum:                      # request_t.sink_state: what to do when its replies are in
    S_NONE = 0
    S_LEASED = 1
    S_GREETING = 2
    S_BARRIER = 3
    S_STATE = 4
    S_MULTI = 5
    S_EXEC = 6                  # or DISCARD, UNWATCH: an end that an error would contradict
    S_BLOCK = 8
    S_SUBSCRIBE = 9
    S_UNSUBSCRIBE = 10
    S_UNSUBSCRIBE_ALL = 11
    S_MONITOR = 12
    S_RESET = 13
    S_PING = 14                 # the proxy's own, its reply is dropped
    S_UNKNOWN = 15              # a command that no table has: if the server knows it, so shall we
    S_LEARN = 16                # the proxy's own: COMMAND INFO of such a one
    S_RETRIED = 17              # was on a connection that was lost; will not be sent a third time
    S_PIN = 18                  # pins unless it is answered by an error
    S_TRIAL = 19                # the proxy's own: has a server that was silent found its voice?

cdef enum:
    CONDUCTS = 32               # more than there are CONDUCT_*
    PER_CLIENT = 31             # in leases_by: `connection: per_client`

cdef enum:                      # upstream_t.role
    ROLE_SHARED = 0
    ROLE_LEASE = 1
    ROLE_IDLE = 2
    ROLE_LEAVING = 3            # a lease whose client has gone, with requests that must still be carried out

cdef struct redis_session_t:    # what the sink knows of a session that is not in the default state, or has a lease
    session_t     *session
    redis_state_t *state
    upstream_t    *lease
    request_t     *barrier      # travels behind what the session has on a shared connection
    request_t     *asking       # COMMAND INFO of a command that it has used, on a connection of its own
    batch_t        waiting      # requests until the barrier is through
    uint32_t       reasons
    uint32_t       channels     # subscriptions, by kind
    uint32_t       patterns
    uint32_t       shard_channels

cdef class LeasingSink(LearningSink):
    cdef:
        slab_t         sessions         # redis_session_t
        redis_state_t *states           # all; the first one made is the default and stays
        redis_state_t *fresh            # the state of a new connection
        uint32_t       connection_count
        uint32_t       lease_max
        uint32_t       leases
        bint           per_client
        timer_t        trim             # of idle connections
        uint64_t       leases_by[CONDUCTS]      # since start, by the conduct of the command that wanted it
        uint64_t       pins_total, barriers_total
        uint64_t       over_pending, over_leases    # requests refused at a limit
        keeper_t       keeper           # of the bytes of reads, in case they must be sent again
        session_t     *through          # its barrier has just come back: nothing of it is on a shared connection

    cdef void _send_shared(self, request_t *request, session_t *session, redis_state_t *state) noexcept nogil
    cdef upstream_t *_shared(self, session_t *session, redis_state_t *state) noexcept nogil
    cdef upstream_t *_peek_shared(self, session_t *session, redis_state_t *state) noexcept nogil
    cdef bint _take_lease(self, redis_session_t *rs, uint8_t conduct) noexcept nogil
    cdef void _try_release(self, redis_session_t *rs) noexcept nogil
    cdef void _give_back(self, upstream_t *upstream) noexcept nogil
    cdef redis_session_t *_session_of(self, session_t *session) noexcept nogil
    cdef void _forget(self, session_t *session) noexcept nogil
    cdef redis_session_t *_find(self, session_t *session) noexcept nogil
    cdef void **_place(self, session_t *session) noexcept nogil
    cdef redis_state_t *_state_at_first(self, session_t *session) noexcept nogil
    cdef bint _barrier(self, request_t *request, session_t *session, redis_session_t *rs) noexcept nogil
    cdef void _barrier_through(self, redis_session_t *rs) noexcept nogil
    cdef redis_state_t *_state_for(self, slice_t *fields) noexcept nogil
    cdef void _set_state(self, redis_session_t *rs, redis_state_t *state) noexcept nogil
    cdef void _drop_state_user(self, redis_state_t *state) noexcept nogil
    cdef void trim_idle(self) noexcept nogil
    cdef void _wake(self, upstream_t *upstream) noexcept nogil
    cdef void _pin(self, redis_session_t *rs) noexcept nogil
    cdef void _ask(self, request_t *request, redis_session_t *rs) noexcept nogil
    cdef void _settle(self, request_t *asked, const command_t *command) noexcept nogil
    cdef upstream_t **_shared_place(self, session_t *session, redis_state_t *state) noexcept nogil
    cdef void _count_room(self) noexcept nogil
    cdef void _unlist_idle(self, upstream_t *upstream) noexcept nogil
    cdef void _leave_lease(self, upstream_t *upstream) noexcept nogil
    cdef void _greeted(self, upstream_t *upstream, request_t *greeting) noexcept nogil
    # to be overridden:
    cdef bint _advance(self, request_t *request, session_t *session, redis_session_t *rs) noexcept nogil
