"""The parsers that codec_probe does not show, each over a piece of memory of exactly the input's size."""

from libc.stdint cimport uint8_t


cdef class Exact:
    """A copy of some bytes with nothing behind it: a sanitizer sees the first byte too far."""
    cdef:
        uint8_t *at
        uint8_t *end
