"""MD5 (RFC 1321), for placing keys and servers as others do who chose it long ago; not for secrets."""

from libc.stdint cimport uint8_t, uint32_t


cdef void md5(const uint8_t *data, size_t size, uint32_t *words) noexcept nogil
