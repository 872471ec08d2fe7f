/* What the readiness back ends (epoll, kqueue) share: all but how the kernel is asked.
 *
 * The kernel tells each change once (edge-triggered). What it said is kept in handle_t.ready, and a handle that may have
 * something to give stands in one of two lists, linked through handle_t.link:
 *
 *   work   served by `next` in this turn
 *   later  served in the next turn: its read filled all its room, or it was resumed; `wait` then does not block
 *
 * So pausing and resuming need no system call, no handle is served twice in a turn however fast its peer sends, and
 * what the kernel named in this turn may be dropped in this turn: a handle that stands in a list when it is dropped stays
 * there, silent, until EVENT_DROPPED is handed out for it.
 *
 * A read that gave less than its room has emptied the socket: no second recv to be told EAGAIN.
 *
 * Reads are placed one behind the other in the turn's arena, which starts anew at `release`. So small loads live in a
 * few hot pages of it, and the rest is never touched.
 */
#ifndef SHOTOVER_POLLER_READY_H
#define SHOTOVER_POLLER_READY_H

#include "poller.h"
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

enum {
    READY_ARENA_SIZE = 256 * 1024,    /* bytes read in a turn before `next` asks for a `release` */
    READY_READ_SIZE = READY_ARENA_SIZE,     /* most bytes of one read */
    READY_ROOM_MIN = 16 * 1024,       /* with less room than this the arena counts as full */
    READY_ACCEPTS_PER_TURN = 64       /* connections taken from one listener in a turn */
};

/* Bits of handle_t.ready. */
enum {
    READY_INPUT = 1,      /* there may be bytes, or connections, to take */
    READY_BLOCKED = 2,    /* a send was refused or cut short; the loop waits for EVENT_WRITABLE */
    READY_OUTPUT = 4,     /* the kernel said "writable" while that mattered (blocked or connecting) */
    READY_HANGUP = 8,     /* the peer has finished or reset: a short read does not mean "drained" any more */
    READY_FINISHED = 16   /* EOF or an error was handed out: nothing is read after it */
};

typedef struct {
    handle_t *head, *tail;
} ready_list_t;

typedef struct ready_s ready_t;

struct ready_s {
    poller_t base;
    int fd;               /* of epoll or kqueue; -1 before `open` */
    uint32_t accepts;     /* taken in this turn from the listener at the head of `work` */
    uint32_t woken;       /* atomic: a wake is under way, another one would say nothing new */
    ready_list_t work;
    ready_list_t later;
    uint8_t *arena;
    size_t used;          /* bytes of the arena lent since the last `release` */
    handle_t waker;       /* stands for the wake-up itself */
    /* The back end's: begin and end to hear of h->fd. */
    int (*watch)(ready_t *, handle_t *);
    void (*unwatch)(ready_t *, handle_t *);
};

static void ready_list_add(ready_list_t *list, handle_t *h)
{
    h->listed = 1;
    h->link = NULL;
    if (list->head == NULL)
        list->head = h;
    else
        list->tail->link = h;
    list->tail = h;
}

/* Take the head of `work` out. */
static void ready_pop(ready_t *r)
{
    handle_t *h = r->work.head;

    r->work.head = h->link;
    h->listed = 0;
    r->accepts = 0;
}

/* Head of `work` to `later`. */
static void ready_postpone(ready_t *r)
{
    handle_t *h = r->work.head;

    ready_pop(r);
    ready_list_add(&r->later, h);
}

/* A turn begins: what was put off comes first. Returns 1 if there is something to serve already. */
static int ready_begin(ready_t *r)
{
    if (r->later.head != NULL) {
        if (r->work.head == NULL)
            r->work = r->later;
        else {
            r->work.tail->link = r->later.head;
            r->work.tail = r->later.tail;
        }
        r->later.head = NULL;
    }
    return r->work.head != NULL;
}

/* The kernel said `bits` of this handle; has that a consequence, it will be served. */
static void ready_mark(ready_t *r, handle_t *h, int bits)
{
    int awaited = h->connecting || (h->ready & READY_BLOCKED);

    if (!awaited)
        bits &= ~READY_OUTPUT;
    h->ready |= (uint8_t)bits;
    if (!h->listed && ((bits & READY_OUTPUT) || ((bits & READY_INPUT) && !h->paused)))
        ready_list_add(&r->work, h);
}

