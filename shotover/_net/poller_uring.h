/* io_uring, over uring_ring.h. Linux 6.1 or younger, in the headers and in the kernel.
 *
 * An operation's user data is its handle's address with a tag in the low bits, so a handle may be freed only when the
 * kernel owns no operation of it: `inflight` counts them (a multishot operation counts once, until its completion without
 * F_MORE), and `drop` cancels them and waits for EVENT_DROPPED. Cancel and close travel in the same queue behind whatever was
 * queued for the fd before, so no entry can ever name an fd that was closed and given out again.
 *
 * Completions come from the ring in the kernel's order. A receive ends (completion without F_MORE) when the peer is done,
 * when it is cancelled by a pause, when buffers ran out, or when the kernel feels like it; then it is armed again if the
 * connection is still to be read. What ended for want of buffers is submitted again at the end of the turn, when `release`
 * has brought buffers back: nothing is lost, the bytes wait in the socket.
 *
 * What may be lost is the end. A multishot receive that is woken twice before it runs, by bytes and by a reset behind them,
 * takes the bytes and forgets the second wake-up (seen on 6.18: about one in a thousand clients that send and reset at once);
 * the socket then stays quiet for ever. So each connection also has a one-shot poll for its end, which looks at the socket's
 * state and cannot miss it: when it fires, a receive still in flight is cancelled and armed again, and finds what there is.
 */
#ifndef SHOTOVER_POLLER_URING_H
#define SHOTOVER_POLLER_URING_H

#include "poller.h"

#if defined(__linux__) && defined(__has_include)
#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#endif
#endif

#ifndef IORING_SETUP_DEFER_TASKRUN
/* Headers older than Linux 6.1: there is nothing to build against. */

static int uring_open_absent(poller_t *p, const char **why)
{
    (void)p;
    *why = "built without it: the kernel headers of the build were older than Linux 6.1";
    return -ENOSYS;
}

static void uring_close_absent(poller_t *p)
{
    free(p);
}

static const poller_ops_t uring_ops_absent = { .name = "io_uring", .open = uring_open_absent, .close = uring_close_absent };

static poller_t *poller_new_uring(void)
{
    poller_t *p = calloc(1, sizeof *p);

    if (p != NULL)
        p->ops = &uring_ops_absent;
    return p;
}

#else
#include "uring_ring.h"
#include "uring_trial.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

/* Tags in the low bits of user data; 0: nobody waits for it. */
enum { URING_RECEIVE = 1, URING_SEND, URING_ACCEPT, URING_CONNECT, URING_WAKE, URING_END, URING_TAGS = 7 };

/* Bits of handle_t.ready. */
enum {
    URING_ARMED = 1,        /* a receive or an accept is in flight */
    URING_CANCELLING = 2,   /* ... and was told to end */
    URING_FINISHED = 4,     /* EOF or an error came: not armed again */
    URING_WATCHED = 8       /* its end is, or was, polled for */
};

typedef struct {
    handle_t *head, *tail;
} uring_list_t;

typedef struct {
    poller_t base;
    ring_t ring;
    uint32_t turn_end;      /* completions before this one belong to the turn */
    uint32_t woken;         /* atomic: a wake is under way */
    uint64_t inflight;      /* sum over all handles */
    uring_list_t starved;   /* found no room in the queue: to be armed in the next turn */
    uring_list_t gone;      /* dropped handles whose EVENT_DROPPED is due */
    handle_t waker;
} uring_t;

static void uring_list_add(uring_list_t *list, handle_t *h)
{
    h->listed = 1;
    h->link = NULL;
    if (list->head == NULL)
        list->head = h;
    else
        list->tail->link = h;
    list->tail = h;
}

static handle_t *uring_list_take(uring_list_t *list)
{
    handle_t *h = list->head;

    if (h != NULL) {
        list->head = h->link;
        h->listed = 0;
    }
    return h;
}

/* ---- submissions ---- */

/* Queue an operation that will complete for `h`. Room was reserved. */
static struct io_uring_sqe *uring_queue(uring_t *u, handle_t *h, int op, int tag)
{
    h->inflight++;
    u->inflight++;
    return ring_queue(&u->ring, op, h->fd, (uint64_t)(uintptr_t)h | (uint64_t)tag);
}

static int uring_arm_tag(const handle_t *h)
{
    return h->kind == HANDLE_LISTENER ? URING_ACCEPT : URING_RECEIVE;
}

