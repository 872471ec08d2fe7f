"""OrderedSink, base of the sinks whose servers answer in order.

Requests go out in the order of `head`; replies belong to that. Two ways of reading replies:

  streaming  (framed 0)  bytes are measured and handed on as they come; a reply is never gathered
  framed     (framed 1)  whole frames are gathered and shown to the sink's on_frame; for watched requests and for
                         conversations with pushes
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.request cimport request_t
from shotover._proxy.upstream cimport Sink, upstream_t


cdef class OrderedSink(Sink):
    cdef void upstream_ready(self, upstream_t *upstream) noexcept nogil
    cdef void upstream_send(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void upstream_greet(self, upstream_t *upstream, request_t *greeting) noexcept nogil
    cdef request_t *upstream_pop(self, upstream_t *upstream) noexcept nogil
    # to be overridden:
    cdef void on_frame(self, upstream_t *upstream, uint8_t *frame, size_t size, bint push) noexcept nogil
    cdef void on_finished(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void on_error_reply(self, upstream_t *upstream, request_t *request, const uint8_t *reply, size_t size) noexcept nogil
    cdef bint on_request_lost(self, request_t *request) noexcept nogil
    cdef void on_stray(self, upstream_t *upstream, uint8_t *data, size_t size) noexcept nogil
    cdef bint may_retry(self, request_t *request) noexcept nogil
    cdef void retry(self, request_t *request) noexcept nogil
    cdef bint may_wait(self, upstream_t *upstream) noexcept nogil
    # internal:
    cdef void _arm_timeout(self, upstream_t *upstream) noexcept nogil
    cdef uint8_t *_from_error(self, upstream_t *upstream, request_t *request, uint8_t *start, uint8_t *end) noexcept nogil
    cdef void _read_streaming(self, upstream_t *upstream, uint8_t *data, size_t size) noexcept nogil
    cdef void _read_framed(self, upstream_t *upstream, uint8_t *data, size_t size) noexcept nogil
    cdef void _finish_head(self, upstream_t *upstream) noexcept nogil
    cdef void _cut_upload(self, upstream_t *upstream) noexcept nogil
    cdef void _cut_reply(self, request_t *request) noexcept nogil
