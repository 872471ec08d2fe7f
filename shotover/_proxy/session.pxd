"""session_t, a client's conversation, and Source, the listener that such conversations come from.

A session owns no reply and no request bytes while all is well: a frame that was cut lies in its stream's stash, replies
that cannot be sent yet in its stream's queue. `order` is the list of its requests in order of arrival; a reply leaves
only from its head. Where replies bear the numbers of their requests, whoever has a reply is moved to the head, unless half a
reply stands there: so all that follows is the same for both kinds of protocol.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from shotover._codec.codec cimport Codec, follow_t, limits_t
from shotover._core.counters cimport histogram_t
from shotover._core.ledger cimport Share
from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._net.loop cimport stream_t
from shotover._net.peer cimport peer_t
from shotover._net.timers cimport timer_t
from shotover._proxy.accepting cimport Acceptor
from shotover._proxy.step cimport Chain, Step


cdef enum:                      # why a session is not being read; bits
    PAUSE_PENDING = 1           # too many requests wait for replies
    PAUSE_OUTPUT = 2            # its replies are not being read
    PAUSE_SINK = 4              # the sink cannot take more of it for now
    PAUSE_STEP = 8              # a step said so
    PAUSE_UPLOAD = 16           # where its big request goes, no more is taken for now
    PAUSE_MEMORY = 32           # it takes half of what it may
    PAUSE_PRESSURE = 64         # it takes more than its share of memory that has become scarce

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
    void      *talk             # what the codec keeps of the conversation, for facts; NULL: nobody wants them
    peer_t    *peer             # its address, once somebody has asked (session_peer); NULL: nobody has
    uint64_t   bytes            # of its requests in order, and of their replies as far as they wait for their turn
    uint32_t   pending          # requests (not runs) in order
    uint8_t    pauses           # PAUSE_* bits
    uint8_t    leaving          # reads no more; closes when order is empty and all is sent
    uint32_t   blocking         # requests below that may never be answered: it is read on, to learn that it goes
    # then: void *slots[], and what `talk` points to

cdef class Source(Acceptor):
    cdef:
        readonly Chain chain
        Codec      codec
        limits_t   limits
        slab_t     session_slab
        slab_t     idle_slab
        slab_t     upload_slab
        slab_t     peer_slab
        uint32_t   pending_max          # requests of one session
        uint64_t   output_max           # unsent bytes of one session
        uint64_t   client_memory_max    # bytes that one session's requests and replies may take; 0: no such limit
        Share      memory               # ... and those of all its sessions, in all workers; its limit 0: no such limit
        uint64_t   memory_bytes         # what they took when it was last looked at; this worker's
        uint64_t   memory_published
        uint64_t   idle_ns              # 0: never
        uint32_t   slot_count
        size_t     session_size         # bytes of a session_t with its slots and its talk
        bint       numbered             # replies leave as they come, see Codec.numbered
        session_t *sessions
        uint64_t   session_ids
        uint64_t   requests_total, replies_total
        uint64_t   protocol_errors, slow_readers, idle_closed
        uint64_t   over_requests        # refused for max_frame_bytes, max_arguments or max_inline_bytes
        uint64_t   over_pending         # times a session was not read because of max_pending_requests
        uint64_t   over_client_memory   # clients closed for client_memory_limit
        uint64_t   over_memory          # clients closed for memory_limit, the source's or the process's
        uint64_t   memory_pauses        # times a session was not read because of either
        uint64_t   received_bytes, sent_bytes, uploads_total
        uint64_t   slow_ns              # replies that took so long are noted; 2**64 - 1: none is
        readonly object inside          # Inside: what it notes of hot keys and slow requests; None: nothing
        void      *within               # PyObject* of the same
        bint       samples_keys         # it looks for hot keys
        bint       notes_keys           # it keeps the keys of all requests under way, for those that turn out slow
        histogram_t *kept               # reply whole to reply on its way to the client
        bint       leaving              # another has its door, or nobody: it ends with its last session
        bint       retiring             # it has no session any more
        bint       overdue              # ... and what is under way for those that it had has lasted too long
        timer_t    deadline             # of a drain; then of its retirement

    cdef void decode(self, session_t *session, uint8_t *data, size_t size) noexcept nogil
    cdef void protocol_error(self, session_t *session, const char *text, size_t size) noexcept nogil
    cdef void end_with(self, session_t *session, const char *code, const char *text, size_t size) noexcept nogil
    cdef void end_with_reply(self, session_t *session, const uint8_t *reply, size_t size) noexcept nogil
    cdef void end_session(self, session_t *session) noexcept nogil
    cdef void _enqueue(self, session_t *session, request_t *request) noexcept nogil
    cdef void check_memory(self, session_t *session) noexcept nogil
    cdef void stop(self) noexcept nogil
    cdef void drain(self) noexcept nogil
    cdef int drain_some(self, int most) noexcept nogil
    cdef uint64_t cut(self) noexcept nogil
    cdef bint retire(self) noexcept nogil
    cdef void _set_deadline(self, uint64_t delay_ns) noexcept nogil

cdef class SourceTop(Step):
    """Top of a root chain: whole replies go to their sessions."""


cdef inline void **session_slots(session_t *session) noexcept nogil:
    return <void **>(session + 1)

cdef inline uint64_t session_bytes(session_t *session) noexcept nogil:
    """What its requests and replies take now, as far as they are its own: not what one of a server's streams holds of it."""
    cdef uint64_t bytes = session.bytes + session.stream.out_size
    if session.stream.stash is not NULL:
        bytes += session.stream.stash.end - session.stream.stash.start
    return bytes

cdef inline bint session_is_uploading(session_t *session) noexcept nogil:
    """More of a streamed request is to come."""
    return session.upload is not NULL and session.upload.state != UPLOAD_ABORTED

cdef void session_pause(session_t *session, uint8_t reason) noexcept nogil
cdef void session_resume(session_t *session, uint8_t reason) noexcept nogil
cdef void session_complete(request_t *request) noexcept nogil
cdef void session_answer(request_t *first, const uint8_t *data, size_t size) noexcept nogil
cdef void session_stream(request_t *request, const uint8_t *data, size_t size) noexcept nogil
cdef void session_push(session_t *session, const uint8_t *data, size_t size) noexcept nogil
cdef void session_leave(session_t *session) noexcept nogil
cdef const peer_t *session_peer(session_t *session) noexcept nogil
