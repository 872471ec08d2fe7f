"""Step, base of every transform and sink, and Chain, which links them.

Down: `self.next.on_requests(batch)`. Up: `self.up.on_replies(batch)`, where `up` is the nearest step that asked for
replies, or the top of the chain. There it meets the whole replies of requests that it (or another step) has marked with
`request.watched |= WATCHED_BY_STEP` on their way down, and all answers of steps below it. A step that takes a request
out of the batch owes its reply: sooner or later it calls reply_take (or one of the *_take below) for it, exactly once.

Reply bytes of requests that no step watches never become batches: the sink hands them to the session as they come.
A step that changes replies but need not have them whole marks requests that are `queued` WATCHED_BY_PIECES: then bytes
come to on_piece from where the server's were cut, and go on by the same way; at its end the request comes through
on_replies, with what could not go by pieces: errors made on the way, and whole replies that somebody else has gathered.
A step that must see errors alone, of whatever request, says so by `wants_errors`: from an error on, the rest of that
reply (of a run: and of those behind it) comes through on_replies, and only then.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from shotover._codec.codec cimport Codec, limits_t
from shotover._core.counters cimport histogram_t, size_histogram_t
from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._net.loop cimport Loop, task_t


cdef extern from * nogil:
    """
    #define list_item(items, index) ((void *)PyList_GET_ITEM((PyObject *)(items), index))
    #define list_size(items) PyList_GET_SIZE((PyObject *)(items))
    """
    void *list_item(list items, Py_ssize_t index)       # of lists that never change once traffic runs
    Py_ssize_t list_size(list items)

cdef enum:
    LOG_DEBUG = 10
    LOG_INFO = 20
    LOG_WARNING = 30
    LOG_ERROR = 40
    LOG_RING = 256
    LOG_TEXT = 232
    SAMPLED = 32                # one batch in so many is timed: two clock readings a step, 60 ns, become 2 ns a batch

cdef struct log_line_t:
    int     level
    char    text[LOG_TEXT]

cdef struct waker_t:            # who hears when another thread has called loop.wake; intrusive
    waker_t *next
    void   (*run)(waker_t *waker) noexcept nogil
    void    *owner

cdef class Hub:
    """What all chains of one worker share."""
    cdef:
        readonly Loop loop
        slab_t     requests             # request_t
        log_line_t log_ring[LOG_RING]
        uint64_t   log_written          # by the worker
        uint64_t   log_read             # by the reader
        uint64_t   log_lost
        uint64_t   log_second           # bound on lines: tokens are per second
        uint32_t   log_tokens
        list       notes                # log entries with fields, from Python code: (level, text, fields)
        waker_t   *wakers
        bint       timing               # the batch that runs now is one of those whose steps are timed
        uint64_t  *charged              # own_ns of the step that it goes to now
        uint64_t   mark_ns              # up to here it has been charged

    cdef void add_waker(self, waker_t *waker) noexcept nogil
    cdef void remove_waker(self, waker_t *waker) noexcept nogil
    cdef void log(self, int level, const char *text) noexcept nogil
    cdef request_t *request_new(self, Chain chain) noexcept nogil
    cdef void request_free(self, request_t *request) noexcept nogil

cdef class Step:
    cdef:
        readonly str name               # from the topology
        readonly str type_name          # as in YAML
        readonly Hub hub
        readonly Loop loop
        readonly Codec codec
        readonly Chain chain
        readonly Step next              # toward the server; None for a sink
        readonly Step up                # toward the client
        readonly int index              # in its chain; -1: the top
        bint       wants_replies        # set in __init__: replies come through on_replies, whole
        bint       wants_errors         # set in __init__, beside wants_replies: errors that servers give come through on_replies
        bint       wants_each           # set in __init__: no runs, every request by itself
        bint       wants_kin            # set in __init__: runs only of requests of the same command
        bint       wants_statements     # set in __init__: requests have facts, where the protocol has statements
        int        note                 # index into facts_t.notes if it asked for one (0 in __init__), else -1
        int        notes                # how many it has, from that one on: 1 unless it says so in __init__
        bint       reads_bodies         # cleared in __init__: of a request with `streamed` it needs no more than there is
        bint       wants_end            # set in __init__: on_session_eof and on_session_end are called
        bint       wants_slot           # set in __init__: has a pointer of its own in every session
        int        slot                 # index of that pointer
        readonly list chains            # sub-chains that it owns
        int        tag                  # index into request_t.tags if it asked for one, else -1
        uint64_t   batches_total        # calls of on_requests
        uint64_t   requests_total       # requests seen
        uint64_t   failures_total       # requests that it answered with an error
        histogram_t *latency            # its own time with a batch of requests, of one batch in SAMPLED
        uint64_t   own_ns               # of the batch that it has now

    cdef void on_requests(self, batch_t *batch) noexcept nogil
    cdef void on_replies(self, batch_t *batch) noexcept nogil
    cdef void on_session_eof(self, void *session) noexcept nogil
    cdef void on_session_end(self, void *session) noexcept nogil
    cdef void on_session_drained(self, void *session) noexcept nogil
    cdef void on_drain(self) noexcept nogil
    cdef void on_probe(self) noexcept nogil
    cdef bint on_retire(self, bint force) noexcept nogil
    cdef void on_push(self, void *session, const uint8_t *data, size_t size) noexcept nogil
    cdef void on_piece(self, request_t *request, const uint8_t *data, size_t size) noexcept nogil
    cdef void on_leave(self, void *session) noexcept nogil
    cdef void on_child_push(self, void *chain, void *session, const uint8_t *data, size_t size) noexcept nogil
    cdef void on_child_leave(self, void *chain, void *session) noexcept nogil
    cdef void on_child(self, request_t *child) noexcept nogil
    cdef void pass_down(self, batch_t *batch) noexcept nogil
    cdef void run_timed(self, batch_t *batch) noexcept nogil
    cdef void pass_up(self, request_t *request) noexcept nogil
    cdef void reply_take(self, request_t *request) noexcept nogil
    cdef void answer_take(self, request_t *request, const uint8_t *reply, size_t size) noexcept nogil
    cdef void refuse_take(self, request_t *request, const char *code, const char *text, size_t size) noexcept nogil

cdef class Chain:
    cdef:
        readonly str  name
        readonly list steps
        readonly Step first
        readonly Step top
        readonly Hub  hub
        readonly Codec codec
        uint8_t    merge                # MERGE_*: which runs the codec may make
        bint       watched              # some step wants replies
        bint       errors               # some step here, or above the step that owns this chain, wants errors
        bint       statements           # some step here, or in a sub-chain, wants facts
        bint       streams              # no step reads bodies: big requests may run while they still come
        uint32_t   upload_room          # how many more of them the sink can take now
        batch_t    requests             # of this turn, not yet run
        batch_t    replies              # of this turn, not yet run up
        task_t     run_task
        task_t     reply_task
        Step       last
        histogram_t *latency            # arrival to reply, per request
        uint64_t   batches_total
        uint64_t   requests_total
        uint64_t   failures_total
        size_histogram_t requests_size  # requests a batch
        size_histogram_t replies_size   # replies a turn
        uint64_t   turn_requests        # submitted in this turn
        uint64_t   turn_replies         # released in this turn
        task_t     count_task

    cdef void submit(self, request_t *request) noexcept nogil
    cdef void run(self, batch_t *batch) noexcept nogil
    cdef void run_now(self) noexcept nogil
    cdef void count_replies(self, uint64_t count) noexcept nogil
    cdef void session_eof(self, void *session) noexcept nogil
    cdef void session_end(self, void *session) noexcept nogil
    cdef void session_drained(self, void *session) noexcept nogil
    cdef void drain(self) noexcept nogil
    cdef void probe(self) noexcept nogil
    cdef bint retire(self, bint force) noexcept nogil

cdef class SubTop(Step):
    """Top of a sub-chain: replies go to the step that owns the chain, as on_child; pieces of them go on by its way up."""
    cdef Step owner


cdef int put_text(char *out, size_t room, str text) except -1
