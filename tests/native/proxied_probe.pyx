"""See proxied_probe.pxd."""

from libc.string cimport memset

from fuzz_probe cimport Exact

from shotover._net.proxied cimport FRAME_MAX, LINE_MAX, header_read, header_t

LINE_BYTES_MAX = LINE_MAX
FRAME_BYTES_MAX = FRAME_MAX


def header(bytes data not None):
    """(size or HEADER_*, version, family, address, port, why) of the header at the beginning."""
    cdef:
        Exact    exact = Exact(data)
        header_t found
        long     size
    memset(&found, 0xff, sizeof(found))
    size = header_read(&found, exact.at, <size_t>(exact.end - exact.at))
    return (
        size, found.version, found.peer.family, (<char *>found.peer.address)[:16], found.peer.port,
        None if found.why is NULL else found.why.decode(),
    )
