/* kqueue (macOS, the BSDs), over poller_ready.h: only how the kernel is asked.
 *
 * Read and write filters with EV_CLEAR are added once, which makes them edge-triggered; EVFILT_USER is the wake-up. A
 * closed fd takes its filters along, in this process alone, so there is nothing to undo when a handle is dropped.
 */
#ifndef SHOTOVER_POLLER_KQUEUE_H
#define SHOTOVER_POLLER_KQUEUE_H

#include "poller_ready.h"
#include <sys/event.h>

enum { KQUEUE_EVENTS_PER_TURN = 256 };

typedef struct {
    ready_t ready;
    struct kevent events[KQUEUE_EVENTS_PER_TURN];
} kqueue_t;

static int kqueue_change(ready_t *r, struct kevent *changes, int count)
{
    const struct timespec at_once = { 0, 0 };
    int got;

    do
        got = kevent(r->fd, changes, count, NULL, 0, &at_once);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : 0;
}

static int kqueue_watch(ready_t *r, handle_t *h)
{
    struct kevent changes[2];

    EV_SET(&changes[0], (uintptr_t)h->fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, h);
    EV_SET(&changes[1], (uintptr_t)h->fd, EVFILT_WRITE, EV_ADD | EV_CLEAR, 0, 0, h);
    return kqueue_change(r, changes, h->kind == HANDLE_CONNECTION ? 2 : 1);
}

static void kqueue_unwatch(ready_t *r, handle_t *h)
{
    (void)r;
    (void)h;
}

static int kqueue_open(poller_t *p, const char **why)
{
    kqueue_t *k = (kqueue_t *)p;
    int status = ready_setup(&k->ready);
    struct kevent change;

    *why = "no memory for the read arena";
    if (status < 0)
        return status;
    *why = "kqueue failed";
    k->ready.fd = kqueue();
    if (k->ready.fd < 0)
        return -errno;
    fcntl(k->ready.fd, F_SETFD, FD_CLOEXEC);
    *why = "the wake-up event could not be added";
    EV_SET(&change, 0, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, &k->ready.waker);
    return kqueue_change(&k->ready, &change, 1);
}

static void kqueue_close(poller_t *p)
{
    ready_teardown((ready_t *)p);
}

/* The write filter's EV_EOF says that the peer is gone: a connect that failed, a reset. */
static int kqueue_bits(const struct kevent *event)
{
    int bits = event->filter == EVFILT_WRITE ? READY_OUTPUT : READY_INPUT;

    if (event->flags & EV_EOF)
        bits |= READY_INPUT | READY_HANGUP;
    return bits;
}

static int kqueue_turn(poller_t *p, int64_t timeout_ns)
{
    kqueue_t *k = (kqueue_t *)p;
    struct timespec at;
    int got, i;

    if (ready_begin(&k->ready))
        timeout_ns = 0;
    at.tv_sec = (time_t)(timeout_ns / 1000000000);
    at.tv_nsec = (long)(timeout_ns % 1000000000);
    p->syscalls++;
    got = kevent(k->ready.fd, NULL, 0, k->events, KQUEUE_EVENTS_PER_TURN, timeout_ns < 0 ? NULL : &at);
    if (got < 0)
        return errno == EINTR ? 0 : -errno;
    for (i = 0; i < got; i++)
        ready_mark(&k->ready, k->events[i].udata, kqueue_bits(&k->events[i]));
    return 0;
}

static void kqueue_wake(poller_t *p)
{
    kqueue_t *k = (kqueue_t *)p;
    struct kevent change;

    if (__atomic_exchange_n(&k->ready.woken, 1, __ATOMIC_SEQ_CST))
        return;
    EV_SET(&change, 0, EVFILT_USER, 0, NOTE_TRIGGER, 0, &k->ready.waker);
    kqueue_change(&k->ready, &change, 1);
}

static const poller_ops_t kqueue_ops = {
    "kqueue", kqueue_open, kqueue_close, ready_add, ready_connect, ready_drop, ready_want, ready_send, kqueue_turn, ready_next,
    ready_release, ready_now, kqueue_wake,
};

static poller_t *poller_new_kqueue(void)
{
    kqueue_t *k = calloc(1, sizeof *k);

    if (k == NULL)
        return NULL;
    k->ready.base.ops = &kqueue_ops;
    k->ready.fd = -1;
    k->ready.watch = kqueue_watch;
    k->ready.unwatch = kqueue_unwatch;
    return &k->ready.base;
}

#endif
