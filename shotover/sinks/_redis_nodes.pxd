"""RedisNodes: base of the sinks that have several servers. Which key belongs where, a subclass says.

A *place* is what keys must share for a command to take several of them: a slot of a cluster, a server of a ring.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.fan cimport fan_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover.sinks._redis_holding cimport HoldingSink
from shotover.sinks._redis_node cimport RedisNode, client_t, hold_t


cdef enum:
    NO_PLACE = 0xffffffff
    SEVERAL_PLACES = 0xfffffffe
    BAD_WORDS = 0xfffffffd          # its keys cannot be found
    COMMANDS_MAX = 1024

cdef enum:                          # how a command without keys goes
    ROUTE_BY_TIPS = 0
    ROUTE_ANY = 1                   # to one node
    ROUTE_SHARDS = 2                # to every master
    ROUTE_NODES = 3                 # to every node
    ROUTE_SCAN = 4
    ROUTE_RANDOM = 5
    ROUTE_REFUSE = 6

cdef struct splitting_t:            # what fan_split's functions are told and tell
    void    *sink
    client_t *client
    request_t *request
    hold_t  *hold
    uint64_t bits
    bint     waits

cdef class RedisNodes(HoldingSink):
    cdef:
        uint32_t       attempts_max
        bint           splits           # requests whose keys have several places are split, not refused
        slice_t       *words
        uint32_t      *found
        uint32_t       words_max
        uint8_t        routes[COMMANDS_MAX]     # ROUTE_*, by command id
        uint8_t        joins[COMMANDS_MAX]      # POLICY_* instead of the command's own; 0: that
        uint32_t      *numbers_now      # room for the numbers of all nodes
        uint64_t       fans_total
        uint64_t       random_state

    cdef void _take(self, request_t *request, client_t *client) noexcept nogil
    cdef bint try_alone(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked, uint32_t number) noexcept nogil
    cdef bint try_place(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked, uint32_t place) noexcept nogil
    cdef bint try_keyless(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint try_any(self, client_t *client, request_t *request, hold_t *hold) noexcept nogil
    cdef bint try_several(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint _broadcast(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked, bint everyone) noexcept nogil
    cdef bint _scan(self, client_t *client, request_t *request, hold_t *hold) noexcept nogil
    cdef bint send(self, client_t *client, request_t *request, uint32_t number) noexcept nogil
    cdef uint32_t place_of_request(self, request_t *request) noexcept nogil
    cdef bint read_words(self, request_t *request, uint32_t *count) noexcept nogil
    cdef bint _only_tied(self, client_t *client, uint8_t conduct) noexcept nogil
    cdef bint _try_special(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint _try_pin(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint _multi(self, client_t *client, request_t *request) noexcept nogil
    cdef bint _queue(self, client_t *client, request_t *request) noexcept nogil
    cdef bint _exec(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef void _note_key(self, client_t *client, request_t *request) noexcept nogil
    cdef bint _unwatch(self, client_t *client, request_t *request) noexcept nogil
    cdef void _send_legs(self, client_t *client, request_t *request, fan_t *fan) noexcept nogil
    cdef void _send_part(self, client_t *client, fan_t *fan, uint32_t part, RedisNode node, int error) noexcept nogil
    cdef void _leg_answered(self, client_t *client, fan_t *fan, uint32_t leg, request_t *child) noexcept nogil
    cdef void _fan_done(self, client_t *client, fan_t *fan) noexcept nogil
    cdef fan_t *_fan_of(self, request_t *part_child) noexcept nogil
    cdef void _pick(self, fan_t *fan, request_t *request) noexcept nogil
    cdef bint _edit_cursor(self, request_t *request, uint32_t count, uint64_t cursor) noexcept nogil
    cdef bint retries_reply(self, slice_t *reply) noexcept nogil
    # what a subclass says:
    cdef uint32_t place_of(self, const uint8_t *key, size_t size) noexcept nogil
    cdef uint32_t node_of(self, uint32_t place, request_t *request, client_t *client) noexcept nogil
    cdef uint32_t any_node(self, client_t *client) noexcept nogil
    cdef uint32_t all_nodes(self, uint32_t *numbers, bint everyone) noexcept nogil
    cdef bint must_wait(self, uint32_t place, client_t *client, hold_t *hold) noexcept nogil
    cdef void nowhere(self, uint32_t place) noexcept nogil