/* Poll once for the end of a connection. Room was reserved. */
static void uring_watch_end(uring_t *u, handle_t *h)
{
    struct io_uring_sqe *sqe = uring_queue(u, h, IORING_OP_POLL_ADD, URING_END);

    sqe->poll32_events = POLLRDHUP;     /* and, as always, POLLHUP and POLLERR */
    h->ready |= URING_WATCHED;
}

/* Begin to receive or to accept, if that is wanted and not under way; where there is no room, in the next turn. */
static void uring_arm(uring_t *u, handle_t *h)
{
    struct io_uring_sqe *sqe;

    if (h->paused || h->connecting || h->dropped || h->listed || (h->ready & (URING_ARMED | URING_FINISHED)))
        return;
    if (!ring_reserve(&u->ring, 2, 0)) {
        uring_list_add(&u->starved, h);
        return;
    }
    h->ready |= URING_ARMED;
    if (h->kind == HANDLE_LISTENER) {
        sqe = uring_queue(u, h, IORING_OP_ACCEPT, URING_ACCEPT);
        sqe->ioprio = IORING_ACCEPT_MULTISHOT;
        sqe->accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    } else {
        sqe = uring_queue(u, h, IORING_OP_RECV, URING_RECEIVE);
        sqe->ioprio = IORING_RECV_MULTISHOT;
        sqe->flags = IOSQE_BUFFER_SELECT;
        sqe->buf_group = URING_GROUP;
        if (!(h->ready & URING_WATCHED))
            uring_watch_end(u, h);
    }
}

static int uring_add(poller_t *p, handle_t *h)
{
    uring_arm((uring_t *)p, h);
    return 0;
}

static int uring_connect(poller_t *p, handle_t *h, const struct sockaddr *address, socklen_t size)
{
    uring_t *u = (uring_t *)p;
    struct io_uring_sqe *sqe;
    void *copy;

    if (!ring_reserve(&u->ring, 1, size))
        return -ENOBUFS;
    copy = ring_scratch(&u->ring, size);
    memcpy(copy, address, size);
    sqe = uring_queue(u, h, IORING_OP_CONNECT, URING_CONNECT);
    sqe->addr = (uint64_t)(uintptr_t)copy;
    sqe->off = size;
    h->connecting = 1;
    return 0;
}

/* Tell the receive or accept in flight to end. */
static void uring_disarm(uring_t *u, handle_t *h)
{
    struct io_uring_sqe *sqe;

    if ((h->ready & (URING_ARMED | URING_CANCELLING)) != URING_ARMED || !ring_reserve(&u->ring, 1, 0))
        return;
    h->ready |= URING_CANCELLING;
    sqe = ring_queue(&u->ring, IORING_OP_ASYNC_CANCEL, -1, 0);
    sqe->addr = (uint64_t)(uintptr_t)h | (uint64_t)uring_arm_tag(h);
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
}

static void uring_want(poller_t *p, handle_t *h, int on)
{
    h->paused = !on;
    if (!on)
        uring_disarm((uring_t *)p, h);
    else
        uring_arm((uring_t *)p, h);     /* if it is being cancelled: when that has happened */
}

static int uring_drop(poller_t *p, handle_t *h)
{
    uring_t *u = (uring_t *)p;
    struct io_uring_sqe *sqe;

    h->dropped = 1;
    if (h->inflight == 0) {
        if (h->fd >= 0)
            close(h->fd);
        u->ring.calls++;
        h->fd = -1;
        return !h->listed;
    }
    if (!ring_reserve(&u->ring, 2, 0)) {
        shutdown(h->fd, SHUT_RDWR);     /* ends everything in flight; closed with the last completion */
        return 0;
    }
    sqe = ring_queue(&u->ring, IORING_OP_ASYNC_CANCEL, h->fd, 0);
    sqe->cancel_flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL;
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    sqe = ring_queue(&u->ring, IORING_OP_CLOSE, h->fd, 0);
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    h->fd = -1;
    return 0;
}

