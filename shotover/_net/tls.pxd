"""TLS between a stream and its owner: a layer that the owner does not see.

    tls_accept / tls_connect   after Loop.attach / Loop.connect: from then on the owner writes and gets plain bytes
    on_connected               (tls_connect) comes when the handshake is done and the peer is who it should be
    CLOSE_LAYER                on_close: what was wrong stands in TlsSide.why

Records are opened from where the poller put them into memory that lives as long (Loop.lend), and what a turn wrote is
sealed when it is flushed: full records, one send. OpenSSL reads and writes by way of two callbacks and never sees a socket, so
that every poller, the simulated one too, may cut records anywhere.
"""

from libc.stdint cimport uint8_t, uint64_t

from shotover._core.memory cimport slab_t
from shotover._net.loop cimport Loop, layer_t, stream_ops_t, stream_t
from shotover._net.openssl cimport BIO_METHOD, SSL, SSL_SESSION
from shotover._net.timers cimport timer_t
from shotover._net.tls_context cimport TlsContext


cdef enum:
    RECORD_MAX = 16384              # bytes of a record's content (RFC 8446, 5.1)
    NAME_MAX = 256

cdef enum:                          # tls_t.state
    TLS_HANDSHAKE = 0
    TLS_OPEN = 1
    TLS_ENDED = 2                   # the peer has said that nothing more will come; we may still send
    TLS_FAILED = 3

cdef struct tls_t:
    layer_t     layer               # first
    stream_t   *stream
    const stream_ops_t *owner       # who the plain bytes are for
    SSL        *ssl
    void       *side                # PyObject* of the TlsSide
    const uint8_t *in_at            # of the event at hand: bytes not yet opened
    size_t      in_left
    char       *identity            # whom the peer's certificate names; NULL: it has none
    timer_t     timer               # of the handshake
    uint8_t     state               # TLS_*
    uint8_t     said_goodbye

cdef class TlsSide:
    """One source's or one sink's TLS, in one worker."""
    cdef:
        Loop         loop
        readonly TlsContext context
        BIO_METHOD  *method
        slab_t       states
        uint8_t     *scratch            # RECORD_MAX bytes, where small pieces become one record
        uint64_t     handshake_ns       # 0: another's timer sees to it
        char         server_name[NAME_MAX]      # a client's: whom it calls; empty: nobody by name
        bint         by_address         # ... which is an IP address
        SSL_SESSION *session            # a client's last one, for the next connection; NULL: none
        uint64_t     handshaking        # under way now
        uint64_t     handshakes_total, resumed_total, failed_total, expired_total
        char         why[NAME_MAX]      # what was wrong with the last that failed
        void       (*on_settled)(void *owner, const char *why) noexcept nogil   # one is over; why: it failed. NULL: nobody asks
        void        *settled_owner

    cdef void name_server(self, const char *name) noexcept nogil
    cdef int _begin(self, stream_t *stream) noexcept nogil
    cdef int accept(self, stream_t *stream) noexcept nogil
    cdef int connect(self, stream_t *stream) noexcept nogil
    cdef bint _seal(self, tls_t *tls, stream_t *stream) noexcept nogil
    cdef void _handshake(self, tls_t *tls) noexcept nogil
    cdef void _expire(self, tls_t *tls) noexcept nogil
    cdef void _open(self, tls_t *tls) noexcept nogil
    cdef void _fail(self, tls_t *tls, const char *why) noexcept nogil
    cdef void _settled(self, tls_t *tls, const char *why) noexcept nogil


cdef const char *stream_identity(stream_t *stream) noexcept nogil
