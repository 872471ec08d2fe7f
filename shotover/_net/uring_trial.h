/* A trial of a completion back end before it is relied upon: a short conversation through its own functions. */
#ifndef SHOTOVER_URING_TRIAL_H
#define SHOTOVER_URING_TRIAL_H

#include "poller.h"
#include <sys/un.h>

typedef struct {
    handle_t listener, client, server;
    int dropped;              /* EVENT_DROPPED seen */
    int echoed;               /* the client got its byte back */
} uring_trial_t;

/* React to one event of the trial. 0, or -errno. */
static int uring_trial_event(poller_t *p, uring_trial_t *t, const event_t *event)
{
    static char mark[2] = "ok";
    struct iovec halves[2] = { { mark, 1 }, { mark + 1, 1 } };
    struct iovec whole = { mark, 2 };

    switch (event->kind) {
    case EVENT_ACCEPT:
        if (event->fd < 0 || t->server.fd >= 0)
            return -EPROTO;
        t->server.fd = event->fd;
        return p->ops->add(p, &t->server);
    case EVENT_CONNECTED:
        return p->ops->send(p, &t->client, &whole, 1) == POLLER_PENDING ? 0 : -EPROTO;
    case EVENT_SENT:
        return 0;
    case EVENT_DATA:
        if (event->size != 2 || memcmp(event->data, mark, 2) != 0)
            return -EPROTO;
        if (event->handle == &t->server)
            return p->ops->send(p, &t->server, halves, 2) == POLLER_PENDING ? 0 : -EPROTO;
        t->echoed = 1;
        return 0;
    case EVENT_DROPPED:
        t->dropped++;
        return 0;
    default:
        return event->error ? -event->error : -EPROTO;
    }
}

/* Turns until *goal is reached; bounded. */
static int uring_trial_turns(poller_t *p, uring_trial_t *t, const int *counter, int goal)
{
    event_t event;
    int turns, status = 0;

    for (turns = 0; *counter < goal && turns < 100 && status == 0; turns++) {
        status = p->ops->wait(p, 20 * 1000000);
        while (status == 0 && p->ops->next(p, &event))
            status = uring_trial_event(p, t, &event);
        p->ops->release(p);
    }
    return status < 0 ? status : *counter < goal ? -ETIMEDOUT : 0;
}

/* Listen, connect, send, receive, send back in pieces, cancel, close: through the functions themselves, on a UNIX socket
 * without a name in the file system. */
static int uring_trial_run(poller_t *p, uring_trial_t *t)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    socklen_t size = sizeof(sa_family_t);
    int status, waiting;

    t->listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    t->client.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    t->server.fd = -1;
    t->listener.kind = HANDLE_LISTENER;
    if (t->listener.fd < 0 || t->client.fd < 0 || bind(t->listener.fd, (struct sockaddr *)&address, size) < 0
        || listen(t->listener.fd, 1) < 0)
        return -errno;
    size = sizeof address;
    if (getsockname(t->listener.fd, (struct sockaddr *)&address, &size) < 0)
        return -errno;
    status = p->ops->add(p, &t->listener);
    if (status == 0)
        status = p->ops->connect(p, &t->client, (struct sockaddr *)&address, size);
    if (status == 0)
        status = uring_trial_turns(p, t, &t->echoed, 1);
    if (status < 0)
        return status;
    waiting = !p->ops->drop(p, &t->listener) + !p->ops->drop(p, &t->client) + !p->ops->drop(p, &t->server);
    return uring_trial_turns(p, t, &t->dropped, waiting);
}

#endif
