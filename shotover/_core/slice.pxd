from libc.stdint cimport uint8_t


ctypedef struct slice_t:      # a view of bytes that somebody else owns
    uint8_t *data
    size_t   size
