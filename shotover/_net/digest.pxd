"""SHA-256 by OpenSSL, without the GIL: names that nobody can bring to coincide."""

from libc.stdint cimport uint8_t

from shotover._core.slice cimport slice_t
from shotover._net.openssl cimport EVP_MD, EVP_MD_CTX


cdef enum:
    DIGEST_SIZE = 32

cdef class Digest:
    cdef:
        EVP_MD     *kind
        EVP_MD_CTX *context

    cdef void begin(self) noexcept nogil
    cdef void add(self, const void *data, size_t size) noexcept nogil
    cdef void add_number(self, unsigned int number) noexcept nogil
    cdef void add_sized(self, slice_t part) noexcept nogil
    cdef bint end(self, uint8_t *out) noexcept nogil
