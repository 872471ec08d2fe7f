"""Addresses as the kernel wants them. For the control plane."""

from libc.stdint cimport uint8_t

cdef extern from "shotover/_net/socket.h" nogil:
    int socket_resolve(const char *host, int port, const char *path, void *out, size_t room, const char **why)
    void socket_name(const void *address, char *out, size_t room)
    void socket_name_of(int fd, int peer, char *out, size_t room)


def resolve(str host, int port, str path):
    """(family, bytes of the sockaddr) of a TCP address or a UNIX path. OSError says why there is none."""
    cdef:
        uint8_t out[128]
        const char *why = b""
        bytes host_bytes = host.encode("idna") if host and not host.isascii() else host.encode()
        bytes path_bytes = path.encode()
        const char *host_at = host_bytes
        const char *path_at = path_bytes
        int size
    with nogil:
        size = socket_resolve(host_at, port, path_at if path_at[0] else NULL, out, sizeof(out), &why)
    if size < 0:
        raise OSError(0, f"cannot resolve {host or path}: {(<bytes>why).decode()}")
    return (<unsigned short *>out)[0] & 0xffff, out[:size]


def name_of(int fd, bint peer=False):
    """"host:port" of a socket's own (or its peer's) address; empty when it has none."""
    cdef char out[256]
    socket_name_of(fd, peer, out, sizeof(out))
    return (<bytes>out).decode("utf-8", "replace")
