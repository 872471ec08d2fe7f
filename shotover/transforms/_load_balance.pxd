"""LoadBalance: one chain for all clients, with a bound on its connections to servers."""

from shotover._proxy.step cimport Chain, Step


cdef class LoadBalance(Step):
    cdef Chain target
