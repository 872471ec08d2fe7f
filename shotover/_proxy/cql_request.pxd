"""What Python transforms see of requests of CQL, and of their replies; see request.pxd for what holds of views."""

from shotover._core.request cimport request_t
from shotover._proxy.request cimport Reply, Request


cdef class CqlReply(Reply):
    cdef bytes _plain(self)

cdef class CqlRequest(Request):
    cdef bytes new_text             # what was assigned to `text`; None: nothing

    cdef const request_t *_looked_at(self) except NULL
