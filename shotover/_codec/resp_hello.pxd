"""HELLO for a server that has no such command: what it asks for, the requests that do the same, and its reply from INFO."""

from libc.stdint cimport uint8_t, uint64_t

from shotover._core.slice cimport slice_t


cdef enum:
    HELLO_WORDS = 16

cdef struct hello_t:            # data NULL: not given; borrowed from the request
    slice_t  version
    slice_t  user
    slice_t  password
    slice_t  name

cdef inline size_t hello_room(size_t size) noexcept nogil:
    """Bytes that any of the below writes for a HELLO, or an INFO, of `size`."""
    return size + 256

cdef bint hello_parse(const uint8_t *at, const uint8_t *end, hello_t *hello) noexcept nogil
cdef size_t hello_auth(const hello_t *hello, uint8_t *out) noexcept nogil
cdef size_t hello_name(const hello_t *hello, uint8_t *out) noexcept nogil
cdef size_t hello_reply(const slice_t *info, uint64_t id, int protocol, uint8_t *out) noexcept nogil
