"""The world as Python sees it: World owns a world_t (network.pxd), whose poller (poller.pxd) goes to one Worker."""

from shotover._sim.network cimport world_t


cdef class World:
    cdef world_t *w
