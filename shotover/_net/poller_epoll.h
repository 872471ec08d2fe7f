/* epoll, over poller_ready.h.
 *
 * One EPOLL_CTL_ADD for a handle's whole life, edge-triggered for everything, never a MOD. Time-outs are nanoseconds where
 * the kernel has epoll_pwait2 (5.11), else milliseconds rounded up: a timer may come late by one, never early.
 *
 * The wake is an eventfd that is never read: each write is an edge of its own.
 */
#ifndef SHOTOVER_POLLER_EPOLL_H
#define SHOTOVER_POLLER_EPOLL_H

#include "poller_ready.h"
#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441    /* the same number on every architecture */
#endif

enum { EPOLL_EVENTS_PER_TURN = 256 };

typedef struct {
    ready_t ready;
    int wake_fd;
    int coarse;           /* the kernel has no epoll_pwait2 */
    struct epoll_event events[EPOLL_EVENTS_PER_TURN];
} epoll_t;

static int epoll_watch(ready_t *r, handle_t *h)
{
    struct epoll_event event;

    memset(&event, 0, sizeof event);
    event.data.ptr = h;
    event.events = EPOLLIN | EPOLLET;
    if (h->kind == HANDLE_CONNECTION)
        event.events |= EPOLLOUT | EPOLLRDHUP;
    return epoll_ctl(r->fd, EPOLL_CTL_ADD, h->fd, &event) < 0 ? -errno : 0;
}

static void epoll_unwatch(ready_t *r, handle_t *h)
{
    struct epoll_event unused;

    memset(&unused, 0, sizeof unused);
    epoll_ctl(r->fd, EPOLL_CTL_DEL, h->fd, &unused);
}

static int epoll_open(poller_t *p, const char **why)
{
    epoll_t *e = (epoll_t *)p;
    int status = ready_setup(&e->ready);

    *why = "no memory for the read arena";
    if (status < 0)
        return status;
    *why = "epoll_create1 failed";
    e->ready.fd = epoll_create1(EPOLL_CLOEXEC);
    if (e->ready.fd < 0)
        return -errno;
    *why = "eventfd failed";
    e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (e->wake_fd < 0)
        return -errno;
    *why = "the wake-up's eventfd could not be watched";
    e->ready.waker.fd = e->wake_fd;
    return epoll_watch(&e->ready, &e->ready.waker);
}

static void epoll_close(poller_t *p)
{
    epoll_t *e = (epoll_t *)p;

    if (e->wake_fd >= 0)
        close(e->wake_fd);
    ready_teardown(&e->ready);
}

/* As epoll_wait; -1 and errno on failure. */
static int epoll_ask(epoll_t *e, int64_t timeout_ns)
{
    int64_t at[2];        /* struct __kernel_timespec */
    int got, timeout_ms;

    if (timeout_ns > 0 && !e->coarse) {
        at[0] = timeout_ns / 1000000000;
        at[1] = timeout_ns % 1000000000;
        got = (int)syscall(SYS_epoll_pwait2, e->ready.fd, e->events, EPOLL_EVENTS_PER_TURN, at, NULL, (size_t)0);
        if (got >= 0 || (errno != ENOSYS && errno != EPERM))
            return got;
        e->coarse = 1;
    }
    if (timeout_ns > (int64_t)INT_MAX * 1000000)
        timeout_ns = (int64_t)INT_MAX * 1000000;
    timeout_ms = timeout_ns < 0 ? -1 : (int)((timeout_ns + 999999) / 1000000);
    return epoll_wait(e->ready.fd, e->events, EPOLL_EVENTS_PER_TURN, timeout_ms);
}

static int epoll_bits(uint32_t said)
{
    int bits = 0;

    if (said & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        bits |= READY_INPUT;
    if (said & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        bits |= READY_OUTPUT;
    if (said & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        bits |= READY_HANGUP;
    return bits;
}

static int epoll_turn(poller_t *p, int64_t timeout_ns)
{
    epoll_t *e = (epoll_t *)p;
    int got, i;

    if (ready_begin(&e->ready))
        timeout_ns = 0;
    p->syscalls++;
    got = epoll_ask(e, timeout_ns);
    if (got < 0)
        return errno == EINTR ? 0 : -errno;
    for (i = 0; i < got; i++)
        ready_mark(&e->ready, e->events[i].data.ptr, epoll_bits(e->events[i].events));
    return 0;
}

static void epoll_wake(poller_t *p)
{
    epoll_t *e = (epoll_t *)p;
    const uint64_t one = 1;
    ssize_t written;

    if (__atomic_exchange_n(&e->ready.woken, 1, __ATOMIC_SEQ_CST))
        return;
    do
        written = write(e->wake_fd, &one, sizeof one);    /* fails only at 2^64 - 1 wakes */
    while (written < 0 && errno == EINTR);
}

static const poller_ops_t epoll_ops = {
    "epoll", epoll_open, epoll_close, ready_add, ready_connect, ready_drop, ready_want, ready_send, epoll_turn, ready_next,
    ready_release, ready_now, epoll_wake,
};

static poller_t *poller_new_epoll(void)
{
    epoll_t *e = calloc(1, sizeof *e);

    if (e == NULL)
        return NULL;
    e->ready.base.ops = &epoll_ops;
    e->ready.fd = e->wake_fd = -1;
    e->ready.watch = epoll_watch;
    e->ready.unwatch = epoll_unwatch;
    return &e->ready.base;
}

#endif
