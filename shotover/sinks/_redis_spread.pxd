"""SpreadingSink: one request for several servers, and the one reply that is made of theirs.

A *place* is what keys must share for a command to take several of them: a slot of a cluster, a server of a ring.

A child is a leg of a fan (all parts for one node, as one run), or a part: one that a server would not take, or that could
not be sent, goes on by itself, held or sent on like any request. Its tag says which it is; tags of other requests are even.
A leg without keys, of a request to every master or node, is held as a whole; by then another node may have its node's place.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.fan cimport fan_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover.sinks._redis_holding cimport HoldingSink
from shotover.sinks._redis_node cimport RedisNode, client_t, hold_t


cdef inline const char *several_slots() noexcept nogil:
    return b"Keys in request don't hash to the same slot"


cdef enum:
    LEG = 1                     # in the tag of a child, beside the address of its fan_leg_t
    PART = 3                    # ... of its fan_part_t: it goes by itself, and `after` is its fan (it is in no order)

cdef struct splitting_t:            # what fan_split's functions are told and tell
    void    *sink
    client_t *client
    request_t *request
    hold_t  *hold
    uint64_t bits
    bint     waits

cdef class SpreadingSink(HoldingSink):
    cdef:
        bint           splits           # requests whose keys have several places are split, not refused
        slice_t       *words
        uint32_t      *found
        uint32_t       words_max
        uint32_t      *numbers_now      # room for the numbers of all nodes
        uint64_t       fans_total

    cdef bint send(self, client_t *client, request_t *request, uint32_t number) noexcept nogil
    cdef bint try_place(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked, uint32_t place) noexcept nogil
    cdef bint try_any(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef uint32_t *room_for_nodes(self) noexcept nogil
    cdef bint read_words(self, request_t *request, uint32_t *count) noexcept nogil
    cdef bint try_several(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint broadcast(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked, bint everyone,
                        uint8_t join) noexcept nogil
    cdef bint try_leg(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef bint scan(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef void _send_legs(self, client_t *client, request_t *request, fan_t *fan) noexcept nogil
    cdef void _send_part(self, client_t *client, fan_t *fan, uint32_t part, RedisNode node, bint answered,
                         int error) noexcept nogil
    cdef void _leg_answered(self, client_t *client, fan_t *fan, uint32_t leg, request_t *child) noexcept nogil
    cdef void _fan_done(self, client_t *client, fan_t *fan) noexcept nogil
    cdef bint retries_reply(self, slice_t *reply) noexcept nogil
    # what a subclass says:
    cdef uint32_t place_of(self, const uint8_t *key, size_t size) noexcept nogil
    cdef uint32_t node_of(self, uint32_t place, request_t *request, client_t *client) noexcept nogil
    cdef uint32_t any_node(self, client_t *client) noexcept nogil
    cdef uint32_t all_nodes(self, uint32_t *numbers, bint everyone) noexcept nogil
    cdef bint must_wait(self, uint32_t place, client_t *client, hold_t *hold) noexcept nogil
    cdef void nowhere(self, uint32_t place) noexcept nogil
    cdef bint concerns_all(self, request_t *request) noexcept nogil
