"""SubscribingSink: what clients have subscribed to, so that it can be subscribed to again when the connection is lost, or
the slot of a channel has moved. Messages that are published meanwhile are lost, as they are for who connects anew.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.slice cimport slice_t
from shotover._proxy.session cimport session_t
from shotover.sinks._redis_node cimport RedisNode, client_t, subscription_t
from shotover.sinks._redis_spread cimport SpreadingSink


cdef struct subscription_t:     # its name follows
    subscription_t *next
    uint32_t        size
    uint32_t        node        # whose connection has it
    uint8_t         kind        # SUB_*
    uint8_t         lost        # it has to be had again

cdef class SubscribingSink(SpreadingSink):
    cdef:
        client_t *losers        # clients with lost subscriptions
        uint64_t  again_total

    cdef uint32_t shard_subscriber(self, client_t *client) noexcept nogil
    cdef void _give_up_client(self, client_t *client) noexcept nogil
    cdef bint _again(self, client_t *client) noexcept nogil
    cdef bint _again_at(self, client_t *client, uint32_t number) noexcept nogil
    cdef uint32_t channels_node(self, client_t *client) noexcept nogil
    cdef uint32_t _where(self, client_t *client, subscription_t *subscription) noexcept nogil
    cdef void _list(self, client_t *client) noexcept nogil
    cdef void _unlist(self, client_t *client) noexcept nogil
