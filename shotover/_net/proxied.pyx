"""See proxied.pxd. The format: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt"""

from libc.errno cimport ENOMEM
from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcmp, memcpy, memset

from shotover._core.debug cimport unlikely
from shotover._core.memory cimport slab_close, slab_give, slab_init, slab_take
from shotover._net.loop cimport (
    CLOSE_LOCAL,
    layer_ops_t,
    stash_drop,
    stash_join,
    stash_keep,
    stream_close,
)
from shotover._net.peer cimport PEER_IPV4, PEER_IPV6, PEER_NONE, network_fill, peer_in
from shotover._net.proxy_header cimport crc32c

cdef extern from "<arpa/inet.h>" nogil:
    int inet_pton(int family, const char *text, void *out)

cdef extern from "<sys/socket.h>" nogil:
    int AF_INET
    int AF_INET6

cdef enum:
    HEAD_SIZE = 16              # version 2: signature, version and command, family, length
    SIGNATURE_SIZE = 12
    FIELDS_MAX = 6              # version 1: PROXY TCP4 source destination port port
    TLV_CRC32C = 3

cdef const uint8_t *SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
cdef const char *MAPPED = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"


# ---- the header -----------------------------------------------------------------------------------------------------

cdef long header_read(header_t *header, const uint8_t *data, size_t size) noexcept nogil:
    """The size of the header at `data`, and what it says; or one of HEADER_*. At most FRAME_MAX bytes are looked at."""
    memset(header, 0, sizeof(header_t))
    if size == 0:
        return HEADER_MORE
    if memcmp(data, SIGNATURE, min(size, <size_t>SIGNATURE_SIZE)) == 0:
        return HEADER_MORE if size < HEAD_SIZE else _read_frame(header, data, size)
    if memcmp(data, b"PROXY ", min(size, <size_t>6)) == 0:
        return HEADER_MORE if size < 6 else _read_line(header, data, size)
    return HEADER_NONE


cdef inline long _bad(header_t *header, const char *why) noexcept nogil:
    header.why = why
    return HEADER_BAD


cdef long _read_line(header_t *header, const uint8_t *data, size_t size) noexcept nogil:
    """Version 1: PROXY TCP4 source destination port port, or PROXY UNKNOWN and anything."""
    cdef:
        char           line[LINE_MAX + 1]
        char          *fields[FIELDS_MAX]
        size_t         length, index
        int            count = 0
        const uint8_t *end = <const uint8_t *>memchr(data, b'\n', min(size, <size_t>LINE_MAX))
    if end is NULL:
        return HEADER_MORE if size < LINE_MAX else _bad(header, b"PROXY protocol: the line is too long")
    length = <size_t>(end - data)
    if data[length - 1] != b'\r' or memchr(data, 0, length) is not NULL:
        return _bad(header, b"PROXY protocol: the line is not well formed")
    memcpy(line, data, length)
    line[length - 1] = 0
    header.version = 1
    if length >= 14 and memcmp(line + 6, b"UNKNOWN", 7) == 0 and (line[13] == b' ' or line[13] == 0):
        return <long>length + 1
    fields[0] = line
    for index in range(length - 1):
        if line[index] == b' ':
            line[index] = 0
            count += 1
            if count == FIELDS_MAX:
                break
            fields[count] = line + index + 1
    if count != FIELDS_MAX - 1 or not _read_fields(&header.peer, fields):
        return _bad(header, b"PROXY protocol: the line names no two addresses and ports")
    return <long>length + 1


cdef bint _read_fields(peer_t *peer, char **fields) noexcept nogil:
    cdef:
        uint8_t  address[16]
        uint16_t port
        bint     v6 = memcmp(fields[1], b"TCP6", 5) == 0
    if not v6 and memcmp(fields[1], b"TCP4", 5) != 0:
        return False
    if not _port(fields[5], &port) or not _port(fields[4], &port):
        return False
    peer.port = port
    if inet_pton(AF_INET6 if v6 else AF_INET, fields[3], address) != 1 \
            or inet_pton(AF_INET6 if v6 else AF_INET, fields[2], address) != 1:
        return False
    _set_address(peer, address, v6)
    return True


