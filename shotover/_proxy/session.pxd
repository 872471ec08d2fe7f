"""session_t, a client's conversation, and Source, the listener that such conversations come from.

A session owns no reply and no request bytes while all is well: a frame that was cut lies in its stream's stash, replies
that cannot be sent yet in its stream's queue. `order` is the list of its requests in order of arrival; a reply leaves
only from its head.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from shotover._codec.codec cimport Codec, follow_t, limits_t
from shotover._core.counters cimport histogram_t
from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._net.loop cimport Loop, listener_t, stream_t
from shotover._net.timers cimport timer_t
from shotover._net.tls cimport TlsSide
from shotover._proxy.step cimport Chain, Hub, Step
from shotover._proxy.waiting cimport waiting_t


cdef enum:                      # why a session is not being read; bits
    PAUSE_PENDING = 1           # too many requests wait for replies
    PAUSE_OUTPUT = 2            # its replies are not being read
    PAUSE_SINK = 4              # the sink cannot take more of it for now
    PAUSE_STEP = 8              # a step said so
    PAUSE_UPLOAD = 16           # where its big request goes, no more is taken for now

cdef enum:                      # upload_t.state
    UPLOAD_WAITING = 0          # its head is on its way; what comes now waits in the stash
    UPLOAD_OPEN = 1             # its head was written to `target`; what comes is written behind it
    UPLOAD_SWALLOWED = 2        # nobody wants the rest: it has been answered, or its upstream is lost
    UPLOAD_ABORTED = 3          # there will be no rest: the upstream that has its head must close

cdef struct upload_t:           # the rest of a request with `streamed`, while it is still coming
    request_t  *request         # NULL: it has been answered, or needs no answer
    stream_t   *target          # of the upstream, from UPLOAD_OPEN on until it is lost
    upload_t  **home            # what of the upstream points to us, for as long
    session_t  *session
    uint8_t     state           # UPLOAD_*
    follow_t    follow

cdef struct idle_t:             # what a time-out needs to know of a session; without one, none has it
    timer_t    timer            # first
    uint64_t   active_ns        # last time it sent something

cdef struct session_t:
    stream_t   stream           # first
    void      *source           # PyObject* of the Source
    request_t *order_head
    request_t *order_tail
    session_t *next             # of the source's sessions
    session_t *previous
    uint64_t   id
    idle_t    *idle             # when the source has a time-out
    upload_t  *upload           # the request that is coming is streamed; NULL: none is
    uint32_t   pending          # requests (not runs) in order
    uint8_t    pauses           # PAUSE_* bits
    uint8_t    leaving          # reads no more; closes when order is empty and all is sent
    uint32_t   blocking         # requests below that may never be answered: it is read on, to learn that it goes
    # then: void *slots[]

cdef class Source:
    cdef:
        readonly str name
        readonly str address            # where it really listens
        readonly Hub hub
        readonly Chain chain
        Loop       loop
        Codec      codec
        limits_t   limits
        slab_t     session_slab
        slab_t     idle_slab
        slab_t     upload_slab
        listener_t listener
        TlsSide    tls                  # None: its clients speak plainly
        uint32_t   handshakes_max       # under way at once
        uint64_t   complained_ns        # when a failed handshake was last logged
        char       label[64]            # its name
        int        family
        uint8_t    address_bytes[128]   # sockaddr it listens on
        uint32_t   address_size
        bint       shared_port          # other workers listen on it too
        bint       listening            # the listener is open
        bint       dropping             # it is being closed
        bint       resting              # accepting is paused: soft limit or no descriptors
        bint       stopped              # for good
        bint       hard_limit
        uint32_t   connection_limit
        uint32_t   pending_max          # requests of one session
        uint64_t   output_max           # unsent bytes of one session
        uint64_t   idle_ns              # 0: never
        uint32_t   slot_count
        waiting_t  waiting              # accepted in the turn that reached a soft limit: served when there is room
        timer_t    retry                # of accepting after EMFILE, of listening after a hard limit
        session_t *sessions
        uint32_t   session_count
        uint64_t   session_ids
        uint64_t   opened_total, accept_failures_total, listen_failures_total
        uint64_t   requests_total, replies_total
        uint64_t   refused_limit, protocol_errors, slow_readers, idle_closed
        uint64_t   over_requests        # refused for max_frame_bytes, max_arguments or max_inline_bytes
        uint64_t   over_pending         # times a session was not read because of max_pending_requests
        uint64_t   received_bytes, sent_bytes, uploads_total
        histogram_t *kept               # reply whole to reply on its way to the client

    cdef void accept(self, int fd, int error) noexcept nogil
    cdef void decode(self, session_t *session, uint8_t *data, size_t size) noexcept nogil
    cdef void protocol_error(self, session_t *session, const char *text, size_t size) noexcept nogil
    cdef void end_session(self, session_t *session) noexcept nogil
    cdef void _begin(self, int fd) noexcept nogil
    cdef void _handshake_over(self, const char *why) noexcept nogil
    cdef bint _crowded(self) noexcept nogil
    cdef void _close_fd(self, int fd) noexcept nogil
    cdef void check_limit(self) noexcept nogil
    cdef void open_listener(self) noexcept nogil
    cdef void close_listener(self) noexcept nogil
    cdef void dropped(self) noexcept nogil
    cdef bint _begin_upload(self, session_t *session, batch_t *batch, follow_t *follow) noexcept nogil
    cdef uint8_t *_upload(self, session_t *session, uint8_t *at, uint8_t *end) noexcept nogil
    cdef void _end_upload(self, session_t *session) noexcept nogil
    cdef void abort_upload(self, session_t *session, const char *text) noexcept nogil
    cdef void _enqueue(self, session_t *session, request_t *request) noexcept nogil
    cdef void stop(self) noexcept nogil
    cdef void drain(self) noexcept nogil
    cdef void reopen(self) noexcept nogil

cdef class SourceTop(Step):
    """Top of a root chain: whole replies go to their sessions."""


cdef inline void **session_slots(session_t *session) noexcept nogil:
    return <void **>(session + 1)

cdef void session_pause(session_t *session, uint8_t reason) noexcept nogil
cdef void session_resume(session_t *session, uint8_t reason) noexcept nogil
cdef void session_complete(request_t *request) noexcept nogil
cdef void session_stream(request_t *request, const uint8_t *data, size_t size) noexcept nogil
cdef void session_push(session_t *session, const uint8_t *data, size_t size) noexcept nogil
cdef void session_leave(session_t *session) noexcept nogil
cdef void upload_open(upload_t *upload, stream_t *target, upload_t **home) noexcept nogil
cdef void upload_lost(upload_t *upload) noexcept nogil
