"""AddressLimit: how many connections clients have by address, for all workers of a source together.

An address is in the table only while it has a connection. So the table is never larger than the connections make it, however
many addresses there are to come from.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._net.peer cimport peer_t


cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass


cdef struct place_t:
    uint8_t  address[16]        # IPv6: its prefix, the rest zero
    uint32_t count              # 0: the place is empty

cdef class AddressLimit:
    cdef:
        readonly uint32_t limit         # connections of one address
        readonly uint32_t prefix        # of an IPv6 address: bits that make one
        pthread_mutex_t lock
        place_t   *places               # linear probing; at most half of them are taken
        size_t     mask
        size_t     used
        uint64_t   seed                 # or addresses could be chosen that all want one place

    cdef bint enter(self, const peer_t *peer) noexcept nogil
    cdef void leave(self, const peer_t *peer) noexcept nogil
    cdef size_t _home(self, const uint8_t *address) noexcept nogil
    cdef size_t _find(self, const uint8_t *address) noexcept nogil
    cdef void _key(self, const peer_t *peer, uint8_t *address) noexcept nogil
    cdef bint _enter(self, const uint8_t *address) noexcept nogil
    cdef bint _grow(self) noexcept nogil
    cdef void _remove(self, size_t place) noexcept nogil
