"""The poller's table of the world (shotover/_net/poller.h): what a Loop waits on, reads and sends through."""

from shotover._sim.network cimport world_t


cdef void world_open(world_t *w) noexcept nogil
cdef void world_put(world_t *w) noexcept nogil
