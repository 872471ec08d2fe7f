"""See proxy_header.pxd. The format: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt"""

from libc.stdint cimport uint16_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy, memset

from shotover._net.peer cimport PEER_IPV4, PEER_NONE

cdef extern from "<arpa/inet.h>" nogil:
    const char *inet_ntop(int family, const void *address, char *out, uint32_t room)

cdef extern from "<sys/socket.h>" nogil:
    int AF_INET
    int AF_INET6

cdef enum:
    SIGNATURE_SIZE = 12
    HEAD_SIZE = 16
    HOST_MAX = 48
    MAPPED_SIZE = 12            # of an IPv4 address, what stands before it in 16 bytes
    COMMAND_LOCAL = 0x20
    COMMAND_PROXY = 0x21
    OVER_IPV4 = 0x11            # TCP, both
    OVER_IPV6 = 0x21
    TLV_CRC32C = 3
    POLYNOMIAL = 0x82f63b78     # Castagnoli's, lowest bit first

cdef const uint8_t *SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


cdef size_t proxy_header(uint8_t *out, uint8_t version, bint checksum, const peer_t *client, const peer_t *door) noexcept nogil:
    """Writes it to `out`, PROXY_HEADER_MAX bytes, and returns its size. `client`: NULL for a connection of the proxy's own, which
    is said to be one, as is that of a client without an address. `door`: where it has come in, as far as that is known.

    Both ends are of one family there: where they are not, IPv4 is written as IPv6.
    """
    cdef bint narrow
    if client is NULL or client.family == PEER_NONE:
        if version == 2:
            return _frame(out, checksum, COMMAND_LOCAL, NULL, NULL, False)
        memcpy(out, b"PROXY UNKNOWN\r\n", 15)
        return 15
    narrow = client.family == PEER_IPV4 and (door.family == PEER_IPV4 or door.family == PEER_NONE)
    if version == 2:
        return _frame(out, checksum, COMMAND_PROXY, client, door, narrow)
    return _line(out, client, door, narrow)


cdef size_t _line(uint8_t *out, const peer_t *client, const peer_t *door, bint narrow) noexcept nogil:
    cdef:
        char   source[HOST_MAX]
        char   target[HOST_MAX]
        int    family = AF_INET if narrow else AF_INET6
        size_t skipped = MAPPED_SIZE if narrow else 0
        const char *kind = b"TCP6"
    if narrow:
        kind = b"TCP4"
    inet_ntop(family, client.address + skipped, source, HOST_MAX)
    inet_ntop(family, door.address + skipped, target, HOST_MAX)
    return <size_t>snprintf(<char *>out, PROXY_HEADER_MAX, b"PROXY %s %s %s %d %d\r\n",
                            kind, source, target, <int>client.port, <int>door.port)


cdef size_t _frame(uint8_t *out, bint checksum, uint8_t command, const peer_t *client, const peer_t *door,
                   bint narrow) noexcept nogil:
    cdef:
        size_t   size = HEAD_SIZE
        size_t   skipped = MAPPED_SIZE if narrow else 0
        uint32_t crc
    memcpy(out, SIGNATURE, SIGNATURE_SIZE)
    out[12] = command
    out[13] = 0
    if client is not NULL:
        out[13] = OVER_IPV4 if narrow else OVER_IPV6
        memcpy(out + size, client.address + skipped, 16 - skipped)
        size += 16 - skipped
        memcpy(out + size, door.address + skipped, 16 - skipped)
        size += 16 - skipped
        _put_short(out + size, client.port)
        _put_short(out + size + 2, door.port)
        size += 4
    if checksum:
        out[size] = TLV_CRC32C
        _put_short(out + size + 1, 4)
        memset(out + size + 3, 0, 4)
        size += 7
    _put_short(out + 14, <uint16_t>(size - HEAD_SIZE))
    if checksum:
        crc = ~crc32c(~<uint32_t>0, out, size)
        _put_short(out + size - 4, <uint16_t>(crc >> 16))
        _put_short(out + size - 2, <uint16_t>crc)
    return size


cdef inline void _put_short(uint8_t *out, uint16_t value) noexcept nogil:
    out[0] = <uint8_t>(value >> 8)
    out[1] = <uint8_t>value


cdef uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t size) noexcept nogil:
    """The register after `size` bytes more: it begins with all bits set, and what is said of it is its complement."""
    cdef:
        size_t   index
        uint32_t mask
        int      _bit
    for index in range(size):
        crc ^= data[index]
        for _bit in range(8):
            mask = 0 - (crc & 1)
            crc = crc >> 1 ^ (POLYNOMIAL & mask)
    return crc
