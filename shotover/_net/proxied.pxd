"""The header of the PROXY protocol (versions 1 and 2), by which a proxy in front says who its client is.

A layer on the stream until the header is whole: it comes before anything else, a TLS handshake too. Then the layer leaves,
`on_known` is called, and what came behind the header goes to the stream's owner. A connection that has got through costs
nothing more.
"""

from libc.stdint cimport uint8_t, uint64_t

from shotover._core.memory cimport slab_t
from shotover._net.loop cimport Loop, layer_t, stream_ops_t, stream_t
from shotover._net.peer cimport network_t, peer_t
from shotover._net.timers cimport timer_t


cdef enum:
    LINE_MAX = 107              # bytes of a header of version 1, its end included
    FRAME_MAX = 4096            # of one of version 2; its length may say more, which is refused

cdef enum:                      # what header_read returns, if not the size of the header
    HEADER_MORE = 0             # what has come may become one
    HEADER_BAD = -1
    HEADER_NONE = -2            # it is something else

cdef enum:                      # why somebody was not let in: index of ProxiedSide.refused
    REFUSED_HEADER = 0
    REFUSED_TIMEOUT = 1
    REFUSED_UNTRUSTED = 2
    REFUSALS = 3

cdef struct header_t:           # what it says
    peer_t      peer            # PEER_NONE: nothing of an address, the socket's own holds
    uint8_t     version
    const char *why             # of HEADER_BAD

cdef struct proxied_t:
    layer_t     layer           # first
    stream_t   *stream
    const stream_ops_t *owner   # who the bytes behind the header are for
    void       *side            # PyObject* of the ProxiedSide
    timer_t     timer

cdef class ProxiedSide:
    """One source's, in one worker."""
    cdef:
        Loop       loop
        slab_t     states
        uint64_t   timeout_ns
        bint       required             # False: those who are trusted may also begin without one
        network_t *networks
        size_t     network_count
        uint64_t   waiting              # headers awaited now
        uint64_t   headers[3]           # taken, by version; [0]: those that name no address
        uint64_t   refused[REFUSALS]
        void     (*on_known)(void *owner, stream_t *stream, const peer_t *peer) noexcept nogil  # NULL: the socket's holds
        void     (*on_refused)(void *owner, const char *why) noexcept nogil
        void      *owner

    cdef bint trusts(self, const peer_t *peer) noexcept nogil
    cdef int begin(self, stream_t *stream) noexcept nogil
    cdef void refuse(self, stream_t *stream, int reason, const char *why) noexcept nogil
    cdef void _read(self, proxied_t *proxied, uint8_t *data, size_t size) noexcept nogil
    cdef void _forget(self, proxied_t *proxied) noexcept nogil
    cdef void _let_go(self, proxied_t *proxied, const peer_t *peer) noexcept nogil
    cdef void _expire(self, proxied_t *proxied) noexcept nogil


cdef long header_read(header_t *header, const uint8_t *data, size_t size) noexcept nogil
