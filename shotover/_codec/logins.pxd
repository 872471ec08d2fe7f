"""Who logs in with AUTH or HELLO: what a command says of it, not whether the server let it."""

from libc.stdint cimport uint32_t

from shotover._core.slice cimport slice_t


cdef uint32_t hello_option(const slice_t *words, uint32_t count, const char *name, size_t size) noexcept nogil
cdef bint login_user(const slice_t *words, uint32_t count, slice_t *user) noexcept nogil