static long uring_send(poller_t *p, handle_t *h, const struct iovec *pieces, int count)
{
    uring_t *u = (uring_t *)p;
    size_t size = count == 1 ? 0 : sizeof(struct msghdr) + (size_t)count * sizeof *pieces;
    struct io_uring_sqe *sqe;
    struct msghdr *message;

    if (h->sending)
        return -EBUSY;
    if (!ring_reserve(&u->ring, 1, size))
        return -ENOBUFS;
    sqe = uring_queue(u, h, count == 1 ? IORING_OP_SEND : IORING_OP_SENDMSG, URING_SEND);
    sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;    /* the kernel goes on after a short send by itself */
    if (count == 1) {
        sqe->addr = (uint64_t)(uintptr_t)pieces->iov_base;
        sqe->len = (uint32_t)pieces->iov_len;
    } else {
        message = ring_scratch(&u->ring, size);
        memset(message, 0, sizeof *message);
        message->msg_iov = (struct iovec *)(message + 1);
        message->msg_iovlen = (size_t)count;
        memcpy(message->msg_iov, pieces, (size_t)count * sizeof *pieces);
        sqe->addr = (uint64_t)(uintptr_t)message;
        sqe->len = 1;
    }
    h->sending = 1;
    p->sends++;
    return POLLER_PENDING;
}

/* ---- completions: each returns 1 and *event, or 0 ---- */

static int uring_failed(event_t *event, handle_t *h, int error)
{
    h->ready |= URING_FINISHED;
    poller_event(event, h, EVENT_ERROR);
    event->error = error;
    return 1;
}

static int uring_received(uring_t *u, handle_t *h, const struct io_uring_cqe *cqe, event_t *event)
{
    uint8_t *data = cqe->flags & IORING_CQE_F_BUFFER ? ring_data(&u->ring, cqe) : NULL;

    if (!(cqe->flags & IORING_CQE_F_MORE))
        h->ready &= (uint8_t)~(URING_ARMED | URING_CANCELLING);
    if (cqe->res > 0) {
        u->base.reads++;
        uring_arm(u, h);
        poller_event(event, h, EVENT_DATA);
        event->data = data;
        event->size = (size_t)cqe->res;
        return 1;
    }
    switch (-cqe->res) {
    case 0:
        h->ready |= URING_FINISHED;
        return poller_event(event, h, EVENT_EOF);
    case ENOBUFS:
        ring_buffers_grow(&u->ring);
        uring_arm(u, h);                /* submitted after `release`, which brings buffers back */
        return 0;
    case ECANCELED: case EINTR: case EAGAIN:
        uring_arm(u, h);
        return 0;
    default:
        return uring_failed(event, h, -cqe->res);
    }
}

static int uring_accepted(uring_t *u, handle_t *h, const struct io_uring_cqe *cqe, event_t *event)
{
    if (!(cqe->flags & IORING_CQE_F_MORE))
        h->ready &= (uint8_t)~(URING_ARMED | URING_CANCELLING);
    switch (cqe->res < 0 ? -cqe->res : 0) {
    case 0:
        uring_arm(u, h);
        poller_event(event, h, EVENT_ACCEPT);
        event->fd = cqe->res;
        return 1;
    /* errors that say nothing of the listener: the connection they were about is gone */
    case ECANCELED: case EINTR: case EAGAIN: case ECONNABORTED: case EPROTO: case EPERM: case ENETDOWN: case ENETUNREACH:
    case EHOSTDOWN: case EHOSTUNREACH: case ENONET: case ENOPROTOOPT: case EOPNOTSUPP: case ETIMEDOUT:
        uring_arm(u, h);
        return 0;
    default:
        h->paused = 1;
        poller_event(event, h, EVENT_ACCEPT);
        event->error = -cqe->res;
        return 1;
    }
}

static int uring_connected(uring_t *u, handle_t *h, const struct io_uring_cqe *cqe, event_t *event)
{
    h->connecting = 0;
    if (cqe->res < 0)
        return uring_failed(event, h, -cqe->res);
    uring_arm(u, h);
    return poller_event(event, h, EVENT_CONNECTED);
}

static int uring_sent(handle_t *h, const struct io_uring_cqe *cqe, event_t *event)
{
    h->sending = 0;
    if (cqe->res < 0)
        return uring_failed(event, h, -cqe->res);
    poller_event(event, h, EVENT_SENT);
    event->size = (size_t)cqe->res;
    return 1;
}

