"""ClusterPortsRewrite: what a cluster says of its nodes' ports, with another port in place of each.

Of the requests it looks at those alone that the codec keeps apart (CLUSTER's); of the replies at theirs, and at errors.
"""

from libc.stdint cimport uint32_t, uint64_t

from shotover._core.request cimport request_t
from shotover._proxy.step cimport Step


cdef class ClusterPortsRewrite(Step):
    cdef:
        uint32_t port
        uint64_t rewritten_total    # replies

    cdef void _rewrite(self, request_t *request, int form) noexcept nogil
