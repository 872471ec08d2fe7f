/* The seam between the loop and the outside world.
 *
 * A back end is one table of functions (poller_ops_t); the loop never calls the system itself for anything that has to
 * do with sockets, time or chance. Two shapes of back end fit behind the table:
 *
 *   readiness  (epoll, kqueue; poller_ready.h)  the kernel says "can be read"; `next` reads into the turn's arena
 *   completion (io_uring, simulation)           the kernel says "was read"; `next` hands out its buffer
 *
 * so the loop sees only what both can give: an event with borrowed bytes, valid until `release`.
 *
 * One turn:  wait -> next, next, ... (0 = no more) -> [loop runs chains, calls send] -> release
 */
#ifndef SHOTOVER_POLLER_H
#define SHOTOVER_POLLER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Builds under AddressSanitizer find whoever looks at lent bytes after `release`. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POLLER_POISON(at, size) ASAN_POISON_MEMORY_REGION(at, size)
#define POLLER_UNPOISON(at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)
#else
#define POLLER_POISON(at, size) ((void)0)
#define POLLER_UNPOISON(at, size) ((void)0)
#endif

enum { HANDLE_CONNECTION = 0, HANDLE_LISTENER = 1, HANDLE_WAKE = 2 };

/* First member of every stream: what a back end needs to know of it. Zeroed by the owner before use. */
typedef struct handle_s {
    int32_t fd;
    uint8_t kind;        /* HANDLE_* */
    uint8_t paused;      /* the loop does not want to read; changed by `want`, and set when a listener had to be rested */
    uint8_t connecting;  /* set by `connect`, cleared when EVENT_CONNECTED or EVENT_ERROR is handed out */
    uint8_t dropped;     /* `drop` was called; no event will be handed out but EVENT_DROPPED */
    /* the back end's own: */
    uint8_t ready;       /* readiness: bits of what the kernel said and we have not used up; io_uring: state bits */
    uint8_t listed;      /* in a list of the back end */
    uint16_t inflight;   /* completion: operations the kernel still owns for this handle */
    uint32_t sending;    /* completion: not 0 while a send is in flight */
    struct handle_s *link;
} handle_t;

enum {
    EVENT_DATA = 1,      /* data, size: bytes read; borrowed until `release` */
    EVENT_EOF,           /* the peer has finished sending */
    EVENT_ERROR,         /* error: an errno; the connection is dead, or a connect failed */
    EVENT_CONNECTED,     /* a connect has succeeded; may be sent to and is being read */
    EVENT_WRITABLE,      /* readiness: a send that gave -EAGAIN, or took less than it was given, may be tried again */
    EVENT_SENT,          /* completion: size bytes of the send in flight were sent; iovec memory is the owner's again */
    EVENT_ACCEPT,        /* fd: a new connection of listener `handle` (non-blocking, close-on-exec); -1: error holds errno
                            (EMFILE, ENOMEM, ...) and the listener is paused until `want` resumes it */
    EVENT_WAKE,          /* another thread called `wake`; handle is the back end's own */
    EVENT_DROPPED        /* the handle given to `drop` may now be freed (only when `drop` returned 0) */
};

typedef struct {
    handle_t *handle;
    int kind;            /* EVENT_* */
    int fd;
    int error;
    uint8_t *data;
    size_t size;
} event_t;

typedef struct poller_s poller_t;

#define POLLER_PENDING (-1000000L)  /* `send`: taken over; EVENT_SENT or EVENT_ERROR will follow */
#define POLLER_IOV_MAX 1024         /* most members of the array given to one `send` */

