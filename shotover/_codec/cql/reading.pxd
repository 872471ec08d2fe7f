"""What a request says beyond its statement, read from its frame when somebody asks. Nothing here is kept, and all that is found
is borrowed from the frame, which must be plain: it is, where somebody wants facts (see attach.pxd)."""

from libc.stdint cimport uint32_t

from shotover._codec.cql.messages cimport cql_params_t
from shotover._codec.cql.wire cimport wire_writer_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t


cdef enum:
    KEY_PARTS_MAX = 32          # columns of a partition key


cdef bint cql_body(const request_t *request, slice_t *body) noexcept nogil
cdef bint cql_params_of(const request_t *request, cql_params_t *params) noexcept nogil
cdef int cql_consistency(const request_t *request) noexcept nogil
cdef uint32_t cql_statements(const request_t *request) noexcept nogil
cdef bint cql_partition_key(const request_t *request, wire_writer_t *out) noexcept nogil
