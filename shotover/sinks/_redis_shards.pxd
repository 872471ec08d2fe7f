"""RedisSinkShards: many stand-alone servers, each of which has the keys that a distribution gives it.

A *place* is a server, together with the number of times that keys have been given to other servers: a transaction that
began before that has no place any more. With `remap` a server is *ejected* after so many failures in a row; it is let back
when it has answered a PING of the proxy's own and its time is over.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._net.timers cimport timer_t
from shotover.sinks._redis_distribution cimport Distribution
from shotover.sinks._redis_node cimport RedisNode
from shotover.sinks._redis_nodes cimport RedisNodes


cdef struct health_t:           # of a server
    uint32_t failures           # in a row
    uint64_t failed_ns          # the last one: several connections that are lost at once count as one
    uint64_t ejected_ns

cdef class RedisSinkShards(RedisNodes):
    cdef:
        Distribution distribution
        health_t    *health             # by number of the node
        uint8_t     *live               # likewise; 0: ejected
        uint32_t     ejected_count
        uint32_t     changes            # of `live`
        bint         remap
        uint32_t     failures_max
        uint64_t     rejoin_ns
        timer_t      rejoin
        uint64_t     ejected_total, rejoined_total

    cdef uint32_t home(self) noexcept nogil
    cdef void _eject(self, uint32_t number) noexcept nogil
    cdef void _let_back(self) noexcept nogil
    cdef void _rebuild(self) noexcept nogil
    cdef void _tell(self, int level, uint32_t number, const char *what) noexcept nogil