typedef struct {
    const char *name;
    /* Open. Returns 0 or -errno; *why then points to a static text that says which feature is missing. `open`, `add`,
     * `connect` and `want` may be called by the thread that sets the worker up; from the first `wait` on, everything but
     * `wake` belongs to the thread that made it. */
    int (*open)(poller_t *, const char **why);
    /* Give everything back, the poller itself too; also after an `open` that failed. Handles still watched are forgotten:
     * their fds stay open, they are not looked at again. Call it in the thread that waits. */
    void (*close)(poller_t *);
    /* Start watching: a listener for EVENT_ACCEPT, a connection for EVENT_DATA. Returns 0 or -errno. */
    int (*add)(poller_t *, handle_t *);
    /* Non-blocking connect on h->fd, then as `add`. Returns 0 (EVENT_CONNECTED or EVENT_ERROR follows) or -errno. */
    int (*connect)(poller_t *, handle_t *, const struct sockaddr *, socklen_t);
    /* Stop watching and close h->fd (it becomes -1). Returns 1 if the handle may be freed now, 0 if EVENT_DROPPED will say
     * so; until then the bytes of a send in flight must stay put, too. What `send` took before is still sent if the
     * peer's window has room for it, so an error reply can be followed by `drop` in the same turn. */
    int (*drop)(poller_t *, handle_t *);
    /* Pause (0) or resume (1) reading a connection, or accepting on a listener. After a pause, at most what the kernel had
     * already completed is still handed out. */
    void (*want)(poller_t *, handle_t *, int on);
    /* Send at most POLLER_IOV_MAX pieces. Returns bytes taken by the kernel, which may be less than was given, or -EAGAIN
     * (after either, EVENT_WRITABLE follows: no need to try before), another -errno, or POLLER_PENDING (the bytes must
     * stay put until EVENT_SENT or EVENT_ERROR; one send at a time per handle; the iovec array itself is copied). */
    long (*send)(poller_t *, handle_t *, const struct iovec *, int count);
    /* Submit what is queued and wait. timeout_ns < 0: for ever. Returns 0, or -errno (not EINTR: that is 0). */
    int (*wait)(poller_t *, int64_t timeout_ns);
    /* Next event of this turn: 1 and *event, or 0. 2: arena full, `release` before more can be had in this turn. */
    int (*next)(poller_t *, event_t *);
    /* Bytes lent by `next` since the last `release` are no longer used. */
    void (*release)(poller_t *);
    /* Monotonic nanoseconds. */
    uint64_t (*now)(poller_t *);
    /* From any thread: make `wait` return (EVENT_WAKE). */
    void (*wake)(poller_t *);
} poller_ops_t;

/* What a worker asks of the system besides events: sockets before a handle has them, and chance. socket_system.h has the
 * real ones, which no back end but the simulation replaces. */
typedef struct {
    /* A non-blocking, close-on-exec stream socket, or -errno. */
    int (*open)(poller_t *, int family);
    /* A listening one (see socket_listen), or -errno. */
    int (*listen)(poller_t *, const struct sockaddr *, socklen_t, int backlog, int shared);
    /* For short messages without delay. */
    void (*tune)(poller_t *, int fd, int family);
    /* Close an fd that no handle has. */
    void (*close)(poller_t *, int fd);
    /* Its own or its peer's address by name; empty when it has none. */
    void (*name)(poller_t *, int fd, int peer, char *out, size_t room);
    /* 64 bits that differ from process to process. */
    uint64_t (*chance)(poller_t *);
} system_ops_t;

/* First member of every back end's own struct; `state` is that struct, made by the back end's *_new function. */
struct poller_s {
    const poller_ops_t *ops;
    const system_ops_t *system;     /* set by poller_choose */
    size_t arena_size;    /* bytes of the turn's read arena (readiness); 0: a completion back end, `send` is PENDING */
    size_t read_size;     /* most bytes handed out by one event */
    uint8_t completion;   /* `send` keeps the bytes until EVENT_SENT: only what will stay put may be given to it */
    uint64_t syscalls;    /* counters, read by metrics */
    uint64_t reads;
    uint64_t sends;
};

static inline int poller_event(event_t *event, handle_t *h, int kind)
{
    event->handle = h;
    event->kind = kind;
    event->fd = -1;
    event->error = 0;
    event->data = NULL;
    event->size = 0;
    return 1;
}

/* Each back end's header defines `static poller_t *poller_new_NAME(void)` (NULL: no memory): epoll, uring, kqueue.
 * poller_choose.h picks one and opens it. */

#endif
