"""RedisNodes: base of the sinks that have several servers. Which key belongs where, a subclass says.

A *place* is what keys must share for a command to take several of them: a slot of a cluster, a server of a ring. What
this floor sees to: that each request reaches the node of its place; that requests on one place are carried out in the
order in which a client sent them, whatever the servers answer meanwhile; that what cannot go now is held, for a while.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.commands cimport command_t
from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._net.timers cimport timer_t
from shotover._proxy.session cimport session_t
from shotover.sinks._redis_node cimport NodesOwner, RedisNode, client_t, hold_t
from shotover.sinks._redis_state cimport redis_state_t


cdef enum:
    NO_PLACE = 0xffffffff
    SEVERAL_PLACES = 0xfffffffe
    BAD_WORDS = 0xfffffffd          # its keys cannot be found
    ALL_BITS = 0xffffffffffffffff

cdef class RedisNodes(NodesOwner):
    cdef:
        slab_t         clients          # client_t
        slab_t         holds            # hold_t
        client_t       orphan           # of requests that have no session
        client_t      *holders          # those with held requests
        redis_state_t *states           # what clients have said of themselves; `users` counts them
        readonly list  node_list
        object         context
        dict           options          # of nodes
        timer_t        tick
        uint64_t       hold_ns          # a request is held for so long at most
        uint32_t       holds_max
        uint32_t       hold_count
        uint32_t       attempts_max
        slice_t       *words
        uint32_t      *found
        uint32_t       words_max
        uint64_t       held_total, expired_total, over_holds

    cdef void _take(self, request_t *request, client_t *client) noexcept nogil
    cdef bint try_send(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint try_alone(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked, uint32_t number) noexcept nogil
    cdef bint try_place(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked, uint32_t place) noexcept nogil
    cdef bint try_keyless(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint try_several(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint send(self, client_t *client, request_t *request, uint32_t number) noexcept nogil
    cdef uint32_t place_of_request(self, request_t *request) noexcept nogil
    cdef bint read_words(self, request_t *request, uint32_t *count) noexcept nogil
    cdef client_t *uncount(self, RedisNode node, request_t *request) noexcept nogil
    cdef void hold_back(self, client_t *client, request_t *request, hold_t *like, bint returned) noexcept nogil
    cdef void unhold(self, client_t *client, hold_t *hold) noexcept nogil
    cdef void give_up(self, client_t *client, hold_t *hold) noexcept nogil
    cdef void go_on(self, client_t *client) noexcept nogil
    cdef void go_on_all(self) noexcept nogil
    cdef void refuse(self, request_t *request, const char *text) noexcept nogil
    cdef void later(self, RedisNode node, request_t *request, int error, uint64_t delay_ns) noexcept nogil
    cdef bint _only_tied(self, client_t *client, uint8_t conduct) noexcept nogil
    cdef bint _try_special(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint _try_pin(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef void _note_key(self, client_t *client, request_t *request) noexcept nogil
    cdef bint _unwatch(self, client_t *client, request_t *request) noexcept nogil
    cdef bint _due(self, client_t *client, hold_t *hold) noexcept nogil
    cdef void _expire(self, client_t *client, hold_t *hold) noexcept nogil
    cdef void _as_new(self, request_t *request) noexcept nogil
    cdef void _retie(self, client_t *client) noexcept nogil
    cdef void _free_client(self, client_t *client) noexcept nogil
    cdef redis_state_t *_canonical(self, slice_t *fields) noexcept nogil
    cdef void _drop_canonical(self, redis_state_t *state) noexcept nogil
    cdef bint _multi(self, client_t *client, request_t *request) noexcept nogil
    cdef bint _queue(self, client_t *client, request_t *request) noexcept nogil
    cdef bint _exec(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef void _end_queue(self, client_t *client) noexcept nogil
    # what a subclass says:
    cdef uint32_t place_of(self, const uint8_t *key, size_t size) noexcept nogil
    cdef uint32_t node_of(self, uint32_t place, request_t *request, client_t *client) noexcept nogil
    cdef uint32_t any_node(self, client_t *client) noexcept nogil
    cdef bint must_wait(self, uint32_t place, client_t *client, hold_t *hold) noexcept nogil
    cdef void nowhere(self, uint32_t place) noexcept nogil
