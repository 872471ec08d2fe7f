"""A chain without sockets: batches run down it as often as is wanted, and come back for the next time."""

from shotover._core.request cimport batch_t
from shotover._proxy.step cimport Step


cdef class Bottom(Step):
    """Stands where a sink would, and only keeps what comes."""
    cdef:
        batch_t kept
