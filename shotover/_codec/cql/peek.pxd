"""What a look at the beginning of a frame tells, without a parser: USE in a statement, the options of STARTUP, PLAIN tokens.

Everything here takes bodies that are not compressed.
"""

from libc.stdint cimport uint8_t

from shotover._core.slice cimport slice_t


cdef enum:
    NAME_SIZE_MAX = 48          # of a keyspace, as the server has it


cdef bint peek_use(const uint8_t *text, const uint8_t *end) noexcept nogil
cdef bint peek_use_frame(const uint8_t *frame, size_t frame_size) noexcept nogil
cdef bint peek_use_keyspace(const uint8_t *frame, size_t frame_size, uint8_t *room, slice_t *name) noexcept nogil
cdef bint peek_set_keyspace(const uint8_t *frame, size_t size, slice_t *name) noexcept nogil
cdef bint peek_plain(const uint8_t *body, size_t size) noexcept nogil
cdef int peek_option(const uint8_t *body, size_t size, const char *name, slice_t *value) noexcept nogil
cdef size_t startup_for_all(const uint8_t *body, size_t size, uint8_t *out, bint compressed) noexcept nogil
