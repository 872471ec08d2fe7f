"""Authenticated encryption by OpenSSL, without the GIL: AES-256-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC 8439).

A sealed text is as long as the plain one, and AEAD_TAG bytes more. A nonce must never be used twice under one key: random
ones, of which there are here AEAD_NONCE bytes, may be used some 2**32 times.
"""

from libc.stdint cimport uint8_t

from shotover._core.slice cimport slice_t
from shotover._net.openssl cimport EVP_CIPHER, EVP_CIPHER_CTX


cdef enum:
    AEAD_KEY = 32
    AEAD_NONCE = 12
    AEAD_TAG = 16
    AEAD_SIZE_MAX = 0x7fffff00

cdef enum:                      # which
    AEAD_AES_256_GCM = 1
    AEAD_CHACHA20_POLY1305 = 2

cdef class Aead:
    """One key. Used by one thread at a time."""
    cdef:
        EVP_CIPHER     *cipher
        EVP_CIPHER_CTX *sealing
        EVP_CIPHER_CTX *opening

    cdef bint seal(self, const uint8_t *nonce, slice_t about, slice_t more, slice_t plain, uint8_t *out) noexcept nogil
    cdef bint open(self, const uint8_t *nonce, slice_t about, slice_t more, slice_t sealed, uint8_t *out) noexcept nogil


cdef bint random_bytes(uint8_t *out, int size) noexcept nogil
