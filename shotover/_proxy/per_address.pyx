"""See per_address.pxd. It is asked once when a connection begins and once when it ends, so one lock is enough."""

from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from shotover._net.peer cimport PEER_IPV6

cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_init(pthread_mutex_t *mutex, void *attributes)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)

cdef enum:
    PLACES_FIRST = 64


cdef class AddressLimit:

    def __cinit__(self, uint32_t limit, uint32_t prefix):
        import os

        self.limit = limit
        self.prefix = prefix
        self.seed = int.from_bytes(os.urandom(8), "little")
        self.places = <place_t *>calloc(PLACES_FIRST, sizeof(place_t))
        if self.places is NULL or pthread_mutex_init(&self.lock, NULL) != 0:
            raise MemoryError()
        self.mask = PLACES_FIRST - 1

    def __dealloc__(self):
        if self.mask:
            pthread_mutex_destroy(&self.lock)
        free(self.places)

    @property
    def counts(self):
        """(addresses, their connections, places of the table), for tests."""
        cdef size_t index
        cdef uint64_t total = 0
        pthread_mutex_lock(&self.lock)
        for index in range(self.mask + 1):
            total += self.places[index].count
        found = self.used, total, self.mask + 1
        pthread_mutex_unlock(&self.lock)
        return found

    cdef bint enter(self, const peer_t *peer) noexcept nogil:
        """One more connection of this address. False: it has as many as it may, or there is no memory to count it."""
        cdef:
            uint8_t address[16]
            bint    entered
        self._key(peer, address)
        pthread_mutex_lock(&self.lock)
        entered = self._enter(address)
        pthread_mutex_unlock(&self.lock)
        return entered

    cdef void leave(self, const peer_t *peer) noexcept nogil:
        """A connection that has entered is over."""
        cdef:
            uint8_t address[16]
            size_t  place
        self._key(peer, address)
        pthread_mutex_lock(&self.lock)
        place = self._find(address)
        if self.places[place].count > 1:
            self.places[place].count -= 1
        elif self.places[place].count == 1:
            self._remove(place)
        pthread_mutex_unlock(&self.lock)

    cdef void _key(self, const peer_t *peer, uint8_t *address) noexcept nogil:
        cdef uint32_t whole = self.prefix // 8
        memcpy(address, peer.address, 16)
        if peer.family == PEER_IPV6 and whole < 16:
            address[whole] &= <uint8_t>(0xff00 >> (self.prefix % 8))
            memset(address + whole + 1, 0, 15 - whole)

    cdef size_t _home(self, const uint8_t *address) noexcept nogil:
        cdef:
            uint64_t halves[2]
            uint64_t x
        memcpy(halves, address, 16)
        x = (halves[0] ^ self.seed) * <uint64_t>0x9e3779b97f4a7c15
        x = (x ^ x >> 32 ^ halves[1]) * <uint64_t>0xd6e8feb86659fd93
        x = (x ^ x >> 32 ^ self.seed) * <uint64_t>0xd6e8feb86659fd93
        return <size_t>(x >> 32) & self.mask

    cdef size_t _find(self, const uint8_t *address) noexcept nogil:
        """Where it stands, or the empty place where it would."""
        cdef size_t place = self._home(address)
        while self.places[place].count and memcmp(self.places[place].address, address, 16) != 0:
            place = (place + 1) & self.mask
        return place

    cdef bint _enter(self, const uint8_t *address) noexcept nogil:
        cdef size_t place = self._find(address)
        if self.places[place].count:
            if self.places[place].count >= self.limit:
                return False
            self.places[place].count += 1
            return True
        if 2 * (self.used + 1) > self.mask + 1:
            if not self._grow():
                return False
            place = self._find(address)
        memcpy(self.places[place].address, address, 16)
        self.places[place].count = 1
        self.used += 1
        return True

    cdef bint _grow(self) noexcept nogil:
        cdef:
            place_t *before = self.places
            size_t   count = self.mask + 1
            size_t   index
            place_t *places = <place_t *>calloc(2 * count, sizeof(place_t))
        if places is NULL:
            return False
        self.places = places
        self.mask = 2 * count - 1
        for index in range(count):
            if before[index].count:
                places[self._find(before[index].address)] = before[index]
        free(before)
        return True

    cdef void _remove(self, size_t place) noexcept nogil:
        """What stands behind it moves up as far as it may, so that no hole cuts it off from its home."""
        cdef size_t other = place
        while True:
            other = (other + 1) & self.mask
            if self.places[other].count == 0:
                break
            if ((other - self._home(self.places[other].address)) & self.mask) >= ((other - place) & self.mask):
                self.places[place] = self.places[other]
                place = other
        self.places[place].count = 0
        self.used -= 1
