"""Several replies to the same request, of which one becomes the client's. Nothing is allocated or kept."""

from libc.stdint cimport int64_t, uint8_t

from shotover._core.slice cimport slice_t


cdef bint reply_is_error(const slice_t *reply) noexcept nogil
cdef bint reply_is_null(const slice_t *reply) noexcept nogil
cdef bint reply_is_excuse(const slice_t *reply) noexcept nogil
cdef bint reply_is_away(const slice_t *reply) noexcept nogil
cdef bint reply_begins(const slice_t *reply, const char *text) noexcept nogil
cdef int64_t reply_integer(const slice_t *reply) noexcept nogil
cdef int64_t reply_elements(const slice_t *reply) noexcept nogil
cdef int vote(const slice_t **replies, int count) noexcept nogil
