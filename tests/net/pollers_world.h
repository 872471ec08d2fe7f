/* The loop of the poller tests: streams whose bytes follow from their position, so that any loss, repetition or mix-up shows.
 *
 * What `next` lends is looked at only just before `release`, so bytes overwritten too early are found; handles are freed
 * the moment the contract allows it, so AddressSanitizer finds a back end that still uses them.
 */
#ifndef POLLERS_WORLD_H
#define POLLERS_WORLD_H

#include "shotover/_net/poller_choose.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/un.h>

#define CHECK(x) do { if (!(x)) check_failed(#x, __FILE__, __LINE__); } while (0)

static void check_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not so: %s (errno %s)\n", file, line, what, strerror(errno));
    fflush(stderr);
    _exit(1);
}

enum { CONNS_MAX = 2100, LENT_MAX = 8192, SPAN = 48 * 1024, MS = 1000000 };

typedef struct conn_s {
    handle_t h;
    uint32_t id;                /* chooses the bytes: the client's port */
    int slot;                   /* in world.conns */
    uint64_t got;               /* bytes received */
    uint64_t wanted, taken;     /* bytes to send, bytes the kernel took */
    uint8_t *flight;            /* bytes of a send that is pending */
    int blocked;                /* waits for EVENT_WRITABLE */
    int eof, error, connected, events, reads_in_turn;
} conn_t;

typedef struct {
    conn_t *conn;
    const uint8_t *data;
    size_t size;
    uint64_t position;
} lent_t;

typedef struct {
    poller_t *p;
    conn_t *conns[CONNS_MAX];   /* all that live, listeners too */
    int alive, accepted, dropped, wakes, full, accept_error, accepts_in_turn;
    uint64_t data_bytes, data_events;
    int echo;                   /* accepted connections send back what they get */
    void (*hook)(const event_t *);       /* sees each event first */
    lent_t lent[LENT_MAX];
    int lent_count;
    int open_fds;
} world_t;

static world_t world;
static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint32_t random_below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % bound;
}

static uint8_t byte_at(uint32_t id, uint64_t position)
{
    return (uint8_t)(position * 31 + (position >> 8) * 7 + id * 13);
}

static void bytes_fill(uint8_t *at, size_t size, uint32_t id, uint64_t position)
{
    for (size_t i = 0; i < size; i++)
        at[i] = byte_at(id, position + i);
}

static int bytes_right(const uint8_t *at, size_t size, uint32_t id, uint64_t position)
{
    for (size_t i = 0; i < size; i++)
        if (at[i] != byte_at(id, position + i))
            return 0;
    return 1;
}

