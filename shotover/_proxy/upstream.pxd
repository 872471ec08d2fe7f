"""upstream_t, a server's conversation, and Sink, base of the steps that own such.

What every conversation needs is here: connecting and its pauses, TLS, what is told when a server goes, counts. How requests
and replies find each other is for the floor above it:

  OrderedSink    (ordered.pxd)   replies come in the order of requests; they belong to the head of the pipeline
  NumberedSink   (numbered.pxd)  replies bear numbers, and come in any order
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from shotover._codec.codec cimport Codec, scan_t
from shotover._core.counters cimport histogram_t
from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._net.loop cimport Loop, stream_t
from shotover._net.timers cimport timer_t
from shotover._net.tls cimport TlsSide
from shotover._proxy.retry cimport budget_t
from shotover._proxy.session cimport session_t, upload_t
from shotover._proxy.step cimport Chain, Hub, Step


cdef struct upstream_t:
    stream_t    stream          # first
    void       *sink            # PyObject* of the Sink
    request_t  *head            # sent, or queued to be; oldest first
    request_t  *tail
    uint32_t    pending         # replies awaited
    uint8_t     connected
    uint8_t     ready           # connected and greeted: what is queued may go out
    uint8_t     framed          # gather whole frames
    uint8_t     frame_soon      # ... from the next reply on
    uint8_t     role            # the sink's own
    uint8_t     listed          # the sink's own
    uint8_t     resting         # not read: its tenant is slow to read
    uint8_t     introduced      # the server was told whose it is: nobody else's
    scan_t      scan
    size_t      scanned         # framed: bytes of the stash already measured
    timer_t     timer           # connecting: the time-out of that; later: of the oldest request
    uint64_t    progress_ns     # when a reply (or a part of one) last came
    session_t  *tenant          # the session that has it on lease
    upload_t   *upload          # of the tenant: a request of which only a part has come and was written here; or NULL
    void       *state           # the sink's own: what the server knows of this connection
    uint32_t    place           # the sink's own: which of several servers it leads to
    upstream_t *next            # of the sink's list
    upstream_t *previous
    upstream_t *alive_next      # of all that are alive
    upstream_t *alive_previous
    uint64_t    id

cdef class Sink(Step):
    cdef:
        slab_t     upstreams            # upstream_t
        uint8_t    address_bytes[128]   # sockaddr of the server
        uint32_t   address_size
        int        family
        TlsSide    tls                  # None: it speaks plainly
        uint64_t   connect_timeout_ns
        uint64_t   read_timeout_ns      # 0: none
        uint32_t   pending_max          # replies awaited on one connection
        uint32_t   connections          # upstreams alive
        upstream_t *alive               # ... in a list
        uint32_t   connections_max      # how many may be; 0: as many as it likes
        uint64_t   upstream_ids
        uint64_t   connects_total, connect_failures_total, lost_total, garbage_total, timeouts_total
        uint64_t   error_replies_total
        uint64_t   sent_bytes, received_bytes
        uint64_t   retry_percent        # how many reads may be sent again, of all requests; 0: none
        budget_t   retry_budget
        uint64_t   retries_total
        uint64_t   retry_at_ns          # fail fast until then
        uint64_t   backoff_ns
        int        connect_error        # of the last attempt; 0: none failed
        bint       reached              # connected at least once
        uint64_t   random               # xorshift state, for jitter
        uint8_t    proxy_version        # of the PROXY protocol by which servers are told of clients; 0: they are not
        bint       proxy_checksum       # ... with a CRC32c
        session_t *speaks_for           # whose connection is being opened; NULL: one of the proxy's own
        uint32_t   breaker_timeouts     # in a row, after which nothing is sent for a while; 0: never
        uint32_t   timeouts_in_row      # since the server was last heard
        bint       tripped              # it is silent: nothing goes there but what tries it
        bint       trying               # ... and this is that
        timer_t    trial                # of the next try
        uint64_t   trial_pause_ns
        uint64_t   trips_total, over_breaker
        histogram_t *wait               # sent to replied
        histogram_t *held               # read from the client to sent
        char       label[64]            # its name
        char       place[160]           # what errors say of where they come from

    cdef upstream_t *upstream_open(self) noexcept nogil
    cdef void timed_out(self) noexcept nogil
    cdef void try_later(self) noexcept nogil
    cdef void _write(self, upstream_t *upstream, request_t *request) noexcept nogil
    cdef request_t *_own_request(self, const char *wire, size_t size) noexcept nogil
    cdef const char *reason(self, int error) noexcept nogil
    cdef void fail(self, request_t *request, const char *text) noexcept nogil
    cdef void fail_errno(self, request_t *request, const char *text, int error) noexcept nogil
    # to be overridden:
    cdef void on_connected(self, upstream_t *upstream) noexcept nogil
    cdef void read(self, upstream_t *upstream, uint8_t *data, size_t size) noexcept nogil
    cdef void abandon(self, upstream_t *upstream, int error) noexcept nogil
    cdef void check_timeout(self, upstream_t *upstream) noexcept nogil
    cdef void on_lost(self, upstream_t *upstream, int error) noexcept nogil
    cdef void unreachable(self, request_t *request, int error) noexcept nogil
    cdef void on_drained(self, upstream_t *upstream) noexcept nogil
    cdef bint try_server(self) noexcept nogil
    # internal:
    cdef void _introduce(self, upstream_t *upstream) noexcept nogil
    cdef void _try(self) noexcept nogil
    cdef void _heard_again(self) noexcept nogil
    cdef void complete(self, request_t *request) noexcept nogil
    cdef void _connect_failed(self, int error) noexcept nogil
    cdef void tell_connect_failed(self, int error) noexcept nogil
    cdef void _deliver(self, request_t *request, const uint8_t *data, size_t size) noexcept nogil
    cdef void _lost(self, upstream_t *upstream, int error) noexcept nogil
    cdef void _bury(self, upstream_t *upstream) noexcept nogil
