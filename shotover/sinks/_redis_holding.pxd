"""HoldingSink: what a sink with several servers knows of its clients, and the requests that cannot go yet.

That requests on one place are carried out in the order in which a client sent them, whatever servers answer meanwhile, is
seen to here. Where a request goes is a subclass's business (`try_send`).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.memory cimport slab_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover._net.loop cimport task_t
from shotover._net.timers cimport timer_t
from shotover._proxy.session cimport session_t
from shotover.sinks._redis_node cimport NodesOwner, RedisNode, client_t, hold_t
from shotover.sinks._redis_state cimport redis_state_t


cdef enum:
    ALL_BITS = 0xffffffffffffffff
    NO_PLACE = 0xffffffff
    SEVERAL_PLACES = 0xfffffffe
    BAD_WORDS = 0xfffffffd          # its keys cannot be found
    KEYLESS_BIT = 0x8000000000000000    # of requests that have no place; only those with ALL_BITS wait for them
    TICK_NS = 10000000              # held requests are looked at so often

cdef inline uint64_t place_bit(uint32_t place) noexcept nogil:
    """The class of a place, one of 63."""
    return <uint64_t>1 << (place % 63)

cdef class HoldingSink(NodesOwner):
    cdef:
        slab_t         clients          # client_t
        slab_t         holds            # hold_t
        client_t       orphan           # of requests that have no session
        client_t      *holders          # those with held requests
        client_t      *gone             # those that nobody will name any more once this turn has ended
        task_t         burial
        redis_state_t *states           # what clients have said of themselves; `users` counts them
        readonly list  node_list
        object         context
        dict           options          # of nodes
        timer_t        tick
        uint64_t       hold_ns          # a request is held for so long at most
        uint32_t       holds_max
        uint32_t       hold_count
        uint64_t       held_total, expired_total, over_holds

    cdef client_t *uncount(self, RedisNode node, request_t *request) noexcept nogil
    cdef void hold_back(self, client_t *client, request_t *request, hold_t *like, bint returned) noexcept nogil
    cdef void unhold(self, client_t *client, hold_t *hold) noexcept nogil
    cdef void give_up(self, client_t *client, hold_t *hold) noexcept nogil
    cdef void go_on(self, client_t *client) noexcept nogil
    cdef void go_on_all(self) noexcept nogil
    cdef void refuse(self, request_t *request, const char *text) noexcept nogil
    cdef void later(self, RedisNode node, request_t *request, int error, uint64_t delay_ns) noexcept nogil
    cdef bint goes_behind(self, client_t *client, RedisNode node, request_t *request) noexcept nogil
    cdef void stand_behind(self, client_t *client, request_t *request, hold_t *hold) noexcept nogil
    cdef void overtaken(self, client_t *client, request_t *request, uint32_t place) noexcept nogil
    cdef bint nobody(self, request_t *request, hold_t *hold) noexcept nogil
    cdef void as_new(self, request_t *request) noexcept nogil
    cdef client_t *client_of_tag(self, request_t *request) noexcept nogil
    cdef bint _due(self, client_t *client, hold_t *hold) noexcept nogil
    cdef void _expire(self, client_t *client, hold_t *hold) noexcept nogil
    cdef void _no_longer(self, client_t *client, request_t *request) noexcept nogil
    cdef void _retie(self, client_t *client) noexcept nogil
    cdef void _free_client(self, client_t *client) noexcept nogil
    cdef void bury(self) noexcept nogil
    cdef redis_state_t *_canonical(self, slice_t *fields) noexcept nogil
    cdef void _drop_canonical(self, redis_state_t *state) noexcept nogil
    # to be overridden:
    cdef bint try_send(self, client_t *client, request_t *request, hold_t *hold, uint64_t blocked) noexcept nogil
    cdef void passed_gate(self, RedisNode node, request_t *request) noexcept nogil
    cdef void end_queue(self, client_t *client) noexcept nogil
    cdef uint32_t place_of_request(self, request_t *request) noexcept nogil
    cdef bint in_doubt(self, RedisNode node) noexcept nogil
    cdef uint64_t bits_of(self, request_t *request) noexcept nogil