cdef bint _port(const char *text, uint16_t *port) noexcept nogil:
    cdef uint32_t value = 0, digits = 0
    while digits < 6 and text[digits] >= 48 and text[digits] <= 57:
        value = 10 * value + <uint32_t>(text[digits] - 48)
        digits += 1
    port[0] = <uint16_t>value
    return text[digits] == 0 and 0 < digits < 6 and value <= 65535 and (digits == 1 or text[0] != 48)


cdef void _set_address(peer_t *peer, const uint8_t *address, bint v6) noexcept nogil:
    """IPv4 has one form only, also where it is written as IPv6."""
    memset(peer.address, 0, 16)
    if v6:
        memcpy(peer.address, address, 16)
        peer.family = PEER_IPV4 if memcmp(address, MAPPED, 12) == 0 else PEER_IPV6
    else:
        memcpy(peer.address, MAPPED, 12)
        memcpy(peer.address + 12, address, 4)
        peer.family = PEER_IPV4


cdef long _read_frame(header_t *header, const uint8_t *data, size_t size) noexcept nogil:
    """Version 2. What it says of other families than IP over TCP, and all of LOCAL, is skipped."""
    cdef:
        size_t length = HEAD_SIZE + (<size_t>data[14] << 8 | data[15])
        size_t addresses = 0
    if data[12] != 0x20 and data[12] != 0x21:
        return _bad(header, b"PROXY protocol: an unknown version or command")
    if length > FRAME_MAX:
        return _bad(header, b"PROXY protocol: the header is longer than 4096 bytes")
    if size < length:
        return HEADER_MORE
    header.version = 2
    if data[12] == 0x20:
        return <long>length             # a connection of the proxy's own
    if data[13] == 0x11:
        addresses = 12
    elif data[13] == 0x21:
        addresses = 36
    else:
        return <long>length
    if length < HEAD_SIZE + addresses:
        return _bad(header, b"PROXY protocol: the header is too short for its addresses")
    if not _tlvs_hold(data, HEAD_SIZE + addresses, length):
        return _bad(header, b"PROXY protocol: the header is damaged")
    _set_address(&header.peer, data + HEAD_SIZE, addresses == 36)
    header.peer.port = <uint16_t>(data[HEAD_SIZE + addresses - 4] << 8 | data[HEAD_SIZE + addresses - 3])
    return <long>length


cdef bint _tlvs_hold(const uint8_t *data, size_t at, size_t end) noexcept nogil:
    """They fill the rest exactly, and the checksum among them, if there is one, is right."""
    cdef size_t size
    while at < end:
        if end - at < 3:
            return False
        size = <size_t>data[at + 1] << 8 | data[at + 2]
        if end - at - 3 < size:
            return False
        if data[at] == TLV_CRC32C and (size != 4 or not _checksum_holds(data, at + 3, end)):
            return False
        at += 3 + size
    return True


cdef bint _checksum_holds(const uint8_t *data, size_t at, size_t end) noexcept nogil:
    """CRC32c of the whole header, its own four bytes taken for zero."""
    cdef:
        uint8_t  zeros[4]
        uint32_t crc
        uint32_t said = <uint32_t>data[at] << 24 | <uint32_t>data[at + 1] << 16 | <uint32_t>data[at + 2] << 8 | data[at + 3]
    memset(zeros, 0, sizeof(zeros))
    crc = crc32c(~<uint32_t>0, data, at)
    crc = crc32c(crc, zeros, sizeof(zeros))
    crc = crc32c(crc, data + at + 4, end - at - 4)
    return said == ~crc


