"""Big requests, streamed: what comes of one is written to its upstream as it comes; see upload_t.

The session decodes until the head of such a request is found (upload_begin); from then on its bytes go to upload_data, until
the request is whole. The sink that writes the head calls upload_open; whoever loses that upstream, upload_lost.
"""

from libc.stdint cimport uint8_t

from shotover._codec.codec cimport follow_t
from shotover._core.request cimport batch_t
from shotover._net.loop cimport stream_t
from shotover._proxy.session cimport Source, session_t, upload_t


# for the session:
cdef bint upload_begin(Source source, session_t *session, batch_t *batch, follow_t *follow) noexcept nogil
cdef uint8_t *upload_data(Source source, session_t *session, uint8_t *at, uint8_t *end) noexcept nogil
cdef void upload_end(Source source, session_t *session) noexcept nogil
cdef void upload_abort(Source source, session_t *session, const char *text) noexcept nogil
cdef void upload_detach(upload_t *upload) noexcept nogil
cdef void upload_close_target(upload_t *upload) noexcept nogil
# for sinks:
cdef void upload_open(upload_t *upload, stream_t *target, upload_t **home) noexcept nogil
cdef void upload_lost(upload_t *upload) noexcept nogil