/* A completion for a handle that was dropped: give back what it brought. */
static int uring_discard(uring_t *u, handle_t *h, int tag, const struct io_uring_cqe *cqe, event_t *event)
{
    if (tag == URING_RECEIVE && (cqe->flags & IORING_CQE_F_BUFFER))
        ring_data(&u->ring, cqe);
    if (tag == URING_ACCEPT && cqe->res >= 0)
        close(cqe->res);
    if (h->inflight > 0)
        return 0;
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
    h->sending = 0;
    return h->listed ? 0 : poller_event(event, h, EVENT_DROPPED);
}

static int uring_woken(uring_t *u, const struct io_uring_cqe *cqe, event_t *event);

static int uring_complete(uring_t *u, const struct io_uring_cqe *cqe, event_t *event)
{
    int tag = (int)(cqe->user_data & URING_TAGS);
    handle_t *h = (handle_t *)(uintptr_t)(cqe->user_data & ~(uint64_t)URING_TAGS);

    if (tag == 0)
        return 0;
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        h->inflight--;
        u->inflight--;
    }
    if (h->dropped)
        return uring_discard(u, h, tag, cqe, event);
    switch (tag) {
    case URING_RECEIVE:
        return uring_received(u, h, cqe, event);
    case URING_SEND:
        return uring_sent(h, cqe, event);
    case URING_ACCEPT:
        return uring_accepted(u, h, cqe, event);
    case URING_CONNECT:
        return uring_connected(u, h, cqe, event);
    case URING_END:
        uring_disarm(u, h);             /* armed again when it has ended */
        return 0;
    default:
        return uring_woken(u, cqe, event);
    }
}

static int uring_next(poller_t *p, event_t *event)
{
    uring_t *u = (uring_t *)p;
    struct io_uring_cqe cqe;
    handle_t *h = uring_list_take(&u->gone);

    if (h != NULL)
        return poller_event(event, h, EVENT_DROPPED);
    while (u->ring.seen != u->turn_end) {
        cqe = u->ring.cqes[u->ring.seen++ & u->ring.cq_mask];
        if (uring_complete(u, &cqe, event))
            return 1;
    }
    return 0;
}

static void uring_release(poller_t *p)
{
    ring_release(&((uring_t *)p)->ring);
}

/* ---- a turn ---- */

/* Arm what could not be armed in the turn before; a handle dropped meanwhile leaves by `gone`. */
static void uring_feed_starved(uring_t *u)
{
    uring_list_t list = u->starved;
    handle_t *h;

    u->starved.head = NULL;
    while ((h = uring_list_take(&list)) != NULL) {
        if (!h->dropped)
            uring_arm(u, h);
        else if (h->inflight == 0)
            uring_list_add(&u->gone, h);
    }
}

static int uring_turn(poller_t *p, int64_t timeout_ns)
{
    uring_t *u = (uring_t *)p;
    ring_t *ring = &u->ring;
    uint32_t work = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    uint32_t least;
    int status = 0;

    if (!ring->started) {
        status = ring_start(ring);
        if (status < 0)
            return status;
    }
    uring_feed_starved(u);
    least = timeout_ns != 0 && u->gone.head == NULL && u->starved.head == NULL
        && __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) == ring->seen;
    if (least || ring->queued != __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE)
        || (__atomic_load_n(ring->sq_flags, __ATOMIC_RELAXED) & work))
        status = ring_enter(ring, least, IORING_ENTER_GETEVENTS, least ? timeout_ns : -1);
    p->syscalls = ring->calls;
    u->turn_end = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
    /* EBUSY, EAGAIN: the kernel is short of room or memory; what is complete has to be taken first. */
    return status == -ETIME || status == -EINTR || status == -EBUSY || status == -EAGAIN ? 0 : status;
}

