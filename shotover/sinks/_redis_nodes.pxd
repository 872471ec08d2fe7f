"""RedisNodes: base of the sinks that have several servers. What becomes of each command stands here; which key belongs
where, a subclass says.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.commands cimport command_t
from shotover._core.request cimport batch_t, request_t
from shotover.sinks._redis_node cimport RedisNode, client_t, hold_t
from shotover.sinks._redis_scripts cimport ScriptBook
from shotover.sinks._redis_subscribing cimport SubscribingSink


cdef enum:
    COMMANDS_MAX = 1024

cdef enum:                          # how a command without keys goes
    ROUTE_BY_TIPS = 0
    ROUTE_ANY = 1                   # to one node
    ROUTE_SHARDS = 2                # to every master
    ROUTE_NODES = 3                 # to every node
    ROUTE_SCAN = 4
    ROUTE_RANDOM = 5
    ROUTE_REFUSE = 6

cdef class RedisNodes(SubscribingSink):
    cdef:
        uint32_t       attempts_max
        ScriptBook     book
        uint8_t        routes[COMMANDS_MAX]     # ROUTE_*, by command id
        uint8_t        joins[COMMANDS_MAX]      # POLICY_* instead of the command's own; 0: that

    cdef void _take(self, request_t *request, client_t *client) noexcept nogil
    cdef bint _has_followers(self, request_t *request) noexcept nogil
    cdef bint _try_script(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked,
                          uint32_t place) noexcept nogil
    cdef void _note_script(self, request_t *request) noexcept nogil
    cdef bint restore_script(self, RedisNode node, request_t *request) noexcept nogil
    cdef bint try_alone(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked,
                        uint32_t number) noexcept nogil
    cdef bint try_keyless(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint _only_tied(self, client_t *client, uint8_t conduct) noexcept nogil
    cdef bint _waits_for_subscriptions(self, client_t *client, uint8_t conduct) noexcept nogil
    cdef uint8_t _route_of(self, const command_t *command) noexcept nogil
    cdef bint _try_special(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint _try_pin(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint _multi(self, client_t *client, request_t *request) noexcept nogil
    cdef bint _queue(self, client_t *client, request_t *request) noexcept nogil
    cdef bint _exec(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint _exec_bound(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef void _note_key(self, client_t *client, request_t *request) noexcept nogil
    cdef void _unwatch(self, client_t *client) noexcept nogil
