/* Sockets as the control plane and the loop need them: listen and connect for TCP over IPv4 and IPv6 and for UNIX paths. */
#ifndef SHOTOVER_SOCKET_H
#define SHOTOVER_SOCKET_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static inline int socket_open(int family) {
#ifdef SOCK_NONBLOCK
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
#else
    int fd = socket(family, SOCK_STREAM, 0);
    if (fd >= 0) { fcntl(fd, F_SETFL, O_NONBLOCK); fcntl(fd, F_SETFD, FD_CLOEXEC); }
#endif
    return fd < 0 ? -errno : fd;
}

static inline void socket_tune(int fd, int family) {
    int one = 1;
    if (family == AF_INET || family == AF_INET6) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
#ifdef SO_NOSIGPIPE
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &one, sizeof one);
#endif
}

/* A listening socket, or -errno. Several workers listen on one address: the kernel spreads connections (SO_REUSEPORT). */
static inline int socket_listen(const void *bytes, socklen_t size, int backlog, int shared) {
    const struct sockaddr *address = bytes;
    int one = 1, fd = socket_open(address->sa_family);
    if (fd < 0) return fd;
    if (address->sa_family != AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
        if (address->sa_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    }
    if (bind(fd, address, size) || listen(fd, backlog)) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/* host (a name or a literal) and port, or a UNIX path (port 0, host NULL) to a sockaddr. Returns its size, or a negative
 * EAI_* code. May block for the resolver: for the control plane only. */
static inline int socket_resolve(const char *host, int port, const char *path, void *out, size_t room, const char **why) {
    if (path) {
        struct sockaddr_un address;
        memset(&address, 0, sizeof address);
        address.sun_family = AF_UNIX;
        if (strlen(path) >= sizeof address.sun_path || sizeof address > room) { *why = "path too long"; return -1; }
        strcpy(address.sun_path, path);
        memcpy(out, &address, sizeof address);
        return (int)sizeof address;
    }
    struct addrinfo hints, *found;
    char service[16];
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    snprintf(service, sizeof service, "%d", port);
    int error = getaddrinfo(host, service, &hints, &found);
    if (error) { *why = gai_strerror(error); return -1; }
    int size = (int)found->ai_addrlen;
    if ((size_t)size <= room) memcpy(out, found->ai_addr, size);
    freeaddrinfo(found);
    return size;
}

/* The sockaddr of an IP address as text, and its size; -1: it is none (nothing is looked up). */
static inline int socket_literal(const char *host, int port, void *out, size_t room, int *family) {
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    memset(&in, 0, sizeof in);
    memset(&in6, 0, sizeof in6);
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1 && sizeof in <= room) {
        in.sin_family = AF_INET;
        in.sin_port = htons((unsigned short)port);
        memcpy(out, &in, sizeof in);
        *family = AF_INET;
        return (int)sizeof in;
    }
    if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1 && sizeof in6 <= room) {
        in6.sin6_family = AF_INET6;
        in6.sin6_port = htons((unsigned short)port);
        memcpy(out, &in6, sizeof in6);
        *family = AF_INET6;
        return (int)sizeof in6;
    }
    return -1;
}

/* "host:port", "[host]:port" or "unix:path" of a sockaddr, for people. */
static inline void socket_name(const void *address, char *out, size_t room) {
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr *any = address;
    if (any->sa_family == AF_INET) {
        const struct sockaddr_in *in = address;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(out, room, "%s:%d", host, ntohs(in->sin_port));
    } else if (any->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = address;
        inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
        snprintf(out, room, "[%s]:%d", host, ntohs(in->sin6_port));
    } else {
        snprintf(out, room, "unix:%s", ((const struct sockaddr_un *)address)->sun_path);
    }
}

/* The peer's or our own address of a socket by name; empty when there is none. */
static inline void socket_name_of(int fd, int peer, char *out, size_t room) {
    union { struct sockaddr any; struct sockaddr_in6 in6; struct sockaddr_un un; } address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    out[0] = 0;
    if ((peer ? getpeername(fd, &address.any, &size) : getsockname(fd, &address.any, &size)) == 0)
        socket_name(&address, out, room);
}
#endif
