"""NumberedSink, base of the sinks whose servers answer by number, in any order.

Requests of many clients go over one connection under numbers of its own; the client's comes back on the reply. A number is
taken until its reply has come, even if nobody waits for that any more: else a late reply would be somebody else's.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from shotover._codec.codec cimport head_t
from shotover._core.request cimport request_t
from shotover._proxy.upstream cimport Sink, upstream_t


cdef struct numbered_t:
    upstream_t  upstream        # first; its `head` lists what waits until it is ready, `pending` counts numbers taken
    void      **waiting         # by number: a request_t; FORGOTTEN; or an odd one, a free number: (the next of those << 1) | 1
    uint32_t    room            # numbers in the table
    uint32_t    free            # the first free one; `room`: none
    uint32_t    forgotten       # numbers taken of which nobody waits for the reply: it took too long
    request_t  *current         # whose reply has come in part, and goes on as it comes; NULL: nobody wants the rest
    uint64_t    rest            # bytes of that reply still to come
    uint8_t     retired         # gets nothing more, closes when all is answered

cdef struct answers_t:              # whole replies, back to back as they came, to the oldest requests of one session
    request_t  *first           # in that session's order; NULL: there are none
    request_t  *last
    uint8_t    *start
    size_t      size

cdef class NumberedSink(Sink):
    cdef uint32_t numbers_max           # requests under way on one connection

    cdef bint numbered_send(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void numbered_ready(self, upstream_t *upstream) noexcept nogil
    cdef void numbered_greet(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void numbered_frame(self, upstream_t *upstream, int framed) noexcept nogil
    cdef void numbered_retire(self, upstream_t *upstream) noexcept nogil
    cdef void numbered_overdue(self, upstream_t *upstream, uint64_t before_ns) noexcept nogil
    # to be overridden:
    cdef request_t *on_overdue(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef void on_finished(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef bint on_request_lost(self, upstream_t *upstream, request_t *request, int error) noexcept nogil
    cdef void on_event(self, upstream_t *upstream, uint8_t *frame, size_t size) noexcept nogil
    cdef void on_retired(self, upstream_t *upstream) noexcept nogil
    # internal:
    cdef void _read_frames(self, upstream_t *upstream, uint8_t *data, size_t size) noexcept nogil
    cdef bint _grow(self, numbered_t *numbered) noexcept nogil
    cdef bint _send(self, numbered_t *numbered, request_t *request) noexcept nogil
    cdef void _begin_reply(
        self, numbered_t *numbered, uint8_t *frame, size_t have, head_t *head, answers_t *answers) noexcept nogil
    cdef void _gather(self, answers_t *answers, request_t *request, uint8_t *frame, size_t size) noexcept nogil
    cdef uint8_t *_go_on(self, numbered_t *numbered, uint8_t *at, uint8_t *end) noexcept nogil
    cdef inline void _note(self, request_t *request) noexcept nogil
    cdef void _finish(self, numbered_t *numbered, request_t *request) noexcept nogil
    cdef void _give_up(self, upstream_t *upstream, request_t *request, int error) noexcept nogil
    cdef void _expire(self, numbered_t *numbered, uint32_t number) noexcept nogil
    cdef void _close_if_done(self, numbered_t *numbered) noexcept nogil
