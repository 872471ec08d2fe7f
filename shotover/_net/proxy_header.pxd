"""The header of the PROXY protocol (versions 1 and 2), written: by it a server is told whose connection it gets.

How such a header is read: proxied.pxd.
"""

from libc.stdint cimport uint8_t, uint32_t

from shotover._net.peer cimport peer_t


cdef enum:
    PROXY_HEADER_MAX = 128      # room for what proxy_header writes


cdef size_t proxy_header(uint8_t *out, uint8_t version, bint checksum, const peer_t *client, const peer_t *door) noexcept nogil
cdef uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t size) noexcept nogil
