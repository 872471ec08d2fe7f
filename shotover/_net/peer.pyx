"""See peer.pxd."""

from libc.stdio cimport snprintf
from libc.stdlib cimport atoi
from libc.string cimport memcmp, memcpy, memset, strrchr

cdef extern from "<arpa/inet.h>" nogil:
    int inet_pton(int family, const char *text, void *out)
    const char *inet_ntop(int family, const void *address, char *out, uint32_t room)

cdef extern from "<sys/socket.h>" nogil:
    int AF_INET
    int AF_INET6

cdef enum:
    HOST_MAX = 64


cdef void peer_parse(peer_t *peer, const char *name) noexcept nogil:
    """From what system_ops_t.name gives: "a.b.c.d:port" or "[v6]:port"; PEER_NONE for anything else."""
    cdef:
        char        host[HOST_MAX]
        const char *colon = strrchr(name, b':')
        size_t      size
        bint        v6 = name[0] == b'['
    memset(peer, 0, sizeof(peer_t))
    if colon is NULL:
        return
    size = <size_t>(colon - name)
    if v6:
        name += 1
        size = size - 2 if size >= 2 else 0
    if size == 0 or size >= HOST_MAX:
        return
    memcpy(host, name, size)
    host[size] = 0
    if v6 and inet_pton(AF_INET6, host, peer.address) == 1:
        peer.family = PEER_IPV6
    elif not v6 and inet_pton(AF_INET, host, peer.address + 12) == 1:
        peer.address[10] = 0xff
        peer.address[11] = 0xff
        peer.family = PEER_IPV4
    else:
        return
    peer.port = <uint16_t>atoi(colon + 1)


cdef void peer_name(const peer_t *peer, char *out, size_t room) noexcept nogil:
    """"a.b.c.d:port" or "[v6]:port" for people; empty for PEER_NONE."""
    cdef char host[HOST_MAX]
    host[0] = 0
    out[0] = 0
    if peer.family == PEER_IPV4:
        inet_ntop(AF_INET, peer.address + 12, host, HOST_MAX)
        snprintf(out, room, b"%s:%d", host, <int>peer.port)
    elif peer.family == PEER_IPV6:
        inet_ntop(AF_INET6, peer.address, host, HOST_MAX)
        snprintf(out, room, b"[%s]:%d", host, <int>peer.port)


cdef bint peer_in(const peer_t *peer, const network_t *network) noexcept nogil:
    cdef:
        uint32_t whole = network.bits // 8
        uint32_t rest = network.bits % 8
    if peer.family == PEER_NONE or memcmp(peer.address, network.address, whole) != 0:
        return False
    return rest == 0 or (peer.address[whole] ^ network.address[whole]) >> (8 - rest) == 0


cdef int network_fill(network_t *network, bytes packed, uint32_t bits) except -1:
    """From the configuration's Network: an address of 16 bytes and the bits of it that count."""
    if len(packed) != 16 or bits > 128:
        raise ValueError("a network is 16 bytes and a prefix of at most 128 bits")
    memcpy(network.address, <const char *>packed, 16)
    network.bits = bits
    return 0