static int fds_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static uint64_t now_ns(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* ---- streams ---- */

static conn_t *conn_new(int fd, int kind)
{
    conn_t *c = calloc(1, sizeof *c);

    c->h.fd = fd;
    c->h.kind = (uint8_t)kind;
    for (c->slot = 0; world.conns[c->slot] != NULL; c->slot++)
        ;
    CHECK(c->slot < CONNS_MAX);
    world.conns[c->slot] = c;
    world.alive++;
    return c;
}

static void conn_free(conn_t *c)
{
    world.conns[c->slot] = NULL;
    world.alive--;
    free(c->flight);
    memset(c, 0xdb, sizeof *c);
    free(c);
}

static void conn_drop(conn_t *c)
{
    for (int i = 0; i < world.lent_count; i++)
        if (world.lent[i].conn == c)
            world.lent[i].conn = NULL;
    if (world.p->ops->drop(world.p, &c->h))
        conn_free(c);
}

/* Send what is wanted, in pieces cut at random. */
static void conn_flush(conn_t *c)
{
    struct iovec pieces[8];
    int count = 0;
    size_t size, at = 0;
    long sent;

    while (c->taken < c->wanted && !c->blocked && c->flight == NULL && !c->h.dropped && !c->error && !c->h.connecting) {
        size = c->wanted - c->taken < SPAN ? (size_t)(c->wanted - c->taken) : SPAN;
        c->flight = malloc(size);
        bytes_fill(c->flight, size, c->id, c->taken);
        for (count = 0, at = 0; at < size; count++) {
            size_t piece = count == 7 ? size - at : 1 + random_below((uint32_t)(size - at));

            pieces[count] = (struct iovec){ c->flight + at, piece };
            at += piece;
        }
        sent = world.p->ops->send(world.p, &c->h, pieces, count);
        memset(pieces, 0xee, sizeof pieces);
        if (sent == POLLER_PENDING)
            return;
        free(c->flight);
        c->flight = NULL;
        if (sent >= 0)
            c->taken += (uint64_t)sent;
        else if (sent != -EAGAIN)
            c->error = (int)-sent;
        c->blocked = sent < (long)size;
    }
}

static uint32_t port_of_peer(int fd)
{
    struct sockaddr_in address = { 0 };
    socklen_t size = sizeof address;

    getpeername(fd, (struct sockaddr *)&address, &size);
    return address.sin_family == AF_INET ? ntohs(address.sin_port) : 0;
}

static void on_accept(const event_t *event)
{
    conn_t *c;

    if (event->fd < 0) {
        CHECK(event->error > 0 && event->handle->paused);
        world.accept_error = event->error;
        return;
    }
    CHECK(fcntl(event->fd, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(event->fd, F_GETFD) & FD_CLOEXEC);
    world.accepted++;
    world.accepts_in_turn++;
    c = conn_new(event->fd, HANDLE_CONNECTION);
    c->id = port_of_peer(event->fd);
    CHECK(world.p->ops->add(world.p, &c->h) == 0);
}

static void on_data(conn_t *c, const event_t *event)
{
    CHECK(event->size > 0 && event->size <= world.p->read_size && !c->eof);
    CHECK(world.lent_count < LENT_MAX);
    world.lent[world.lent_count++] = (lent_t){ c, event->data, event->size, c->got };
    c->got += event->size;
    c->reads_in_turn++;
    world.data_bytes += event->size;
    world.data_events++;
    if (world.echo)
        c->wanted += event->size;
}

static void on_event(const event_t *event)
{
    conn_t *c = (conn_t *)event->handle;

    if (event->kind == EVENT_WAKE) {
        world.wakes++;
        return;
    }
    c->events++;
    CHECK(world.conns[c->slot] == c);
    CHECK(c->h.dropped == (event->kind == EVENT_DROPPED));
    switch (event->kind) {
    case EVENT_ACCEPT: on_accept(event); break;
    case EVENT_DATA: on_data(c, event); break;
    case EVENT_EOF: CHECK(!c->eof++); break;
    case EVENT_ERROR: CHECK(event->error > 0); c->error = event->error; free(c->flight); c->flight = NULL; break;
    case EVENT_CONNECTED: CHECK(!c->connected++ && !c->h.connecting); break;
    case EVENT_WRITABLE: CHECK(c->blocked); c->blocked = 0; break;
    case EVENT_SENT: c->taken += event->size; free(c->flight); c->flight = NULL; break;
    case EVENT_DROPPED: world.dropped++; conn_free(c); break;
    default: CHECK(!"a kind of event that exists");
    }
}

/* ---- turns ---- */

static void settle(void)
{
    for (int i = 0; i < world.lent_count; i++) {
        lent_t *lent = &world.lent[i];

        if (lent->conn != NULL)
            CHECK(bytes_right(lent->data, lent->size, lent->conn->id, lent->position));
    }
    world.lent_count = 0;
    world.p->ops->release(world.p);
}

/* One turn; returns the number of events. */
static int turn(int64_t timeout_ns)
{
    event_t event;
    int got, events = 0;

    world.accepts_in_turn = 0;
    for (int i = 0; i < CONNS_MAX; i++)
        if (world.conns[i] != NULL)
            world.conns[i]->reads_in_turn = 0;
    CHECK(world.p->ops->wait(world.p, timeout_ns) == 0);
    while ((got = world.p->ops->next(world.p, &event)) != 0) {
        if (got == 2) {
            settle();
            world.full++;
            continue;
        }
        events++;
        if (world.hook != NULL)
            world.hook(&event);
        on_event(&event);
    }
    settle();
    for (int i = 0; i < CONNS_MAX; i++)
        if (world.conns[i] != NULL)
            conn_flush(world.conns[i]);
    return events;
}

/* Turns until `condition`; the alarm set by main bounds it. */
#define UNTIL(condition) do turn(MS); while (!(condition))

/* Turns until `count` of them in a row, each up to 2 ms long, had no event. */
static void quiet(int count)
{
    for (int silent = 0; silent < count; )
        silent = turn(2 * MS) ? 0 : silent + 1;
}

/* ---- the outside: plain sockets ---- */

static int listen_tcp(struct sockaddr_in *address, int backlog)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof *address;

    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (struct sockaddr *)address, size) == 0 && listen(fd, backlog) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)address, &size) == 0);
    return fd;
}

