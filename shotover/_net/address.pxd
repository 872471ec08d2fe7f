from libc.stdint cimport uint8_t

cdef extern from "shotover/_net/socket.h" nogil:
    int socket_literal(const char *host, int port, void *out, size_t room, int *family)