static int ready_setup(ready_t *r)
{
    r->base.arena_size = READY_ARENA_SIZE;
    r->base.read_size = READY_READ_SIZE;
    r->waker.kind = HANDLE_WAKE;
    r->arena = malloc(READY_ARENA_SIZE);
    if (r->arena == NULL)
        return -ENOMEM;
    POLLER_POISON(r->arena, READY_ARENA_SIZE);
    return 0;
}

static void ready_teardown(ready_t *r)
{
    if (r->fd >= 0)
        close(r->fd);
    if (r->arena != NULL)
        POLLER_UNPOISON(r->arena, READY_ARENA_SIZE);
    free(r->arena);
    free(r);
}

static int ready_add(poller_t *p, handle_t *h)
{
#ifdef SO_NOSIGPIPE
    int on = 1;

    if (h->kind == HANDLE_CONNECTION)
        setsockopt(h->fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    p->syscalls++;
    return ((ready_t *)p)->watch((ready_t *)p, h);
}

/* Watched only after connect was called: a socket that was never connected counts as hung up. */
static int ready_connect(poller_t *p, handle_t *h, const struct sockaddr *address, socklen_t size)
{
    int status;

    p->syscalls++;
    if (connect(h->fd, address, size) < 0 && errno != EINPROGRESS && errno != EINTR)
        return -errno;
    h->connecting = 1;
    status = ready_add(p, h);
    if (status < 0)
        h->connecting = 0;
    return status;
}

static int ready_drop(poller_t *p, handle_t *h)
{
    ready_t *r = (ready_t *)p;

    if (h->fd >= 0) {
        /* Not left to close: a child between fork and exec may hold the same socket, and its events would name a
         * handle that is gone. */
        r->unwatch(r, h);
        close(h->fd);
        p->syscalls += 2;
        h->fd = -1;
    }
    h->dropped = 1;
    return !h->listed;
}

/* Resumed handles are served in the next turn, so that pausing and resuming cannot make a turn endless. */
static void ready_want(poller_t *p, handle_t *h, int on)
{
    h->paused = !on;
    if (on && !h->dropped && !h->listed && (h->ready & (READY_INPUT | READY_FINISHED)) == READY_INPUT)
        ready_list_add(&((ready_t *)p)->later, h);
}

static long ready_send(poller_t *p, handle_t *h, const struct iovec *pieces, int count)
{
#ifdef MSG_NOSIGNAL
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
#else
    const int flags = MSG_DONTWAIT;
#endif
    struct msghdr message;
    size_t size = 0;
    ssize_t sent;
    int i;

    for (i = 0; i < count; i++)
        size += pieces[i].iov_len;
    memset(&message, 0, sizeof message);
    message.msg_iov = (struct iovec *)pieces;
    message.msg_iovlen = count;
    do {
        p->syscalls++;
        p->sends++;
        sent = count == 1 ? send(h->fd, pieces->iov_base, size, flags) : sendmsg(h->fd, &message, flags);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return -errno;
    if (sent < (ssize_t)size)
        h->ready |= READY_BLOCKED;
    return sent < 0 ? -EAGAIN : (long)sent;
}

static int ready_failed(event_t *event, handle_t *h, int error)
{
    h->ready = READY_FINISHED;
    poller_event(event, h, EVENT_ERROR);
    event->error = error;
    return 1;
}

static int ready_connected(ready_t *r, handle_t *h, event_t *event)
{
    int error = 0;
    socklen_t size = sizeof error;

    r->base.syscalls++;
    if (getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    h->connecting = 0;
    h->ready &= (uint8_t)~(READY_OUTPUT | READY_BLOCKED);
    if (error == 0)
        return poller_event(event, h, EVENT_CONNECTED);    /* stays in `work`: there may be bytes already */
    ready_pop(r);
    return ready_failed(event, h, error);
}

static int ready_accept_once(int fd)
{
#ifdef __linux__
    return accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
    int made = accept(fd, NULL, NULL);

    if (made >= 0) {
        fcntl(made, F_SETFL, fcntl(made, F_GETFL) | O_NONBLOCK);
        fcntl(made, F_SETFD, FD_CLOEXEC);
    }
    return made;
#endif
}

/* Errors that say nothing of the listener: the connection it was about is gone, the next one may be fine. */
static int ready_accept_again(int error)
{
    switch (error) {
    case EINTR: case ECONNABORTED: case EPROTO: case EPERM: case ENETDOWN: case ENETUNREACH: case EHOSTDOWN:
    case EHOSTUNREACH: case ENOPROTOOPT: case EOPNOTSUPP: case ETIMEDOUT:
#ifdef ENONET
    case ENONET:
#endif
        return 1;
    default:
        return 0;
    }
}

/* The listener at the head of `work`; it stays there while it has more. */
static int ready_accept(ready_t *r, handle_t *h, event_t *event)
{
    int fd, error;

    while (r->accepts < READY_ACCEPTS_PER_TURN) {
        r->accepts++;
        r->base.syscalls++;
        fd = ready_accept_once(h->fd);
        error = errno;
        if (fd >= 0) {
            poller_event(event, h, EVENT_ACCEPT);
            event->fd = fd;
            return 1;
        }
        if (error == EAGAIN || error == EWOULDBLOCK) {
            h->ready &= (uint8_t)~READY_INPUT;
            ready_pop(r);
            return 0;
        }
        if (!ready_accept_again(error)) {
            h->paused = 1;
            ready_pop(r);
            poller_event(event, h, EVENT_ACCEPT);
            event->error = error;
            return 1;
        }
    }
    ready_postpone(r);
    return 0;
}

/* One read for the connection at the head of `work`. */
static int ready_read(ready_t *r, handle_t *h, event_t *event)
{
    size_t room = READY_ARENA_SIZE - r->used;
    uint8_t *at = r->arena + r->used;
    ssize_t got;

    if (room < READY_ROOM_MIN)
        return 2;
    if (room > READY_READ_SIZE)
        room = READY_READ_SIZE;
    POLLER_UNPOISON(at, room);
    do {
        r->base.syscalls++;
        r->base.reads++;
        got = recv(h->fd, at, room, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        POLLER_POISON(at + got, room - got);
        r->used += ((size_t)got + 63) & ~(size_t)63;    /* a cache line is not shared by two reads */
        if ((size_t)got == room || (h->ready & READY_HANGUP))
            ready_postpone(r);
        else {
            h->ready &= (uint8_t)~READY_INPUT;
            ready_pop(r);
        }
        poller_event(event, h, EVENT_DATA);
        event->data = at;
        event->size = (size_t)got;
        return 1;
    }
    POLLER_POISON(at, room);
    ready_pop(r);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        h->ready &= (uint8_t)~READY_INPUT;
        return 0;
    }
    if (got < 0)
        return ready_failed(event, h, errno);
    h->ready |= READY_FINISHED;
    return poller_event(event, h, EVENT_EOF);
}

/* Serve the head of `work`. 1: *event; 0: it had nothing (more) and left the list; 2: the arena is full. */
static int ready_serve(ready_t *r, handle_t *h, event_t *event)
{
    if (h->dropped) {
        ready_pop(r);
        return poller_event(event, h, EVENT_DROPPED);
    }
    if (h->kind == HANDLE_WAKE) {
        ready_pop(r);
        __atomic_store_n(&r->woken, 0, __ATOMIC_SEQ_CST);    /* before the loop looks at its letters */
        return poller_event(event, h, EVENT_WAKE);
    }
    if (h->connecting) {
        if (h->ready & READY_OUTPUT)
            return ready_connected(r, h, event);
    } else if (h->ready & READY_OUTPUT) {
        h->ready &= (uint8_t)~(READY_OUTPUT | READY_BLOCKED);
        return poller_event(event, h, EVENT_WRITABLE);        /* stays in `work`: there may be bytes, too */
    } else if ((h->ready & (READY_INPUT | READY_FINISHED)) == READY_INPUT && !h->paused)
        return h->kind == HANDLE_LISTENER ? ready_accept(r, h, event) : ready_read(r, h, event);
    ready_pop(r);
    return 0;
}

static int ready_next(poller_t *p, event_t *event)
{
    ready_t *r = (ready_t *)p;
    int given = 0;

    while (given == 0 && r->work.head != NULL)
        given = ready_serve(r, r->work.head, event);
    return given;
}

static void ready_release(poller_t *p)
{
    ready_t *r = (ready_t *)p;

    POLLER_POISON(r->arena, r->used < READY_ARENA_SIZE ? r->used : READY_ARENA_SIZE);
    r->used = 0;
}

static uint64_t ready_now(poller_t *p)
{
    struct timespec at;

    (void)p;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

#endif
