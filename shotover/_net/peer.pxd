"""peer_t: who is at the other end of a connection, and network_t: a range of such addresses.

Addresses have one form, 16 bytes, so that they are compared by memcmp: IPv4 stands in it as ::ffff:a.b.c.d.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef enum:                      # peer_t.family
    PEER_NONE = 0               # not known, or a UNIX socket: it is in no network
    PEER_IPV4 = 4
    PEER_IPV6 = 6

cdef enum:
    PEER_NAME_MAX = 64          # room for what peer_name writes

cdef struct peer_t:
    uint8_t  address[16]
    uint16_t port
    uint8_t  family             # PEER_*
    uint8_t  counted            # its owner's own: a connection of it is in an AddressLimit

cdef struct network_t:
    uint8_t  address[16]
    uint32_t bits               # of the prefix, 0 to 128


cdef void peer_parse(peer_t *peer, const char *name) noexcept nogil
cdef void peer_name(const peer_t *peer, char *out, size_t room) noexcept nogil
cdef bint peer_in(const peer_t *peer, const network_t *network) noexcept nogil
cdef int network_fill(network_t *network, bytes packed, uint32_t bits) except -1
