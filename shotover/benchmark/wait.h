/* Waiting for sockets, and the clock: the only part of the load generator that asks the operating system for more than
 * send and recv. epoll on Linux, poll() everywhere else (and on Linux when asked, so that the fallback is tested).
 *
 * Level-triggered in both: a socket that still holds bytes is reported again. A socket is named by its place in the
 * generator's table of connections, which is also its place in the table of poll().
 */
#ifndef SHOTOVER_BENCHMARK_WAIT_H
#define SHOTOVER_BENCHMARK_WAIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

enum { WAIT_READ = 1, WAIT_WRITE = 2 };
enum { WAIT_TURN_MAX = 512 };             /* sockets reported by one wait_next */

typedef struct {
    uint32_t index;                       /* the connection's place in the table */
    uint32_t ready;                       /* WAIT_READ | WAIT_WRITE; errors and hang-ups count as WAIT_READ */
} wait_event_t;

typedef struct {
    int epoll_fd;                         /* -1: poll() is used */
    int has_pwait2;                       /* epoll_pwait2 exists: time-outs in nanoseconds */
    uint32_t capacity;
    uint32_t cursor;                      /* poll(): where the next look at the table begins, so that none starves */
    struct pollfd *table;                 /* poll(): one entry a connection */
    wait_event_t events[WAIT_TURN_MAX];   /* what the last wait_next found */
} wait_t;

static inline uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* CPU time of the calling thread, for the generator's own cost a request. */
static inline uint64_t thread_cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* Returns 0 or -errno. */
static int wait_open(wait_t *w, uint32_t capacity, int use_poll) {
    w->epoll_fd = -1;
    w->has_pwait2 = 0;
    w->capacity = capacity;
    w->cursor = 0;
    w->table = NULL;
#if defined(__linux__)
    if (!use_poll) {
        w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
#ifdef SYS_epoll_pwait2
        w->has_pwait2 = 1;
#endif
        return w->epoll_fd < 0 ? -errno : 0;
    }
#else
    (void)use_poll;
#endif
    w->table = (struct pollfd *)calloc(capacity, sizeof(struct pollfd));
    if (w->table == NULL) return -ENOMEM;
    for (uint32_t i = 0; i < capacity; i++) w->table[i].fd = -1;
    return 0;
}

static void wait_close(wait_t *w) {
    if (w->epoll_fd > 0) close(w->epoll_fd);   /* 0: never opened */
    free(w->table);
    w->epoll_fd = -1;
    w->table = NULL;
}

/* Watch fd for `interest` (WAIT_*; 0 = no longer); `was` is what it was watched for before. Returns 0 or -errno. */
static int wait_set(wait_t *w, int fd, uint32_t index, uint32_t was, uint32_t interest) {
    if (w->table != NULL) {
        w->table[index].fd = interest ? fd : -1;
        w->table[index].events = (short)((interest & WAIT_READ ? POLLIN : 0) | (interest & WAIT_WRITE ? POLLOUT : 0));
        return 0;
    }
#if defined(__linux__)
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = (interest & WAIT_READ ? EPOLLIN : 0) | (interest & WAIT_WRITE ? EPOLLOUT : 0);
    event.data.u32 = index;
    int verb = interest == 0 ? EPOLL_CTL_DEL : was == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    return epoll_ctl(w->epoll_fd, verb, fd, &event) < 0 ? -errno : 0;
#else
    (void)was;
    return -ENOSYS;
#endif
}

static int wait_next_poll(wait_t *w, uint64_t timeout_ns) {
#if defined(__linux__)
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000ull), (long)(timeout_ns % 1000000000ull)};
    int left = ppoll(w->table, w->capacity, &timeout, NULL);
#else
    int left = poll(w->table, w->capacity, (int)(timeout_ns / 1000000ull));  /* rounds down: spins the last millisecond */
#endif
    int count = 0;
    uint32_t start = w->cursor;
    if (left < 0) return errno == EINTR ? 0 : -errno;
    for (uint32_t step = 0; step < w->capacity && left > 0 && count < WAIT_TURN_MAX; step++) {
        uint32_t i = start + step < w->capacity ? start + step : start + step - w->capacity;
        short found = w->table[i].fd < 0 ? 0 : w->table[i].revents;
        if (found == 0) continue;
        left--;
        w->events[count].index = i;
        w->events[count].ready = (found & ~POLLOUT ? WAIT_READ : 0) | (found & POLLOUT ? WAIT_WRITE : 0);
        count++;
        w->cursor = i + 1 < w->capacity ? i + 1 : 0;
    }
    return count;
}

/* Waits at most timeout_ns; fills w->events. Returns how many, 0 on time-out or a signal, or -errno. */
static int wait_next(wait_t *w, uint64_t timeout_ns) {
    if (w->table != NULL) return wait_next_poll(w, timeout_ns);
#if defined(__linux__)
    struct epoll_event found[WAIT_TURN_MAX];
    int count = -1;
#ifdef SYS_epoll_pwait2
    if (w->has_pwait2) {
        struct timespec timeout = {(time_t)(timeout_ns / 1000000000ull), (long)(timeout_ns % 1000000000ull)};
        count = (int)syscall(SYS_epoll_pwait2, w->epoll_fd, found, WAIT_TURN_MAX, &timeout, NULL, 0);
        if (count < 0 && (errno == ENOSYS || errno == EPERM)) w->has_pwait2 = 0;  /* old kernel or a sandbox */
    }
#endif
    if (!w->has_pwait2) count = epoll_wait(w->epoll_fd, found, WAIT_TURN_MAX, (int)(timeout_ns / 1000000ull));
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        uint32_t bits = found[i].events;
        w->events[i].index = found[i].data.u32;
        w->events[i].ready = (bits & ~(uint32_t)EPOLLOUT ? WAIT_READ : 0) | (bits & EPOLLOUT ? WAIT_WRITE : 0);
    }
    return count;
#else
    return -ENOSYS;
#endif
}

/* A connection that a listening socket has for us, non-blocking and without delays, or -1. */
static int wait_accept(int listener) {
    int fd = accept(listener, NULL, NULL), yes = 1;
    if (fd < 0) return -1;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

/* Wake this thread as close to the time asked for as the kernel can (Linux adds 50 us of slack by default).
 * Returns the slack that was in force, to be given back afterwards. */
static long wait_slack(long slack_ns) {
#if defined(__linux__)
    long before = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    prctl(PR_SET_TIMERSLACK, slack_ns, 0, 0, 0);
    return before > 0 ? before : 50000;
#else
    (void)slack_ns;
    return 0;
#endif
}

#endif
