"""See _protect_keys.pxd."""

from libc.string cimport memcmp, memcpy

from shotover._codec.hashes cimport xxh64
from shotover._net.aead cimport (
    AEAD_AES_256_GCM,
    AEAD_CHACHA20_POLY1305,
    AEAD_NONCE,
    AEAD_TAG,
    Aead,
    random_bytes,
)


cdef bint looks_sealed(slice_t value) noexcept nogil:
    return value.size >= SEALED_HEAD and value.data[0] == 0xD5 and value.data[1] == 0x50 and value.data[2] == 1


cdef class DataKeys:
    """`put` needs the GIL and the worker's thread; the rest neither."""

    def __cinit__(self, bint opens_rust=False):
        """opens_rust: values that Shotover in Rust has sealed, too."""
        self.opens_rust = opens_rust
        self.held = []
        self.current = NO_KEY

    def put(self, bytes id not None, bytes wrapped not None, bytes plain not None, bint current):
        """A data key, unwrapped; current: values are sealed by it from now on."""
        cdef:
            slice_t     one, two
            int         place
            data_key_t *key
        one.data = <uint8_t *><const char *>id
        one.size = len(id)
        two.data = <uint8_t *><const char *>wrapped
        two.size = len(wrapped)
        if not (0 if self.opens_rust and not current else 1) <= len(id) < 256 or not 0 < len(wrapped) < 65536:
            raise ValueError("expected a key id of 1 to 255 bytes and a wrapped key of 1 to 65535")
        place = self._find(one, two)
        if place == NO_KEY:
            aead = Aead(plain)
            rust = Aead(plain, AEAD_CHACHA20_POLY1305) if self.opens_rust else None
            if self.count < DATA_KEYS_MAX:
                place = self.count
                self.count += 1
                self.held.append((aead, id, wrapped, rust))
            else:
                if self.hand == <uint32_t>self.current:
                    self.hand = (self.hand + 1) % DATA_KEYS_MAX
                place = self.hand
                self.hand = (self.hand + 1) % DATA_KEYS_MAX
                self.held[place] = (aead, id, wrapped, rust)
            key = &self.keys[place]
            key.hash = xxh64(two.data, two.size, 0)
            key.id = one
            key.wrapped = two
            key.aead = <void *>aead
            key.rust = NULL if rust is None else <void *>rust
            key.used = 0
        if current:
            self.current = place

    def forget_current(self):
        """Nothing is sealed any more until there is another one."""
        self.current = NO_KEY

    cdef int _find(self, slice_t id, slice_t wrapped) noexcept nogil:
        cdef:
            uint64_t hash = xxh64(wrapped.data, wrapped.size, 0)
            uint32_t index
        for index in range(self.count):
            if self.keys[index].hash == hash and self.keys[index].wrapped.size == wrapped.size \
                    and self.keys[index].id.size == id.size \
                    and memcmp(self.keys[index].wrapped.data, wrapped.data, wrapped.size) == 0 \
                    and memcmp(self.keys[index].id.data, id.data, id.size) == 0:
                return <int>index
        return NO_KEY

    cdef size_t sealed_size(self, size_t size) noexcept nogil:
        """Of a value of that size, by the current key; there must be one."""
        cdef data_key_t *key = &self.keys[self.current]
        return SEALED_HEAD + key.id.size + 2 + key.wrapped.size + AEAD_NONCE + size + AEAD_TAG

    cdef bint seal_value(self, slice_t column, slice_t plain, uint8_t *out) noexcept nogil:
        """Writes sealed_size(plain.size) bytes, which may not overlap `plain`. False: the library has failed."""
        cdef:
            data_key_t *key = &self.keys[self.current]
            uint8_t    *at = out
            slice_t     head
        at[0] = 0xD5
        at[1] = 0x50
        at[2] = 1
        at[3] = AEAD_AES_256_GCM
        at[4] = <uint8_t>key.id.size
        at += SEALED_HEAD
        memcpy(at, key.id.data, key.id.size)
        at += key.id.size
        at[0] = <uint8_t>(key.wrapped.size >> 8)
        at[1] = <uint8_t>key.wrapped.size
        memcpy(at + 2, key.wrapped.data, key.wrapped.size)
        at += 2 + key.wrapped.size
        head.data = out
        head.size = <size_t>(at - out)
        key.used += 1
        if self.nonces_left == 0:
            if not random_bytes(self.nonces[0], NONCES * AEAD_NONCE):
                return False
            self.nonces_left = NONCES
        self.nonces_left -= 1
        memcpy(at, self.nonces[self.nonces_left], AEAD_NONCE)
        return (<Aead>key.aead).seal(at, column, head, plain, at + AEAD_NONCE)

    cdef int open_value(self, slice_t column, slice_t sealed, uint8_t *out, size_t *size) noexcept nogil:
        """Writes what was sealed, fewer bytes than `sealed` has. Returns OPENED, NOT_SEALED, UNKNOWN_KEY or NOT_OURS."""
        cdef:
            uint8_t *at = sealed.data + SEALED_HEAD
            uint8_t *end = sealed.data + sealed.size
            slice_t  head, text
            int      place
        if not looks_sealed(sealed):
            return NOT_SEALED
        self.wanted_id.data = at
        self.wanted_id.size = sealed.data[4]
        if <size_t>(end - at) < self.wanted_id.size + 2:
            return NOT_OURS
        at += self.wanted_id.size
        self.wanted_wrapped.data = at + 2
        self.wanted_wrapped.size = <size_t>at[0] << 8 | at[1]
        at += 2
        if <size_t>(end - at) < self.wanted_wrapped.size + AEAD_NONCE + AEAD_TAG or sealed.data[3] != AEAD_AES_256_GCM \
                or self.wanted_id.size == 0 or self.wanted_wrapped.size == 0:
            return NOT_OURS
        at += self.wanted_wrapped.size
        place = self._find(self.wanted_id, self.wanted_wrapped)
        if place == NO_KEY:
            return UNKNOWN_KEY
        head.data = sealed.data
        head.size = <size_t>(at - sealed.data)
        text.data = at + AEAD_NONCE
        text.size = <size_t>(end - text.data)
        size[0] = text.size - AEAD_TAG
        return OPENED if (<Aead>self.keys[place].aead).open(at, column, head, text, out) else NOT_OURS

    cdef int open_rust(self, const rust_value_t *value, uint8_t *out, size_t *size) noexcept nogil:
        """Writes the value as it was sealed, value.cipher.size - AEAD_TAG bytes. Returns OPENED, UNKNOWN_KEY or NOT_OURS."""
        cdef:
            int     place = self._find(value.id, value.wrapped)
            slice_t none
        self.wanted_id = value.id
        self.wanted_wrapped = value.wrapped
        if place == NO_KEY:
            return UNKNOWN_KEY
        none.data = NULL
        none.size = 0
        size[0] = value.cipher.size - AEAD_TAG
        return OPENED if (<Aead>self.keys[place].rust).open(value.nonce, none, none, value.cipher, out) else NOT_OURS