# ---- the layer ------------------------------------------------------------------------------------------------------

cdef void _on_data(stream_t *stream, uint8_t *data, size_t size) noexcept nogil:
    cdef proxied_t *proxied = <proxied_t *>stream.layer
    (<ProxiedSide>proxied.side)._read(proxied, data, size)


cdef void _on_eof(stream_t *stream) noexcept nogil:
    """Nothing at all came: somebody looked whether we are there, which is no fault."""
    cdef proxied_t *proxied = <proxied_t *>stream.layer
    if stream.stash is NULL:
        stream_close(stream, CLOSE_LOCAL)
    else:
        (<ProxiedSide>proxied.side).refuse(stream, REFUSED_HEADER, b"PROXY protocol: the connection has ended in the header")


cdef void _on_connected(stream_t *_stream) noexcept nogil:
    pass                                    # it was accepted


cdef void _on_drained(stream_t *stream) noexcept nogil:
    (<proxied_t *>stream.layer).owner.on_drained(stream)


cdef void _on_close(stream_t *stream, int error) noexcept nogil:
    (<proxied_t *>stream.layer).owner.on_close(stream, error)


cdef void _on_free(stream_t *_stream) noexcept nogil:
    pass                                    # _free has put the owner's back


cdef bint _seal(stream_t *_stream) noexcept nogil:
    return True                             # what the owner has written waits, it may have to become TLS


cdef void _closing(stream_t *_stream) noexcept nogil:
    pass


cdef void _free(stream_t *stream) noexcept nogil:
    cdef proxied_t *proxied = <proxied_t *>stream.layer
    stream.ops = proxied.owner
    stream.layer = NULL
    (<ProxiedSide>proxied.side)._forget(proxied)


cdef void _on_timer(timer_t *timer) noexcept nogil:
    cdef proxied_t *proxied = <proxied_t *>timer.owner
    (<ProxiedSide>proxied.side)._expire(proxied)


cdef stream_ops_t PROXIED_OPS
PROXIED_OPS.on_data = _on_data
PROXIED_OPS.on_eof = _on_eof
PROXIED_OPS.on_connected = _on_connected
PROXIED_OPS.on_drained = _on_drained
PROXIED_OPS.on_close = _on_close
PROXIED_OPS.on_free = _on_free

cdef layer_ops_t LAYER_OPS
LAYER_OPS.seal = _seal
LAYER_OPS.closing = _closing
LAYER_OPS.free = _free


