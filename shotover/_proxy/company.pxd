"""Company: chains beside the one a client is in, which must know it all the same.

A step that may send requests of CQL down further chains shows each request to `take` first. What a server must have heard to
know a client, or a statement (STARTUP, AUTH_RESPONSE, USE, PREPARE), goes to those chains as children; when all have answered,
or have had time enough, the request itself is handed to `go` and takes its own way. What they say to it is nobody's business:
where a chain does not let the client in, its server will say so to whatever is sent there later.
"""

from libc.stdint cimport uint32_t, uint64_t

from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._net.timers cimport timer_t
from shotover._proxy.step cimport Step


cdef enum:
    COMPANY_NS = 2000000000     # for which the slowest of them is waited for

cdef struct visit_t:            # a request whose children are out
    request_t *request          # NULL: it has gone on
    visit_t   *later            # of those that wait, oldest first
    visit_t   *earlier
    uint64_t   deadline_ns
    uint32_t   left             # children that are not back

cdef class Company:
    cdef:
        Step     owner
        list     chains
        slab_t   visits
        visit_t *first
        visit_t *last
        timer_t  timer
        void   (*go)(void *owner, batch_t *batch) noexcept nogil
        uint64_t late_total

    cdef bint take(self, request_t *request) noexcept nogil
    cdef bint back(self, request_t *child) noexcept nogil
    cdef void expire(self) noexcept nogil
    cdef bint retire(self) noexcept nogil
    cdef void _go_on(self, visit_t *visit) noexcept nogil