static int tcp_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    return fd;
}

/* Connects while turns go on; fd is non-blocking. */
static int client_new(const struct sockaddr_in *address)
{
    int fd = tcp_socket();

    CHECK(connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EINPROGRESS);
    return fd;
}

static uint32_t client_id(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;

    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    return ntohs(address.sin_port);
}

static conn_t *listener_new(struct sockaddr_in *address)
{
    conn_t *c = conn_new(listen_tcp(address, 4096), HANDLE_LISTENER);

    CHECK(world.p->ops->add(world.p, &c->h) == 0);
    return c;
}

/* A client and the connection it became; the listener that made it is dropped. */
static conn_t *pair_new(int *client)
{
    struct sockaddr_in address;
    conn_t *listener = listener_new(&address);
    int before = world.accepted;
    uint32_t id;

    *client = client_new(&address);
    id = client_id(*client);
    UNTIL(world.accepted > before);
    conn_drop(listener);
    for (int i = 0; i < CONNS_MAX; i++)
        if (world.conns[i] != NULL && world.conns[i]->id == id)
            return world.conns[i];
    CHECK(!"the accepted connection is there");
    return NULL;
}

/* Write up to `size` bytes of the client's stream from `position`; returns how many went. */
static size_t client_write(int fd, uint64_t position, size_t size)
{
    uint8_t bytes[SPAN];
    ssize_t sent;

    size = size < SPAN ? size : SPAN;
    bytes_fill(bytes, size, client_id(fd), position);
    sent = send(fd, bytes, size, MSG_NOSIGNAL);
    CHECK(sent >= 0 || errno == EAGAIN);
    return sent < 0 ? 0 : (size_t)sent;
}

/* Read up to `size` bytes and check them; -1: end of stream. */
static ssize_t client_read(int fd, uint64_t position, size_t size)
{
    uint8_t bytes[SPAN];
    ssize_t got = recv(fd, bytes, size < SPAN ? size : SPAN, 0);

    if (got == 0)
        return -1;
    CHECK(got > 0 || errno == EAGAIN);
    if (got < 0)
        return 0;
    CHECK(bytes_right(bytes, (size_t)got, client_id(fd), position));
    return got;
}

static void world_open(const char *name)
{
    char why[256];
    int error;

    memset(&world, 0, sizeof world);
    world.open_fds = fds_open();
    world.p = poller_choose(name, &error, why, sizeof why);
    if (world.p == NULL) {
        fprintf(stderr, "%s\n", why);
        _exit(error == -EINVAL ? 1 : 77);    /* 77: not here */
    }
}

/* Drop all that is left, and see that nothing remains. */
static void world_close(void)
{
    world.hook = NULL;
    for (int i = 0; i < CONNS_MAX; i++)
        if (world.conns[i] != NULL && !world.conns[i]->h.dropped)
            conn_drop(world.conns[i]);
    while (world.alive > 0)
        turn(MS);
    world.p->ops->close(world.p);
#ifdef KQUEUE_ON_LINUX_H
    close(kqueue_fake.user_fd);
#endif
    CHECK(fds_open() == world.open_fds);
}

#endif
