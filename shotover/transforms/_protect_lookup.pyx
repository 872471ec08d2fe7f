"""See _protect_lookup.pxd."""

from libc.string cimport memcpy

from shotover._net.digest cimport DIGEST_SIZE


cdef class LookupHash:

    def __cinit__(self, bytes key not None):
        """ValueError: a key that is empty, or longer than a block."""
        cdef int index
        if not 0 < len(key) <= HMAC_BLOCK:
            raise ValueError(f"expected a key of 1 to {HMAC_BLOCK} bytes, got {len(key)}")
        self.digest = Digest()
        for index in range(HMAC_BLOCK):
            self.inner[index] = 0x36 ^ (<const uint8_t *><const char *>key)[index] if index < len(key) else 0x36
            self.outer[index] = 0x5c ^ (<const uint8_t *><const char *>key)[index] if index < len(key) else 0x5c

    cdef bint put(self, slice_t column, slice_t value, uint8_t *out) noexcept nogil:
        """Writes LOOKUP_SIZE bytes. False: the library has failed."""
        cdef uint8_t whole[DIGEST_SIZE]
        self.digest.begin()
        self.digest.add(self.inner, HMAC_BLOCK)
        self.digest.add(column.data, column.size)
        self.digest.add(value.data, value.size)
        if not self.digest.end(whole):
            return False
        self.digest.begin()
        self.digest.add(self.outer, HMAC_BLOCK)
        self.digest.add(whole, DIGEST_SIZE)
        if not self.digest.end(whole):
            return False
        memcpy(out, whole, LOOKUP_SIZE)
        return True