static uint64_t uring_now(poller_t *p)
{
    struct timespec at;

    (void)p;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* ---- waking: a multishot poll of an eventfd that is never read ---- */

static int uring_watch_waker(uring_t *u)
{
    struct io_uring_sqe *sqe;

    if (!ring_reserve(&u->ring, 1, 0))
        return -ENOBUFS;
    sqe = uring_queue(u, &u->waker, IORING_OP_POLL_ADD, URING_WAKE);
    sqe->poll32_events = POLLIN;
    sqe->len = IORING_POLL_ADD_MULTI;
    return 0;
}

static int uring_woken(uring_t *u, const struct io_uring_cqe *cqe, event_t *event)
{
    if (!(cqe->flags & IORING_CQE_F_MORE))
        uring_watch_waker(u);
    __atomic_store_n(&u->woken, 0, __ATOMIC_SEQ_CST);    /* before the loop looks at its letters */
    return poller_event(event, &u->waker, EVENT_WAKE);
}

static void uring_wake(poller_t *p)
{
    uring_t *u = (uring_t *)p;
    const uint64_t one = 1;
    ssize_t written;

    if (__atomic_exchange_n(&u->woken, 1, __ATOMIC_SEQ_CST))
        return;
    do
        written = write(u->waker.fd, &one, sizeof one);
    while (written < 0 && errno == EINTR);
}

/* ---- birth and death ---- */

static int uring_open_untried(poller_t *p, const char **why)
{
    uring_t *u = (uring_t *)p;
    int status = ring_open(&u->ring, why);

    if (status < 0)
        return status;
    p->read_size = u->ring.buffer_size;
    *why = "eventfd failed";
    u->waker.kind = HANDLE_WAKE;
    u->waker.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return u->waker.fd < 0 ? -errno : uring_watch_waker(u);
}

/* Cancel everything and wait until the kernel has let go: so that nothing is written, accepted or kept open afterwards. */
static void uring_reap(uring_t *u)
{
    ring_t *ring = &u->ring;
    struct io_uring_sqe *sqe;
    struct io_uring_cqe *cqe;
    int tries;

    if ((!ring->started && ring_start(ring) < 0) || !ring_is_mine(ring) || !ring_reserve(ring, 1, 0))
        return;                                  /* another thread's ring: the kernel reaps it when that thread ends */
    sqe = ring_queue(ring, IORING_OP_ASYNC_CANCEL, -1, 0);
    sqe->cancel_flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
    for (tries = 0; u->inflight > 0 && tries < 1000; tries++) {
        ring_enter(ring, 1, IORING_ENTER_GETEVENTS, 100 * 1000000);
        while (ring->seen != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE)) {
            cqe = &ring->cqes[ring->seen++ & ring->cq_mask];
            if ((cqe->user_data & URING_TAGS) == URING_ACCEPT && cqe->res >= 0)
                close(cqe->res);
            if ((cqe->user_data & URING_TAGS) != 0 && !(cqe->flags & IORING_CQE_F_MORE))
                u->inflight--;
        }
    }
}

static void uring_close(poller_t *p)
{
    uring_t *u = (uring_t *)p;

    if (u->ring.scratch != NULL)                 /* the last thing ring_open makes */
        uring_reap(u);
    if (u->waker.fd >= 0)
        close(u->waker.fd);
    ring_close(&u->ring);
    free(u);
}

static const poller_ops_t uring_ops_untried = {
    "io_uring", uring_open_untried, uring_close, uring_add, uring_connect, uring_drop, uring_want, uring_send, uring_turn,
    uring_next, uring_release, uring_now, uring_wake,
};

static poller_t *uring_new(const poller_ops_t *ops)
{
    uring_t *u = calloc(1, sizeof *u);

    if (u == NULL)
        return NULL;
    u->base.ops = ops;
    u->base.completion = 1;
    u->ring.fd = u->waker.fd = -1;
    return &u->base;
}

/* Versions and feature bits do not tell what a sandbox or a look-alike kernel really does. */
static int uring_trial(const char **why)
{
    uring_trial_t trial;
    poller_t *p = uring_new(&uring_ops_untried);
    int status;

    memset(&trial, 0, sizeof trial);
    trial.listener.fd = trial.client.fd = trial.server.fd = -1;
    *why = "no memory";
    if (p == NULL)
        return -ENOMEM;
    status = p->ops->open(p, why);
    if (status == 0) {
        *why = "a trial of multishot accept and receive with provided buffers failed";
        status = uring_trial_run(p, &trial);
    }
    p->ops->close(p);
    if (trial.listener.fd >= 0)
        close(trial.listener.fd);
    if (trial.client.fd >= 0)
        close(trial.client.fd);
    if (trial.server.fd >= 0)
        close(trial.server.fd);
    return status;
}

static int uring_open(poller_t *p, const char **why)
{
    int status = uring_trial(why);

    return status < 0 ? status : uring_open_untried(p, why);
}

static const poller_ops_t uring_ops = {
    "io_uring", uring_open, uring_close, uring_add, uring_connect, uring_drop, uring_want, uring_send, uring_turn, uring_next,
    uring_release, uring_now, uring_wake,
};

static poller_t *poller_new_uring(void)
{
    return uring_new(&uring_ops);
}

#endif
#endif
