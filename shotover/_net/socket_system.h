/* The system's sockets and chance, as the table of poller.h wants them. */
#ifndef SHOTOVER_SOCKET_SYSTEM_H
#define SHOTOVER_SOCKET_SYSTEM_H
#include "poller.h"
#include "socket.h"
#include <time.h>

static int system_open(poller_t *p, int family) {
    (void)p;
    return socket_open(family);
}

static int system_listen(poller_t *p, const struct sockaddr *address, socklen_t size, int backlog, int shared) {
    (void)p;
    return socket_listen(address, size, backlog, shared);
}

static void system_tune(poller_t *p, int fd, int family) {
    (void)p;
    socket_tune(fd, family);
}

static void system_close(poller_t *p, int fd) {
    (void)p;
    close(fd);
}

static void system_name(poller_t *p, int fd, int peer, char *out, size_t room) {
    (void)p;
    socket_name_of(fd, peer, out, room);
}

/* Different in each process and for each poller is enough: it only spreads retries. */
static uint64_t system_chance(poller_t *p) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    uint64_t x = ((uint64_t)at.tv_sec << 30 ^ (uint64_t)at.tv_nsec) + ((uint64_t)getpid() << 40) + (uint64_t)(uintptr_t)p;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static const system_ops_t socket_system __attribute__((unused)) = {
    system_open, system_listen, system_tune, system_close, system_name, system_chance,
};
#endif