cdef class ProxiedSide:

    def __init__(self, Loop loop, networks, bint required, double timeout):
        """`networks`: (address, bits) of those who are trusted."""
        self.loop = loop
        self.required = required
        self.timeout_ns = <uint64_t>(timeout * 1e9)
        slab_init(&self.states, sizeof(proxied_t))
        self.networks = <network_t *>calloc(len(networks) or 1, sizeof(network_t))
        if self.networks is NULL:
            raise MemoryError()
        for packed, bits in networks:
            network_fill(&self.networks[self.network_count], packed, bits)
            self.network_count += 1

    def __dealloc__(self):
        free(self.networks)
        slab_close(&self.states)

    cdef bint trusts(self, const peer_t *peer) noexcept nogil:
        """Whether this end of a socket may speak for others. Who may open a UNIX socket is said by its permissions."""
        cdef size_t index
        if peer.family == PEER_NONE:
            return True
        for index in range(self.network_count):
            if peer_in(peer, &self.networks[index]):
                return True
        return False

    cdef int begin(self, stream_t *stream) noexcept nogil:
        """After Loop.attach: a header is awaited. 0, or -ENOMEM: the stream is as it was."""
        cdef proxied_t *proxied = <proxied_t *>slab_take(&self.states)
        if proxied is NULL:
            return -ENOMEM
        memset(proxied, 0, sizeof(proxied_t))
        proxied.layer.ops = &LAYER_OPS
        proxied.stream = stream
        proxied.owner = stream.ops
        proxied.side = <void *>self
        proxied.timer.fire = _on_timer
        proxied.timer.owner = proxied
        self.loop.set_timer(&proxied.timer, self.timeout_ns)
        self.waiting += 1
        stream.layer = &proxied.layer
        stream.ops = &PROXIED_OPS
        return 0

    cdef void refuse(self, stream_t *stream, int reason, const char *why) noexcept nogil:
        self.refused[reason] += 1
        stream_close(stream, CLOSE_LOCAL)
        self.on_refused(self.owner, why)

    cdef void _read(self, proxied_t *proxied, uint8_t *data, size_t size) noexcept nogil:
        """The stash has what came of the header before; what is behind it is handed on from where it lies."""
        cdef:
            stream_t *stream = proxied.stream
            header_t  header
            size_t    before = 0, room = 0
            uint8_t  *end
            uint8_t  *at
            uint8_t  *kept = NULL
            long      result
        if stream.stash is not NULL:
            before = stream.stash.end - stream.stash.start
        at = stash_join(stream, data, min(size, <size_t>FRAME_MAX), &end)
        if unlikely(at is NULL):
            stream_close(stream, ENOMEM)
            return
        result = header_read(&header, at, <size_t>(end - at))
        if result == HEADER_NONE and self.required:
            result = HEADER_BAD
            header.why = b"PROXY protocol: there is no header"
        if result == HEADER_BAD:
            self.refuse(stream, REFUSED_HEADER, header.why)
            return
        if result == HEADER_MORE:
            if unlikely(not stash_keep(stream, at, end, 0)):
                stream_close(stream, ENOMEM)
            return
        if result == HEADER_NONE:
            if before:                      # it began like one
                kept = self.loop.lend(before, &room)
                if unlikely(kept is NULL):
                    stream_close(stream, ENOMEM)
                    return
                memcpy(kept, at, before)
                self.loop.lent_used += before
            self._let_go(proxied, NULL)
            if before and not stream.closed:
                stream.ops.on_data(stream, kept, before)
        else:
            self.headers[header.version if header.peer.family != PEER_NONE else 0] += 1
            data += <size_t>result - before
            size -= <size_t>result - before
            self._let_go(proxied, &header.peer if header.peer.family != PEER_NONE else NULL)
        if size and not stream.closed:
            stream.ops.on_data(stream, data, size)

    cdef void _forget(self, proxied_t *proxied) noexcept nogil:
        self.loop.cancel_timer(&proxied.timer)
        self.waiting -= 1
        slab_give(&self.states, proxied)

    cdef void _let_go(self, proxied_t *proxied, const peer_t *peer) noexcept nogil:
        """The layer leaves. `proxied` is no more."""
        cdef stream_t *stream = proxied.stream
        stash_drop(stream)
        _free(stream)
        self.on_known(self.owner, stream, peer)
        if stream.out_size and not stream.dirty and not stream.blocked and not stream.closed:
            self.loop._mark_dirty(stream)

    cdef void _expire(self, proxied_t *proxied) noexcept nogil:
        """Where a header is not required, a client that has said nothing yet is let in as it is."""
        if self.required or proxied.stream.stash is not NULL:
            self.refuse(proxied.stream, REFUSED_TIMEOUT, b"PROXY protocol: no header came in time (proxy_protocol.timeout)")
        else:
            self._let_go(proxied, NULL)

    def samples(self, dict labels):
        refused = ("proxy_protocol_header", "proxy_protocol_timeout", "proxy_protocol_untrusted")
        return [
            ("shotover_proxy_protocol_headers_count", labels | {"header": header}, "counter", self.headers[index])
            for index, header in enumerate(("unknown", "v1", "v2"))
        ] + [
            ("shotover_refusals_count", labels | {"reason": reason}, "counter", self.refused[index])
            for index, reason in enumerate(refused)
        ]
