"""See aead.pxd."""

from shotover._net import openssl as library

from shotover._net.openssl cimport EVP_CTRL_AEAD_GET_TAG, EVP_CTRL_AEAD_SET_TAG, openssl

NAMES = {AEAD_AES_256_GCM: b"AES-256-GCM", AEAD_CHACHA20_POLY1305: b"ChaCha20-Poly1305"}


cdef class Aead:

    def __cinit__(self, bytes key not None, int which=AEAD_AES_256_GCM):
        """OSError: there is no OpenSSL 3 here. ValueError: the key has not AEAD_KEY bytes."""
        library.load()
        if len(key) != AEAD_KEY:
            raise ValueError(f"expected a key of {AEAD_KEY} bytes, got {len(key)}")
        self.cipher = openssl.EVP_CIPHER_fetch(NULL, <const char *>(<bytes>NAMES[which]), NULL)
        self.sealing = openssl.EVP_CIPHER_CTX_new()
        self.opening = openssl.EVP_CIPHER_CTX_new()
        if self.cipher is NULL or self.sealing is NULL or self.opening is NULL:
            raise MemoryError()
        if openssl.EVP_EncryptInit_ex(self.sealing, self.cipher, NULL, key, NULL) != 1 \
                or openssl.EVP_DecryptInit_ex(self.opening, self.cipher, NULL, key, NULL) != 1:
            raise OSError(0, "OpenSSL does not take a key")

    def __dealloc__(self):
        if self.sealing is not NULL:        # which wipes the key
            openssl.EVP_CIPHER_CTX_free(self.sealing)
        if self.opening is not NULL:
            openssl.EVP_CIPHER_CTX_free(self.opening)
        if self.cipher is not NULL:
            openssl.EVP_CIPHER_free(self.cipher)

    cdef bint seal(self, const uint8_t *nonce, slice_t about, slice_t more, slice_t plain, uint8_t *out) noexcept nogil:
        """Writes plain.size + AEAD_TAG bytes. `about` and `more`, in this order, are vouched for and not written."""
        cdef int size
        if plain.size > AEAD_SIZE_MAX or about.size > AEAD_SIZE_MAX or more.size > AEAD_SIZE_MAX:
            return False
        return (
            openssl.EVP_EncryptInit_ex(self.sealing, NULL, NULL, NULL, nonce) == 1
            and (about.size == 0 or openssl.EVP_EncryptUpdate(self.sealing, NULL, &size, about.data, <int>about.size) == 1)
            and (more.size == 0 or openssl.EVP_EncryptUpdate(self.sealing, NULL, &size, more.data, <int>more.size) == 1)
            and (plain.size == 0 or openssl.EVP_EncryptUpdate(self.sealing, out, &size, plain.data, <int>plain.size) == 1)
            and openssl.EVP_EncryptFinal_ex(self.sealing, out + plain.size, &size) == 1
            and openssl.EVP_CIPHER_CTX_ctrl(self.sealing, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, out + plain.size) == 1
        )

    cdef bint open(self, const uint8_t *nonce, slice_t about, slice_t more, slice_t sealed, uint8_t *out) noexcept nogil:
        """Writes sealed.size - AEAD_TAG bytes. False: not sealed so, by this key; what was written is void."""
        cdef:
            int    size
            size_t plain
        if sealed.size < AEAD_TAG or sealed.size > AEAD_SIZE_MAX:
            return False
        plain = sealed.size - AEAD_TAG
        return (
            openssl.EVP_DecryptInit_ex(self.opening, NULL, NULL, NULL, nonce) == 1
            and openssl.EVP_CIPHER_CTX_ctrl(self.opening, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, sealed.data + plain) == 1
            and (about.size == 0 or openssl.EVP_DecryptUpdate(self.opening, NULL, &size, about.data, <int>about.size) == 1)
            and (more.size == 0 or openssl.EVP_DecryptUpdate(self.opening, NULL, &size, more.data, <int>more.size) == 1)
            and (plain == 0 or openssl.EVP_DecryptUpdate(self.opening, out, &size, sealed.data, <int>plain) == 1)
            and openssl.EVP_DecryptFinal_ex(self.opening, out + plain, &size) == 1
        )

    def sealed(self, bytes nonce not None, bytes about not None, bytes plain not None):
        """For the control plane: `seal`. ValueError: the nonce has another size."""
        cdef:
            bytearray out = bytearray(len(plain) + AEAD_TAG)
            slice_t   one, two, none
        _check(nonce)
        one.data = <uint8_t *><const char *>about
        one.size = len(about)
        two.data = <uint8_t *><const char *>plain
        two.size = len(plain)
        none.data = NULL
        none.size = 0
        if not self.seal(<const uint8_t *><const char *>nonce, one, none, two, <uint8_t *><char *>out):
            raise OSError(0, "OpenSSL cannot seal")
        return bytes(out)

    def opened(self, bytes nonce not None, bytes about not None, bytes sealed not None):
        """For the control plane: `open`. ValueError: it was not sealed so, by this key."""
        cdef:
            bytearray out = bytearray(max(len(sealed), AEAD_TAG))
            slice_t   one, two, none
        _check(nonce)
        one.data = <uint8_t *><const char *>about
        one.size = len(about)
        two.data = <uint8_t *><const char *>sealed
        two.size = len(sealed)
        none.data = NULL
        none.size = 0
        if not self.open(<const uint8_t *><const char *>nonce, one, none, two, <uint8_t *><char *>out):
            raise ValueError("it was not sealed by this key")
        return bytes(out[:len(sealed) - AEAD_TAG])


def _check(bytes nonce):
    if len(nonce) != AEAD_NONCE:
        raise ValueError(f"expected a nonce of {AEAD_NONCE} bytes, got {len(nonce)}")


cdef bint random_bytes(uint8_t *out, int size) noexcept nogil:
    """From OpenSSL's generator, for keys and nonces; some Aead must have been made before. False: it has none."""
    return openssl.RAND_bytes(out, size) == 1
