"""Segments of CQL version 5 on a stream, in both directions, once STARTUP has been answered. Its owner writes and gets envelopes.

What a turn wrote becomes one segment, or few, when it is flushed: before TLS, where there is some. A large envelope goes over
several segments that hold nothing else; it may be written in pieces.
"""

from libc.stdint cimport uint8_t, uint64_t

from shotover._core.memory cimport chunk_t
from shotover._net.loop cimport framing_t, stream_t


ctypedef void (*envelopes_f)(stream_t *stream, uint8_t *data, size_t size) noexcept nogil

cdef struct segments_t:
    framing_t    framing        # first
    envelopes_f  on_envelopes   # for the owner; bytes that live as long as an event's
    uint8_t      lz4
    uint64_t     rest           # bytes still to be written of an envelope that goes over several segments
    chunk_t     *cut            # a segment of which a part has come; NULL: none
    size_t       cut_size


cdef bint segments_begin(stream_t *stream, bint lz4, envelopes_f on_envelopes) noexcept nogil
cdef void segments_read(stream_t *stream, uint8_t *data, size_t size) noexcept nogil
