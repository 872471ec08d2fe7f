"""See digest.pxd. One Digest is used by one thread, for one digest after the other; an error shows at its end."""

from shotover._net import openssl as library

from shotover._net.openssl cimport openssl


cdef class Digest:
    """Raises OSError where there is no OpenSSL 3; its text says what to install."""

    def __cinit__(self):
        library.load()
        self.kind = openssl.EVP_MD_fetch(NULL, b"SHA256", NULL)
        self.context = openssl.EVP_MD_CTX_new()
        if self.kind is NULL or self.context is NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self.context is not NULL:
            openssl.EVP_MD_CTX_free(self.context)
        if self.kind is not NULL:
            openssl.EVP_MD_free(self.kind)

    cdef void begin(self) noexcept nogil:
        openssl.EVP_DigestInit_ex(self.context, self.kind, NULL)

    cdef void add(self, const void *data, size_t size) noexcept nogil:
        openssl.EVP_DigestUpdate(self.context, data, size)

    cdef void add_number(self, unsigned int number) noexcept nogil:
        openssl.EVP_DigestUpdate(self.context, &number, sizeof(number))

    cdef void add_sized(self, slice_t part) noexcept nogil:
        """A part whose end cannot be mistaken for the next one's beginning."""
        self.add_number(<unsigned int>part.size)
        if part.size:
            openssl.EVP_DigestUpdate(self.context, part.data, part.size)

    cdef bint end(self, uint8_t *out) noexcept nogil:
        """Writes DIGEST_SIZE bytes. False: the library has failed somewhere since `begin`."""
        return openssl.EVP_DigestFinal_ex(self.context, out, NULL) == 1
