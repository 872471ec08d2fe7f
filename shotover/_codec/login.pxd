"""What AUTH, HELLO and SELECT make of a session, if they succeed: its user, its database."""

from libc.stdint cimport int32_t, uint8_t, uint32_t

from shotover._core.slice cimport slice_t


cdef uint32_t login_option(const slice_t *words, uint32_t count, const char *name, size_t size) noexcept nogil
cdef bint login_user(const slice_t *words, uint32_t count, slice_t *user) noexcept nogil
cdef bint login_database(const slice_t *words, uint32_t count, int32_t *database) noexcept nogil
