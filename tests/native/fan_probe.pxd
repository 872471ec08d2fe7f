"""Splitting and joining as Python sees it, on a pool of its own."""

from libc.stdint cimport uint32_t

from shotover._codec.fan cimport fan_t
from shotover._core.memory cimport pool_t
from shotover._core.request cimport request_t


cdef struct route_t:            # what the target function goes by
    uint32_t targets            # a key's target: the sum of its bytes, modulo this
    uint32_t homes              # a target's home: itself modulo this
    uint32_t calls
    int      nowhere            # keys that begin with this byte have no target; -1: none

cdef class Pool:
    """Where a test's chunks come from; `live` must be 0 at its end."""
    cdef:
        pool_t pool

cdef class Fan:
    cdef:
        Pool     owner
        fan_t   *fan
        route_t  route
        readonly int outcome
        readonly object one
    cdef void _child(self, uint32_t leg, request_t *parent, request_t *child) noexcept
